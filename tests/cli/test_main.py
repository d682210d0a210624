"""The entry: one sentence and one exit code per mistake, and no traceback unless asked."""

import subprocess
import sys

import click
import pytest

from masquerade import __version__
from masquerade.cli import main as entry
from masquerade.cli.main import COMMANDS, call
from masquerade.core.errors import (
    DataError,
    MissingExtra,
    UsageError,
    ValidationError,
    WeightsError,
)


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """The one error line; fails where there is another number of lines."""
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let `masquerade doctor` fail with an error."""

    @click.command()
    def doctor() -> None:
        raise error

    monkeypatch.setattr(entry.LazyGroup, "get_command", lambda *_: doctor)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("a", "b"), 2),
        (DataError("a", "b"), 3),
        (WeightsError("a", "b"), 4),
        (ValidationError("a", "b"), 5),
    ],
)
def test_each_error_class_gives_its_exit_code_and_sentence(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, error)
    assert call(["doctor"]) == code
    assert error_of(capsys) == "error: a; b"


def test_missing_extra_names_package_and_mend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, MissingExtra("av", "video"))
    assert call(["doctor"]) == 1
    assert error_of(capsys) == (
        "error: the package 'av' is not installed; pip install 'masquerade-suite[video]' brings it"
    )


def test_unexpected_failure_is_one_sentence_with_the_way_to_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(entry.DEBUG, raising=False)
    raising(monkeypatch, ValueError("odd\nvalue"))
    assert call(["doctor"]) == 1
    text = capsys.readouterr().err
    assert text.startswith("error: unexpected ValueError: odd value; ")
    assert "MASQUERADE_DEBUG=1" in text
    assert "Traceback" not in text


def test_debug_shows_the_traceback_before_the_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(entry.DEBUG, "1")
    raising(monkeypatch, DataError("bad file"))
    assert call(["doctor"]) == 3
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "error: bad file"


def test_file_error_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, PermissionError(13, "Permission denied", "secret.png"))
    assert call(["doctor"]) == 1
    assert error_of(capsys) == "error: Permission denied: secret.png"


def test_ctrl_c_gives_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    assert call(["doctor"]) == 130
    assert capsys.readouterr().err.strip().endswith("error: interrupted")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evaluat"], "no command 'evaluat', did you mean 'evaluate'?; see `masquerade --help`"),
        (
            ["doctor", "--jso"],
            "no such option '--jso', did you mean '--json'?; see `masquerade doctor --help`",
        ),
        (
            ["weights", "inspec", "x"],
            "no such command 'inspec', did you mean 'inspect'?; see `masquerade weights --help`",
        ),
        (
            ["weights", "export", "x"],
            "missing option '--out'; see `masquerade weights export --help`",
        ),
    ],
)
def test_wrong_usage_is_one_sentence_with_the_nearest_name(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(arguments) == 2
    assert error_of(capsys) == f"error: {sentence}"


def test_version_and_help_answer_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"masquerade, version {__version__}"
    assert call(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)


def test_no_command_shows_the_help_and_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert call([]) == 2
    assert "masquerade demo" in capsys.readouterr().err


def test_every_command_of_the_table_exists() -> None:
    context = click.Context(entry.main, info_name="masquerade")
    for name in COMMANDS:
        command = entry.main.get_command(context, name)
        assert isinstance(command, click.Command)
        assert name in (command.name, "list")


def test_closed_reader_ends_quietly() -> None:
    """`masquerade list | head -0`: nothing on stderr."""
    code = (
        "import sys, os\nfrom masquerade.cli.main import call\n"
        "read, write = os.pipe()\nos.close(read)\nos.dup2(write, 1)\n"
        "sys.exit(call(['--version']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


def test_commands_run_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "masquerade.cli.main", "nope"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: no command 'nope'")
