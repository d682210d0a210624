"""What a model has seen of the test data is found by content, and costs the rank."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from masquerade.benchmarks import contamination, knn
from masquerade.benchmarks.opening import open_data
from masquerade.benchmarks.protocol import TaskData
from masquerade.benchmarks.subjects import Extraction, ModelSubject
from masquerade.core.errors import UsageError
from masquerade.core.record_store import write_record
from masquerade.leaderboards.checking import check_results

from .conftest import pictures


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    """Training pictures of which nine of 60 are test pictures, under other names."""
    (train, labels), (test, _) = pictures(60, 0), pictures(36, 1)
    mixed = np.concatenate([train[:51], test[:9]])
    np.savez(tmp_path / "leaky.npz", x=mixed, y=labels)
    return tmp_path / "leaky.npz"


def run(subject: ModelSubject, npz: Path, training: str | None) -> contamination.Result:
    own = {} if training is None else {"training": training}
    data, rest = contamination.open_data(str(npz), own, Extraction())
    assert rest == {}
    return contamination.run(subject, data, contamination.Settings())


def test_copies_in_the_training_data_are_counted_and_named(
    subject: ModelSubject, npz: Path, leaky: Path
) -> None:
    result = run(subject, npz, str(leaky))
    record = result.record
    assert record.main.value == pytest.approx(9 / 36)
    assert record.claim.metrics["near_share"].value >= 9 / 36
    assert record.claim.settings["training"] == "leaky.npz"
    facts = record.claim.facts
    assert facts["training"]["samples"] == 60
    assert len(facts["seen"]) == 5
    assert result.predictions["exact"].sum() == 9
    assert dict(contamination.score(result.predictions)) == dict(record.claim.metrics)
    assert "seen in training" in contamination.notes(record)[1]


def test_clean_training_data_has_none(subject: ModelSubject, npz: Path) -> None:
    record = run(subject, npz, f"{npz}#train").record
    assert record.main.value == 0
    assert record.claim.facts["seen"] == ()


def test_a_smaller_copy_is_near_and_not_exact(subject: ModelSubject, tmp_path: Path) -> None:
    from skimage.data import astronaut, coffee

    whole = np.stack([astronaut()[:384, :384], coffee()[:384, :384]])
    np.savez(tmp_path / "x.npz", x_train=whole, y_train=[0, 1], x_test=whole, y_test=[0, 1])
    np.savez(tmp_path / "small.npz", x=whole[:1, ::2, ::2], y=[0])
    record = run(subject, tmp_path / "x.npz", str(tmp_path / "small.npz")).record
    assert record.main.value == 0
    assert record.claim.metrics["near_share"].value == 0.5


def test_the_record_is_of_the_other_benchmarks_data(
    subject: ModelSubject, npz: Path, data: TaskData
) -> None:
    record = run(subject, npz, f"{npz}#train").record
    assert record.claim.benchmark.data_hash == data.hash()
    assert record.claim.benchmark.data == data.name


def test_unknown_training_data_is_asked_for(subject: ModelSubject, npz: Path) -> None:
    with pytest.raises(UsageError, match=r"name it with --set data\.training=DATA"):
        run(subject, npz, None)


def test_what_was_measured_costs_the_other_records_their_rank(
    subject: ModelSubject, npz: Path, leaky: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masquerade.leaderboards.agreement.registered_hash", lambda *_: None)
    scored = knn.run(subject, open_data(str(npz)), knn.Settings())
    write_record(scored.record, tmp_path, scored.predictions)
    clean = run(subject, npz, f"{npz}#train")
    write_record(clean.record, tmp_path, clean.predictions)
    assert check_results(tmp_path).problems == ()
    found = run(subject, npz, str(leaky))
    write_record(found.record, tmp_path, found.predictions)
    (problem,) = check_results(tmp_path).problems
    assert problem.record == scored.record.id
    assert (problem.severity, problem.kind) == ("unranked", "contamination")
    assert problem.field == "claim.subject.training_data"
    assert problem.found.startswith("25.00% of the test samples, by record")
    assert replace(problem, found="") != problem
