"""The quick start runs as it stands: Python blocks in order, and every command parses."""

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from masquerade.cli.main import main
from masquerade.core.record_store import read_records

PAGE = Path(__file__).resolve().parent.parent / "docs" / "quickstart.md"
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def test_the_python_blocks_run_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About 15 s of one core."""
    monkeypatch.chdir(tmp_path)
    # as registered: tests/benchmarks/test_registered.py looks at that
    monkeypatch.setattr("masquerade.leaderboards.agreement.registered_hash", lambda *_: None)
    names: dict[str, Any] = {}
    for kind, text in BLOCKS:
        if kind == "python":
            exec(compile(text, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    assert names["outcome"].step == 30
    assert names["outcome"].loss < 1.2  # of normalized patches: zero has about 1
    assert len(names["features"]) == 360
    kinds = {record.claim.subject.kind: record.main.value for record in names["records"]}
    assert set(kinds) == {"model", "chance", "random", "raw", "pca"}
    assert kinds["chance"] < 0.2 < kinds["model"]
    frame = names["frame"].set_index("subject")
    assert frame.loc["tiny", "rank"] == 1
    assert frame.loc["raw", "baseline"]
    assert frame["published"].any()
    assert names["made"].images == 8
    assert {r.claim.benchmark.name for r in read_records(tmp_path / "results")} == {
        "knn", "retrieval",
    }  # fmt: skip


def test_the_commands_beside_them_parse() -> None:
    lines = [line for kind, text in BLOCKS if not kind for line in text.splitlines() if line]
    assert len(lines) == 7
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "masquerade"
        command: click.Command = main
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, line
            command = found
        command.make_context(command.name, words)  # a wrong option raises
