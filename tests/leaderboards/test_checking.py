"""The check finds every kind of tampering, and names file, field, found and expected."""

import json
from pathlib import Path
from typing import Any

import pytest

from masquerade.benchmarks import knn
from masquerade.core.atomic_io import canonical_json
from masquerade.core.hashing import sha256_json
from masquerade.core.record_store import write_record
from masquerade.core.records import Record
from masquerade.leaderboards import agreement
from masquerade.leaderboards.checking import check_results
from masquerade.leaderboards.standings import Problem

from .simulated import Made, a_store, class_rows, digest, pair_rows, simulate, store


def path_of(results: Path, record: Record) -> Path:
    return results / "records" / f"{record.id}.json"


def only_problem(results: Path, level: int = 3) -> Problem:
    report = check_results(results, level)
    (problem,) = report.problems
    return problem


def changed(record: Record, **claim: Any) -> Record:
    """The record with another claim, sealed anew as an honest one is."""
    return record.model_copy(update={"claim": record.claim.model_copy(update=claim)})


def with_value(record: Record, value: float, **more: Any) -> Record:
    metric = record.main.model_copy(
        update={"value": value, "parts": (value,), "interval": (value, value), **more}
    )
    return changed(record, metrics={**record.claim.metrics, "accuracy": metric})


@pytest.fixture
def one() -> Made:
    return simulate("knn", "m", class_rows(0.8, seed=1))


def test_an_honest_store_holds_at_every_level(tmp_path: Path) -> None:
    a_store(tmp_path)
    store(tmp_path, simulate("verification", "face", pair_rows(0.6)))
    store(tmp_path, simulate("few-shot", "m", _few_shot_rows(), seeds=tuple(range(10))))
    for level in range(4):
        report = check_results(tmp_path, level)
        assert report.problems == ()
        assert {checked.level for checked in report.checked} == {level}


def _few_shot_rows() -> Any:
    import pandas as pd

    runs = class_rows(0.7, runs=10)
    return pd.concat([runs.assign(shots=shots) for shots in (1, 10)], ignore_index=True)


# tampering ---------------------------------------------------------------------------------------


def test_a_changed_metric_in_the_file_is_found_by_its_hash(tmp_path: Path, one: Made) -> None:
    (record,) = store(tmp_path, one)
    path = path_of(tmp_path, record)
    path.write_text(path.read_text().replace(repr(record.main.value), "0.99"))
    problem = only_problem(tmp_path, level=0)
    assert (problem.severity, problem.file, problem.field) == ("refused", str(path), "id")
    assert problem.found == repr(record.id)
    assert len(problem.expected) == 64


def test_a_changed_metric_sealed_anew_is_found_by_its_predictions(
    tmp_path: Path, one: Made
) -> None:
    record, frame = one
    liar = with_value(record, 0.99)
    write_record(liar, tmp_path, frame)
    assert check_results(tmp_path, 2).holds  # nothing else gives it away
    problems = check_results(tmp_path).problems
    problem = next(p for p in problems if p.field == "claim.metrics.accuracy.value")
    assert (problem.severity, problem.level) == ("refused", 3)
    assert problem.file == str(path_of(tmp_path, liar))
    assert problem.found == "0.99"
    assert problem.expected == f"{record.main.value!r}, by its predictions"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"n": 400}, "n"), ({"direction": "lower"}, "direction"),
        ({"interval": (0.0, 1.0)}, "interval"), ({"parts": ()}, "parts"),
        ({"unit": "percent"}, "unit"), ({"interval_method": "folds"}, "interval_method"),
    ],
)  # fmt: skip
def test_every_part_of_a_metric_is_recomputed(
    tmp_path: Path, one: Made, change: dict[str, Any], field: str
) -> None:
    record, frame = one
    metric = record.main.model_copy(update=change)
    metrics = {**record.claim.metrics, "accuracy": metric}
    write_record(changed(record, metrics=metrics), tmp_path, frame)
    assert only_problem(tmp_path).field == f"claim.metrics.accuracy.{field}"


def test_a_metric_left_out_or_made_up_is_found(tmp_path: Path, one: Made) -> None:
    record, frame = one
    fewer = changed(record, metrics={"accuracy": record.main})
    write_record(fewer, tmp_path / "fewer", frame)
    problem = only_problem(tmp_path / "fewer")
    assert (problem.field, problem.found) == ("claim.metrics.mean_class_accuracy", "none")
    more = changed(record, metrics={**record.claim.metrics, "f1": record.main})
    write_record(more, tmp_path / "more", frame)
    assert only_problem(tmp_path / "more").field == "claim.metrics.f1"


def test_a_changed_prediction_file_is_found(tmp_path: Path, one: Made) -> None:
    (record,) = store(tmp_path, one)
    path = tmp_path / "predictions" / f"{record.claim.predictions}.parquet"
    class_rows(0.9, seed=5).to_parquet(path)
    problem = only_problem(tmp_path)
    assert (problem.severity, problem.file, problem.field) == ("refused", str(path), "content")
    assert problem.expected == record.claim.predictions
    path.write_bytes(b"PAR1")
    assert only_problem(tmp_path).file == str(path)
    path.unlink()
    problem = only_problem(tmp_path)
    assert (problem.severity, problem.file, problem.found) == ("unranked", str(path), "none")


def test_predictions_of_another_form_are_refused_and_not_a_crash(tmp_path: Path, one: Made) -> None:
    from masquerade.core.frames import content_hash

    record, frame = one
    for number, odd in enumerate([frame.drop(columns="label"), frame.iloc[:0], pair_rows(0.5)]):
        results = tmp_path / str(number)
        write_record(changed(record, predictions=content_hash(odd)), results, odd)
        problem = only_problem(results)
        assert problem.severity == "refused"
        assert "a table that cannot be scored" in problem.found


def test_a_record_copied_to_another_name_is_found(tmp_path: Path, one: Made) -> None:
    (record,) = store(tmp_path, one)
    other = path_of(tmp_path, record).with_name(f"{'1' * 64}.json")
    other.write_text(path_of(tmp_path, record).read_text())
    problem = only_problem(tmp_path, level=0)
    assert (problem.file, problem.field) == (str(other), "name")
    assert (problem.found, problem.expected) == ("1" * 64, record.id)


@pytest.mark.parametrize(
    ("made", "severity"),
    [
        (simulate("verification", "m", pair_rows(0.6)), "unranked"),  # distances prove it
        (simulate("knn", "m", class_rows(0.8, seed=1)), "note"),  # near twins may agree
    ],
)
def test_a_record_copied_under_another_subject_is_found(
    tmp_path: Path, made: Made, severity: str
) -> None:
    record, frame = made
    subject = record.claim.subject.model_copy(
        update={"name": "thief", "content_hash": digest("thief")}
    )
    thief = changed(record, subject=subject)
    write_record(record, tmp_path, frame)
    write_record(thief, tmp_path, frame)
    problems = check_results(tmp_path, 2).problems
    assert {p.file for p in problems} == {str(path_of(tmp_path, r)) for r in (record, thief)}
    own = next(p for p in problems if p.record == thief.id)
    assert (own.severity, own.field, own.kind) == (severity, "claim.predictions", "copy")
    assert "'m'" in own.found
    assert "'thief'" in own.expected


def test_a_record_under_another_name_of_the_same_subject_is_noted(
    tmp_path: Path, one: Made
) -> None:
    record, frame = one
    subject = record.claim.subject.model_copy(update={"name": "renamed"})
    write_record(record, tmp_path, frame)
    write_record(changed(record, subject=subject), tmp_path, frame)
    report = check_results(tmp_path, 2)
    assert report.holds
    (problem,) = report.problems
    assert (problem.severity, problem.field, problem.kind) == ("note", "claim.subject.name", "name")


def test_baselines_that_agree_are_no_copies(tmp_path: Path) -> None:
    """Seen on `digits`: raw pixels and their 32 principal components have the same neighbours."""
    rows = class_rows(0.9)
    store(tmp_path, *(simulate("knn", kind, rows, kind=kind) for kind in ("raw", "pca")))
    assert check_results(tmp_path).problems == ()
    store(tmp_path, simulate("knn", "m", rows))
    (problem,) = check_results(tmp_path).problems
    assert (problem.severity, problem.kind) == ("note", "copy")


def test_a_collapsed_model_that_guesses_like_chance_is_no_copy(tmp_path: Path) -> None:
    rows = class_rows(0.25).assign(predicted=0)
    store(tmp_path, simulate("knn", "a", rows), simulate("knn", "chance", rows, kind="chance"))
    assert check_results(tmp_path).problems == ()


def test_a_protocol_edited_without_a_version_is_found(
    tmp_path: Path, one: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, frame = one
    edited = record.claim.benchmark.model_copy(update={"protocol_hash": digest("edited")})
    write_record(changed(record, benchmark=edited), tmp_path, frame)
    problem = only_problem(tmp_path, level=2)
    assert (problem.severity, problem.field) == ("refused", "claim.benchmark.protocol_hash")
    assert problem.found == digest("edited")
    assert problem.expected.startswith(knn.IDENTITY.hash())
    assert "edited without a version bump" in problem.expected
    # and the other way round: it is the installed protocol that was edited
    monkeypatch.setattr(agreement, "registered_hash", lambda *_: digest("registered"))
    store(tmp_path / "honest", one)
    fields = {p.field: p for p in check_results(tmp_path / "honest", 2).problems}
    assert "as registered: it was edited without a version bump" in fields["code"].expected
    assert fields["code"].file == f"benchmark knn {knn.VERSION}"


def test_a_record_of_an_older_version_is_stale(tmp_path: Path, one: Made) -> None:
    record, frame = one
    older = record.claim.benchmark.model_copy(update={"version": "0.9.0"})
    write_record(changed(record, benchmark=older), tmp_path, frame)
    problem = only_problem(tmp_path, level=2)
    assert (problem.severity, problem.kind) == ("unranked", "stale")
    assert (problem.found, problem.expected) == ("0.9.0 (stale)", knn.VERSION)


def test_a_protocol_that_is_not_installed_is_named(tmp_path: Path, one: Made) -> None:
    record, frame = one
    other = record.claim.benchmark.model_copy(update={"name": "knnn"})
    write_record(changed(record, benchmark=other), tmp_path, frame)
    problem = only_problem(tmp_path)
    assert (problem.severity, problem.field) == ("unranked", "claim.benchmark.name")
    assert "did you mean 'knn'" in problem.mend


def test_a_record_of_the_future_is_named(tmp_path: Path, one: Made) -> None:
    (record,) = store(tmp_path, one)
    body = json.loads(path_of(tmp_path, record).read_text())
    body["claim"] |= {"schema_version": 2, "carbon": 1.0}
    body["id"] = sha256_json(body["claim"])
    path_of(tmp_path, record).unlink()
    path = tmp_path / "records" / f"{body['id']}.json"
    path.write_text(canonical_json(body) + "\n")
    problem = only_problem(tmp_path, level=0)
    assert (problem.file, problem.field) == (str(path), "claim.schema_version")
    assert (problem.found, problem.expected) == ("2", "1")
    assert "newer masquerade" in problem.mend


def test_the_same_claim_of_two_machines_is_one_record_with_two_provenances(
    tmp_path: Path,
) -> None:
    for machine in ("a", "b"):
        store(tmp_path, simulate("knn", "m", class_rows(0.8), machine=machine))
    report = check_results(tmp_path)
    assert report.problems == ()
    (checked,) = report.checked
    assert len(checked.filed.record.provenance) == 2


def test_another_seed_is_no_conflict_and_the_same_one_is(tmp_path: Path) -> None:
    seeds = [
        simulate("probe", "m", class_rows(0.8, seed=s), seeds=(s,), settings={"seed": s})
        for s in (0, 1)
    ]
    store(tmp_path, *seeds)
    assert check_results(tmp_path).problems == ()
    again = simulate("probe", "m", class_rows(0.8, seed=7), seeds=(0,), settings={"seed": 0})
    store(tmp_path, again)
    problems = check_results(tmp_path).problems
    assert {p.record for p in problems} == {again[0].id, seeds[0][0].id}
    problem = next(p for p in problems if p.record == again[0].id)
    assert (problem.severity, problem.kind) == ("unranked", "conflict")
    assert problem.field == "claim.metrics.accuracy.value"
    assert problem.found == repr(again[0].main.value)
    assert problem.expected.startswith(repr(seeds[0][0].main.value))


# levels 0 and 1 ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "more", "level", "field"),
    [
        (1.5, {"interval": None, "interval_method": None}, 0, "value"),
        (-0.1, {"interval": None, "interval_method": None}, 0, "value"),
        (0.5, {"parts": (0.5, 7.0)}, 0, "parts.1"),
        (0.5, {"parts": (0.2, 0.4)}, 1, "value"),
        (0.5, {"interval": (0.6, 0.7)}, 1, "interval"),
    ],
)
def test_numbers_that_cannot_be_are_named(
    tmp_path: Path, one: Made, value: float, more: dict[str, Any], level: int, field: str
) -> None:
    write_record(with_value(one[0], value, **more), tmp_path, one[1])
    problems = [p for p in check_results(tmp_path, 1).problems if p.level == level]
    assert f"claim.metrics.accuracy.{field}" in {p.field for p in problems}
    assert all(p.severity == "refused" for p in problems)


def test_rates_that_cannot_be_are_named(tmp_path: Path) -> None:
    record, frame = simulate("verification", "face", pair_rows(0.6, n=2400))
    rates = {name: m for name, m in record.claim.metrics.items() if name.startswith("tar_at")}
    assert list(rates) == ["tar_at_far_1e-1", "tar_at_far_1e-2"]
    low = rates["tar_at_far_1e-1"].model_copy(update={"value": 0.0, "interval": (0.0, 0.1)})
    metrics = {**record.claim.metrics, "tar_at_far_1e-1": low}
    write_record(changed(record, metrics=metrics), tmp_path / "falling", frame)
    problem = only_problem(tmp_path / "falling", level=1)
    assert problem.field == "claim.metrics.tar_at_far_1e-2.value"
    assert "at most that of tar_at_far_1e-1" in problem.expected
    facts = {"pairs": {"genuine": 1200, "impostor": 900}}
    write_record(changed(record, facts=facts), tmp_path / "few", frame)
    problem = only_problem(tmp_path / "few", level=1)
    assert problem.field == "claim.metrics.tar_at_far_1e-2"
    assert (problem.found, problem.expected) == (
        "a rate with 900 impostors behind it", "at least 1000 of them",
    )  # fmt: skip


# data --------------------------------------------------------------------------------------------


def test_other_data_under_a_registered_name_is_noted(tmp_path: Path) -> None:
    store(tmp_path, simulate("knn", "m", class_rows(0.8), data="photos"))
    problem = only_problem(tmp_path, level=2)
    assert (problem.severity, problem.field) == ("note", "claim.benchmark.data_hash")
    assert problem.found == digest("data photos")


def test_embedded_data_has_its_registered_hash() -> None:
    from masquerade.benchmarks.galleries import open_galleries
    from masquerade.benchmarks.opening import open_data
    from masquerade.benchmarks.subjects import Extraction

    for name, hashes in agreement._registered_data().items():
        assert hashes["train and test"] == open_data(name).hash()
        gallery, _ = open_galleries(name, {}, Extraction())
        assert hashes["gallery and queries"] == gallery.hash()


@pytest.mark.parametrize(
    ("data", "training", "seen"),
    [
        ("faces", ("faces",), True), ("photos", ("photos:test",), True),
        ("photos", ("photos",), False), ("faces", ("others",), False), ("faces", (), False),
    ],
)  # fmt: skip
def test_declared_contamination_costs_the_rank(
    tmp_path: Path, data: str, training: tuple[str, ...], seen: bool
) -> None:
    store(tmp_path, simulate("knn", "m", class_rows(0.8), data=data, training=training))
    found = [p for p in check_results(tmp_path).problems if p.kind == "contamination"]
    assert len(found) == seen
    if seen:
        assert (found[0].severity, found[0].field) == ("unranked", "claim.subject.training_data")
        assert found[0].found == repr(training[0])
