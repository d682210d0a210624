"""The toy method and the fake loader of toy_run.py, for tests of this folder."""

import importlib.util
from pathlib import Path

import pytest
import torch

TOY = Path(__file__).with_name("toy_run.py")


@pytest.fixture(scope="session")
def toy():
    """The module toy_run.py; `toy.train(folder, settings)` trains."""
    spec = importlib.util.spec_from_file_location("masquerade_toy_run", TOY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def one_thread():
    """Toys are too small to share: on busy machines two threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
