"""HiCMAE against the official code's vectors, through `weights import`."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from masquerade.core.filterbank import kaldi_filterbank
from masquerade.core.keymap import to_official
from masquerade.core.masking import Mask
from masquerade.core.objectives import frame_differences, normalize_tubelets
from masquerade.core.positions import sinusoid
from masquerade.core.step import StepContext
from masquerade.core.tokens import Batch
from masquerade.core.two_streams import TwoStreamClassifier
from masquerade.core.weights import read_weights
from masquerade.methods.audio_visual.hicmae import HiCMAE, _normalized
from masquerade.methods.weights import export_official, import_official, load_method
from masquerade.modalities.audio_visual.spectrograms import joined_mask

sys.path.insert(0, str(Path(__file__).parent))
from vectors import Compared, Golden, golden_files, read_golden, write_container  # noqa: E402

PATHS = golden_files("hicmae")
ABSOLUTE = {"rtol": 0, "atol": 1e-5}  # card section 11
GRADIENTS = {"rtol": 0, "atol": 1e-4}
DECODERS = ("decoder", "mask_token", "encoder_to_decoder")


def settings(golden: Golden) -> dict:
    """What the weights do not tell."""
    config = golden.config
    return {
        "image_size": config["img"],
        "frames": config["frames"],
        "spectrogram": {"frames": config["audio_frames"]},
        "heads": config["heads"],
        "decoder_heads": config["dec_heads"],
        "taps": config["skip_layers"],
        "video_ratio": config["mask_ratio"],
        "audio_ratio": config["mask_ratio_audio"],
        "contrast": config["lambda"],
    }


def classifier_weights(golden: Golden) -> dict:
    """The encoders with the fine-tuning head's weights."""
    trunk = {k: v for k, v in golden.group("weight").items() if not k.startswith(DECODERS)}
    return trunk | golden.group("weight_finetune")


def batch_of(golden: Golden) -> Batch:
    """Clips, and waveforms as the adapter gives them: without their mean."""
    clips, waveforms = golden.tensor("input/video"), golden.tensor("input/waveform")
    n, samples = waveforms.shape
    return Batch(
        {
            "video": clips[:, None],
            "has_video": torch.ones(n, 1, dtype=torch.bool),
            "waveform": (waveforms - waveforms.mean(1, keepdim=True))[:, None],
            "samples": torch.full((n, 1), samples),
        },
        ids=torch.arange(n),
    )


def masks(golden: Golden) -> tuple[Mask, Mask]:
    return (
        Mask.from_bool(golden.tensor("input/video_mask")),
        Mask.from_bool(golden.tensor("input/audio_mask")),
    )


@pytest.mark.parametrize("path", PATHS)
def test_hicmae_equals_official_code(path: Path, tmp_path: Path) -> None:
    golden = read_golden(path)
    compared = Compared(golden)
    container = write_container(golden.group("weight"), tmp_path / "official.pth")
    imported = import_official("hicmae", container, overrides=settings(golden))
    imported.save(tmp_path / "hicmae.safetensors")
    model = load_method(tmp_path / "hicmae.safetensors", expect="hicmae")
    assert isinstance(model, HiCMAE)
    check_front_end(golden, compared, model)
    check_encoders(golden, compared, model)
    check_pretraining(golden, compared, model)
    check_finetuning(golden, compared, tmp_path)
    compared.finish()


def check_front_end(golden: Golden, compared: Compared, model: HiCMAE) -> None:
    batch = batch_of(golden)
    found = kaldi_filterbank(batch["waveform"][:, 0])
    compared.check("fbank_raw", found, rtol=0, atol=1e-4)  # the card asks for 5e-4
    wanted = golden.arrays["input/audio"][:, 0]
    np.testing.assert_allclose(model.config.spectrogram(batch), wanted, rtol=0, atol=1e-5)


def check_encoders(golden: Golden, compared: Compared, model: HiCMAE) -> None:
    video, audio, *_ = model.tokenize(batch_of(golden))
    seen, heard = masks(golden)
    streams, taps = model.streams, model.config.taps
    table = sinusoid(audio.count, model.config.dim)[None]
    compared.check("enc_pos_table_audio", table, **ABSOLUTE)
    latents = streams.video.encode(video, seen), streams.audio.encode(audio, heard)
    compared.check("video_latent", latents[0], **ABSOLUTE)
    compared.check("audio_latent", latents[1], **ABSOLUTE)
    everywhere = torch.ones(len(video), dtype=torch.bool)
    fused = streams.fusion(*latents, everywhere, everywhere)
    compared.check("video_fused", fused[0], **ABSOLUTE)
    compared.check("audio_fused", fused[1], **ABSOLUTE)
    inner = streams.video.taps(video, seen, blocks=taps), streams.audio.taps(
        audio, heard, blocks=taps
    )  # fmt: skip
    for block, v, a in zip(taps, *inner, strict=True):
        compared.check(f"video_inter_layer{block}", v, **ABSOLUTE)
        compared.check(f"audio_inter_layer{block}", a, **ABSOLUTE)
        logits = F.normalize(v.mean(1), dim=1) @ F.normalize(a.mean(1), dim=1).T / 0.07
        compared.check(f"logits_v_layer{block}", logits, rtol=0, atol=1e-4)  # 1e-5 / 0.07
    each = model._contrasts(*inner, everywhere)
    compared.check("loss_hcmcl", each, **ABSOLUTE)


def check_pretraining(golden: Golden, compared: Compared, model: HiCMAE) -> None:
    batch = batch_of(golden)
    video, audio, *_ = model.tokenize(batch)
    seen, heard = masks(golden)
    output = model(batch, None, StepContext(), mask=joined_mask(seen, heard))
    n = seen.hidden.shape[1]
    compared.check("pred_video", output.prediction[:, :n], **ABSOLUTE)
    values = audio.values.shape[-1]
    compared.check("pred_audio", output.prediction[:, n:, :values], **ABSOLUTE)
    compared.check("target_video", seen.take_predict(model._video_target(video))[:, :8], **ABSOLUTE)
    targets = _normalized(audio, heard)[0]
    compared.check("target_audio", targets, **ABSOLUTE)
    compared.check("loss", output.loss, **ABSOLUTE)
    compared.check("loss_video", output.parts["video"], **ABSOLUTE)
    compared.check("loss_audio", output.parts["audio"], **ABSOLUTE)
    compared.check("loss_hcmcl_sum", output.parts["contrast"], **ABSOLUTE)
    config = model.config.model_copy(update={"frame_differences": False})
    plain = HiCMAE(config)
    plain.load_state_dict(model.state_dict())
    first = plain(batch, None, StepContext(), mask=joined_mask(seen, heard))
    compared.check("loss_video_no_framediff", first.parts["video"], **ABSOLUTE)

    output.loss.backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    gradients = to_official(found, HiCMAE.KEYMAP)
    for name in golden.group("output/grad"):
        compared.check(f"grad/{name}", gradients[name], **GRADIENTS)


def check_finetuning(golden: Golden, compared: Compared, folder: Path) -> None:
    container = write_container(classifier_weights(golden), folder / "finetuned.pth")
    given = settings(golden)
    given.pop("decoder_heads")
    # without a decoder its depth is not to be read; it must fit the taps all the same
    given["decoder_depth"] = len(given["taps"]) + 1
    imported = import_official("hicmae", container, overrides=given)
    assert imported.container == "classifier-mean"
    model = imported.module.eval()
    assert isinstance(model, TwoStreamClassifier)
    batch = batch_of(golden)
    tokens = HiCMAE(imported.config).tokenize(batch)
    compared.check("finetune_feature", model.features(tokens), **ABSOLUTE)
    compared.check("finetune_logits", model(tokens), **ABSOLUTE)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("which", ["pretrain", "encoder", "finetuned"])
def test_export_gives_the_official_file_back(path: Path, which: str, tmp_path: Path) -> None:
    golden = read_golden(path)
    state, given = golden.group("weight"), settings(golden)
    if which != "pretrain":
        given.pop("decoder_heads")
        given["decoder_depth"] = len(given["taps"]) + 1
        state = {k: v for k, v in state.items() if not k.startswith(DECODERS)}
    if which == "finetuned":
        state = classifier_weights(golden)
    official = write_container(state, tmp_path / "official.pth")
    import_official("hicmae", official, overrides=given).save(tmp_path / "ours.safetensors")
    names = export_official(tmp_path / "ours.safetensors", tmp_path / "back.pth")
    back = read_weights(tmp_path / "back.pth").state
    assert back.keys() == state.keys() == set(names)
    assert all((back[k].numpy() == state[k]).all() for k in state)


@pytest.mark.parametrize("path", PATHS)
def test_without_its_skips_a_decoder_predicts_otherwise(path: Path, tmp_path: Path) -> None:
    golden = read_golden(path)
    container = write_container(golden.group("weight"), tmp_path / "official.pth")
    model = import_official("hicmae", container, overrides=settings(golden)).module
    video, *_ = model.tokenize(batch_of(golden))
    seen, _ = masks(golden)
    latents = torch.from_numpy(golden.arrays["output/video_fused"])
    skips = model.streams.video.taps(video, seen, blocks=model.config.taps)
    wanted = golden.arrays["output/pred_video"]
    with torch.no_grad():
        whole = model.decoder(latents, seen, skips)
        zeroed = model.decoder(latents, seen, [torch.zeros_like(skip) for skip in skips])
    np.testing.assert_allclose(whole, wanted, rtol=0, atol=1e-5)
    assert np.abs(zeroed.numpy() - wanted).max() > 1e-2


def test_normalized_tubelets_come_before_their_differences() -> None:
    """By hand: a tubelet of 2 × 2² whose second frame is the first plus a constant."""
    first = torch.tensor([0.0, 0.2, 0.4, 0.6])
    tubelet = torch.stack([first, first + 0.1])[:, :, None].expand(-1, -1, 3).reshape(1, 1, -1)
    normalized = normalize_tubelets(tubelet)[0]
    difference = frame_differences(normalized)
    assert torch.equal(difference[..., :12], normalized[..., :12])
    deviation = torch.stack([first, first + 0.1]).std() + 1e-6
    torch.testing.assert_close(difference[..., 12:], (0.1 / deviation).expand(1, 1, 12))
