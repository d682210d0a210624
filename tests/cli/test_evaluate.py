"""`evaluate` and `embed` from the command line: what they print, write and refuse."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from masquerade.cli.main import call
from masquerade.core.record_store import read_predictions, read_records


@pytest.fixture(scope="module")
def npz(tmp_path_factory: pytest.TempPathFactory) -> str:
    random = np.random.default_rng(0)
    labels = np.arange(80) % 2
    images = 100 * labels[:, None, None, None] + random.integers(0, 120, (80, 8, 8, 3))
    path = tmp_path_factory.mktemp("data") / "two.npz"
    images = images.astype(np.uint8)
    np.savez(path, x_train=images[:40], y_train=labels[:40], x_test=images[40:], y_test=labels[40:])
    return str(path)


def test_evaluate_prints_a_table_and_writes_records(
    npz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = call(["evaluate", "knn", "--subject", "raw", "--data", npz, "--results", str(tmp_path)])
    shown = capsys.readouterr().out.splitlines()
    assert code == 0
    assert shown[0].split() == ["subject", "metric", "value", "95", "%", "interval", "n"]
    assert shown[1].startswith("raw      accuracy             1.000  0.912 – 1.000 (exact)")
    records = read_records(tmp_path)
    assert {r.claim.subject.kind for r in records} == {"raw", "chance", "pca"}
    for record in records:
        assert len(read_predictions(record, tmp_path)) == 40
        assert record.provenance[0].wall_time_s > 0


def test_evaluate_json_is_one_object_and_a_second_run_confirms(
    npz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "few-shot", "--subject", "pca", "--data", npz, "--no-baselines",
               "--seeds", "5", "--set", "shots=[1, 10]", "--set", "data.size=8",
               "--results", str(tmp_path), "--json"]  # fmt: skip
    assert call(command) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["metric"] for row in printed["rows"]] == ["accuracy_1_shot", "accuracy_10_shot"]
    assert call(command) == 0
    (record,) = read_records(tmp_path)
    assert printed["records"] == [record.id]
    assert len(record.provenance) == 2
    assert record.claim.settings["seeds"] == 5
    assert record.claim.subject.preprocessing["size"] == 8


def test_a_subject_below_its_baseline_is_flagged(
    npz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "knn", "--subject", "chance", "--data", npz, "--results", str(tmp_path)]
    assert call(command) == 0
    assert "warning: chance is not above its baseline raw" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["knn", "--subject", "rw"], 2, "did you mean 'raw'"),
        (["kn", "--subject", "raw"], 2, "did you mean 'knn'"),
        (["knn", "--subject", "raw", "--seeds", "3"], 2, "draws nothing, so it has no seeds"),
        (["knn", "--subject", "raw", "--set", "kk=3"], 2, "unknown setting 'kk'"),
        (["knn", "--subject", "raw", "--set", "k=0"], 2, "setting 'k'"),
        (["knn", "--subject", "raw", "--set", "data.sze=8"], 2, "did you mean 'data.size'"),
        (["knn", "--subject", "raw", "--recipe", "mae"], 2, "takes no recipe"),
        (["knn", "--subject", "raw", "--data", "photo"], 3, "did you mean 'photos'"),
        (["knn"], 2, "--subject"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(  # noqa: PLR0917 - fixtures
    words: list[str], code: int, message: str,
    tmp_path: Path, npz: str, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    data = [] if "--data" in words else ["--data", npz]
    results = tmp_path / "results"
    assert call(["evaluate", *words, *data, "--results", str(results)]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not results.exists()


def test_embed_writes_key_label_feature(npz: str, tmp_path: Path) -> None:
    out = tmp_path / "features.parquet"
    assert call(["embed", "raw", "--data", f"{npz}#test", "--out", str(out)]) == 0
    frame = pd.read_parquet(out)
    assert list(frame.columns) == ["key", "label", "feature"]
    assert frame["label"].tolist() == [0, 1] * 20
    assert np.stack(frame["feature"]).shape == (40, 3 * 32 * 32)
    assert [p.name for p in tmp_path.iterdir()] == ["features.parquet"]


def test_embed_refuses_another_suffix(
    npz: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["embed", "raw", "--data", f"{npz}#test", "--out", str(tmp_path / "f.csv")]) == 2
    assert "ends in .parquet" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["evaluate", "embed"])
def test_help_ends_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call([command, "--help"]) == 0
    assert f"Example:\n    masquerade {command} " in capsys.readouterr().out
