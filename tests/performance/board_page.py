"""The page of the leaderboards: seconds and bytes to build it, seconds to open it in Chromium.

    python tests/performance/board_page.py [--rows 1000 10000] [--columns 12] [--browser PATH]

Building is told as processor time of one process, the import of matplotlib left out. Opening is
from the address to the second frame after loading, with the board's table in view: wall time, and
processor time of the renderer, which other work on the machine does not stretch; the least of three
times. Without a browser that part is left out and said.
"""

import argparse
import importlib.util
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from masquerade.leaderboards.page import write_page

BOARDS = Path(__file__).resolve().parents[1] / "leaderboards" / "page_boards.py"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def made() -> ModuleType:
    spec = importlib.util.spec_from_file_location("masquerade_page_boards", BOARDS)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(board: Any, folder: Path) -> tuple[Path, float]:
    """The page, and the processor seconds that it took."""
    start = time.process_time()
    path = write_page([board], folder, folder / str(len(board.records)))
    return path, time.process_time() - start


def opened(path: Path, browser: str) -> tuple[float, float, int]:
    """Least wall seconds, least processor seconds of the renderer, number of elements."""
    from playwright.sync_api import sync_playwright

    walls, processors, nodes = [], [], 0
    with sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=browser, args=list(FLAGS))
        session = chromium.new_browser_cdp_session()

        def spent() -> dict[int, float]:
            found = session.send("SystemInfo.getProcessInfo")["processInfo"]
            return {each["id"]: each["cpuTime"] for each in found if each["type"] == "renderer"}

        for _ in range(3):
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            before, start = spent(), time.perf_counter()
            page.goto(f"{path.as_uri()}#face-verification", timeout=300_000)
            page.evaluate(FRAMES)
            walls.append(time.perf_counter() - start)
            after = spent()
            processors.append(sum(after[each] - before.get(each, 0.0) for each in after))
            nodes = page.evaluate("document.getElementsByTagName('*').length")
            page.close()
        chromium.close()
    return min(walls), min(processors), nodes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--columns", type=int, default=12)
    usual = os.environ.get("MASQUERADE_CHROMIUM") or shutil.which("chromium")
    parser.add_argument("--browser", default=usual)
    options = parser.parse_args()
    boards = made()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(boards.large(3, options.columns), folder)  # imports matplotlib
        for rows in options.rows:
            path, seconds = build(boards.large(rows, options.columns), folder)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{rows:,} records x {options.columns} metrics: built in {seconds:.2f} s of "
                f"processor time, {path.stat().st_size / 1e6:.2f} MB, peak memory {peak:.0f} MiB"
            )
            if options.browser is None:
                print("  not opened: no browser (install chromium, or name one with --browser)")
                continue
            wall, processor, nodes = opened(path, options.browser)
            print(f"  opened in {wall:.2f} s (renderer {processor:.2f} s), {nodes:,} elements")


if __name__ == "__main__":
    main()
