"""Take the pictures of docs/leaderboards: `python tests/browser/take_screenshots.py [FOLDER]`.

The records are simulated (tests/leaderboards/page_boards.py).
"""

import importlib.util
import os
import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image

from masquerade.leaderboards.page import write_page

ROOT = Path(__file__).resolve().parents[2]
BOARDS = ROOT / "tests" / "leaderboards" / "page_boards.py"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
SIZE = {"width": 1280, "height": 1130}
COLOURS = 128  # of a picture, which keeps it small


def main(folder: Path) -> None:
    from playwright.sync_api import sync_playwright

    spec = importlib.util.spec_from_file_location("masquerade_page_boards", BOARDS)
    assert spec and spec.loader
    boards = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(boards)
    browser = os.environ.get("MASQUERADE_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as running:
        out = Path(name)
        every = write_page([boards.every_state(), boards.empty()], out, out / "every").as_uri()
        curves = write_page([boards.with_curves(out), boards.empty()], out, out / "c").as_uri()
        chromium = running.chromium.launch(executable_path=browser, args=list(FLAGS))
        page = chromium.new_page(viewport=SIZE, color_scheme="light")
        page.goto(f"{every}#face-verification")
        page.get_by_label("Compare iresnet50 webface").check()
        page.get_by_label("Compare face-api").check()
        save(page.screenshot(), folder / "board.png")
        page = chromium.new_page(viewport=SIZE, color_scheme="dark")
        page.goto(f"{curves}#face-verification")
        page.locator("tbody th a").first.click()
        page.locator("article:visible .details").wait_for()
        save(page.screenshot(), folder / "record.png")
        chromium.close()


def save(screenshot: bytes, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.open(BytesIO(screenshot)).convert("RGB").quantize(COLOURS)
    picture.save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "leaderboards")
