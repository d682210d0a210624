"""`masquerade demo`: the whole loop, its numbers, and the page."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from .output import emit_json, note, progress_bar

if TYPE_CHECKING:
    from ..leaderboards.demo.running import Demo
    from ..leaderboards.demo.verdicts import Verdict

NOT_AS_EXPECTED = 5
_WIDTH = 100


@click.command()
@click.option("--out", default="demo", show_default=True, type=click.Path(path_type=Path),
              help="The folder for all that it makes.")  # fmt: skip
@click.option("--quick", "effort", flag_value="quick",
              help="The masked autoencoder, its scores and the page only.")  # fmt: skip
@click.option("--full", "effort", flag_value="full",
              help="Longer trainings, and a generator that learns from your faces.")  # fmt: skip
@click.option("--faces", type=click.Path(path_type=Path), metavar="DIR",
              help="Pictures of real people, a folder for each; none: ../shared/data/faces beside "
              "the clone where it is, else synthesized faces stand in.")  # fmt: skip
@click.option("--no-open", is_flag=True, help="Do not show the page in a browser.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def demo(
    out: Path, effort: Literal["quick", "full"] | None, faces: Path | None, no_open: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Synthesize faces, train and score a recogniser and a masked autoencoder, build the page.

    Needs no download and no GPU. After Ctrl-C or any crash the same command goes on where it
    stopped. Ends with 0 when every number lies where a right result has it, else with 5.

    \b
    Example:
      masquerade demo --out demo
    """
    from ..leaderboards.demo.running import run_demo
    from ..leaderboards.demo.screen import Screen
    from .synthesize import watched

    screen = Screen(note, progress_bar, watched, training=sys.stderr.isatty())
    with _resumable(out):
        made = run_demo(out, effort or "normal", faces=faces, screen=screen)
    if as_json:
        emit_json(_plain(made))
    else:
        click.echo(_summary(made))
    if not no_open and not as_json:
        _open(made.page)
    return 0 if made.as_expected else NOT_AS_EXPECTED


@contextmanager
def _resumable(out: Path) -> Iterator[None]:
    """Say how to go on after Ctrl-C, where there is something to go on with."""
    from ..leaderboards.demo.journal import NAME

    try:
        yield
    except KeyboardInterrupt:
        if (out / NAME).is_file():
            note("what is finished stays; the same command goes on from there")
        raise


def _summary(made: "Demo") -> str:
    """What each number means, whether it is right, what it cost, and where the page is."""
    from ..leaderboards.demo.running import clock

    width = min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns)
    lines = [line for verdict in made.verdicts for line in _said(verdict, width)]
    wrong = sum(not verdict.holds for verdict in made.verdicts)
    lines.append(
        f"all {len(made.verdicts)} numbers lie where a right result has them"
        if made.as_expected
        else f"{wrong} of {len(made.verdicts)} numbers are WRONG: see above"
    )
    if made.real_faces is not None:
        lines.append(
            f"the page shows pictures of people of {made.real_faces}: keep it as you keep those"
        )
    before = sum(step.before for step in made.steps)
    rest = f" ({before} of {len(made.steps)} steps were done before)" if before else ""
    lines.append(
        f"{clock(made.seconds)}{rest}, {clock(made.cpu_s)} of processors, "
        f"{made.peak_bytes / 1e9:.1f} GB of memory at most"
    )
    lines.append(f"records: {made.results}\npage: {made.page}")
    return "\n".join(lines)


def _said(verdict: "Verdict", width: int) -> list[str]:
    """A verdict as a line, and its meaning below it."""
    said = "right" if verdict.holds else "WRONG"
    head = f"{said}  {verdict.name}: {verdict.found}, expected {verdict.right}"
    if not verdict.right:
        head = f"-      {verdict.name}: {verdict.found} (no range was measured for this case)"
    indent = " " * 7
    return [head, *textwrap.wrap(
        verdict.meaning, width, initial_indent=indent, subsequent_indent=indent
    )]  # fmt: skip


def _plain(made: "Demo") -> dict[str, Any]:
    """The demo as one JSON object."""
    return {
        "out": str(made.out), "page": str(made.page), "results": str(made.results),
        "real_faces": None if made.real_faces is None else str(made.real_faces),
        "as_expected": made.as_expected,
        "verdicts": [asdict(v) | {"holds": v.holds} for v in made.verdicts],
        "records": [record.id for record in made.records],
        "steps": [asdict(step) for step in made.steps],
        "seconds": made.seconds, "cpu_s": made.cpu_s, "peak_bytes": made.peak_bytes,
    }  # fmt: skip


def _open(page: Path) -> None:
    """Show the page, where a person with a browser on a screen waits for it."""
    screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if sys.stdout.isatty() and screen:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
