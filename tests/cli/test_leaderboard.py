"""`masquerade leaderboard`: exit codes, what goes to stdout, whole files, one-sentence mistakes."""

import csv
import io
import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from masquerade.cli.main import call
from masquerade.core.record_store import read_records
from masquerade.core.records import Record

from ..leaderboards.simulated import a_store, class_rows, simulate, store

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def as_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protocols count as registered as they stand; `test_registered` looks at the register."""
    monkeypatch.setattr("masquerade.leaderboards.agreement.registered_hash", lambda *_: None)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Five records on one data set."""
    a_store(tmp_path / "results")
    return tmp_path / "results"


def run(capsys: Capture, *words: object) -> tuple[int, str, str]:
    code = call(["leaderboard", *map(str, words)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def damaged(results: Path) -> Record:
    """One record's predictions exchanged for others."""
    record = read_records(results)[0]
    class_rows(0.99, seed=5).to_parquet(
        results / "predictions" / f"{record.claim.predictions}.parquet"
    )
    return record


def test_check_of_an_honest_store_ends_with_0(results: Path, capsys: Capture) -> None:
    for level in range(4):
        code, out, err = run(capsys, "check", "--results", results, "--level", level)
        assert (code, err) == (0, "")
        assert out == (
            f"5 records checked to level {level}: 0 refusals, 0 reasons for no rank, 0 notes\n"
        )


def test_check_names_what_is_wrong_and_ends_with_5(results: Path, capsys: Capture) -> None:
    record = damaged(results)
    assert run(capsys, "check", "--results", results, "--level", 2)[0] == 0
    code, out, err = run(capsys, "check", "--results", results)
    assert code == 5
    path = results / "predictions" / f"{record.claim.predictions}.parquet"
    assert f"refused: {path}: content: found " in err
    assert f"expected {record.claim.predictions}" in err
    assert "1 refusals" in out
    code, out, _ = run(capsys, "check", "--results", results, "--json")
    found = json.loads(out)
    assert (code, found["holds"], len(found["problems"])) == (5, False, 1)
    assert found["problems"][0]["file"] == str(path)


def test_show_prints_ranks_and_published_rows_apart(results: Path, capsys: Capture) -> None:
    code, out, err = run(capsys, "show", "representation", "--results", results)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    good = next(line for line in lines if " good " in f" {line} ")
    assert good.startswith("1 ")
    assert "published, not re-computed" in out
    code, out, _ = run(capsys, "show", "--results", results)
    assert out.startswith("Representations")  # the only board with records


def test_show_writes_csv_and_parquet_of_the_same(
    results: Path, tmp_path: Path, capsys: Capture
) -> None:
    words = ["show", "representation", "--results", results]
    _, text, _ = run(capsys, *words, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    out = tmp_path / "board.parquet"
    assert run(capsys, *words, "--format", "parquet", "--out", out)[0] == 0
    frame = pd.read_parquet(out)
    assert frame["subject"].tolist() == [row["subject"] for row in rows]
    assert run(capsys, *words, "--format", "csv", "--tidy", "--out", tmp_path / "t.csv")[0] == 0
    assert len(pd.read_csv(tmp_path / "t.csv")) > len(rows)
    _, markdown, _ = run(capsys, *words, "--format", "markdown")
    assert markdown.startswith("# Representations\n")


def test_show_as_json_has_every_cell(results: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "show", "representation", "--results", results, "--json")
    assert code == 0
    board = json.loads(out)["boards"][0]
    table, *published = board["tables"]
    assert [row["subject"] for row in table["rows"]][0] == "good"
    assert table["rows"][0]["cells"]["knn-accuracy"]["rank"]["best"] == 1
    assert all(each["published"] for each in published)


def test_build_writes_page_markdown_and_csv_twice_the_same(
    results: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "boards"
    code, shown, _ = run(capsys, "build", "--results", results, "--out", out)
    assert code == 0
    assert shown == f"{out / 'index.html'}\n"
    files = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert {p.name for p in files} >= {"index.html", "representation.md", "representation.csv"}
    assert run(capsys, "build", "--results", results, "--out", out)[0] == 0
    assert {path: path.read_bytes() for path in files} == files


def test_a_bundle_goes_from_folder_to_folder(
    results: Path, tmp_path: Path, capsys: Capture
) -> None:
    file, theirs = tmp_path / "x.bundle", tmp_path / "theirs"
    code, out, err = run(capsys, "bundle", "--results", results, "--out", file)
    assert (code, out) == (0, f"{file}\n")
    assert "5 records" in err
    code, out, _ = run(capsys, "add", file, "--results", theirs)
    assert (code, out) == (0, f"took 5 records into {theirs}\n")
    assert read_records(theirs) == read_records(results)
    store(tmp_path / "b", simulate("knn", "good", class_rows(0.9, seed=0), machine="b"))
    assert run(capsys, "bundle", "--results", tmp_path / "b", "--out", file)[0] == 0
    assert "now confirmed 2 times" in run(capsys, "add", file, "--results", theirs)[2]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["show", "retreival"], 2, "did you mean 'retrieval'"),
        (["show", "--format", "parquet"], 2, "name it with --out"),
        (["show", "--tidy"], 2, "--tidy does not go with --format table"),
        (["check", "--results", "nowhere"], 2, "there is no results folder nowhere"),
        (["add", "nothing.bundle"], 2, "there is no file nothing.bundle"),
        (["add", "empty"], 2, "empty is a folder, expected a bundle or a record's file"),
        (["add", "cut.bundle"], 5, "the beginning of a bundle without its end"),
        (["add", "notes.txt"], 5, "notes.txt: found no JSON"),
        (["add", "outside.bundle"], 5, "member: found the name '../../etc/evil.json'"),
        (["add", "future.json"], 5, "claim.schema_version: found 99, expected 1; a newer"),
        (["bundle", "--results", "empty", "--out", "x"], 2, "there is no record in empty"),
        (["bundle", "ffff", "--out", "x"], 2, "0 records of results begin with 'ffff'"),
        (["show", "--results", "empty"], 2, "no record in empty stands on a board"),
        (["build", "--out", "notes.txt/out"], 1, "cannot write notes.txt/out"),
        (["check", "--level", "4"], 2, "4 is not in the range"),
        (["chek"], 2, "did you mean"),
    ],
)
def test_a_mistake_is_one_sentence(
    results: Path, words: list[str], code: int, sentence: str, capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(results.parent)
    Path("empty").mkdir()
    Path("notes.txt").write_text("no record", encoding="utf-8")
    with zipfile.ZipFile("outside.bundle", "w") as bundle:
        bundle.writestr("../../etc/evil.json", "{}")
    Path("cut.bundle").write_bytes(Path("outside.bundle").read_bytes()[:20])
    (record, *_) = (results / "records").glob("*.json")
    later = record.read_text("utf-8").replace('"schema_version":1', '"schema_version":99')
    Path("future.json").write_text(later, encoding="utf-8")
    found, out, err = run(capsys, *words)
    assert (found, out) == (code, "")
    assert err.startswith("error: ")
    assert sentence in err.lower() or sentence in err
    assert err.count("\n") == 1


def test_a_bundle_that_lies_ends_with_5_and_adds_nothing(
    results: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "x.bundle").write_bytes(b"PK nothing")
    code, _, err = run(capsys, "add", tmp_path / "x.bundle", "--results", tmp_path / "new")
    assert code == 5
    assert err.startswith(f"error: {tmp_path / 'x.bundle'}: ")
    assert not (tmp_path / "new").exists()


def test_no_leaderboard_command_imports_torch(results: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom masquerade.cli.main import call\n"
        "from masquerade.leaderboards import agreement\n"
        "agreement.registered_hash = lambda *_: None\n"
        f"for words in (['check'], ['show'], ['build', '--out', {str(tmp_path / 'b')!r}]):\n"
        f"    assert call(['leaderboard', *words, '--results', {str(results)!r}]) == 0\n"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
