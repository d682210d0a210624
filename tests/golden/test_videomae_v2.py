"""VideoMAE V1 and V2 against the official code's vectors, through `weights import`."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from masquerade.core.classifier import ViTClassifier
from masquerade.core.encoders import pool
from masquerade.core.keymap import to_official
from masquerade.core.masking import Mask, RunningCellMasker
from masquerade.core.objectives import normalize_tubelets, tubelet_mse
from masquerade.core.positions import sinusoid
from masquerade.core.step import StepContext
from masquerade.core.tokens import Batch
from masquerade.core.weights import read_weights
from masquerade.methods.video.videomae import VideoMAE
from masquerade.methods.weights import export_official, import_official, load_method

sys.path.insert(0, str(Path(__file__).parent))
from vectors import Compared, Golden, golden_files, read_golden, write_container  # noqa: E402

PATHS = golden_files("videomae-v2")
ABSOLUTE = {"rtol": 0, "atol": 1e-5}  # card section 11
GRADIENTS = {"rtol": 0, "atol": 1e-4}
MAPS = (8, 14, 14)  # the grid of the stored running-cell maps


def settings(golden: Golden) -> dict:
    """What the weights do not tell."""
    config = golden.config
    return {
        "image_size": config["img"],
        "frames": config["frames"],
        "heads": config["enc_heads"],
        "decoder_heads": config["dec_heads"],
        "masking": {
            "kind": "running-cell",
            "encoder": {"ratio": config["mask_ratio"]},
            "decoder_ratio": config["decoder_mask_ratio"],
        },
    }


def classifier_weights(golden: Golden) -> dict:
    """The trunk without its norm under the fine-tuned names, with the head's weights."""
    trunk = {
        name.removeprefix("encoder."): value
        for name, value in golden.group("weight").items()
        if name.startswith("encoder.") and not name.startswith("encoder.norm.")
    }
    return trunk | golden.group("weight_finetune")


def batch_of(golden: Golden) -> Batch:
    clips = golden.tensor("input/video")
    return Batch({"video": clips[:, None]}, ids=torch.arange(len(clips)))


def masks(golden: Golden) -> tuple[Mask, Mask]:
    """The masks of V1 (all hidden are predicted) and V2 (the decoder's unmasked are)."""
    v1 = Mask.from_bool(golden.tensor("input/encoder_mask"))
    decoder = Mask.from_bool(golden.tensor("input/decoder_mask"))
    return v1, replace(v1, predicted=decoder.visible)


@pytest.mark.parametrize("path", PATHS)
def test_videomae_equals_official_code(path: Path, tmp_path: Path) -> None:
    golden = read_golden(path)
    compared = Compared(golden)
    container = write_container(golden.group("weight"), tmp_path / "official.pth")
    imported = import_official("videomae", container, overrides=settings(golden))
    imported.save(tmp_path / "videomae.safetensors")
    model = load_method(tmp_path / "videomae.safetensors", expect="videomae")
    assert isinstance(model, VideoMAE)
    check_pretraining(golden, compared, model)
    check_finetuning(golden, compared, tmp_path)
    check_running_cell(golden, compared)
    compared.finish()


def check_pretraining(golden: Golden, compared: Compared, model: VideoMAE) -> None:
    batch, (v1, v2) = batch_of(golden), masks(golden)
    tokens = model.tokenize(batch)
    compared.check("latent", model.encoder.encode(tokens, v2), **ABSOLUTE)
    compared.check("enc_pos_table", sinusoid(tokens.count, model.config.dim)[None], **ABSOLUTE)
    width = model.config.decoder_dim
    compared.check("dec_pos_table", sinusoid(tokens.count, width)[None], **ABSOLUTE)

    dual = model(batch, None, StepContext(), mask=v2)
    plain = model._plain(tokens.values)
    compared.check("pred", dual.prediction, **ABSOLUTE)
    targets = normalize_tubelets(v2.take_predict(plain))[0]
    compared.check("target_decoded", targets, **ABSOLUTE)
    compared.check("loss", dual.loss, **ABSOLUTE)
    everything = (dual.prediction - targets).square().mean()
    compared.check("loss_all_decoded", everything, **ABSOLUTE)
    assert abs(everything - dual.loss) > 1e-3  # visible tokens among the decoded do not count
    raw = tubelet_mse(dual.prediction, plain, v2, normalize=False)
    compared.check("loss_raw_pixels", raw, **ABSOLUTE)

    first = model(batch, None, StepContext(), mask=v1)
    compared.check("pred_v1", first.prediction, **ABSOLUTE)
    compared.check("loss_v1", first.loss, **ABSOLUTE)

    dual.loss.backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    gradients = to_official(found, VideoMAE.KEYMAP)
    for name in golden.group("output/grad"):
        compared.check(f"grad/{name}", gradients[name], **GRADIENTS)


def check_finetuning(golden: Golden, compared: Compared, folder: Path) -> None:
    container = write_container(classifier_weights(golden), folder / "finetuned.pth")
    given = settings(golden)
    given.pop("decoder_heads")
    model = import_official("videomae", container, overrides=given).module.eval()
    assert isinstance(model, ViTClassifier)
    tokens = VideoMAE(VideoMAE.Config(patch_size=golden.config["patch"])).tokenize(batch_of(golden))
    compared.check("finetune_pooled", model.features(tokens), **ABSOLUTE)
    compared.check("finetune_logits", model(tokens), **ABSOLUTE)


def check_running_cell(golden: Golden, compared: Compared) -> None:
    hidden = Mask.from_bool(torch.zeros(4, 8 * 196, dtype=torch.bool))
    for share in (25, 50, 75):
        masker = RunningCellMasker(decoder_ratio=share / 100)
        kept = masker.narrow(hidden, torch.arange(4), MAPS).predict
        left_out = torch.ones(4, 8 * 196, dtype=torch.int64).scatter(1, kept, 0)
        compared.check(f"running_cell_maps_r{share}", left_out.view(4, 8, 196), rtol=0, atol=0)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("which", ["pretrain", "encoder", "finetuned"])
def test_export_gives_the_official_file_back(path: Path, which: str, tmp_path: Path) -> None:
    golden = read_golden(path)
    state, given = golden.group("weight"), settings(golden)
    if which != "pretrain":
        given.pop("decoder_heads")
        state = {k: v for k, v in state.items() if k.startswith("encoder.")}
    if which == "finetuned":
        state = classifier_weights(golden)
    official = write_container(state, tmp_path / "official.pth")
    import_official("videomae", official, overrides=given).save(tmp_path / "ours.safetensors")
    names = export_official(tmp_path / "ours.safetensors", tmp_path / "back.pth")
    back = read_weights(tmp_path / "back.pth").state
    assert back.keys() == state.keys() == set(names)
    assert all((back[k].numpy() == state[k]).all() for k in state)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("form", ["compiled", "backbone", "distilled"])
def test_other_published_forms_give_the_same_module(path: Path, form: str, tmp_path: Path) -> None:
    golden = read_golden(path)
    given = settings(golden)
    given.pop("decoder_heads")
    plain = classifier_weights(golden)
    state = {
        "compiled": {f"_orig_mod.{name}": value for name, value in plain.items()},
        "backbone": {
            name if name.startswith(("head.", "fc_norm.")) else f"backbone.{name}": value
            for name, value in plain.items()
        },
        "distilled": plain,
    }[form]
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
    torch.save({"module" if form == "distilled" else "model": tensors}, tmp_path / "other.pth")
    reference = import_official(
        "videomae", write_container(plain, tmp_path / "p.pth"), overrides=given
    )
    other = import_official("videomae", tmp_path / "other.pth", overrides=given)
    wanted = reference.module.state_dict()
    assert other.container == "classifier-mean"
    assert all(torch.equal(v, wanted[k]) for k, v in other.module.state_dict().items())


def test_pooling_without_a_class_token_takes_all_tokens() -> None:
    latents = torch.tensor([[[1.0], [3.0]]])
    assert pool(latents, "mean", n_prefix=0).item() == 2
    assert pool(latents, "mean_std", n_prefix=0).tolist() == [[2.0, 1.0]]
