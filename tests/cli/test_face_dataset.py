"""`evaluate face-dataset` from the command line: the table, the files, and what it refuses."""

import json
import sys
from pathlib import Path

import pytest

from masquerade.cli.main import call
from masquerade.core.record_store import read_records

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
from portraits import write_people  # noqa: E402

FAST = ["--set", "far=0.2", "--set", "draws=5", "--device", "cpu"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets")
    write_people(root / "made", range(200, 208))
    write_people(root / "real", range(10))
    return root


def test_table_has_a_column_for_the_set_and_one_for_real_people(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "face-dataset", "--subject", str(sets / "made"), *FAST,
             "--data", str(sets / "real"), "--results", str(tmp_path)]  # fmt: skip
    assert call(words) == 0
    captured = capsys.readouterr()
    head, *lines = captured.out.splitlines()
    assert head.split() == ["metric", "made", "real", "unit"]
    names = [line.split()[0] for line in lines]
    assert names[0] == "unique_share"
    assert {"frechet_distance", "coverage", "within/pixels"} <= set(names)
    assert not [name for name in names if name.startswith("leakage")]  # no --train, no --test
    records = {record.claim.subject.name: record for record in read_records(tmp_path)}
    assert set(records) == {"made", "real"}
    folder = tmp_path / "pictures" / records["made"].id
    assert f"  pictures: {folder}\n" in captured.err
    assert {p.name for p in folder.iterdir()} == {"identities-best.jpg", "identities-worst.jpg"}


def test_json_is_one_object_with_rows_of_both(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "face-dataset", "--subject", str(sets / "made"), *FAST, "--json",
             "--data", str(sets / "real"), "--train", str(sets / "real"), "--no-baselines",
             "--judge", "pca-lda", "--results", str(tmp_path)]  # fmt: skip
    assert call(words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {row["subject"] for row in printed["rows"]} == {"made"}
    assert "leakage/train" in {row["metric"] for row in printed["rows"]}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "no real faces to compare with"),
        (["--data", "REAL", "--judge", "facenet"], 2, "no face extractor 'facenet'"),
        (["--data", "REAL", "--judge", "onnx:none.onnx"], 4, "none.onnx"),
        (["--data", "REAL", "--set", "data.size=8"], 2, "unknown setting 'data.size'"),
        (["--data", "REAL", "--set", "identities=9"], 3, "need at least 18 identities"),
        (["--data", "REAL", "--test", "nowhere/x.bin"], 3, "x.bin"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(
    words: list[str], code: int, message: str,
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    results = tmp_path / "results"
    given = [str(sets / "real") if word == "REAL" else word for word in words]
    command = ["evaluate", "face-dataset", "--subject", str(sets / "made"), *given]
    assert call([*command, "--results", str(results)]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not results.exists()


def test_a_judge_is_refused_where_none_is_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["evaluate", "knn", "--subject", "raw", "--judge", "dlib", "--results", str(tmp_path)]
    assert call(words) == 2
    assert "'knn' has no judge" in capsys.readouterr().err
