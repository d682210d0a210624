"""A labelled image set in a real file, easy to tell apart, and a tiny model."""

from pathlib import Path

import numpy as np
import pytest
import torch

from masquerade.benchmarks.opening import open_data
from masquerade.benchmarks.protocol import TaskData
from masquerade.benchmarks.subjects import Extraction, ModelSubject
from masquerade.methods.image.mae import MAE
from masquerade.modalities.image import Image

N_CLASSES = 3


def pictures(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 8, 8, 3) uint8 noise around a colour per class and picture, and the labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % N_CLASSES
    colours = np.array([[190, 90, 90], [90, 190, 90], [90, 90, 190]])
    noise = random.integers(-80, 80, (n, 8, 8, 3)) + random.normal(0, 40, (n, 1, 1, 3))
    return (colours[labels][:, None, None] + noise).clip(0, 255).astype(np.uint8), labels


@pytest.fixture(scope="session")
def npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .npz with 60 train and 36 test pictures of three classes."""
    path = tmp_path_factory.mktemp("data") / "colours.npz"
    (x_train, y_train), (x_test, y_test) = pictures(60, 0), pictures(36, 1)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test,
             classes=np.array(["red", "green", "blue"]))  # fmt: skip
    return path


@pytest.fixture(scope="session")
def data(npz: Path) -> TaskData:
    """The task of that file."""
    return open_data(str(npz))


@pytest.fixture
def subject() -> ModelSubject:
    """A tiny untrained MAE that reads 8×8 pictures, as a model."""
    config = MAE.Config(
        image_size=8, patch_size=4, dim=16, depth=1, heads=2,
        decoder_dim=8, decoder_depth=1, decoder_heads=2,
    )  # fmt: skip
    torch.manual_seed(0)
    adapter = Image(Image.Config(size=8, eval_crop=1.0))
    return ModelSubject("tiny", MAE(config), adapter, Extraction(batch_size=16))
