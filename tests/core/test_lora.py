"""Low-rank adapters: the formula, where they go, and what stays trainable."""

import pytest
import torch
from torch import nn

from masquerade.core.layers import Block
from masquerade.core.lora import LoRALinear, adapt, train_adapters_only


def filled(layer: LoRALinear) -> LoRALinear:
    nn.init.normal_(layer.B)
    return layer


def test_change_is_alpha_over_rank_times_b_a_x() -> None:
    torch.manual_seed(0)
    layer, x = filled(LoRALinear(nn.Linear(5, 3), rank=2, alpha=32)), torch.randn(4, 5)
    wanted = layer.base(x) + 16 * (x @ layer.A.T @ layer.B.T)
    torch.testing.assert_close(layer(x), wanted)
    plain = x @ layer.weight.T + layer.bias
    torch.testing.assert_close(layer(x), plain, rtol=1e-4, atol=1e-5)


def test_it_starts_as_its_base_and_a_starts_kaiming() -> None:
    torch.manual_seed(0)
    layer = LoRALinear(nn.Linear(64, 8), rank=4)
    assert not layer.B.any()
    assert layer.A.abs().max() <= 1 / 8  # √(6 / ((1 + 5) · 64))
    assert layer.A.abs().max() > 0.9 / 8


def test_adapters_replace_the_named_layers_under_the_official_keys() -> None:
    block = Block(8, heads=2)
    adapt(block, ("qkv", "proj"), rank=2)
    shapes = {k: tuple(v.shape) for k, v in block.state_dict().items() if k.startswith("attn.")}
    assert shapes == {
        "attn.qkv.A": (2, 8), "attn.qkv.B": (24, 2),
        "attn.qkv.base.weight": (24, 8), "attn.qkv.base.bias": (24,),
        "attn.proj.A": (2, 8), "attn.proj.B": (8, 2),
        "attn.proj.base.weight": (8, 8), "attn.proj.base.bias": (8,),
    }  # fmt: skip
    with pytest.raises(ValueError, match="no linear layer 'gate'"):
        adapt(block, ("gate",), rank=2)


def test_attention_at_some_rows_uses_the_adapters_too() -> None:
    torch.manual_seed(0)
    block, x = Block(8, heads=2), torch.randn(2, 6, 8)
    adapt(block, ("qkv", "proj"), rank=2)
    for module in block.modules():
        if isinstance(module, LoRALinear):
            filled(module)
    torch.testing.assert_close(block(x, rows=x[:, 4:]), block(x)[:, 4:], rtol=1e-4, atol=1e-4)


def test_only_the_low_rank_matrices_train() -> None:
    block = Block(8, heads=2)
    with pytest.raises(ValueError, match="no low-rank matrices"):
        train_adapters_only(block)
    adapt(block, ("qkv", "proj"), rank=2)
    chosen = train_adapters_only(block)
    trained = {name for name, p in block.named_parameters() if p.requires_grad}
    assert trained == {f"attn.{layer}.{part}" for layer in ("qkv", "proj") for part in "AB"}
    assert len(chosen) == 4


def test_a_rank_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        LoRALinear(nn.Linear(2, 2), rank=0)
