"""Golden vectors: found by slug, written as the published container, compared array by array."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Golden:
    """One golden file: `config`, and the arrays by group."""

    path: Path
    config: dict
    arrays: dict

    def group(self, prefix: str) -> dict:
        """The arrays under `prefix/`, by the rest of their name."""
        start = f"{prefix}/"
        return {k[len(start) :]: v for k, v in self.arrays.items() if k.startswith(start)}

    def tensor(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[name])


def golden_files(slug: str) -> list:
    """A pytest param per file of the slug, or one skip that says where they were sought."""
    folder = Path(os.environ.get("MASQUERADE_GOLDEN", _HERE.parents[2] / "shared" / "golden"))
    paths = sorted([*folder.glob(f"{slug}.npz"), *folder.glob(f"{slug}_*.npz")])
    if not paths:
        reason = f"no golden vectors of {slug} in {folder} (set MASQUERADE_GOLDEN)"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(path, id=path.stem) for path in paths]


def read_golden(path: Path) -> Golden:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return Golden(path, json.loads(str(arrays.pop("config"))), arrays)


def write_container(state: dict, path: Path) -> Path:
    """The state as the published `.pth`: {'model': state dict}."""
    torch.save({"model": {k: torch.from_numpy(v.copy()) for k, v in state.items()}}, path)
    return path


class Compared:
    """Compares arrays and remembers which, so that none is forgotten."""

    def __init__(self, golden: Golden) -> None:
        self.golden = golden
        self.done: set[str] = set()

    def check(self, name: str, ours, rtol: float = 1e-4, atol: float = 1e-5) -> None:
        ours = ours.detach().numpy() if isinstance(ours, torch.Tensor) else np.asarray(ours)
        wanted = self.golden.arrays[f"output/{name}"]
        np.testing.assert_allclose(ours, wanted, rtol=rtol, atol=atol, err_msg=name)
        self.done.add(name)

    def finish(self) -> None:
        """Fails where an output array was compared with nothing."""
        assert set(self.golden.group("output")) - self.done == set()
