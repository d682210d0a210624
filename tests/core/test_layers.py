"""Layers against plain restatements of their formulas."""

import pytest
import torch

from masquerade.core.layers import MLP, Attention, Block, CrossAttention, DropPath


def softmax_attention(q, k, v, heads):
    """(N, D) each → (N, D), head by head, with explicit softmax."""
    out = []
    for part in range(heads):
        size = q.shape[1] // heads
        cut = slice(part * size, (part + 1) * size)
        weight = (q[:, cut] @ k[:, cut].T * size**-0.5).softmax(-1)
        out.append(weight @ v[:, cut])
    return torch.cat(out, dim=1)


def test_attention_equals_explicit_softmax_with_q_k_v_rows() -> None:
    torch.manual_seed(0)
    layer, x = Attention(12, heads=3), torch.randn(1, 5, 12)
    q, k, v = (x[0] @ layer.qkv.weight.T + layer.qkv.bias).split(12, dim=1)
    wanted = layer.proj(softmax_attention(q, k, v, 3))
    torch.testing.assert_close(layer(x)[0], wanted, rtol=1e-5, atol=1e-6)


def test_attention_bias_closes_places() -> None:
    torch.manual_seed(0)
    layer, x = Attention(8, heads=2), torch.randn(1, 4, 8)
    bias = torch.zeros(4, 4)
    bias[:, 3] = float("-inf")
    torch.testing.assert_close(layer(x, bias)[:, :3], layer(x[:, :3]), rtol=1e-5, atol=1e-6)


def test_cross_attention_equals_explicit_softmax() -> None:
    torch.manual_seed(0)
    layer = CrossAttention(8, heads=2, context_dim=6)
    x, context = torch.randn(1, 3, 8), torch.randn(1, 5, 6)
    k, v = layer.kv(context[0]).split(8, dim=1)
    wanted = layer.proj(softmax_attention(layer.q(x[0]), k, v, 2))
    torch.testing.assert_close(layer(x, context)[0], wanted, rtol=1e-5, atol=1e-6)


def test_block_at_some_rows_equals_the_whole_block_there() -> None:
    torch.manual_seed(0)
    block, x = Block(8, heads=2), torch.randn(2, 6, 8)
    torch.testing.assert_close(block(x, rows=x[:, 4:]), block(x)[:, 4:], rtol=1e-5, atol=1e-6)


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer, x = DropPath(0.25), torch.ones(4000, 3)
    out = layer(x)
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert (out == out[:, :1]).all()
    assert abs(out.mean().item() - 1) < 0.05
    assert torch.equal(layer.eval()(x), x)


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="10 does not divide into 4 heads"):
        Attention(10, heads=4)


def test_dropout_works_in_training_only_and_adds_no_key() -> None:
    torch.manual_seed(0)
    plain, x = Block(8, heads=2), torch.randn(2, 6, 8)
    block = Block(8, heads=2, dropout=0.5)
    block.load_state_dict(plain.state_dict(), strict=True)
    assert torch.equal(block.eval()(x), plain(x))
    assert not torch.equal(block.train()(x), plain(x))


def test_mlp_drops_hidden_values_and_outputs_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer = MLP(4, 4, dropout=0.25)
    for linear in (layer.fc1, layer.fc2):
        torch.nn.init.eye_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    out = layer(torch.full((20_000, 4), 3.0))
    kept = torch.nn.functional.gelu(torch.tensor(3.0)) / 0.75**2
    torch.testing.assert_close(out.unique(), torch.stack([torch.tensor(0.0), kept]))
    assert (out == 0).float().mean().item() == pytest.approx(1 - 0.75**2, abs=0.01)


def test_attention_drops_weights_and_outputs() -> None:
    """With values of one and a projection that copies, an output counts the weights kept."""
    torch.manual_seed(0)
    layer = Attention(2, heads=1, dropout=0.5)
    with torch.no_grad():
        layer.qkv.weight.zero_()
        layer.qkv.bias.copy_(torch.tensor([0.0, 0, 0, 0, 1, 1]))
        layer.proj.weight.copy_(torch.eye(2))
        layer.proj.bias.zero_()
    out = layer(torch.zeros(500, 4, 2))
    # uniform weights 1/4, kept ones doubled, sums of 0 … 4 of them, outputs doubled or zero
    assert set(out.unique().tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}
    assert out.mean().item() == pytest.approx(1, abs=0.1)


def test_attention_without_key_bias_equals_one_whose_key_bias_is_zero() -> None:
    torch.manual_seed(0)
    layer, whole, x = Attention(8, 2, key_bias=False), Attention(8, 2), torch.randn(2, 5, 8)
    torch.nn.init.normal_(layer.q_bias)
    torch.nn.init.normal_(layer.v_bias)
    bias = torch.cat([layer.q_bias, torch.zeros(8), layer.v_bias])
    whole.load_state_dict(
        {"qkv.weight": layer.qkv.weight, "qkv.bias": bias, "proj.weight": layer.proj.weight,
         "proj.bias": layer.proj.bias}
    )  # fmt: skip
    torch.testing.assert_close(layer(x), whole(x))
    torch.testing.assert_close(layer.attend_from(x[:, :2], x), whole.attend_from(x[:, :2], x))
    assert {name for name, _ in layer.named_parameters()} == {
        "qkv.weight", "q_bias", "v_bias", "proj.weight", "proj.bias",
    }  # fmt: skip


def test_a_key_bias_changes_nothing() -> None:
    """Why it may be left out: it moves all logits of a query alike."""
    torch.manual_seed(0)
    layer, x = Attention(8, 2), torch.randn(1, 5, 8)
    before = layer(x)
    torch.nn.init.normal_(layer.qkv.bias[8:16].data)
    torch.testing.assert_close(layer(x), before, rtol=1e-5, atol=1e-6)
