"""`masquerade demo` at the command line: the summary, its exit codes, wrong input."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from masquerade.cli.main import call
from masquerade.core.record_store import read_predictions, read_records
from masquerade.leaderboards.demo import running
from masquerade.leaderboards.demo.masked import MaskedSteps
from masquerade.leaderboards.demo.people import SHARED
from masquerade.leaderboards.demo.running import Demo, Timing
from masquerade.leaderboards.demo.settings import SETTINGS
from masquerade.leaderboards.demo.verdicts import Verdict

RIGHT = Verdict("loss", 0.44, None, 0.4, 0.5, "error of hidden patches")
WRONG = Verdict("accuracy", 0.5, (0.4, 0.6), 0.7, None, "share of pairs judged rightly")
OPEN = Verdict("recall", 0.1, None, None, None, "share of faces")


@pytest.fixture(autouse=True)
def no_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without pictures of faces."""
    monkeypatch.setenv(SHARED, str(tmp_path / "no-such-folder"))


def made(out: Path, *verdicts: Verdict) -> Demo:
    return Demo(
        out, out / "index.html", out / "results", (), verdicts,
        (Timing("first", 1.0, 2.0, True), Timing("second", 1.0, 2.0, False)),
        65.0, 100.0, 1_500_000_000, None,
    )  # fmt: skip


def test_summary_says_meaning_range_cost_and_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "run_demo", lambda *_, **__: made(tmp_path, RIGHT, OPEN))
    assert call(["demo", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "right  loss: 0.440, expected 0.400 to 0.500\n       error of hidden patches" in shown
    assert "-      recall: 0.100 (no range was measured for this case)" in shown
    assert "all 2 numbers lie where a right result has them" in shown
    assert "1 min 05 s (1 of 2 steps were done before), 1 min 40 s of processors, 1.5 GB" in shown
    assert f"page: {tmp_path / 'index.html'}" in shown


def test_wrong_number_is_said_and_ends_with_5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "run_demo", lambda *_, **__: made(tmp_path, RIGHT, WRONG))
    assert call(["demo", "--out", str(tmp_path)]) == 5
    shown = capsys.readouterr().out
    assert "WRONG  accuracy: 0.500 [0.400, 0.600], expected at least 0.700" in shown
    assert "1 of 2 numbers are WRONG" in shown
    assert call(["demo", "--out", str(tmp_path), "--json"]) == 5
    found = json.loads(capsys.readouterr().out)
    assert found["as_expected"] is False
    assert [v["holds"] for v in found["verdicts"]] == [True, False]
    assert found["steps"][0] == {"title": "first", "seconds": 1.0, "cpu_s": 2.0, "before": True}


@pytest.mark.parametrize(
    ("words", "screen", "opened"),
    [([], ":0", True), (["--no-open"], ":0", False), ([], "", False), (["--json"], ":0", False)],
)
def test_page_opens_on_a_screen_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], screen: str, opened: bool
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(running, "run_demo", lambda *_, **__: made(tmp_path, RIGHT))
    monkeypatch.setattr("webbrowser.open", seen.append)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("DISPLAY", screen)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert call(["demo", "--out", str(tmp_path), *words]) == 0
    assert seen == ([(tmp_path / "index.html").resolve().as_uri()] if opened else [])


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--out", "FILE"], 2, "is a file, expected a folder"),
        (["--out", "OTHER"], 2, "holds other files (thesis.tex, …) and no demo"),
        (["--out", "DAMAGED"], 3, "demo.json is damaged"),
        (["--faces", "absent"], 2, "--faces absent does not exist"),
        (["--faces", "FILE"], 2, "is a file, expected a folder"),
        (["--faces", "EMPTY"], 3, "got 0 and 0 (0 folders with pictures)"),
        (["--faces", "ONE"], 3, "got 1 and 3 (1 folders with pictures)"),
        (["--faces", "ONE", "--out", "ONE/demo"], 2, "lies inside the faces of ONE"),
        (["--faces", "."], 2, "lies inside the faces of ."),
        (["--quick", "--faces", "ONE"], 2, "--quick looks at no faces"),
        (["--full"], 2, "name a folder of pictures per person with --faces DIR"),
    ],
)
def test_wrong_input_is_one_sentence_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: list[str], code: int, sentence: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("x")
    for name in ("OTHER", "DAMAGED", "EMPTY", "ONE/ann"):
        Path(name).mkdir(parents=True)
    Path("OTHER/thesis.tex").write_text("x")
    Path("DAMAGED/demo.json").write_text("{")
    for number in range(3):
        Image.new("RGB", (4, 4)).save(f"ONE/ann/{number}.png")
    assert call(["demo", *words]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert sentence in said.err
    assert not Path("demo").exists()


def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = replace(SETTINGS["quick"], data="digits", mae_steps=2, scores=("knn",), crops=4)
    monkeypatch.setitem(SETTINGS, "quick", short)
    words = ["demo", "--quick", "--out", str(tmp_path / "out")]

    def interrupted(_steps: MaskedSteps) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MaskedSteps, "probe", interrupted)
        assert call(words) == 130
    said = capsys.readouterr().err
    assert "the same command goes on from there" in said
    assert said.endswith("error: interrupted\n")
    assert call(words) == 5  # two steps are not enough
    said = capsys.readouterr()
    assert "1/3 pre-train a masked autoencoder, 2 steps" in said.err
    assert said.err.count("done before") == 1
    assert "WRONG  reconstruction loss" in said.out
    assert "(1 of 3 steps were done before)" in said.out


@pytest.mark.slow
def test_quick_demo_gives_right_numbers_records_and_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """About 50 s of one core."""
    # as registered: tests/benchmarks/test_registered.py looks at that
    monkeypatch.setattr("masquerade.leaderboards.agreement.registered_hash", lambda *_: None)
    assert call(["demo", "--quick", "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["as_expected"] is True
    records = read_records(tmp_path / "results")
    assert {r.id for r in records} == set(found["records"])
    kinds = {r.claim.subject.kind: r.main.value for r in records}
    assert set(kinds) == {"model", "chance", "random", "pca"}
    assert kinds["chance"] < 2 / 14  # of 14 photographs
    assert kinds["model"] > kinds["pca"]
    assert all(len(read_predictions(r, tmp_path / "results")) == 600 for r in records)
    assert (tmp_path / "quick" / "reconstruction.png").stat().st_size > 1000
    assert "reconstruction" in Path(found["page"]).read_text("utf-8")
