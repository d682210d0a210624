"""`identification` against a float64 restatement; open set; invariances; bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from masquerade.benchmarks import identification
from masquerade.benchmarks.galleries import open_galleries
from masquerade.benchmarks.opening import open_subject
from masquerade.benchmarks.protocol import Result
from masquerade.benchmarks.subjects import Extraction
from masquerade.cli.main import call
from masquerade.core.embedding_writer import Part, write_embeddings
from masquerade.core.errors import DataError
from masquerade.core.record_store import read_predictions, read_records

from .embeddings_toy import cloud, write_cloud, write_some, write_table

SETTINGS = identification.Settings()


def scored(path: str, chosen: identification.Settings = SETTINGS, **splits: str) -> Result:
    subject = ",".join(dict.fromkeys([path, *splits.values()]))
    task, _ = open_galleries(path, {}, Extraction(), **splits)
    return identification.run(open_subject(subject), task, chosen)


def halves(tmp_path: Path, n_known: int = 40) -> tuple[str, str, dict[str, np.ndarray]]:
    """Two files of 60 people: three pictures each of the known in the gallery, two of all asked."""
    keys, labels, values = cloud(60, 5, noise=1.1)
    turn = np.arange(len(keys)) % 5
    gallery, probes = (turn < 3) & (labels < n_known), turn >= 3
    files = [
        write_some(tmp_path / name, keys, labels, values, rows)
        for name, rows in (("g.parquet", gallery), ("p.parquet", probes))
    ]
    return files[0], files[1], {
        "gallery": values[gallery], "owner": labels[gallery],
        "probes": values[probes], "wanted": labels[probes],
    }  # fmt: skip


def restated(rows: dict[str, np.ndarray], n_known: int) -> dict[str, float]:
    """Rank rates and TPIR at FPIR 0.3 by loops over all cosines."""
    templates = []
    for person in range(n_known):
        total = rows["gallery"][rows["owner"] == person].astype(np.float64).sum(axis=0)
        templates.append(total / np.sqrt((total**2).sum()))
    ranks, tops, strangers = [], [], []
    for probe, person in zip(rows["probes"].astype(np.float64), rows["wanted"], strict=True):
        cosines = [float(probe @ t / np.sqrt((probe**2).sum())) for t in templates]
        if person >= n_known:
            strangers.append(max(cosines))
        else:
            ranks.append(1 + sum(c > cosines[person] for c in cosines))
            tops.append(max(cosines))
    best = 0.0
    for threshold in [*tops, *strangers]:
        if sum(s > threshold for s in strangers) <= 0.1 * len(strangers):
            right = [r == 1 and t > threshold for r, t in zip(ranks, tops, strict=True)]
            best = max(best, float(np.mean(right)))
    return {f"rank_{k}": float(np.mean([r <= k for r in ranks])) for k in (1, 5, 10)} | {
        "tpir": best
    }


def test_rates_equal_a_restatement(tmp_path: Path) -> None:
    gallery, probes, rows = halves(tmp_path)
    result = scored(gallery, train=gallery, test=probes)
    claim = result.record.claim
    expected = restated(rows, 40)
    for k in (1, 5, 10):
        assert claim.metrics[f"rank_{k}"].value == pytest.approx(expected[f"rank_{k}"], abs=1e-12)
    assert 0.3 < expected["rank_1"] < 0.95
    facts = claim.facts
    assert (facts["enrolled"], facts["mated_probes"], facts["non_mated_probes"]) == (40, 80, 40)
    assert claim.metrics["rank_1"].n == 40
    # 40 strangers carry no rate of 0.1, but the published figure is there, unranked
    assert "tpir_at_fpir_1e-1" not in claim.metrics
    assert facts["unsupported"]["tpir_at_fpir_1e-1"] == {"n_non_mated": 40, "needed": 100}  # type: ignore[index, call-overload]
    published = scored(
        gallery, identification.Settings(published_protocol=True), train=gallery, test=probes
    ).record.claim.facts["published"]["tpir_at_fpir_1e-1"]  # type: ignore[index, call-overload]
    assert published["tpir"] == pytest.approx(expected["tpir"])  # type: ignore[index, call-overload]
    assert published["ranked"] is False  # type: ignore[index, call-overload]


def test_one_source_is_divided_by_names_alone(tmp_path: Path) -> None:
    """Who is enrolled depends neither on the order of the rows nor on their embeddings."""
    keys, labels, values = cloud(80, 4)
    first = scored(write_cloud(tmp_path / "a.parquet", keys, labels, values))
    facts = first.record.claim.facts
    assert (facts["enrolled"], facts["mated_probes"], facts["non_mated_probes"]) == (40, 120, 160)
    assert {"rank_1", "tpir_at_fpir_1e-1"} <= set(first.record.claim.metrics)
    order = np.random.default_rng(0).permutation(len(keys))
    path = write_cloud(
        tmp_path / "b.parquet", [keys[r] for r in order], labels[order], values[order]
    )
    second = scored(path)
    assert set(second.predictions["key"]) == set(first.predictions["key"])
    mated = {tuple(r) for r in first.predictions[["key", "mated"]].to_numpy()}
    assert {tuple(r) for r in second.predictions[["key", "mated"]].to_numpy()} == mated
    for name, metric in first.record.claim.metrics.items():
        assert second.record.claim.metrics[name].value == pytest.approx(metric.value, abs=1e-12)


def test_people_with_one_picture_are_asked_and_never_enrolled(tmp_path: Path) -> None:
    keys, labels, values = cloud(20, 3)
    single = np.isin(labels, [3, 4]) & (np.arange(60) % 3 > 0)
    path = write_some(tmp_path / "s.parquet", keys, labels, values, ~single)
    predictions = scored(path, identification.Settings(unknown=0)).predictions
    asked = predictions.set_index("identity")["mated"]
    assert not asked[["p003", "p004"]].any()
    assert asked.drop(["p003", "p004"]).all()
    assert len(predictions) == 18 * 2 + 2


def test_score_gives_the_records_metrics_again(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = write_cloud(tmp_path / "e.parquet", *cloud(70, 4))
    results = tmp_path / "results"
    command = ["evaluate", "identification", "--subject", path, "--data", path]
    assert call([*command, "--results", str(results), "--json"]) == 0
    printed = capsys.readouterr()
    rows = json.loads(printed.out)["rows"]
    assert "unsupported from tpir_at_fpir_1e-2 on: it needs 1000 non-mated probes" in printed.err
    for record in read_records(results):
        again = identification.score(read_predictions(record, results))
        assert dict(record.claim.metrics) == dict(again)
    value = {(row["subject"], row["metric"]): row["value"] for row in rows}
    assert value["net", "rank_1"] > 5 * value["chance", "rank_1"]
    assert value["chance", "tpir_at_fpir_1e-1"] < 0.1
    for subject in ("net", "chance"):
        assert value[subject, "rank_1"] <= value[subject, "rank_5"] <= value[subject, "rank_10"]


@settings(
    deadline=None, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**31), st.sampled_from([1e-3, 40.0]))
def test_rotation_and_scale_change_nothing(tmp_path: Path, seed: int, scale: float) -> None:
    keys, labels, values = cloud(12, 4, width=6, seed=seed % 5)
    plain = scored(write_cloud(tmp_path / "a.parquet", keys, labels, values))
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))
    moved = (scale * values.astype(np.float64) @ turn).astype(np.float32)
    other = scored(write_cloud(tmp_path / "b.parquet", keys, labels, moved))
    assert other.predictions["rank"].tolist() == plain.predictions["rank"].tolist()
    np.testing.assert_allclose(other.predictions["score"], plain.predictions["score"], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ("one person", 3, "at least two identities in the gallery, got 1"),
        ("strangers", 3, "none of 4 probes is of an enrolled identity"),
        ("nan", 3, "row 2: expected finite numbers"),
        ("zero template", 5, "the embeddings of 'p000' sum to zero"),
        ("zero probe", 3, "row 2 ('p000/2'): expected an embedding that is not zero"),
        ("mixed width", 3, "row 2: expected an embedding of width 16 as in row 0, got 15"),
        ("no rows", 3, "holds no embedding"),
        ("no gallery", 3, "no images in"),
        ("all unknown", 2, "setting 'unknown'"),
    ],
)
def test_bad_input_is_one_sentence(
    change: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, labels, values = cloud(2, 4)
    if change in ("nan", "zero probe"):
        values[2] = np.nan if change == "nan" else 0
    if change == "zero template":
        values[0:4] = [[1] * 16, [-1] * 16, [1] * 16, [-1] * 16]
    file = write_cloud(tmp_path / "g.parquet", keys, labels, values)
    command = ["--subject", file, "--train", file, "--test", file]
    if change in ("mixed width", "no rows"):
        rows = [row[:15] if n == 2 else row for n, row in enumerate(values.tolist())]
        rows = rows if change == "mixed width" else []
        write_table(Path(file), keys[: len(rows)], rows)
    if change == "no gallery":
        (tmp_path / "empty").mkdir()
        command = ["--subject", file, "--train", str(tmp_path / "empty"), "--test", file]
    if change == "strangers":
        other = [f"q{key}" for key in keys[:4]]
        probes = write_cloud(tmp_path / "p.parquet", other, labels[:4], values[:4])
        command = ["--subject", f"{file},{probes}", "--train", file, "--test", probes]
    if change == "one person":
        command = ["--subject", file, "--data", file]
    if change == "zero probe":
        command = ["--subject", file, "--data", file, "--set", "unknown=0"]
    if change == "all unknown":
        command += ["--set", "unknown=1"]
    results = tmp_path / "results"
    assert call(["evaluate", "identification", *command, "--results", str(results)]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error
    assert not results.exists()


def test_template_lists_name_gallery_and_probes(tmp_path: Path) -> None:
    """Official 1:N lists: G1 and G2 together, or G1 alone, of which G2's people are strangers."""
    keys, labels, values = cloud(60, 4, noise=1.1)
    meta = tmp_path / "set" / "meta"
    meta.mkdir(parents=True)
    names = [f"{row}.jpg" for row in range(len(keys))]
    # two pictures of a person make the gallery's template, the others one probe each
    template = [person if row % 4 < 2 else 1000 + row for row, person in enumerate(labels)]
    (meta / "x_face_tid_mid.txt").write_text(
        "".join(f"{n} {t} {r}\n" for r, (n, t) in enumerate(zip(names, template, strict=True)))
    )
    (meta / "x_name_5pts_score.txt").write_text(
        "".join(f"{n} 1 1 2 1 1 2 1 3 2 3 1.0\n" for n in names)
    )
    people = {"gallery_G1": range(30), "gallery_G2": range(30, 60)}
    for name, some in people.items():
        lines = "".join(f"{person},{person},x\n" for person in some)
        (meta / f"x_1N_{name}.csv").write_text(f"TEMPLATE_ID,SUBJECT_ID,FILENAME\n{lines}")
    lines = "".join(f"{1000 + r},{labels[r]},x\n" for r in range(len(keys)) if r % 4 >= 2)
    (meta / "x_1N_probe_mixed.csv").write_text(f"TEMPLATE_ID,SUBJECT_ID,FILENAME\n{lines}")
    write_embeddings(tmp_path / "e.parquet", iter([Part(names, None, values)]), {})
    subject = open_subject(str(tmp_path / "e.parquet"))

    def counted(own: dict[str, str]) -> tuple[Result, list[int]]:
        task, _ = identification.open_data(str(tmp_path / "set"), own, Extraction())
        result = identification.run(subject, task, SETTINGS)
        names = ("enrolled", "mated_probes", "non_mated_probes")
        return result, [result.record.claim.facts[name] for name in names]  # type: ignore[misc]

    whole, counts = counted({})
    assert counts == [60, 120, 0]
    enrolled, twice = np.arange(240) % 4 < 2, np.repeat(np.arange(60), 2)
    rows = {"gallery": values[enrolled], "owner": twice, "probes": values[~enrolled]}
    rows["wanted"] = twice
    expected = restated(rows, 60)
    assert whole.record.main.value == pytest.approx(expected["rank_1"])
    half, counts = counted({"gallery": "G1"})
    assert counts == [30, 60, 60]
    assert half.record.main.value >= whole.record.main.value  # fewer to be confused with
    assert half.record.claim.benchmark.data_hash != whole.record.claim.benchmark.data_hash
    with pytest.raises(DataError, match="has no gallery 'G3'; it has x_1N_gallery_G1.csv"):
        counted({"gallery": "G3"})
