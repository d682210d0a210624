"""Point-M2AE and I2P-MAE: the counts and laws of the card's section 9, and small and bad clouds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.core.config import build
from masquerade.core.draws import Draws
from masquerade.core.errors import UsageError, WeightsError
from masquerade.core.geometry import chamfer
from masquerade.core.keymap import official_name
from masquerade.core.masking.multi_scale import MultiScaleMasker, visible_levels
from masquerade.core.method import Method
from masquerade.core.points.masked_autoencoder import levels_of, visible_of
from masquerade.core.points.packing import Packed
from masquerade.core.step import StepContext
from masquerade.core.tokens import Batch, Tokens
from masquerade.core.training.optim import layer_scale_groups
from masquerade.methods.point_cloud.i2p_mae import I2PMAE, saliency
from masquerade.methods.point_cloud.point_m2ae import PointM2AE
from masquerade.methods.recipes import resolve

SMALL = {
    "groups": (32, 16, 8), "sizes": (8, 4, 4), "dims": (8, 8, 16), "depths": (1, 1, 1),
    "heads": 2, "decoder_dims": (16, 8), "drop_path": 0.0,
}  # fmt: skip
METHODS = {"point-m2ae": PointM2AE, "i2p-mae": I2PMAE}
FEW = settings(max_examples=20, deadline=None)


def model(slug="point-m2ae", **changed):
    torch.manual_seed(0)
    more = {"masking": {"ratio": 0.75}}
    if slug == "i2p-mae":
        more = {"masking": {"ratio": 0.75, "guide": "saliency"}, "teacher_width": 64}
    cls = METHODS[slug]
    return cls(cls.Config(**{**SMALL, **more, **changed}))


def batch(n=3, points=128, seed=1):
    generator = torch.Generator().manual_seed(seed)
    cloud = torch.randn(n, points, 3, generator=generator)
    cloud = cloud / cloud.norm(dim=-1).amax(1)[:, None, None]
    return Batch({"points": cloud}, ids=torch.arange(n) + 10)


def step(of: Method, data, seed=0):
    return of(data, Draws(seed, data.ids), StepContext())


# counts --------------------------------------------------------------------------------------


def test_published_counts_of_the_card():
    config = resolve("point-m2ae").settings.method
    points = batch(2, 2048)["points"]
    levels = levels_of(points, config)
    assert [g.ids.shape[1:] for g in levels] == [(512, 16), (256, 8), (64, 8)]
    mask = config.masking(Tokens(levels[-1].centres), Draws(0, torch.arange(2)), StepContext())
    assert (mask.visible.shape[1], mask.hidden.shape[1]) == (13, 51)
    visible = visible_of(~mask.as_bool(), levels, config)
    assert [v.shape[1] for v in visible] == [512, 256, 64]
    for above, below in ((2, 1), (1, 0)):
        for cloud in range(2):
            # every neighbour of a visible token is visible below, and nothing else is
            wanted = levels[above].ids[cloud][visible[above][cloud]].unique()
            assert visible[below][cloud].nonzero()[:, 0].tolist() == wanted.tolist()


def test_published_recipes_of_the_card():
    for slug, size in (("point-m2ae", 128), ("i2p-mae", 64)):
        s = resolve(slug).settings
        assert (s.optim.lr, s.optim.weight_decay, s.train.batch_size) == (1e-3, 0.05, size)
        assert (s.optim.betas, s.optim.warmup_epochs) == ((0.9, 0.999), 10)
        assert s.optim.lr * s.optim.warmup_start == pytest.approx(1e-6)
        assert (s.data.points, s.data.augment) == (2048, "scale_shift")
        assert s.method.first_token_quirk is s.method.padding_leak is False
    assert resolve("i2p-mae").settings.method.masking.guide == "saliency"


@pytest.mark.parametrize("slug", METHODS)
def test_published_sizes_and_settings_derived_from_shapes(slug):
    config = resolve(slug).settings.method
    with torch.device("meta"):
        built = METHODS[slug](config)
    count = sum(p.numel() for p in built.encoder.parameters())
    # the published 12.9 M count the head of a fine-tuned model, 0.26 M, as well
    assert count / 1e6 == pytest.approx(12.65, abs=0.01)
    named = built.state_dict()
    shapes = {official_name(k, built.KEYMAP): tuple(v.shape) for k, v in named.items()}
    derived = METHODS[slug].derive(shapes)
    assert {k: tuple(v) if isinstance(v, list) else v for k, v in derived.items()} == {
        key: getattr(config, key) for key in derived
    }
    assert {"dims", "depths", "heads", "decoder_dims", "decoder_depths"} <= derived.keys()
    heads = {k.removesuffix(".weight"): v[0] for k, v in shapes.items() if k.startswith("rec_")}
    assert {k: n for k, n in heads.items() if "." not in k} == {
        "point-m2ae": {"rec_head": 48}, "i2p-mae": {"rec_head_3d": 24, "rec_head_2d": 12288},
    }[slug]  # fmt: skip


@pytest.mark.parametrize("slug", METHODS)
def test_weight_decay_spares_every_official_name_with_token(slug):
    of = model(slug)
    groups = layer_scale_groups(of.named_parameters(), weight_decay=0.05, no_decay=of.NO_DECAY)
    decayed = {name for g in groups if g["weight_decay"] for name in g["names"]}
    for name, value in of.named_parameters():
        official = official_name(name, of.KEYMAP)
        spared = value.ndim == 1 or name.endswith(".bias") or "token" in official
        assert (name not in decayed) == spared, (name, official)


# masks ---------------------------------------------------------------------------------------


@FEW
@given(seed=st.integers(0, 500), ratio=st.floats(0.3, 0.9))
def test_masks_of_levels_partition_every_level(seed, ratio):
    data, config = batch(2, seed=seed), model().config
    levels = levels_of(data["points"], config)
    masker = MultiScaleMasker(ratio=ratio)
    mask = masker(Tokens(levels[-1].centres), Draws(seed, data.ids), StepContext())
    assert mask.visible.shape[1] == 8 - int(ratio * 8)
    visible = visible_of(~mask.as_bool(), levels, config)
    ids = [g.ids for g in levels[1:]]
    again = visible_levels(visible[-1], ids, [32, 16])
    assert all(torch.equal(a, b) for a, b in zip(visible, again, strict=True))
    shown = visible[1].sum(1)
    assert (shown >= mask.visible.shape[1]).all()  # each has its own centre
    assert (shown <= mask.visible.shape[1] * 4).all()


def test_first_token_quirk_shows_token_0_of_the_first_cloud_alone():
    ids = torch.tensor([[[2, 3]], [[2, 3]]])
    top = torch.tensor([[False], [False]])
    clean = visible_levels(top, [ids], [4])[0]
    quirk = visible_levels(top, [ids], [4], first_token=True)[0]
    assert not clean.any()
    assert quirk.nonzero().tolist() == [[0, 0]]
    shown = visible_levels(~top, [ids], [4], first_token=True)[0]
    assert torch.equal(shown, visible_levels(~top, [ids], [4])[0])


def test_salient_places_stay_visible_more_often_where_the_temperature_lets_them():
    saliency_map = torch.zeros(400, 64)
    saliency_map[:, :13] = 1.0
    noise = Draws(0, torch.arange(400)).uniform(64)

    def share(**changed):
        masker = MultiScaleMasker(ratio=0.8, guide="saliency", **changed)
        shown = masker.from_noise(noise, saliency_map).visible
        return (shown < 13).float().mean().item()

    chance = 13 / 64
    assert share(temperature=0.05) > 0.95
    # drawn one by one with weights e and 1: above chance, far from certain
    assert chance + 0.1 < share() < 0.6
    assert abs(share(temperature=1e6) - chance) < 0.02
    plain = MultiScaleMasker(ratio=0.8).from_noise(noise).visible
    assert abs((plain < 13).float().mean().item() - chance) < 0.02


def test_a_guided_mask_needs_scores():
    masker = MultiScaleMasker(guide="saliency")
    with pytest.raises(ValueError, match="no scores 'saliency'"):
        masker(Tokens(torch.zeros(1, 8, 3)), Draws(0, torch.arange(1)), StepContext())


def test_saliency_is_where_the_teacher_looks():
    """Attention in one corner of every view: only points that are drawn there are salient."""
    cloud = torch.tensor([[[-1.0, -1, -1], [1, 1, 1], [-0.98, -0.98, -0.98], [0.9, 0.9, 0.9]]])
    from masquerade.core.geometry import project

    frame = project(cloud)
    attention = torch.zeros(1, 3, 1, 14, 14)
    attention[..., :3, :3] = 1 / 9
    found = saliency(frame, attention, cloud)[0]
    assert (found[[0, 2]] > 0.09).all()
    assert found[[1, 3]].abs().max() < 0.01


@FEW
@given(st.data())
def test_packing_gives_back_what_it_took(data):
    visible = torch.tensor(
        data.draw(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4))
    )
    packed, values = Packed.of(visible), torch.randn(len(visible), 6, 3)
    taken = packed.take(values)
    assert packed.valid.sum(1).tolist() == visible.sum(1).tolist()
    assert (taken[~packed.valid] == 0).all()
    torch.testing.assert_close(packed.put(values, taken), values)
    changed = packed.put(values, taken + 1)
    torch.testing.assert_close(changed - values, visible[..., None].expand_as(values).float())


# the models ----------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", METHODS)
def test_hidden_points_do_not_reach_the_encoder_above_their_embedding(slug):
    """In evaluation a change inside one hidden group leaves the predictions elsewhere."""
    of, data = model(slug).eval(), batch()
    one = step(of, data)
    two = step(of, Batch({"points": data["points"].clone()}, ids=data.ids))
    assert torch.equal(one.prediction, two.prediction)
    assert one.mask.count == 3 * 16
    hidden = one.mask.hidden.shape[1]
    size = {"point-m2ae": 8, "i2p-mae": 4}[slug]
    assert one.prediction.shape == (1, hidden, 3 * size)
    assert one.mask.hidden.shape[1] + one.mask.visible.shape[1] == 3 * 16


@pytest.mark.parametrize("slug", METHODS)
def test_a_cloud_depends_on_its_batch_in_nothing_but_batch_norm(slug):
    of, data = model(slug).eval(), batch()
    whole, alone = step(of, data), step(of, data.rows(1, 2))
    first = ((whole.mask.hidden[0] >= 16) & (whole.mask.hidden[0] < 32)).nonzero()[:, 0]
    assert (whole.mask.hidden[0][first] - 16).tolist() == alone.mask.hidden[0].tolist()
    torch.testing.assert_close(whole.prediction[:, first], alone.prediction, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(of.features(data)[1:2], of.features(data.rows(1, 2)))


def test_the_quirk_and_the_leak_make_it_depend_on_the_batch():
    data = batch()
    of = model(first_token_quirk=True).eval()
    whole, alone = step(of, data), step(of, data.rows(1, 2))
    second = whole.mask.as_bool()[0, 16:32]
    differ = second != alone.mask.as_bool()[0]
    assert not differ[1:].any()


@pytest.mark.parametrize("slug", METHODS)
def test_reconstruction_keeps_visible_groups_and_places_predicted_ones(slug):
    of, data = model(slug).eval(), batch()
    output = step(of, data)
    found = of.reconstruction(data, output)
    groups = levels_of(data["points"], of.config)[1]
    size = output.prediction.shape[-1] // 3
    assert found.values.shape == (3, 16, 3 * size)
    hidden = output.mask.as_bool().reshape(3, 16)
    again = groups.points[:, :, torch.arange(size) % 4].flatten(2)
    assert torch.equal(found.values[~hidden], again[~hidden])
    centres = groups.centres[hidden].repeat(1, size)
    torch.testing.assert_close(found.values[hidden] - centres, output.prediction[0])


@pytest.mark.parametrize("slug", METHODS)
@pytest.mark.parametrize("cloud", ["one place", "two places", "few points", "one point"])
def test_small_and_degenerate_clouds_give_finite_numbers(slug, cloud):
    points = {
        "one place": torch.zeros(2, 64, 3),
        "two places": torch.tensor([[1.0, 0, 0], [-1, 0, 0]]).repeat(32, 1).expand(2, -1, -1),
        "few points": batch(2, 5)["points"],
        "one point": torch.zeros(2, 1, 3),
    }[cloud]
    data = Batch({"points": points}, ids=torch.arange(2))
    of = model(slug)
    assert of.eval().features(data).isfinite().all()
    output = step(of.train(), data)
    if output.mask.hidden.shape[1]:
        output.loss.backward()
        gradients = [p.grad for p in of.parameters() if p.grad is not None]
        assert all(g.isfinite().all() for g in gradients)


def test_loss_falls_below_all_points_at_the_centre():
    """Seconds of training on boxes of random sides; the loss is of new ones."""

    def boxes(first):
        ids = torch.arange(first, first + 8)
        sides = 0.2 + Draws(0, ids, stream="sides").uniform(1, 3)
        points = Draws(0, ids, stream="points").uniform(128, 3) * 2 - 1
        face = Draws(0, ids, stream="face").integers(3, 128)
        points = points.scatter(2, face[..., None], points.gather(2, face[..., None]).sign())
        points = points * sides
        return Batch({"points": points / points.norm(dim=-1).amax(1)[:, None, None]}, ids=ids)

    of = model(dims=(16, 16, 32), decoder_dims=(32, 32))
    optimizer = torch.optim.AdamW(of.parameters(), lr=4e-3)
    for number in range(30):
        optimizer.zero_grad()
        step(of.train(), boxes(8 * number + 1000), seed=number).loss.backward()
        optimizer.step()
    data = boxes(0)
    with torch.no_grad():
        output = step(of.eval(), data)
        level = levels_of(data["points"], of.config)[1]
        hidden = output.mask.as_bool().reshape(level.centres.shape[:2])
        target = level.relative[hidden]
        baseline = chamfer(torch.zeros(len(target), 8, 3), target)
    assert output.loss < 0.95 * baseline, (output.loss.item(), baseline.item())


@pytest.mark.parametrize("slug", METHODS)
def test_the_teacher_is_no_part_of_the_weights_and_not_needed_for_features(slug):
    of = model(slug, **({"teacher": "absent.safetensors"} if slug == "i2p-mae" else {}))
    assert of.eval().features(batch()).shape == (3, 16)
    assert not any("teacher" in name for name in of.state_dict())


def test_the_teachers_features_take_no_gradient_and_teach_the_visible():
    of, data = model("i2p-mae"), batch()
    output = step(of, data)
    assert set(output.parts) == {"loss_2d", "loss_3d"}
    assert output.loss.item() == pytest.approx(sum(p.item() for p in output.parts.values()))
    output.loss.backward()
    assert of.head_2d.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in of.teacher.net.parameters())


def test_settings_that_do_not_fit_are_refused():
    for changed, message in (
        ({"heads": 3}, "does not divide into 3 heads"),
        ({"sizes": (8, 4)}, "sizes has 2 of 3 levels"),
        ({"groups": (8, 16, 32)}, "do not become fewer"),
        ({"decoder_dims": (8, 8)}, "must begin with 16"),
        ({"masking": {"ratio": 0.05}}, "hides 0 of 8"),
        ({"masking": {"guide": "saliency"}}, "needs an image teacher"),
    ):
        with pytest.raises(UsageError, match=message):
            build(PointM2AE.Config, {**SMALL, **changed}, "method")
    with pytest.raises(UsageError, match="teacher_width=64"):
        model("i2p-mae", teacher_width=7).check_source(None)
    with pytest.raises(WeightsError, match="no weights at"):
        model("i2p-mae", teacher="absent.safetensors").check_source(None)
