"""What a demo folder remembers."""

from pathlib import Path

import pytest

from masquerade.core.errors import DataError, UsageError
from masquerade.leaderboards.demo.journal import NAME, Done, Journal

STEP = Done(1.5, 2.5, ("a" * 64,), {"loss": 0.25, "gain": [0.1, None]}, ("a line",))


def test_finished_steps_are_there_again(tmp_path: Path) -> None:
    Journal(tmp_path / "out").add("key", STEP)
    again = Journal(tmp_path / "out")
    assert again.get("key") == STEP
    assert again.get("other") is None


def test_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        Journal(tmp_path / "out")


def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        Journal(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format":"masquerade-demo/2","steps":{}}',
     '{"format":"masquerade-demo/1","steps":{"key":{"seconds":1}}}',
     '{"format":"masquerade-demo/1","steps":[1]}', "[" * 100_000],
)  # fmt: skip
def test_damaged_memory_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(DataError, match="is damaged"):
        Journal(tmp_path)
