"""AttrOP on a tiny random network with stand-ins for the frozen nets."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from masquerade.core.errors import UsageError, ValidationError
from masquerade.generators.vec2face.attrop import AttrOP, AttrOpReport, net_paint
from masquerade.generators.vec2face.attrop_losses import PLUS, AttrLosses, AttrOpSettings
from masquerade.generators.vec2face.config import GENERATION_ROWS, Vec2FaceConfig
from masquerade.generators.vec2face.estimators import FeatureNorm
from masquerade.generators.vec2face.model import Vec2FaceNet

WIDTH, ROWS = 12, 10
TINY = Vec2FaceConfig(
    rep_dim=WIDTH, dim=16, depth=1, heads=2, decoder_depth=1, decoder_heads=2, z_channels=8,
    channels=(8, 8), n_res_blocks=1, norm_groups=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def net() -> Vec2FaceNet:
    torch.manual_seed(0)
    net = Vec2FaceNet(TINY).eval().requires_grad_(False)
    net.expand.bias.copy_(torch.randn(49) * 0.3)
    net.image_decoder.conv_out.weight.mul_(0.5)  # most pixels inside the clip
    return net


def pooled(seed: int, width: int, gain: float) -> "torch.nn.Module":
    weight = torch.randn(width, 48, generator=torch.Generator().manual_seed(seed)) * gain
    return lambda images: F.adaptive_avg_pool2d(images, 4).flatten(1) @ weight.T


features = pooled(1, WIDTH, 1.0)
quality = FeatureNorm(pooled(2, 6, 1.0))


def starts() -> Tensor:
    return torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(3))


def paint_of(net: Vec2FaceNet, identities: Tensor, seed: int = 0):
    numbers = torch.zeros_like(identities)
    return net_paint(net, GENERATION_ROWS, seed=seed, identities=identities, numbers=numbers)


def wanted_of(net: Vec2FaceNet) -> Tensor:
    """The identity that a start's own picture shows, so that the loss starts low."""
    with torch.no_grad():
        rows = torch.arange(ROWS)
        pictures = [paint_of(net, rows, seed)(starts(), rows, 0).clamp(-1, 1) for seed in range(8)]
        return torch.stack([features(p) for p in pictures]).mean(0)


def reachable(net: Vec2FaceNet) -> float:
    """A quality that most starts miss and the vectors can reach."""
    with torch.no_grad():
        pictures = paint_of(net, torch.arange(ROWS))(starts(), torch.arange(ROWS), 0)
        return float(quality(pictures.clamp(-1, 1)).max()) + 0.4


def test_quality_rises_and_the_identity_gate_holds(net: Vec2FaceNet) -> None:
    settings = AttrOpSettings(quality_target=reachable(net), quality_gate=0.3, id_weight=10)
    found = AttrOP(settings, features, quality).run(
        starts(), wanted_of(net), paint_of(net, torch.arange(ROWS))
    )
    assert found.end.quality.mean() < 0.6 * found.start.quality.mean()
    assert (found.end.quality <= found.start.quality + 1e-6).all()
    assert (found.end.identity <= settings.id_gate).all()
    assert found.accepted.sum() >= ROWS // 2
    assert (found.end.quality[found.accepted] <= 0.3).all()
    assert (found.steps[found.accepted] < settings.cap).any()


def test_without_the_identity_term_the_identity_drifts(net: Vec2FaceNet) -> None:
    ends = []
    for weight in (10.0, 0.0):
        settings = AttrOpSettings(
            quality_target=reachable(net) + 1, quality_gate=0.0, id_gate=2.0, id_weight=weight
        )
        found = AttrOP(settings, features, quality).run(
            starts(), wanted_of(net), paint_of(net, torch.arange(ROWS))
        )
        ends.append(float(found.end.identity.mean()))
    assert ends[1] > 1.5 * ends[0]


def test_an_unreachable_target_ends_at_the_cap_and_says_so(net: Vec2FaceNet) -> None:
    settings = AttrOpSettings(quality_target=1e4, cap=4, quality_weight=1e-3)
    found = AttrOP(settings, features, quality).run(
        starts(), wanted_of(net), paint_of(net, torch.arange(ROWS))
    )
    assert not found.accepted.any()
    assert (found.steps == 4).all()
    assert (found.end.identity <= settings.id_gate).all()
    line = str(AttrOpReport.of([found], settings))
    assert line.startswith("mean identity distance ")
    assert "missing quality " in line
    assert "pose" not in line  # no such target
    assert "in 4.0 steps; 0 of 10 reached their targets (0.0 %); 10 ended at the cap of 4" in line
    assert "(beyond the gate: identity distance 0, missing quality 10): their targets may" in line


def test_a_row_is_the_same_alone_and_in_a_batch(net: Vec2FaceNet) -> None:
    attrop = AttrOP(
        AttrOpSettings(quality_target=reachable(net), quality_gate=0.3, id_weight=10, cap=8),
        features, quality,
    )  # fmt: skip
    wanted = wanted_of(net)
    whole = attrop.run(starts(), wanted, paint_of(net, torch.arange(ROWS)))
    assert len(whole.steps.unique()) > 1  # rows leave at different times
    for row in (0, 4, 9):
        one = slice(row, row + 1)
        alone = attrop.run(starts()[one], wanted[one], paint_of(net, torch.tensor([row])))
        torch.testing.assert_close(alone.vectors, whole.vectors[one], rtol=1e-3, atol=1e-4)
        assert alone.steps.tolist() == whole.steps[one].tolist()


def test_rows_that_pass_at_once_stay_as_they_are(net: Vec2FaceNet) -> None:
    settings = AttrOpSettings(quality_target=0.0, id_gate=2.0)
    found = AttrOP(settings, features, quality).run(
        starts(), wanted_of(net), paint_of(net, torch.arange(ROWS))
    )
    assert found.accepted.all()
    assert (found.steps == 0).all()
    assert (found.vectors == starts()).all()


def test_end_losses_are_those_of_the_vectors_given_back() -> None:
    """Without masks' chance: pictures that are the vectors themselves."""
    pixels = torch.nn.functional.pad

    def paint(vectors: Tensor, rows: Tensor, iteration: int) -> Tensor:
        return pixels(vectors, (0, 48 - WIDTH)).view(-1, 3, 4, 4) * 0.2

    settings = AttrOpSettings(quality_target=4.0, id_weight=1.0, cap=6, quality_gate=0.1)
    attrop = AttrOP(settings, features, quality)
    wanted = features(paint(starts(), torch.arange(ROWS), 0))
    found = attrop.run(starts(), wanted, paint)
    again = attrop.measure(paint(found.vectors, torch.arange(ROWS), 0), wanted)
    torch.testing.assert_close(again.identity, found.end.identity, atol=1e-5, rtol=0)
    torch.testing.assert_close(again.quality, found.end.quality, atol=1e-5, rtol=0)


def test_batch_gate_is_torchs_adam_on_the_batch_mean(net: Vec2FaceNet) -> None:
    """A restatement of the official loop with `torch.optim.Adam`, three steps."""
    settings = AttrOpSettings(quality_target=1e3, cap=3, gate="batch")
    paint, wanted = paint_of(net, torch.arange(ROWS)), wanted_of(net)
    found = AttrOP(settings, features, quality).run(starts(), wanted, paint)
    vectors = starts().requires_grad_()
    optimizer = torch.optim.Adam([vectors], lr=0.1)
    for step in range(3):
        images = paint(vectors, torch.arange(ROWS), step).clamp(-1, 1)
        distance = 1 - F.cosine_similarity(features(images), wanted)
        loss = 100 * distance.mean() + (1e3 - quality(images)).clamp_min(0).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(found.vectors, vectors.detach(), rtol=1e-5, atol=1e-5)


def test_batch_gate_steps_once_more_after_the_means_pass(net: Vec2FaceNet) -> None:
    settings = AttrOpSettings(quality_target=0.0, id_gate=2.0, gate="batch")
    found = AttrOP(settings, features, quality).run(
        starts(), wanted_of(net), paint_of(net, torch.arange(ROWS))
    )
    assert found.accepted.all()
    assert (found.steps == 1).all()
    assert ((found.vectors - starts()).abs().max(dim=1).values > 0.09).all()


def test_runs_inside_inference_mode(net: Vec2FaceNet) -> None:
    settings = AttrOpSettings(quality_target=1e3, cap=1)
    wanted = wanted_of(net)
    with torch.inference_mode():
        found = AttrOP(settings, features, quality).run(
            starts(), wanted * 1, paint_of(net, torch.arange(ROWS))
        )
    assert (found.steps == 1).all()


def test_terms_are_weighted_as_published() -> None:
    losses = AttrLosses(torch.tensor([0.2, 0.4]), torch.tensor([3.0, 6.0]), torch.tensor([9.0, 0]))
    assert losses.total(AttrOpSettings()).tolist() == pytest.approx([32.0, 46.0])
    # Vec2Face+: distances up to 0.3 do not count; 3/30 + 9/90, 0.4 + 6/30
    assert losses.total(PLUS).tolist() == pytest.approx([0.2, 0.6])
    assert PLUS.quality_target == 24
    assert PLUS.cap == 30
    assert losses.passes(AttrOpSettings()).tolist() == [False, False]
    assert AttrOpSettings().passes == 1


def test_pose_counts_either_side(net: Vec2FaceNet) -> None:
    settings = AttrOpSettings(quality_target=None, pose_target=45.0)
    pose = iter([torch.tensor([45.0, -45.0, 40.0, -60.0])])
    attrop = AttrOP(settings, lambda images: images.flatten(1), pose=lambda images: next(pose))
    losses = attrop.measure(torch.ones(4, 3, 2, 2), torch.ones(4, 12))
    assert losses.pose.tolist() == [0, 0, 5, 15]
    assert losses.quality.tolist() == [0, 0, 0, 0]


def test_targets_without_estimators_are_refused() -> None:
    with pytest.raises(UsageError, match="quality_target 27.0 needs an estimator"):
        AttrOP(AttrOpSettings(), features)
    with pytest.raises(UsageError, match="pose_target 45.0 needs an estimator"):
        AttrOP(AttrOpSettings(pose_target=45), features, quality)
    with pytest.raises(UsageError, match="no target"):
        AttrOP(AttrOpSettings(quality_target=None), features)


def test_losses_that_are_not_finite_are_named(net: Vec2FaceNet) -> None:
    vectors = starts()
    vectors[2, 0] = torch.nan
    with pytest.raises(ValidationError, match="identity loss of row 2"):
        AttrOP(AttrOpSettings(), features, quality).run(
            vectors, starts(), paint_of(net, torch.arange(ROWS))
        )


def test_shapes_that_differ_are_refused(net: Vec2FaceNet) -> None:
    with pytest.raises(UsageError, match="one shape"):
        AttrOP(AttrOpSettings(), features, quality).run(
            starts(), starts()[:2], paint_of(net, torch.arange(ROWS))
        )
