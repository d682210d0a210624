"""MAE: what section 9 of its card says must hold at small scale."""

import shutil

import pytest
import torch

from masquerade.core.config import build
from masquerade.core.draws import Draws
from masquerade.core.errors import UsageError
from masquerade.core.masking import Mask
from masquerade.core.step import StepContext
from masquerade.core.tokens import Batch
from masquerade.core.training.compiling import compile_blocks
from masquerade.methods.image.mae import MAE

TINY = {
    "image_size": 32,
    "patch_size": 4,
    "dim": 32,
    "depth": 2,
    "heads": 4,
    "decoder_dim": 16,
    "decoder_depth": 2,
    "decoder_heads": 2,
}
STEP = StepContext()


@pytest.fixture
def photos(photographs) -> Batch:
    """Four 32² crops of real photographs."""
    return Batch({"image": photographs}, ids=torch.arange(len(photographs)))


def tiny(**changes) -> MAE:
    torch.manual_seed(0)
    return MAE(build(MAE.Config, {**TINY, **changes}))


def draws_of(batch: Batch) -> Draws:
    return Draws(0, batch.ids)


@pytest.mark.parametrize("ratio", [0.75, 0.6, 0.9])
def test_exact_counts_and_encoder_length(photos, ratio) -> None:
    model = tiny(masking={"kind": "random", "ratio": ratio})
    mask = model(photos, draws_of(photos), STEP).mask
    kept = int(64 * (1 - ratio))
    assert (mask.as_bool().sum(1) == 64 - kept).all()
    assert model.encoder.encode(model.tokenize(photos), mask).shape == (4, kept + 1, 32)


def test_kept_patches_have_no_gradient_in_the_loss(photos) -> None:
    images = photos["image"].clone().requires_grad_()
    model = tiny(norm_pix=False)
    tokens = model.tokenize(Batch({"image": images}, photos.ids))
    mask = model.config.masking(tokens, draws_of(photos), STEP).predicting_all()
    prediction = torch.zeros(4, 64, 48, requires_grad=True)
    from masquerade.core.objectives import patch_mse

    patch_mse(prediction, tokens.values, mask).backward()
    hidden = mask.as_bool()
    assert (prediction.grad[~hidden] == 0).all()
    assert (prediction.grad[hidden] != 0).any(1).all()
    by_patch = model.tokenize(Batch({"image": images.grad}, photos.ids)).values
    assert (by_patch[~hidden] == 0).all()
    assert (by_patch[hidden] != 0).any(1).all()


def test_a_masked_pixel_never_reaches_the_encoder(photos) -> None:
    model = tiny()
    tokens = model.tokenize(photos)
    mask = model.config.masking(tokens, draws_of(photos), STEP)
    changed = mask.put_predicted(tokens.values, torch.full((4, 48, 48), 7.0))
    other = type(tokens)(changed, grid=tokens.grid)
    assert torch.equal(model.encoder.encode(tokens, mask), model.encoder.encode(other, mask))


def test_the_mask_follows_the_sample_not_the_batch(photos) -> None:
    model = tiny()
    whole = model(photos, draws_of(photos), STEP).mask.as_bool()
    one = Batch({"image": photos["image"][2:3]}, photos.ids[2:3])
    assert torch.equal(model(one, draws_of(one), STEP).mask.as_bool()[0], whole[2])


def test_predicting_all_gives_the_same_hidden_predictions_and_loss(photos) -> None:
    model = tiny()
    hidden = model(photos, draws_of(photos), STEP)
    everything = model(photos, draws_of(photos), STEP, mask=hidden.mask.predicting_all())
    taken = hidden.mask.take_hidden(everything.prediction)
    torch.testing.assert_close(taken, hidden.prediction, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(everything.loss, hidden.loss, rtol=1e-5, atol=0)


def test_order_of_the_visible_tokens_changes_nothing(photos) -> None:
    model = tiny()
    first = model(photos, draws_of(photos), STEP)
    mask = Mask(visible=first.mask.visible.flip(1), hidden=first.mask.hidden)
    second = model(photos, draws_of(photos), STEP, mask=mask)
    torch.testing.assert_close(first.prediction, second.prediction, rtol=1e-4, atol=1e-5)


def test_reconstruction_inverts_the_patch_normalisation(photos) -> None:
    """A perfect prediction of normalized patches must give the picture back."""
    from masquerade.core.method import StepOutput
    from masquerade.core.objectives import normalize_patches

    model = tiny()
    tokens = model.tokenize(photos)
    mask = model.config.masking(tokens, draws_of(photos), STEP)
    perfect = normalize_patches(mask.take_predict(tokens.values))[0]
    output = StepOutput(loss=torch.zeros(()), prediction=perfect, mask=mask)
    rebuilt = model.reconstruction(photos, output)
    torch.testing.assert_close(rebuilt.values, tokens.values, rtol=1e-4, atol=1e-4)


def test_features_use_the_whole_image_and_no_randomness(photos) -> None:
    model = tiny()
    first = model.features(photos)
    assert first.shape == (4, 32)
    assert torch.equal(first, model.features(photos))
    changed = Batch({"image": photos["image"] + 0.1}, photos.ids)
    assert not torch.allclose(first, model.features(changed))


def test_class_token_pooling_differs_from_the_mean(photos) -> None:
    mean, cls = tiny(), tiny(pooling="cls")
    assert not torch.allclose(mean.features(photos), cls.features(photos))


def test_encoder_alone_refuses_to_reconstruct(photos) -> None:
    model = MAE(build(MAE.Config, TINY), decoder=False)
    with pytest.raises(ValueError, match="encoder without its decoder"):
        model(photos, draws_of(photos), STEP)


def test_published_sizes_have_the_published_parameter_counts() -> None:
    """Card §5: encoder B 85.8 M without head, the whole pre-training model 111.9 M."""
    with torch.device("meta"):
        model = MAE(MAE.Config())
    encoder = sum(t.numel() for t in model.encoder.state_dict().values())
    whole = sum(t.numel() for t in model.state_dict().values())
    assert encoder == pytest.approx(85.8e6, rel=1e-3)
    assert whole == pytest.approx(111.9e6, rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"patch_size": 5}, "no multiple of patch_size 5"),
        ({"heads": 5}, "does not divide into 5 heads"),
        ({"masking": {"kind": "random", "ratio": 1.0}}, "method.masking.*ratio"),
        ({"masking": {"kind": "random", "ratio": -1}}, "method.masking.*ratio"),
        ({"masking": {"kind": "random", "ratio": 0.99}}, "hides all 64 patches"),
        ({"masking": {"kind": "rondom"}}, "rondom"),
        ({"dept": 3}, "unknown setting 'method.dept'.*did you mean 'method.depth'"),
        ({"masking": {"kind": "random", "rato": 0.5}}, "unknown.*rato.*ratio"),
    ],
)
def test_impossible_settings_are_one_clear_sentence(settings, words) -> None:
    with pytest.raises(UsageError, match=words):
        build(MAE.Config, {**TINY, **settings}, "method")


def test_initial_weights_follow_the_card() -> None:
    model = tiny(dim=64)
    weight = model.encoder.blocks[0].attn.qkv.weight
    bound = (6 / (64 + 3 * 64)) ** 0.5  # Xavier of the fused matrix
    assert weight.abs().max() <= bound
    assert weight.abs().max() > 0.95 * bound
    assert (model.encoder.blocks[0].attn.qkv.bias == 0).all()
    bias = model.encoder.embed.bias
    assert bias.abs().max() <= 48**-0.5
    assert bias.std() > 0.4 * 48**-0.5
    assert model.decoder.mask_token.std().item() == pytest.approx(0.02, rel=0.5)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for the CPU needs g++")
def test_compiled_blocks_equal_eager_ones(photos) -> None:
    """About 40 s on two cores; `compile_blocks` makes a graph break an error."""
    eager, compiled = tiny(), tiny()
    assert compile_blocks(compiled) == 4
    outputs = [model(photos, draws_of(photos), STEP) for model in (eager, compiled)]
    torch.testing.assert_close(outputs[0].prediction, outputs[1].prediction, rtol=1e-4, atol=1e-4)
    for output in outputs:
        output.loss.backward()
    for (name, one), (_, other) in zip(
        eager.named_parameters(), compiled.named_parameters(), strict=True
    ):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-5, msg=name)


def test_encoder_step_at_75_percent_is_far_cheaper_than_with_all_tokens(photos) -> None:
    """Card §9.5, counted in FLOPs, so that a busy machine cannot change the answer."""
    from torch.utils.flop_counter import FlopCounterMode

    model = tiny(dim=64, depth=4)
    tokens = model.tokenize(photos)
    mask = model.config.masking(tokens, draws_of(photos), STEP)
    counts = []
    for hidden in (mask, None):
        with FlopCounterMode(display=False) as counter:
            model.encoder.encode(tokens, hidden)
        counts.append(counter.get_total_flops())
    assert counts[0] < 0.3 * counts[1]
