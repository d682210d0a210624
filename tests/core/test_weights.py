"""Weights files: nothing is executed, nothing hangs, every damage is our own error."""

import argparse
import os
import pickle
import random
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from masquerade.core.errors import WeightsError
from masquerade.core.weights import find_weights, read_weights, save_module

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.tensor([1.0])}


class Evil:
    """Unpickling it would run a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickled_code_is_refused_and_never_run(tmp_path: Path, legacy: bool) -> None:
    path, marker = tmp_path / "evil.pth", tmp_path / "ran"
    torch.save({"model": Evil(marker)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match=r"pickled code, which is never run.*system"):
        read_weights(path)
    assert not marker.exists()


def test_bare_pickles_are_refused_too(tmp_path: Path) -> None:
    path, marker = tmp_path / "evil.pkl", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Evil(marker)))
    with pytest.raises(WeightsError):
        read_weights(path)
    assert not marker.exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_training_checkpoints_with_options_are_read(tmp_path: Path, legacy: bool) -> None:
    content = {"model": STATE, "optimizer": {}, "epoch": 3, "args": argparse.Namespace(lr=1.0)}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy)
    file = read_weights(tmp_path / "x.pth")
    assert file.state.keys() == STATE.keys()
    assert torch.equal(file.state["a.weight"], STATE["a.weight"])
    assert file.extras == ("optimizer", "epoch", "args")


def test_bare_state_dicts_and_safetensors_are_read(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "x.pth")
    save_file(STATE, tmp_path / "x.safetensors")
    for name in ("x.pth", "x.safetensors"):
        assert torch.equal(read_weights(tmp_path / name).state["a.bias"], STATE["a.bias"])


def test_parts_under_names_of_their_own_are_told_by_their_shape_alone(tmp_path: Path) -> None:
    rest = {"optimizer": {"state": {0: STATE}, "param_groups": []}, "ema": None, "scaler": {}}
    torch.save({"generator": STATE, "epoch": 3, "critic": STATE, **rest}, tmp_path / "x.pth")
    file = read_weights(tmp_path / "x.pth")
    assert set(file.state) == {f"{part}/{k}" for part in ("generator", "critic") for k in STATE}
    assert torch.equal(file.state["critic/a.bias"], STATE["a.bias"])
    assert file.extras == ("epoch", "optimizer", "ema", "scaler")
    torch.save({**STATE, "optimizer": STATE}, tmp_path / "x.pth")  # a bare state, and a stranger
    with pytest.raises(WeightsError, match="its entry 'optimizer' is no tensor"):
        read_weights(tmp_path / "x.pth")


@pytest.mark.parametrize("content", [{}, [1, 2], {"model": {"a": "text"}}, torch.zeros(3)])
def test_files_without_a_state_dict_say_so(tmp_path: Path, content) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="no state dict"):
        read_weights(tmp_path / "x.pth")


def test_archive_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\0" * 50_000_000)
    with pytest.raises(WeightsError, match="unpacks to 50000000 bytes"):
        read_weights(path)


def test_absent_files_and_folders_say_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights at"):
        find_weights(tmp_path / "nothing.pth")
    with pytest.raises(WeightsError, match="latest/model.safetensors"):
        find_weights(tmp_path)


def test_saving_is_atomic_and_round_trips(tmp_path: Path) -> None:
    module = torch.nn.Linear(3, 2)
    path = tmp_path / "deep" / "m.safetensors"
    save_module(module, path, method="toy", container="pretrain", config={"a": 1}, step="7")
    file = read_weights(path)
    assert file.header["method"] == "toy"
    assert file.header["config"] == {"a": 1}
    assert file.header["facts"] == {"step": "7"}
    assert torch.equal(file.state["weight"], module.weight)
    assert [p.name for p in path.parent.iterdir()] == ["m.safetensors"]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, a stretch cut out, or the end cut off."""
    data = bytearray(data)
    kind = rng.randrange(3)
    if kind == 0:
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 1:
        start = rng.randrange(len(data))
        del data[start : start + rng.randint(1, 64)]
    else:
        del data[rng.randrange(len(data)) :]
    return bytes(data)


@pytest.mark.parametrize("suffix", ["pth", "legacy", "safetensors"])
def test_damaged_files_give_our_error_or_tensors(tmp_path: Path, suffix: str) -> None:
    """A thousand mutations in all; MASQUERADE_FUZZ asks for more by hand."""
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"broken.{suffix}"
    if suffix == "safetensors":
        save_file(STATE, whole)
    else:
        torch.save({"model": STATE}, whole, _use_new_zipfile_serialization=suffix == "pth")
    data, rng, refused = whole.read_bytes(), random.Random(0), 0
    for _ in range(int(os.environ.get("MASQUERADE_FUZZ", "1000")) // 3):
        path.write_bytes(mutate(data, rng))
        try:
            file = read_weights(path)
        except WeightsError:
            refused += 1
        else:
            assert all(isinstance(value, torch.Tensor) for value in file.state.values())
    assert refused > 100
