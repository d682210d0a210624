"""HiCMAE: the counts and laws of the card's section 9, its parts, and what it refuses."""

import math
from dataclasses import replace

import pytest
import torch

from masquerade.core.config import build
from masquerade.core.cross_blocks import CrossBlock, FusionEncoder
from masquerade.core.draws import Draws
from masquerade.core.errors import UsageError
from masquerade.core.filterbank import n_samples
from masquerade.core.keymap import official_name
from masquerade.core.objectives import info_nce
from masquerade.core.step import StepContext
from masquerade.core.tokens import Batch
from masquerade.core.training.optim import layer_scale_groups
from masquerade.core.two_streams import TwoStreamClassifier
from masquerade.methods.audio_visual.hicmae import HiCMAE
from masquerade.methods.recipes import resolve

SMALL = {
    "image_size": 16, "frames": 4, "patch_size": 4, "dim": 16, "depth": 4, "heads": 2,
    "fusion_depth": 1, "decoder_dim": 16, "decoder_depth": 3, "decoder_heads": 2, "taps": (1, 3),
    "spectrogram": {"frames": 32}, "audio_patch": 8, "video_ratio": 0.75,
}  # fmt: skip


def model(**settings):
    torch.manual_seed(0)
    return HiCMAE(HiCMAE.Config(**{**SMALL, **settings}))


def batch(n=3, views=1, seed=1):
    generator = torch.Generator().manual_seed(seed)
    wave = torch.randn(n, views, n_samples(32), generator=generator) / 10
    return Batch(
        {
            "video": torch.randn(n, views, 3, 4, 16, 16, generator=generator),
            "has_video": torch.ones(n, views, dtype=torch.bool),
            "waveform": wave,
            "samples": torch.full((n, views), wave.shape[-1]),
        },
        ids=torch.arange(n) + 10,
    )


def without(data, stream, row):
    """The batch with one row's video or sound taken away, whatever lies in its place."""
    name = {"video": "has_video", "audio": "samples"}[stream]
    present = data[name].clone()
    present[row] = 0
    return replace(data, inputs={**data.inputs, name: present})


def step(of, data, **more):
    return of(data, Draws(0, data.ids), StepContext(), **more)


# counts and sizes ------------------------------------------------------------------------------


def test_published_counts():
    """Card sections 2 and 3: 80 of 800 tubelets and 26 of 128 patches are visible."""
    config = resolve("hicmae").settings.method
    assert (math.prod(config.grid), math.prod(config.audio_grid)) == (800, 128)
    with torch.device("meta"):
        published = HiCMAE(config)
    rows = torch.zeros(2, 1)
    from masquerade.core.tokens import Tokens

    video, audio = (
        Tokens(rows[:, :, None].expand(2, n, 1), grid=g)
        for n, g in ((800, config.grid), (128, config.audio_grid))
    )
    seen, heard = published._masks(video, audio, Draws(0, torch.arange(2)), 2)
    assert (seen.visible.shape[1], seen.hidden.shape[1]) == (80, 720)
    assert (heard.visible.shape[1], heard.hidden.shape[1]) == (26, 102)
    tubes = seen.as_bool().view(2, 8, 100)
    assert (tubes == tubes[:, :1]).all()
    assert not torch.equal(heard.as_bool()[0], heard.as_bool()[1])


@pytest.mark.parametrize(
    ("recipe", "millions"), [("hicmae-t", 20), ("hicmae-s", 46), ("hicmae", 81)]
)
def test_sizes_are_about_those_of_the_paper(recipe, millions):
    """Trunks without decoders (card section 2, from memory)."""
    config = resolve("hicmae", recipe).settings.method
    with torch.device("meta"):
        built = HiCMAE(config)
    trunk = sum(p.numel() for p in built.streams.parameters()) / 1e6
    assert trunk == pytest.approx(millions, abs=0.6)
    shapes = {official_name(k, HiCMAE.KEYMAP): tuple(v.shape) for k, v in built.named_parameters()}
    shapes["encoder.patch_embed.proj.weight"] = (config.dim, 3, 2, 16, 16)
    shapes["encoder_audio.patch_embed.proj.weight"] = (config.dim, 1, 16, 16)
    derived = HiCMAE.derive(shapes)
    assert derived == {key: getattr(config, key) for key in derived}
    assert {"dim", "depth", "heads", "mlp_ratio", "patch_size", "audio_patch", "fusion_depth",
            "decoder_dim", "decoder_depth", "decoder_heads"} == derived.keys()  # fmt: skip


def test_published_recipe_of_the_card():
    s = resolve("hicmae").settings
    lr = s.optim.learning_rate(s.train.batch_size)
    assert lr == pytest.approx(3e-4 * 160 / 256)
    assert lr * s.optim.warmup_start == pytest.approx(1e-6 * 160 / 256, rel=0.01)
    assert s.optim.min_lr == pytest.approx(1e-5 * 160 / 256)
    assert (s.train.epochs, s.optim.warmup_epochs, s.optim.weight_decay) == (100, 5, 0.05)
    assert (s.data.video.frames, s.data.video.stride, s.data.video.size) == (16, 4, 160)
    assert (s.method.contrast, s.method.temperature) == (0.0025, 0.07)
    assert (s.data.gain, s.data.roll) == (True, False)  # card section 8.1
    assert s.data.seconds == 2.56


# the objective ---------------------------------------------------------------------------------


def test_loss_is_its_parts_with_the_contrast_weighted():
    with torch.no_grad():
        found = step(model(contrast=0.25), batch())
    parts = found.parts
    assert found.loss == pytest.approx(
        float(parts["video"] + parts["audio"] + 0.25 * parts["contrast"]), abs=1e-5
    )


def test_contrast_of_random_weights_is_about_log_batch_at_each_depth():
    """Card section 9: ln(batch) for each of two depths."""
    n = 16
    with torch.no_grad():  # narrow random vectors are far from orthogonal
        found = step(model(dim=256, heads=4), batch(n)).parts["contrast"]
    assert float(found) == pytest.approx(2 * math.log(n), rel=0.15)


def test_objective_without_some_rows_is_that_of_the_others():
    torch.manual_seed(0)
    queries, keys = torch.randn(5, 8), torch.randn(5, 8)
    valid = torch.tensor([True, False, True, True, False])
    some = info_nce(queries, keys, valid=valid)
    torch.testing.assert_close(some, info_nce(queries[valid], keys[valid]))
    assert float(info_nce(queries, keys, valid=torch.zeros(5, dtype=torch.bool))) == 0


@pytest.mark.parametrize("stream", ["video", "audio"])
def test_a_row_without_a_stream_counts_for_what_it_has(stream):
    of = model().eval()
    data = batch(3)
    lacking = without(data, stream, 1)
    found = step(of, lacking)
    whole = step(of, data)
    other = "audio" if stream == "video" else "video"
    two = torch.tensor([0, 2])
    kept = Batch({k: v[two] for k, v in data.inputs.items()}, ids=data.ids[two])
    alone = step(of, kept)
    torch.testing.assert_close(found.parts[stream], alone.parts[stream])
    torch.testing.assert_close(found.parts["contrast"], alone.parts["contrast"])
    assert not torch.isclose(found.parts[other], alone.parts[other])
    assert not torch.isclose(found.parts["contrast"], whole.parts["contrast"])
    # whatever lies in the place of the absent stream, nothing changes
    changed = dict(lacking.inputs)
    name = "video" if stream == "video" else "waveform"
    changed[name] = changed[name].clone()
    changed[name][1] = 7.0
    again = step(of, replace(lacking, inputs=changed))
    torch.testing.assert_close(again.loss, found.loss)


def test_a_batch_without_any_sound_trains():
    of = model()
    data = batch(2)
    for row in range(2):
        data = without(data, "audio", row)
    found = step(of, data)
    assert float(found.parts["audio"]) == float(found.parts["contrast"]) == 0
    found.loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in of.parameters() if p.grad is not None)


def test_zeroed_skips_change_the_reconstruction():
    of = model()
    video, *_ = of.tokenize(batch())
    seen, _ = of._masks(*of.tokenize(batch())[:2], Draws(0, torch.arange(3)), 3)
    taps = of.streams.video.taps(video, seen, blocks=of.config.taps)
    latents = of.streams.video.encode(video, seen)
    torch.testing.assert_close(taps[-1], latents)  # the last tap is the encoder's end
    with torch.no_grad():
        whole = of.decoder(latents, seen, taps)
        none = of.decoder(latents, seen, [torch.zeros_like(t) for t in taps])
        swapped = of.decoder(latents, seen, taps[::-1])
    assert (whole - none).abs().max() > 1e-3
    assert (whole - swapped).abs().max() > 1e-3


def test_fusion_updates_both_streams_from_their_old_values():
    torch.manual_seed(0)
    fusion = FusionEncoder(8, 2, 1)
    video, audio = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    here = torch.ones(2, dtype=torch.bool)
    found = fusion(video, audio, here, here)
    of_video, of_audio = fusion.blocks[0], fusion.blocks_audio[0]
    expected = of_audio(of_audio.look(audio, video))
    torch.testing.assert_close(found[1], fusion.norm_audio(expected))
    expected = of_video(of_video.look(video, audio))
    torch.testing.assert_close(found[0], fusion.norm(expected))


def test_cross_block_is_its_definition():
    torch.manual_seed(0)
    block = CrossBlock(8, 2, context_dim=6, key_bias=False)
    torch.nn.init.normal_(block.cross_attn.q_bias)
    torch.nn.init.normal_(block.cross_attn.v_bias)
    x, context = torch.randn(2, 3, 8), torch.randn(2, 4, 6)
    attn = block.cross_attn
    q = (block.cross_norm1(x) @ attn.q.weight.T + attn.q_bias).unflatten(-1, (2, 4))
    k, v = (block.cross_norm2(context) @ attn.kv.weight.T).chunk(2, dim=-1)
    k, v = k.unflatten(-1, (2, 4)), (v + attn.v_bias).unflatten(-1, (2, 4))
    weights = (torch.einsum("bqhd,bkhd->bhqk", q, k) / 2).softmax(-1)
    seen = torch.einsum("bhqk,bkhd->bqhd", weights, v).flatten(2)
    torch.testing.assert_close(block.look(x, context), x + attn.proj(seen))


# masks, features, pictures ---------------------------------------------------------------------


def test_a_views_masks_depend_on_its_sample_alone():
    of, data = model(), batch(3, views=2)
    together = step(of, data).mask.as_bool()
    alone = step(of, data.rows(1, 2)).mask.as_bool()
    assert torch.equal(together[2:4], alone)
    assert not torch.equal(alone[0], alone[1])


def test_features_are_the_mean_over_views_and_zero_for_an_absent_stream():
    of = model().eval()
    data = batch(2, views=2)
    found = of.features(data)
    assert found.shape == (2, 64)
    each = [
        of.features(Batch({k: v[:, i : i + 1] for k, v in data.inputs.items()}, ids=data.ids))
        for i in range(2)
    ]
    torch.testing.assert_close(found, (each[0] + each[1]) / 2)
    lacking = of.features(without(data, "audio", 0))
    assert (lacking[0, 16:32] == 0).all()
    assert (lacking[0, 48:] == 0).all()
    torch.testing.assert_close(lacking[0, :16], found[0, :16])
    torch.testing.assert_close(lacking[1], found[1])


def test_embeddings_of_a_stream_do_not_see_the_other():
    of, data = model().eval(), batch(3)
    video, audio = of.embeddings(data)
    torch.testing.assert_close(video.norm(dim=1), torch.ones(3))
    other = replace(data, inputs={**data.inputs, "waveform": data["waveform"].flip(0)})
    again = of.embeddings(other)
    torch.testing.assert_close(again[0], video)
    torch.testing.assert_close(again[1], audio.flip(0))


@pytest.mark.parametrize("differences", [True, False])
def test_perfect_predictions_restore_both_streams(differences):
    of, data = model(frame_differences=differences).eval(), batch(2)
    output = step(of, data)
    video, audio, *_ = of.tokenize(data)
    from masquerade.methods.audio_visual.hicmae import _normalized
    from masquerade.modalities.audio_visual.spectrograms import joined, parted_mask

    seen, heard = parted_mask(output.mask, video.count)
    n = seen.hidden.shape[1]
    target = seen.take_predict(of._video_target(video)), _normalized(audio, heard)[0]
    # the joined mask's order is that of its own hidden ids
    assert torch.equal(output.mask.hidden[:, :n], seen.hidden)
    perfect = replace(output, prediction=joined(*target))
    restored = of.reconstruction(data, perfect).values
    wanted = joined(video.values, audio.values)
    torch.testing.assert_close(restored, wanted, rtol=0, atol=1e-4)
    zero = replace(output, prediction=torch.zeros_like(output.prediction))
    assert (of.reconstruction(data, zero).values - wanted).abs().max() > 0.1


def test_classifier_weighs_its_layers_and_decays_its_rates_by_depth():
    torch.manual_seed(0)
    of = model().eval()
    classifier = TwoStreamClassifier(of.streams, 5).eval()
    tokens = of.tokenize(batch())
    assert classifier(tokens).shape == (3, 5)
    plain = classifier.fc_norm(of.streams.features(tokens))
    torch.testing.assert_close(classifier.features(tokens), plain)  # alike at first
    with torch.no_grad():
        classifier.video_layer_weights[:] = torch.tensor([-50.0, 50.0, -50.0, -50.0])
    second = of.streams.video.taps(tokens.video, blocks=[1])[0].mean(1)
    weighed = of.streams.features(
        tokens, (classifier.video_layer_weights, classifier.audio_layer_weights)
    )
    torch.testing.assert_close(weighed[:, :16], second)
    ids = {name: classifier.layer_id(name) for name, _ in classifier.named_parameters()}
    assert ids["streams.video.embed.weight"] == ids["streams.audio.embed.bias"] == 0
    assert ids["streams.audio.blocks.3.norm1.bias"] == 4
    assert ids["streams.fusion.blocks_audio.0.cross_attn.q_bias"] == 5  # 4 + 0 + 1
    assert ids["streams.fusion.norm.weight"] == ids["streams.video.norm.bias"] == 6
    assert ids["head.weight"] == ids["video_layer_weights"] == 6
    groups = layer_scale_groups(
        classifier.named_parameters(), weight_decay=0.05, layer_decay=0.75,
        layer_id=classifier.layer_id, no_decay=classifier.no_decay,
    )  # fmt: skip
    assert {round(g["lr_scale"], 6) for g in groups} == {round(0.75**k, 6) for k in range(7)}


def test_encoder_alone_says_what_it_cannot():
    of = HiCMAE(HiCMAE.Config(**SMALL), decoder=False)
    with pytest.raises(ValueError, match="encoder without its decoder"):
        step(of, batch())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"taps": [3, 1]}, "no ascending blocks of 4"),
        ({"taps": [1, 4]}, "no ascending blocks of 4"),
        ({"taps": [3]}, "1 taps for a decoder of depth 3"),
        ({"spectrogram": {"frames": 30}}, "spectrogram.frames 30 is no multiple of audio_patch 8"),
        ({"audio_patch": 16}, r"a patch of sound \(16²\) is larger than a tubelet"),
        ({"image_size": 15}, "image_size 15 is no multiple of patch_size 4"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        build(HiCMAE.Config, {**SMALL, **settings}, "method")


def test_trained_model_beats_the_zero_predictor_and_pairs_by_chance():
    """Six clips whose stripes and pitch go together; the contrast of chance is ln 6."""
    n = 6
    torch.manual_seed(0)
    of = model(
        contrast=1.0, dim=32, decoder_dim=32, depth=2, decoder_depth=2, taps=(1,), audio_ratio=0.5
    )  # fmt: skip
    y, x = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    angle = torch.arange(n)[:, None, None] * torch.pi / n
    stripes = torch.sin(0.25 * (x * angle.cos() + y * angle.sin()))
    t = torch.arange(n_samples(32)) / 16_000
    pitches = torch.tensor([300.0, 5000, 900, 3000, 500, 1700])[:, None]
    data = Batch(
        {
            "video": stripes[:, None, None, None].expand(n, 1, 3, 4, 16, 16).contiguous(),
            "has_video": torch.ones(n, 1, dtype=torch.bool),
            "waveform": 0.3 * torch.sin(2 * torch.pi * pitches * t)[:, None],
            "samples": torch.full((n, 1), len(t)),
        },
        ids=torch.arange(n),
    )
    optimizer = torch.optim.AdamW(of.parameters(), lr=2e-3)
    for number in range(80):
        output = of(data, Draws(0, data.ids, epoch=number), StepContext())
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    of.eval()
    with torch.no_grad():
        output = step(of, data)
        video, *_ = of.tokenize(data)
    assert output.parts["video"] < 0.9 * of._video_target(video).square().mean()
    assert output.parts["audio"] < 0.8 * 63 / 64
    assert output.parts["contrast"] < 0.9 * math.log(n)
