"""A real Chromium that renders the page, where this machine has one."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from masquerade.leaderboards.page import write_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BOARDS = Path(__file__).parent.parent / "leaderboards" / "page_boards.py"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Chromium by MASQUERADE_CHROMIUM or on the path; else a skip that says so."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright ([dev] has it)")
    path = os.environ.get("MASQUERADE_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("no browser: install chromium, or name one with MASQUERADE_CHROMIUM")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of pages: `boards` (all states of cells, curves, sheets, empty), `large`, `bad`."""
    made, out = _boards(), tmp_path_factory.mktemp("pages")
    curves = _renamed(made.with_curves(out), "curves", "Curves")
    contents = {
        "boards": [made.every_state(), curves, made.with_sheets(out), made.empty()],
        "large": [made.large(1000, 12)],
        "bad": [made.hostile()],
    }
    return {name: write_page(boards, out, out / name).as_uri() for name, boards in contents.items()}


@pytest.fixture
def visit(browser: "Browser") -> "Iterator[Callable[..., Page]]":
    """visit(address, **context) opens a page; at the end it must have been silent and alone."""
    said: list[str] = []
    contexts = []

    def opened(address: str, **settings: Any) -> "Page":
        context = browser.new_context(**{"viewport": DESKTOP, **settings})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: _watch(request.url, said))
        page.goto(address, timeout=120_000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not said


def _watch(url: str, said: list[str]) -> None:
    if not url.startswith(("file:", "data:")):
        said.append(f"request: {url}")


def _boards() -> ModuleType:
    spec = importlib.util.spec_from_file_location("masquerade_page_boards", BOARDS)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _renamed(board: Any, slug: str, title: str) -> Any:
    from dataclasses import replace

    return replace(board, slug=slug, title=title)
