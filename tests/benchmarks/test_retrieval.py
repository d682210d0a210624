"""`retrieval` against a float64 restatement; invariances; bad input; records recomputed."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from masquerade.benchmarks import retrieval
from masquerade.benchmarks.galleries import open_galleries
from masquerade.benchmarks.opening import open_subject
from masquerade.benchmarks.protocol import Result
from masquerade.benchmarks.subjects import Extraction
from masquerade.cli.main import call
from masquerade.core.record_store import read_predictions, read_records

from .embeddings_toy import cloud, write_cloud, write_some, write_table

SETTINGS = retrieval.Settings(memory_mib=64)


def scored(path: str, chosen: retrieval.Settings = SETTINGS, **splits: str) -> Result:
    subject = ",".join(dict.fromkeys([path, *splits.values()]))
    task, _ = open_galleries(path, {}, Extraction(), **splits)
    return retrieval.run(open_subject(subject), task, chosen)


def values_of(result: Result) -> dict[str, float]:
    return {name: metric.value for name, metric in result.record.claim.metrics.items()}


def restated(
    gallery: np.ndarray, labels: np.ndarray, queries: np.ndarray, wanted: np.ndarray, *, own: bool
) -> dict[str, float]:
    """mAP, hit rate, recall and MRR by sorting all float64 cosines, query by query."""
    g, q = (v.astype(np.float64) / np.linalg.norm(v, axis=1, keepdims=True)
            for v in (gallery, queries))  # fmt: skip
    rows = []
    for place, query in enumerate(q):
        cosines = g @ query
        if own:
            cosines[place] = -np.inf
        ranking = [row for row in np.argsort(-cosines, kind="stable") if np.isfinite(cosines[row])]
        right = [labels[row] == wanted[place] for row in ranking]
        places = [rank for rank, hit in enumerate(right, 1) if hit]
        if places:
            ap = sum(n / rank for n, rank in enumerate(places, 1)) / len(places)
            rows.append([ap, right[0], sum(right[:10]) / len(places),
                         1 / places[0] if places[0] <= 10 else 0])  # fmt: skip
    means = np.mean(rows, axis=0)
    names = ("map_at_1000", "hit_rate_at_1", "recall_at_10", "mrr_at_10")
    return dict(zip(names, means, strict=True))


def test_each_sample_is_sought_among_the_others(tmp_path: Path) -> None:
    keys, labels, values = cloud(40, 5)
    result = scored(write_cloud(tmp_path / "e.parquet", keys, labels, values))
    expected = restated(values, labels, values, labels, own=True)
    found = values_of(result)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert 0.2 < found["map_at_1000"] < 0.95
    claim = result.record.claim
    assert claim.facts["exact"] is True
    assert claim.settings["index"]["kind"] == "flat"  # type: ignore[index, call-overload]
    main = claim.metrics["map_at_1000"]
    assert (main.n, main.n_of, main.interval_method) == (40, "groups", "bootstrap")
    assert main.interval is not None
    assert main.interval[0] < main.value < main.interval[1]


def test_queries_and_gallery_may_be_two_files(tmp_path: Path) -> None:
    """Queries of people whom the gallery lacks are counted, not scored."""
    keys, labels, values = cloud(12, 6)
    first = np.arange(len(keys)) % 6 < 4
    known = first & (labels < 9)
    gallery = write_some(tmp_path / "g.parquet", keys, labels, values, known)
    queries = write_some(tmp_path / "q.parquet", keys, labels, values, ~first)
    result = scored(gallery, train=gallery, test=queries)
    asked = ~first & (labels < 9)
    expected = restated(values[known], labels[known], values[asked], labels[asked], own=False)
    found = values_of(result)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    claim = result.record.claim
    assert claim.facts["queries_without_relevant_items"] == 6
    assert claim.metrics["map_at_1000"].n_of == "items"  # 9 people are too few for groups
    assert "6 queries have nothing relevant" in retrieval.notes(result.record)[1]


def test_an_approximate_index_is_measured_and_declared(tmp_path: Path) -> None:
    keys, labels, values = cloud(60, 10, noise=1.5)
    path = write_cloud(tmp_path / "e.parquet", keys, labels, values)
    index = {"kind": "ivf", "lists": 12, "probes": 2}
    chosen = retrieval.Settings.model_validate(
        {"index": index, "index_sample": 600, "memory_mib": 64}
    )
    result = scored(path, chosen)
    claim = result.record.claim
    assert claim.facts["exact"] is False
    assert claim.settings["index"]["kind"] == "ivf"  # type: ignore[index, call-overload]
    found = claim.metrics["index_recall_at_10"]
    # a full count: which of the ten nearest are in the exact lists too
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    cosines = unit.astype(np.float64) @ unit.T.astype(np.float64)
    np.fill_diagonal(cosines, -2)
    true = np.argsort(-cosines, axis=1)[:, :10]
    from masquerade.core.search import search
    from masquerade.core.search_indexes import build
    from masquerade.core.vectors import ArrayVectors

    settings = chosen.index.resolved(600, 600, 16, 64 << 20)
    proposer = build(ArrayVectors(values), "cosine", settings, 64 << 20)
    near = search(ArrayVectors(values), values, 1000, own=np.arange(600), index=proposer,
                  memory_bytes=32 << 20).rows[:, :10]  # fmt: skip
    counted = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(near, true, strict=True)])
    assert found.value == pytest.approx(counted, abs=1e-12)
    assert 0.3 < found.value < 0.99
    assert found.n == 600
    exact = scored(path)
    assert values_of(exact)["map_at_1000"] > values_of(result)["map_at_1000"]
    assert "index_recall_at_10" not in values_of(exact)
    assert "approximate index (ivf)" in retrieval.notes(result.record)[0]


def test_score_gives_the_records_metrics_again(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = write_cloud(tmp_path / "e.parquet", *cloud(31, 3))
    results = tmp_path / "results"
    command = [
        "evaluate",
        "retrieval",
        "--subject",
        path,
        "--data",
        path,
        "--results",
        str(results),
    ]
    assert call([*command, "--set", "queries=60", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["subject"] for row in rows} == {"net", "chance"}
    for record in read_records(results):
        again = retrieval.score(read_predictions(record, results))
        assert dict(record.claim.metrics) == dict(again)
    value = {row["subject"]: row["value"] for row in rows if row["metric"] == "map_at_1000"}
    assert value["net"] > value["chance"] + 0.1
    assert value["chance"] < 0.2


def test_pictures_give_gallery_and_queries(npz: Path, tmp_path: Path) -> None:
    command = ["evaluate", "retrieval", "--subject", "raw", "--data", str(npz),
               "--results", str(tmp_path), "--set", "data.size=8"]  # fmt: skip
    assert call(command) == 0
    found = {r.claim.subject.name: r for r in read_records(tmp_path)}
    assert set(found) == {"raw", "chance", "pca"}
    assert found["raw"].claim.facts["gallery"] == 60
    assert found["raw"].main.n == 36
    assert found["raw"].main.value > 0.6 > found["chance"].main.value


def test_embedded_pictures_score_as_the_model_does(npz: Path, tmp_path: Path) -> None:
    """The same numbers from `embed` and then its file as from the pictures themselves."""
    out = tmp_path / "raw.parquet"
    preparing = ["--set", "data.size=8"]
    assert call(["embed", "raw", "--data", f"{npz}#test", "--out", str(out), *preparing]) == 0
    for subject, data in (("raw", f"{npz}#test"), (str(out), str(out)), (str(out), f"{npz}#test")):
        extra = preparing if subject == "raw" else []
        assert call(["evaluate", "retrieval", "--subject", subject, "--data", data,
                     "--no-baselines", "--results", str(tmp_path), *extra]) == 0  # fmt: skip
    values = {record.main.value for record in read_records(tmp_path)}
    assert len(read_records(tmp_path)) == 3
    assert len(values) == 1


@settings(
    deadline=None, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**31), st.sampled_from([1e-3, 1.0, 250.0]))
def test_rotation_scale_and_order_change_nothing(tmp_path: Path, seed: int, scale: float) -> None:
    keys, labels, values = cloud(8, 4, width=6, seed=seed % 7)
    plain = scored(write_cloud(tmp_path / "a.parquet", keys, labels, values))
    random = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(random.normal(size=(6, 6)))
    order = random.permutation(len(keys))
    moved = (scale * values.astype(np.float64) @ turn).astype(np.float32)[order]
    path = write_cloud(tmp_path / "b.parquet", [keys[row] for row in order], labels[order], moved)
    other = scored(path)
    assert values_of(other) == pytest.approx(values_of(plain), abs=1e-12)
    found = values_of(plain)
    assert found["recall_at_1"] <= found["recall_at_5"] <= found["recall_at_10"]
    assert found["hit_rate_at_1"] <= found["hit_rate_at_5"] <= found["hit_rate_at_100"] == 1


def test_rows_of_a_second_model_are_refused(tmp_path: Path) -> None:
    keys, labels, values = cloud(3, 2)
    one = write_cloud(tmp_path / "one.parquet", keys, labels, values)
    two = write_cloud(tmp_path / "two.parquet", keys, labels, values[:, :8])
    assert call(["evaluate", "retrieval", "--subject", f"{one},{two}", "--data", one]) == 3


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ("one person", 3, "at least two classes in the gallery, got 'p000' alone"),
        ("zero", 3, "row 3 ('p000/3'): expected an embedding that is not zero"),
        ("mixed width", 3, "row 3: expected an embedding of width 16 as in row 0, got 15"),
        ("no rows", 3, "holds no embedding"),
        ("no gallery", 3, "no images in"),
        ("nan", 3, "row 3: expected finite numbers"),
        ("alone", 3, "of 12 queries none has an item of its class in the gallery"),
        ("other data", 3, "has no embedding of 'q/0' (1 of 1 are missing)"),
        ("pq", 2, "expected at least 9984 rows"),
        ("memory", 2, "setting 'memory_mib'"),
    ],
)
def test_bad_input_is_one_sentence(
    change: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, labels, values = cloud(1 if change == "one person" else 12, 1 if change == "alone" else 4)
    if change in ("zero", "nan"):
        values[3] = 0 if change == "zero" else np.nan
    path = write_cloud(tmp_path / "e.parquet", keys, labels, values)
    data = path
    if change in ("mixed width", "no rows"):
        rows = [row[:15] if n == 3 else row for n, row in enumerate(values.tolist())]
        rows = rows if change == "mixed width" else []
        write_table(Path(path), keys[: len(rows)], rows)
    if change == "no gallery":
        data = str(tmp_path / "empty")
        Path(data).mkdir()
    if change == "other data":
        data = write_cloud(tmp_path / "q.parquet", ["q/0"], labels[:1], values[:1])
    extra = {"pq": ["--set", "index.kind=ivfpq", "--set", "index.code_bytes=4"],
             "memory": ["--set", "memory_mib=1"]}.get(change, [])  # fmt: skip
    results = tmp_path / "results"
    command = ["evaluate", "retrieval", "--subject", path, "--data", data, *extra]
    assert call([*command, "--results", str(results)]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error
    assert not results.exists()
