"""What a set of faces is worth: six rows, gaps by hand, trainings kept, mistakes said first."""

import json
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image as Pillow

from masquerade.benchmarks.baselines import alarms
from masquerade.benchmarks.data_set_subjects import open_data_set
from masquerade.benchmarks.face_training import Recogniser
from masquerade.benchmarks.face_utility import NOT_DRAWN, score
from masquerade.benchmarks.subjects import Extraction
from masquerade.cli.main import call
from masquerade.core.record_store import read_predictions, read_record, read_records
from masquerade.core.training.outcome import Outcome

REAL = ["att_s02", "att_s03", "lfw10_Ariel_Sharon", "lfw10_Colin_Powell"]
HELD_OUT = [
    "att_s26", "att_s27", "att_s28", "lfw10_Gerhard_Schroeder", "lfw10_Jacques_Chirac",
    "lfw10_Tony_Blair",
]  # fmt: skip
EACH = 4
TINY = [
    "--set", "method.layers=[1,1,1,1]", "--set", "method.widths=[4,4,4,8]", "--set", "method.dim=8",
    "--set", "train.batch_size=8", "--set", "train.steps=12", "--set", "train.precision=fp32",
    "--set", "optim.warmup_steps=1", "--set", "optim.lr=0.03", "--device", "cpu",
]  # fmt: skip


def folder_of_faces(
    path: Path, people: list[str], *, each: int = EACH, side: int = 112,
    template: str | None = "arcface-112",
) -> Path:  # fmt: skip
    """A smooth pattern per person with noise per picture; a template is declared."""
    for person in people:
        seed = np.frombuffer(person.encode(), np.uint8)
        coarse = np.random.default_rng(seed).integers(40, 216, (5, 5, 3)).astype(np.uint8)
        base = np.asarray(Pillow.fromarray(coarse).resize((side, side)), dtype=int)
        (path / person).mkdir(parents=True)
        for number in range(each):
            noise = np.random.default_rng([*seed, number]).integers(-30, 31, base.shape)
            pixels = (base + noise).clip(0, 255).astype(np.uint8)
            Pillow.fromarray(pixels).save(path / person / f"{number}.png")
    if template:
        facts = {"format": "masquerade-faces/1", "template": template}
        (path / "faces.json").write_text(json.dumps(facts))
    return path


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_faces(tmp_path_factory.mktemp("real") / "faces", REAL + HELD_OUT)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for a synthesized set: five people that do not exist, six pictures each."""
    people = [f"{number:07d}" for number in range(5)]
    return folder_of_faces(tmp_path_factory.mktemp("made") / "made", people, each=6)


def command(made: Path, faces: Path, results: Path, *more: str) -> list[str]:
    words = ["evaluate", "face-utility", "--subject", str(made), "--data", str(faces)]
    return [*words, "--results", str(results), *TINY, *more]


@pytest.fixture(scope="module")
def results(made: Path, faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All six rows with three seeds."""
    folder = tmp_path_factory.mktemp("results")
    assert call(command(made, faces, folder)) == 0
    return folder


def by_name(results: Path) -> dict:
    """The rows of three seeds, and raw pixels; other tests add rows of fewer."""
    records = sorted(read_records(results), key=lambda record: len(record.claim.seeds))
    return {record.claim.subject.name: record for record in records}


def test_six_rows_with_their_sizes_and_gaps(results: Path) -> None:
    rows = by_name(results)
    both, cut = "made + faces#fit", "made cut to faces#fit"
    assert set(rows) == {"made", cut, "faces#fit", both, "random:arcface@arcface-small", "raw"}
    sizes = {
        name: dict(row.claim.subject.facts)
        for name, row in rows.items()
        if row.claim.subject.kind == "data set"
    }
    assert {name: (s["identities"], s["images"]) for name, s in sizes.items()} == {
        "made": (5, 30), cut: (4, 16), "faces#fit": (4, 16), both: (9, 46),
    }  # fmt: skip
    for name, row in rows.items():
        metrics = row.claim.metrics
        assert {"accuracy", "accuracy/att", "accuracy/lfw10"} <= set(metrics)
        assert ("gap" in metrics) == (name in ("made", cut, both))
        assert ("gain" in metrics) == (name in ("made", cut, both, "faces#fit"))
        for key, metric in metrics.items():
            # a difference over six people has none
            assert (metric.interval is None) == key.startswith(("gap", "gain"))
            if metric.interval is not None:
                assert metric.interval[0] <= metric.value <= metric.interval[1]
        n_seeds = 1 if name == "raw" else 3
        assert len(metrics["accuracy"].parts) == len(row.claim.seeds) == n_seeds
    assert rows["faces#fit"].main.value > rows["random:arcface@arcface-small"].main.value + 0.1
    facts = rows["made"].claim.facts
    assert facts["pairs"] == {"genuine": 36, "impostor": 36, "left_out": 0}
    assert "6 people, none of them in the real set" in facts["people"]
    assert "drawn by data.seed 0" in facts["pairs_made"]
    assert facts["training"]["train.steps"] == facts["steps"] == 12


def test_every_metric_is_recomputed_from_the_stored_predictions(results: Path) -> None:
    for path in (results / "records").glob("*.json"):
        record = read_record(path)
        assert score(read_predictions(record, results)) == dict(record.claim.metrics)


def test_gaps_and_gains_are_differences_of_two_rows(results: Path) -> None:
    rows = by_name(results)
    sets = ["made", "made cut to faces#fit", "made + faces#fit"]
    for metric, other, names in (
        ("gap", "faces#fit", sets),
        ("gain", "random:arcface@arcface-small", [*sets, "faces#fit"]),
    ):
        theirs = rows[other].claim.metrics
        for name in names:
            own = rows[name].claim.metrics
            for end in ("", "/att", "/lfw10"):
                wanted = own[f"accuracy{end}"].value - theirs[f"accuracy{end}"].value
                assert own[f"{metric}{end}"].value == pytest.approx(wanted, abs=1e-12)


def test_what_is_trained_is_not_trained_again(
    results: Path, made: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = sorted((results / "runs").glob("*/latest/model.safetensors"))
    assert len(runs) == 12  # four sets, three seeds
    before = [run.stat().st_mtime_ns for run in runs]
    ids = {record.id for record in read_records(results)}
    assert call(command(made, faces, results, "--json", "--no-baselines")) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said["records"]) <= ids
    assert [run.stat().st_mtime_ns for run in runs] == before


def test_a_second_folder_gives_the_same_claim(
    results: Path, made: Path, faces: Path, tmp_path: Path
) -> None:
    before = {record.id for record in read_records(results)}
    for folder in (results, tmp_path):
        assert call(command(made, faces, folder, "--no-baselines", "--seeds", "1")) == 0
    after = {record.id for record in read_records(results)}
    assert [record.id for record in read_records(tmp_path)] == list(after - before)


def test_the_untrained_net_is_what_a_training_begins_with(made: Path, tmp_path: Path) -> None:
    """One step at a rate of nothing: only the statistics of batch norm move."""
    still = ("train.steps=1", "optim.lr=1e-30", "train.batch_size=8", "train.precision=fp32",
             "method.widths=[4,4,4,8]", "method.dim=8")  # fmt: skip
    recogniser = Recogniser("arcface-small", still, tmp_path, Extraction())
    data = open_data_set(str(made), Extraction())
    trained = recogniser.trained(data, seed=3).embedder.net
    before = recogniser.untrained(seed=3).method.net
    other = recogniser.untrained(seed=4).method.net
    for name, value in before.named_parameters():
        torch.testing.assert_close(trained.state_dict()[name], value, rtol=0, atol=1e-20)
    assert not torch.equal(other.conv1.weight, before.conv1.weight)


def test_ctrl_c_says_how_to_go_on(
    made: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    stopped = Outcome(step=1, total=12, started_at=0, loss=1.0, skipped=0, signal=signal.SIGINT)
    monkeypatch.setattr("masquerade.methods.pretraining.pretrain", lambda *_, **__: stopped)
    assert call(command(made, faces, tmp_path)) == 130
    error = capsys.readouterr().err
    assert "what was trained stays; the same command goes on from there" in error
    assert "error: interrupted" in error


def test_two_seeds_have_no_interval_and_it_is_said(
    results: Path, made: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(command(made, faces, results, "--no-baselines", "--seeds", "2", "--json")) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)["rows"]
    assert all(row["interval"] is None for row in rows)
    assert "2 seeds: no intervals below 3" in err


# metrics by hand ------------------------------------------------------------------------------


def judged(right: dict[int, range], real: dict[int, range] | None = None) -> pd.DataFrame:
    """Predictions of 100 people, a genuine and an impostor pair each, in two folds.

    Right pairs lie at 0.5 or 3.5; of each seed's people given, the genuine pair lies at 3.5, too.
    """
    same = np.tile([True, False], 100)
    person = np.repeat(np.arange(100), 2)

    def distances(wrong: range) -> np.ndarray:
        return np.where(same & ~np.isin(person, wrong), 0.5, 3.5)

    frame = {
        "origin": "", "same": same, "fold": person % 2, "group_a": person,
        "group_b": np.where(same, person, (person + 1) % 100),
    }  # fmt: skip
    tables = []
    for seed, wrong in right.items():
        table = pd.DataFrame({**frame, "distance": distances(wrong), "seed": seed})
        if real is not None:
            table["real"] = distances(real[seed])
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def test_accuracy_and_gap_by_hand() -> None:
    """10, 20 and 12 of 200 wrong against 6 each: means 0.93 and 0.97."""
    wrong = {0: range(10), 1: range(20), 2: range(12)}
    metrics = score(judged(wrong, dict.fromkeys(wrong, range(50, 56))))
    accuracy, gap = metrics["accuracy"], metrics["gap"]
    assert accuracy.parts == pytest.approx((0.95, 0.90, 0.94))
    assert gap.parts == pytest.approx((-0.02, -0.07, -0.03))
    assert (accuracy.value, gap.value) == (pytest.approx(0.93), pytest.approx(-0.04))
    # the seeds alone: t(2) = 4.302653 times 0.0264575 / √3 = 0.0657
    for metric in (accuracy, gap):
        low, high = metric.interval
        assert high - metric.value > 0.0657
        assert low < metric.value - 0.0657
    assert (gap.n, gap.n_of, gap.interval_method) == (100, "groups", "bootstrap")


def test_equal_nets_have_no_gap_and_few_people_no_interval_of_it() -> None:
    wrong = dict.fromkeys(range(3), range(10))
    gap = score(judged(wrong, wrong))["gap"]
    assert gap.value == 0.0
    few = judged({seed: range(2 + seed) for seed in range(3)}, dict.fromkeys(range(3), range(0)))
    assert score(few)["gap"].interval is None
    assert score(few)["accuracy"].interval is not None


def test_a_row_that_draws_nothing_has_an_interval_over_people() -> None:
    metric = score(judged({NOT_DRAWN: range(10)}))["accuracy"]
    assert metric.interval[0] < metric.value < metric.interval[1]
    assert score(judged({0: range(10)}))["accuracy"].interval is None


def test_only_baselines_are_alarming(results: Path) -> None:
    rows = by_name(results)
    order = [rows["made"], *(row for name, row in rows.items() if name != "made")]
    named = " ".join(alarms(order))
    assert "baseline faces#fit" not in named
    assert "made + " not in named


# mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"data": "photos"}, 2, "no real faces to compare with"),
        ({"subject": "raw"}, 3, "'raw' is neither a data set nor a path here"),
        ({"train": "#held-out"}, 3, "6 people are both in the real set faces#held-out and in the"),
        ({"train": "#train", "test": "#fit"}, 3, "4 people are both in the real set faces#train"),
        ({"train": "other", "test": "#fit"}, 3, "and faces-split.toml gives them to training"),
        ({"people": ["a"]}, 3, "made holds one identity only, expected at least 2"),
        ({"people": ["a", "b"], "each": 2}, 2, "has 4 samples, fewer than a batch of 8"),
        ({"people": ["a", "b"], "each": 5}, 3, "has 10 pictures of 2 identities, expected"),
        ({"people": ["a", "b"], "template": "dlib-150", "side": 150}, 2,
         "holds faces of the template 'dlib-150', expected 'arcface-112'"),
        ({"people": ["a", "b"], "side": 96, "template": None}, 3, "96×96 pixels"),
        ({"more": ["--set", "train.seed=4"]}, 2, "every row has several seeds"),
        ({"more": ["--recipe", "mae-tiny"]}, 2, "recipe 'mae-tiny' is of the method 'mae'"),
        ({"more": ["--set", "train.stepz=4"]}, 2, "unknown setting 'train.stepz'"),
        ({"more": ["--set", "data.size=4"]}, 2, "unknown setting 'data.size'"),
        ({"more": ["--seeds", "0"]}, 2, "--seeds"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence_before_anything_is_trained(
    change: dict, code: int, message: str, made: Path, faces: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    subject: Path | str = change.get("subject", made)
    if "people" in change:
        own = {key: change[key] for key in ("each", "side", "template") if key in change}
        subject = folder_of_faces(tmp_path / "made", change["people"], **{"each": 8, **own})
    words = command(subject, change.get("data", faces), tmp_path / "results")
    for option in ("train", "test"):
        if change.get(option, "").startswith("#"):
            words += [f"--{option}", f"{faces}{change[option]}"]
        elif option in change:
            words += [f"--{option}", str(made)]
    assert call([*words, *change.get("more", [])]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "results" / "runs").exists()
