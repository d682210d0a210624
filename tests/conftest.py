"""Shared fixtures: thread settings, and the folder of shared data where there is one."""

import os
from pathlib import Path

import pytest
import torch

# one thread here and in every process that a test starts: on few, shared cores two OpenMP pools
# wait on each other for far longer than either computes
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data, or a skip that says how to name it."""
    folder = Path(os.environ.get("MASQUERADE_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data at {folder} (set MASQUERADE_SHARED)")
    return folder


@pytest.fixture(scope="session")
def photographs() -> torch.Tensor:
    """(4, 3, 32, 32) float32 crops of real photographs, roughly normalized."""
    from skimage import data

    images = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    crops = [torch.from_numpy(i[100:164:2, 120:184:2].copy()).permute(2, 0, 1) for i in images]
    return (torch.stack(crops).float() / 255 - 0.45) / 0.225
