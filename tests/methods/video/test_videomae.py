"""VideoMAE: the counts and laws of the card's section 9, its parts, and what it refuses."""

import math
from dataclasses import replace

import pytest
import torch

from masquerade.core.config import build
from masquerade.core.draws import Draws
from masquerade.core.errors import UsageError
from masquerade.core.keymap import official_name
from masquerade.core.masking import Mask, RandomMasker, RunningCellMasker, TubeMasker
from masquerade.core.objectives import normalize_tubelets
from masquerade.core.step import StepContext
from masquerade.core.tokens import Batch, Tokens
from masquerade.core.training.optim import layer_scale_groups
from masquerade.methods.recipes import finetune, resolve
from masquerade.methods.video.videomae import VideoMAE

SMALL = {
    "image_size": 16, "frames": 4, "patch_size": 4, "dim": 16, "depth": 2, "heads": 2,
    "decoder_dim": 16, "decoder_depth": 2, "decoder_heads": 2,
}  # fmt: skip
TUBE = TubeMasker(ratio=0.75)
DUAL = RunningCellMasker(encoder=TUBE, decoder_ratio=0.5)


def model(**settings):
    torch.manual_seed(0)
    return VideoMAE(VideoMAE.Config(**{**SMALL, "masking": DUAL, **settings}))


def batch(n=3, views=1, **settings):
    generator = torch.Generator().manual_seed(1)
    clips = torch.randn(n, views, 3, 4, 16, 16, generator=generator)
    return Batch({"video": clips}, ids=torch.arange(n) + 10)


def step(of, data, seed=0):
    return of(data, Draws(seed, data.ids), StepContext())


# counts and sizes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "tokens", "visible", "predicted"),
    [("videomae", 1568, 160, 784), ("videomae-vit-g", 2048, 208, 1024)],
)
def test_published_counts(recipe, tokens, visible, predicted):
    config = resolve("videomae", recipe).settings.method
    held = Tokens(torch.zeros(2, tokens, 1), grid=config.grid)
    mask = config.masking(held, Draws(0, torch.arange(2)), StepContext())
    found = (mask.count, mask.visible.shape[1], mask.predict.shape[1])
    assert found == (tokens, visible, predicted)


def test_v1_predicts_all_that_is_hidden():
    masking = resolve("videomae", "videomae-v1").settings.method.masking
    held = Tokens(torch.zeros(1, 1568, 1), grid=(8, 14, 14))
    mask = masking(held, Draws(0, torch.arange(1)), StepContext())
    assert (mask.visible.shape[1], mask.predict.shape[1]) == (160, 1408)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("grid", [(8, 14, 14), (5, 4, 6)])
def test_every_place_is_kept_equally_often_in_any_four_slots(ratio, grid):
    slots, rows, columns = grid
    count = slots * rows * columns
    hidden = Mask.from_bool(torch.zeros(4, count, dtype=torch.bool))
    mask = RunningCellMasker(decoder_ratio=ratio).narrow(hidden, torch.arange(4), grid)
    kept = torch.zeros(4, count).scatter(1, mask.predict, 1.0).view(4, slots, -1)
    assert mask.predict.shape[1] == count * (1 - ratio)
    assert len({tuple(each.flatten().tolist()) for each in kept}) == 4
    for start in range(slots - 3):
        assert (kept[:, start : start + 4].sum(1) == 4 * (1 - ratio)).all()
    if ratio == 0.5:
        pairs = kept[:, :-1] + kept[:, 1:]
        assert (pairs.mean(-1) == 1).all()  # every two slots each place once on average


@pytest.mark.parametrize(
    ("recipe", "millions"),
    [
        ("videomae-vit-s", 21.9), ("videomae", 86.2), ("videomae-vit-l", 303.9),
        ("videomae-vit-h", 631.6), ("videomae-vit-g", 1011.6),
    ],
)  # fmt: skip
def test_trunks_have_the_published_sizes_and_are_derived_from_their_shapes(recipe, millions):
    """By the counting of the papers: 22, 87, 305, 633 and 1,011 M."""
    config = resolve("videomae", recipe).settings.method
    with torch.device("meta"):
        built = VideoMAE(config)
    count = sum(p.numel() for p in built.encoder.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.06)
    named = built.state_dict()
    shapes = {official_name(k, VideoMAE.KEYMAP): tuple(v.shape) for k, v in named.items()}
    side = config.patch_size
    shapes["encoder.patch_embed.proj.weight"] = (config.dim, 3, 2, side, side)
    derived = VideoMAE.derive(shapes)
    assert derived == {key: getattr(config, key) for key in derived}
    assert {"dim", "depth", "heads", "mlp_ratio", "patch_size", "tubelet", "decoder_dim",
            "decoder_depth", "decoder_heads"} == derived.keys()  # fmt: skip


def test_published_recipes_of_the_card():
    rows = {
        # recipe: peak rate, videos, passes, warm-up, views, stride, start, end
        "videomae": (4e-3, 1024, 200, 20, 4, 4, 1e-6 * 4, 4e-5),
        "videomae-vit-l": (6e-3, 1536, 300, 30, 4, 4, 1e-6 * 6, 6e-5),
        "videomae-vit-h": (8e-3, 2048, 300, 30, 4, 4, 1e-6 * 8, 8e-5),
        "videomae-vit-g": (4.8e-3, 2048, 300, 30, 4, 4, 1e-6 * 8, 8e-5),
        "videomae-v1": (1.2e-3, 2048, 1600, 40, 1, 4, 1e-6 * 8, 8e-5),
        "videomae-v1-ssv2": (1.2e-3, 2048, 2400, 40, 1, 2, 1e-6 * 8, 8e-5),
        "videomae-v1-ucf101": (2.25e-4, 192, 3200, 40, 1, 4, 1e-6 * 0.75, 7.5e-6),
        "videomae-ssv2": (4e-3, 1024, 200, 20, 4, 2, 1e-6 * 4, 4e-5),
    }
    for recipe, row in rows.items():
        s = resolve("videomae", recipe).settings
        peak = s.optim.learning_rate(s.train.batch_size)
        found = (
            peak, s.train.batch_size, s.train.epochs, s.optim.warmup_epochs, s.data.views,
            s.data.stride, peak * s.optim.warmup_start, s.optim.min_lr,
        )  # fmt: skip
        assert found == pytest.approx(row, rel=1e-3), recipe
        assert (s.optim.betas, s.optim.eps, s.optim.weight_decay) == ((0.9, 0.95), 1e-8, 0.05)
        assert (s.data.augment, s.method.decoder_depth) == ("multi_scale", 4)
    ucf = resolve("videomae", "videomae-v1-ucf101").settings.method.masking
    assert (ucf.kind, ucf.ratio) == ("tube", 0.75)
    assert resolve("videomae", "videomae-vit-g").settings.optim.clip_norm == 0.02


def test_published_fine_tunings_of_the_card():
    rows = {
        "videomae": (7e-4, 0.75, 0.1, 90, 0.05, (5, 3)),
        "videomae-ssv2": (2e-3, 0.65, 0.1, 25, 0.05, (2, 3)),
        "videomae-vit-g": (1e-3, 0.9, 0.3, 35, 0.1, (5, 3)),
        "videomae-v1": (5e-4, 0.75, 0.1, 75, 0.05, (5, 3)),
        "videomae-v1-ssv2": (5e-4, 0.75, 0.1, 30, 0.05, (2, 3)),
        "videomae-v1-ucf101": (5e-4, 0.7, 0.2, 100, 0.05, (5, 3)),
    }
    for recipe, row in rows.items():
        t = finetune("videomae", recipe)
        views = (t["data"]["test_clips"], t["data"]["test_crops"])
        keys = ("blr", "layer_decay", "drop_path", "epochs", "weight_decay")
        assert (*[t[key] for key in keys], views) == row, recipe
        assert t["randaugment"] == {"magnitude": 7, "std": 0.5, "operations": 4}
        assert (t["mixup"], t["cutmix"], t["random_erasing"]) == (0.8, 1.0, 0.25)
        assert (t["label_smoothing"], t["warmup_epochs"], t["min_lr"]) == (0.1, 5, 1e-6)
        assert t["blr"] * t["warmup_start"] == pytest.approx(1e-8, rel=0.01)
        assert t["data"]["views"] == 2
        assert t["data"].get("flip", True) == ("ssv2" not in recipe)


# parts -----------------------------------------------------------------------------------------


def test_initialisation_is_the_official_ones():
    first = model()
    token = first.decoder.mask_token
    assert token.abs().max() <= 0.02
    assert token.std() > 0.005
    bound = math.sqrt(1 / (2 * 4 * 4 * 3))
    embed = first.encoder.embed
    for values in (embed.weight, embed.bias):  # a convolution's own, not Xavier's
        assert 0.8 * bound < values.abs().max() <= bound
    block = first.encoder.blocks[0]
    xavier = math.sqrt(6 / (16 + 64))
    assert 0.8 * xavier < block.mlp.fc1.weight.abs().max() <= xavier
    assert not block.mlp.fc1.bias.any()
    assert not block.attn.q_bias.any()
    assert first.decoder.embed.bias is None


def test_no_table_is_stored_and_mask_token_and_biases_are_not_decayed():
    first = model()
    assert not any("positions" in name for name in first.state_dict())
    groups = layer_scale_groups(
        first.named_parameters(), weight_decay=0.05, no_decay=VideoMAE.NO_DECAY
    )
    spared = {name for g in groups if g["weight_decay"] == 0 for name in g["names"]}
    assert {"decoder.mask_token", "encoder.blocks.0.attn.q_bias", "encoder.norm.weight"} <= spared
    assert all(
        p.ndim == 1 for n, p in first.named_parameters() if n in spared - {"decoder.mask_token"}
    )


def test_decoder_sees_visible_and_predicted_tokens_only():
    """Card: 944 instead of 1568 tokens; here 16 + 16 against 16 + 16 hidden of 32."""
    lengths = []
    for masking in (DUAL, TUBE):
        of = model(masking=masking)
        of.decoder.blocks[0].register_forward_pre_hook(lambda _, x: lengths.append(x[0].shape[1]))
        step(of, batch())
    n = 2 * 16
    assert lengths == [n // 4 + n // 2, n]


def test_a_views_mask_depends_on_its_sample_alone():
    of, whole = model(), batch(3, views=2)
    mask = step(of, whole).mask
    alone = replace(whole.rows(1, 2))
    torch.testing.assert_close(step(of, alone).mask.visible, mask.visible[2:4])
    assert not torch.equal(mask.visible[0], mask.visible[1])
    single = Batch({"video": whole["video"][:, :1]}, ids=whole.ids)
    torch.testing.assert_close(step(of, single).mask.visible, mask.visible[::2])


def test_loss_of_views_is_one_ratio_over_all_of_them():
    of, whole = model(), batch(2, views=3)
    output = step(of, whole)
    target = of._plain(of.tokenize(whole).values)
    wanted = normalize_tubelets(output.mask.take_predict(target))[0]
    errors = (output.prediction - wanted).square().mean(-1)
    counted = output.mask.loss_weight()
    torch.testing.assert_close(output.loss, errors[counted].mean())
    assert output.prediction.shape[0] == 6


def test_features_are_the_mean_over_views_and_see_all_tokens():
    of, whole = model().eval(), batch(2, views=3)
    each = [
        of.features(Batch({"video": whole["video"][:, v : v + 1]}, ids=whole.ids)) for v in range(3)
    ]
    features = of.features(whole)
    assert features.shape == (2, 16)
    torch.testing.assert_close(features, torch.stack(each).mean(0), rtol=1e-4, atol=1e-5)
    tokens = of.tokenize(whole)
    by_hand = of.encoder.encode(tokens).mean(1).view(2, 3, -1).mean(1)
    torch.testing.assert_close(features, by_hand)
    assert model(pooling="mean_std").features(whole).shape == (2, 32)


def test_evaluation_predicts_all_that_is_hidden():
    of = model().eval()
    mask = step(of, batch()).mask
    assert mask.predicted is None
    assert mask.predict.shape[1] == 24


@pytest.mark.parametrize("norm_pix", [True, False])
def test_perfect_predictions_restore_the_clip(norm_pix):
    of, data = model(norm_pix=norm_pix).eval(), batch()
    output = step(of, data)
    target = of._plain(output.mask.take_predict(of.tokenize(data).values))
    perfect = normalize_tubelets(target)[0] if norm_pix else target
    made = of.reconstruction(data, replace(output, prediction=perfect))
    torch.testing.assert_close(made.values, of.tokenize(data).values, rtol=1e-4, atol=1e-4)
    assert made.grid == (2, 4, 4)


def test_a_longer_clip_gets_the_positions_of_its_own_length():
    of = model()
    longer = Batch({"video": torch.randn(1, 1, 3, 8, 16, 16)}, ids=torch.arange(1))
    assert of.features(longer).shape == (1, 16)


def test_encoder_alone_says_what_it_cannot():
    alone = VideoMAE(VideoMAE.Config(**SMALL), decoder=False)
    with pytest.raises(ValueError, match="without its decoder"):
        step(alone, batch())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"frames": 5}, "frames 5 is no multiple of tubelet 2"),
        ({"patch_size": 5}, "image_size 16 is no multiple of patch_size 5"),
        ({"heads": 3}, "dim 16 is no multiple of heads 3"),
        ({"image_size": 12}, "needs even sides"),
        ({"masking": {"kind": "random", "ratio": 0.99}}, "hides all 32 tokens"),
        ({"masking": {"kind": "block"}}, "needs a grid of rows and columns"),
        ({"tubelet": 4}, "method.tubelet"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        build(VideoMAE.Config, {**SMALL, "masking": DUAL.to_dict(), **settings}, "method")


# what it learns --------------------------------------------------------------------------------


TEXTURES = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(99))
HALF = TubeMasker(ratio=0.5)


def pictures(textures, time):
    """Clips (n, 1, 3, 4, 8, 8) of 2 × 2 places (n, 2, 2), whose texture rolls on with time."""
    still = TEXTURES[textures].permute(0, 3, 1, 4, 2, 5).reshape(len(textures), 3, 8, 8)
    frames = [torch.roll(still, t * time, -1) for t in range(4)]
    return torch.stack(frames, dim=2)[:, None]


def independent(n, seed):
    """Each place has a texture of its own, still in time: only another slot tells what it is."""
    generator = torch.Generator().manual_seed(seed)
    return pictures(torch.randint(6, (n, 2, 2), generator=generator), 0)


def related(n, seed):
    """The textures of all places follow from one another, and none is its neighbour's."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(6, (n, 1, 1), generator=generator)
    return pictures((first + torch.arange(4).view(1, 2, 2)) % 6, 1)


def trained(data, masking, steps=250):
    """The model after so many steps, and its mean loss over the last 20."""
    of = model(image_size=8, masking=masking, dim=32, decoder_dim=32, heads=4, decoder_heads=4)
    optimizer = torch.optim.AdamW(of.parameters(), lr=3e-3, betas=(0.9, 0.95))
    losses = []
    for number in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * min(1, (number + 1) / 20)
        clips = Batch({"video": data(32, number)}, ids=torch.arange(32))
        output = step(of, clips, seed=number)
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(output.loss.detach()))
    return of.eval(), sum(losses[-20:]) / 20


def held_out(of, data, masking):
    """Losses on new clips: the model's, and of copying the nearest visible tubelet."""
    clips = Batch({"video": data(64, 10_000)}, ids=torch.arange(64))
    tokens = of.tokenize(clips)
    mask = masking(tokens, Draws(7, clips.ids), StepContext())
    with torch.no_grad():
        loss = float(of(clips, Draws(0, clips.ids), StepContext(), mask=mask).loss)
    plain = of._plain(tokens.values)
    wanted, mean, deviation = normalize_tubelets(mask.take_hidden(plain))
    places = torch.cartesian_prod(*[torch.arange(float(n)) for n in tokens.grid])
    distance = torch.cdist(places, places)
    copied = torch.stack([
        values[seen[distance[hidden][:, seen].argmin(1)]]
        for values, seen, hidden in zip(plain, mask.visible, mask.hidden, strict=True)
    ])  # fmt: skip
    return loss, float((((copied - mean) / deviation) - wanted).square().mean())


@pytest.fixture(scope="module")
def first():
    """VideoMAE V1 trained on related textures."""
    return trained(related, HALF)[0]


def test_trained_model_falls_far_under_the_zero_predictor_and_copying_under_tubes(first):
    """On real clips: tests/performance/videomae_study.py. Measured 0.013 against 2.2."""
    loss, copy = held_out(first, related, HALF)
    assert loss < 0.5 * 31 / 32
    assert loss < copy


def test_random_masking_is_easier_than_tubes():
    """A hidden tubelet is often visible in the next slot; a masker that ignores its kind fails.

    Measured: 0.36 under random, 0.85 under tube masking; copying 1.3 and 2.0.
    """
    random = RandomMasker(ratio=0.5)
    (_, easy), (of, hard) = trained(independent, random), trained(independent, HALF)
    assert easy < 0.7 * hard
    # and so copying is strong under random masking, weak under tubes
    assert held_out(of, independent, random)[1] < 0.7 * held_out(of, independent, HALF)[1]


def test_dual_masking_learns_as_well_per_decoded_token(first):
    """Card: within a few percent of V1 at equal steps; seen on new clips, where both are low."""
    second = trained(related, RunningCellMasker(encoder=HALF, decoder_ratio=0.5))[0]
    assert held_out(second, related, HALF)[0] < held_out(first, related, HALF)[0] + 0.1


def test_dual_masking_keeps_less_for_the_backward_pass():
    """Card: 944 instead of 1568 tokens in the decoder; here 24 instead of 32."""
    kept = []
    for masking in (TUBE, DUAL):
        of, seen = model(masking=masking, decoder_depth=4), {}

        def keep(tensor, seen=seen):
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = step(of, batch(16))
        parameters = {p.untyped_storage().data_ptr() for p in of.parameters()}
        kept.append(sum(size for place, size in seen.items() if place not in parameters))
        del output
    assert kept[1] < 0.9 * kept[0]
