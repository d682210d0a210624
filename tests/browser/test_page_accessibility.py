"""axe-core finds nothing serious in any view of the page, by day, by night and on a phone."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[2]
SERIOUS = {"serious", "critical"}
VIEWS = {
    "overview": "#page:overview", "board": "#face-verification", "plots": "#curves",
    "empty": "#retrieval", "comparison": "#compare/face-verification.lfw/row-0,row-3,row-5",
    "record": None, "shared": "#shared:1",
}  # fmt: skip
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"}, "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}},
}  # fmt: skip


@pytest.fixture(scope="session")
def axe() -> Path:
    """axe.min.js by MASQUERADE_AXE or from node_modules; else a skip that says so."""
    usual = ROOT / "node_modules" / "axe-core" / "axe.min.js"
    path = Path(os.environ.get("MASQUERADE_AXE", usual))
    if not path.is_file():
        pytest.skip(f"no axe-core at {path} (npm install axe-core, or set MASQUERADE_AXE)")
    return path


def violations(page: "Page") -> dict[str, list[str]]:
    """What axe calls serious or critical: rule → the elements."""
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return {
        each["id"]: [node["html"][:200] for node in each["nodes"]]
        for each in found
        if each["impact"] in SERIOUS
    }


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_serious(
    visit: "Callable[..., Page]", pages: dict[str, str], axe: Path, look: str
) -> None:
    page = visit(pages["boards"], bypass_csp=True, **LOOKS[look])  # axe is a script of others
    page.add_script_tag(path=axe)
    found = {}
    for view, named in VIEWS.items():
        place = named or page.locator("#curves tbody th a").first.get_attribute("href")
        page.evaluate("place => { location.hash = place }", place)
        page.wait_for_function("place => location.hash === place", arg=place)
        page.locator(".on").wait_for()
        page.evaluate("document.querySelectorAll('.on details').forEach(d => { d.open = true })")
        if view == "board":
            page.get_by_label("Compare face-api").check()
            page.locator("thead button[aria-describedby]").first.focus()  # shows its definition
        found[view] = violations(page)
    assert found == dict.fromkeys(VIEWS, {})


def test_axe_can_find_something(
    visit: "Callable[..., Page]", pages: dict[str, str], axe: Path
) -> None:
    page = visit(pages["boards"] + "#face-verification", bypass_csp=True)
    page.add_script_tag(path=axe)
    page.evaluate(
        "const e = document.querySelector('.filters input'); e.parentElement.replaceWith(e);"
        "e.removeAttribute('placeholder')"
    )
    assert "label" in violations(page)
