"""Boards made by hand, for the tests of the page; protocols as they are installed."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

BOARDS = Path(__file__).with_name("page_boards.py")


@pytest.fixture(autouse=True)
def as_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protocols count as registered as they stand; `test_registered` looks at the register."""
    monkeypatch.setattr("masquerade.leaderboards.agreement.registered_hash", lambda *_: None)


@pytest.fixture(scope="session")
def made() -> ModuleType:
    """The module page_boards.py."""
    spec = importlib.util.spec_from_file_location("masquerade_page_boards", BOARDS)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
