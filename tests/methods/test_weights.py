"""Importing, loading and exporting: everything fits, or a report says what does not."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from masquerade.core.config import build
from masquerade.core.errors import WeightsError
from masquerade.core.keymap import to_official
from masquerade.core.weights import FORMAT, read_weights, save_method
from masquerade.methods.image.mae import MAE
from masquerade.methods.weights import export_official, import_official, load_method, load_module

TINY = {
    "image_size": 16, "patch_size": 4, "dim": 16, "depth": 2, "heads": 2,
    "decoder_dim": 8, "decoder_depth": 1, "decoder_heads": 2,
}  # fmt: skip
HEADS = {"heads": 2, "decoder_heads": 2}


@pytest.fixture
def official(tmp_path: Path) -> tuple[Path, dict]:
    """A published-like container of a tiny model, and its state."""
    torch.manual_seed(0)
    state = to_official(MAE(build(MAE.Config, TINY)).state_dict(), MAE.KEYMAP)
    torch.save({"model": state}, tmp_path / "official.pth")
    return tmp_path / "official.pth", state


def saved(state: dict, folder: Path) -> Path:
    torch.save({"model": state}, folder / "changed.pth")
    return folder / "changed.pth"


def test_settings_are_read_off_the_weights(official) -> None:
    imported = import_official("mae", official[0], overrides=HEADS)
    assert imported.container == "pretrain"
    assert imported.config == build(MAE.Config, TINY)
    assert imported.report.fits


def test_published_widths_know_their_heads() -> None:
    shapes = {"patch_embed.proj.weight": (1280, 3, 14, 14), "pos_embed": (1, 257, 1280)}
    found = MAE.derive({**shapes, "decoder_embed.weight": (512, 1280)})
    assert (found["heads"], found["decoder_heads"]) == (16, 16)
    assert (found["image_size"], found["patch_size"]) == (224, 14)


def test_unknown_heads_are_asked_for(official) -> None:
    with pytest.raises(WeightsError, match=r"--set method.heads=H --set method.decoder_heads=H"):
        import_official("mae", official[0])


def test_a_request_that_contradicts_the_weights_is_refused(official) -> None:
    with pytest.raises(WeightsError, match="the weights have depth 2, asked for 12"):
        import_official("mae", official[0], overrides={**HEADS, "depth": 12})


def test_missing_and_misnamed_keys_are_listed_with_the_nearest(official, tmp_path) -> None:
    state = dict(official[1])
    state["block.0.norm1.weight"] = state.pop("blocks.0.norm1.weight")
    state["decoder_pred.bias"] = torch.zeros(3)
    with pytest.raises(WeightsError) as caught:
        import_official("mae", saved(state, tmp_path), overrides=HEADS)
    text = str(caught.value)
    assert "missing in encoder: encoder.blocks.0.norm1.weight (nearest: block.0" in text
    assert "unexpected in block: block.0.norm1.weight" in text
    assert "wrong shape: decoder.head.bias expected (48,), got (3,)" in text
    assert "nothing was loaded" in text


def test_allow_partial_loads_the_rest_and_says_what_is_left_out(official, tmp_path) -> None:
    state = dict(official[1])
    del state["decoder_pred.bias"]
    path = saved(state, tmp_path)
    imported = import_official("mae", path, overrides=HEADS, allow_partial=True)
    assert imported.report.missing == ("decoder.head.bias",)
    assert torch.equal(imported.module.decoder.head.weight, state["decoder_pred.weight"])


def test_encoder_only_containers_say_that_the_decoder_is_absent(official, tmp_path) -> None:
    encoder = {k: v for k, v in official[1].items() if "decoder" not in k and k != "mask_token"}
    imported = import_official("mae", saved(encoder, tmp_path), overrides={"heads": 2})
    assert imported.container == "encoder"
    assert "decoder: absent" in str(imported.report)
    imported.save(tmp_path / "e.safetensors")
    assert load_method(tmp_path / "e.safetensors").decoder is None


def test_weights_of_another_method_are_refused_by_name(tmp_path) -> None:
    save_method(MAE(build(MAE.Config, TINY)), tmp_path / "m.safetensors")
    with pytest.raises(WeightsError, match="holds weights of 'mae', expected 'simmim'"):
        load_module(tmp_path / "m.safetensors", expect="simmim")


def test_a_foreign_state_is_no_mae(tmp_path) -> None:
    state = {"conv1.weight": torch.zeros(4, 3, 3, 3), "fc.bias": torch.zeros(2)}
    with pytest.raises(WeightsError, match=r"does not fit:\n(.|\n)*unexpected in conv1"):
        import_official("mae", saved(state, tmp_path), overrides={**TINY})


def test_foreign_files_are_told_to_be_imported(official) -> None:
    with pytest.raises(WeightsError, match="masquerade weights import METHOD"):
        load_method(official[0])


def test_export_after_import_is_the_identity(official, tmp_path) -> None:
    import_official("mae", official[0], overrides=HEADS).save(tmp_path / "o.safetensors")
    names = export_official(tmp_path / "o.safetensors", tmp_path / "back.pth")
    back = read_weights(tmp_path / "back.pth").state
    assert set(names) == set(official[1]) == set(back)
    assert all(torch.equal(back[k], official[1][k]) for k in back)


def test_a_header_without_its_facts_is_refused(tmp_path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors", metadata={"format": FORMAT})
    with pytest.raises(WeightsError, match="lacks config, container, method"):
        load_module(tmp_path / "x.safetensors")
