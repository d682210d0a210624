"""What `face-dataset` says of sets whose worth is known: good ones, copies, monotonous ones."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masquerade.benchmarks import face_dataset
from masquerade.benchmarks.baselines import alarms, run_with_baselines
from masquerade.benchmarks.protocol import Result
from masquerade.benchmarks.subjects import Extraction
from masquerade.core.record_store import read_predictions, write_pictures, write_record
from masquerade.generators.engine.synthesis import Request, synthesize

sys.path.insert(0, str(Path(__file__).parent))
from portraits import NAME, write_people  # noqa: E402

HOW = Extraction(batch_size=32)
FAST = {"far": 0.04, "draws": 5}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People of whom nothing is learned, and those who are."""
    root = tmp_path_factory.mktemp("real")
    write_people(root / "held-out", range(14))
    write_people(root / "train", range(100, 124))
    return root


@pytest.fixture(scope="module")
def task(real: Path) -> face_dataset.FaceSetTask:
    return face_dataset.open_data(
        str(real / "held-out"), {}, HOW, train=str(real / "train"), test=None, judge=None
    )[0]


def score_set(folder: Path, task: face_dataset.FaceSetTask, **settings: object) -> list[Result]:
    subject = face_dataset.open_subject(str(folder), {}, HOW)
    chosen = face_dataset.Settings(**{**FAST, **settings})
    return list(run_with_baselines(face_dataset, subject, task, chosen))


@pytest.fixture(scope="module")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of 12 identities × 4 of the toy generator."""
    folder = tmp_path_factory.mktemp("made") / "set"
    synthesize(Request(NAME, folder, 12, 4, format="png", workers=1, device="cpu"))
    return folder


@pytest.fixture(scope="module")
def good(synthesized: Path, task: face_dataset.FaceSetTask) -> list[Result]:
    return score_set(synthesized, task)


def values(result: Result) -> dict[str, float]:
    return {name: metric.value for name, metric in result.record.claim.metrics.items()}


def test_record_names_set_task_sample_and_judge(
    good: list[Result], synthesized: Path, task: face_dataset.FaceSetTask
) -> None:
    made, beside = (result.record.claim for result in good)
    assert (made.subject.kind, made.subject.name) == ("data set", "set")
    assert (beside.subject.kind, beside.subject.name) == ("data set", "held-out")
    assert made.benchmark.data == "held-out, train train"
    assert made.benchmark.data_hash == beside.benchmark.data_hash == task.hash()
    # 14 real people give two disjoint samples of 7, twelve identities of 4 pictures give 6
    assert made.settings["identities"] == beside.settings["identities"] == 6
    assert made.settings["images_per_identity"] == beside.settings["images_per_identity"] == 3
    assert made.facts["judge"]["name"] == "pca-lda"
    assert made.subject.facts["extractor"] == {"name": "face-api"}
    assert (made.subject.facts["identities"], made.subject.facts["images"]) == (12, 48)
    assert made.facts["vectors_less_mean_of"] == "train"
    assert not [w for w in made.facts["warnings"] if "judge" in w]
    assert alarms([result.record for result in good]) == []


def test_every_metric_of_the_set_has_the_real_peoples_beside_it(good: list[Result]) -> None:
    made, beside = (set(values(result)) for result in good)
    assert made - beside == {"nearer_than_strangers/train"}
    assert beside <= made


def test_metrics_are_recomputed_from_the_stored_rows(good: list[Result], tmp_path: Path) -> None:
    for result in good:
        write_record(result.record, tmp_path, result.predictions)
        stored = read_predictions(result.record, tmp_path)
        assert face_dataset.score(stored) == dict(result.record.claim.metrics)
        # one number a row: no vector of a face is stored
        assert set(stored) == {"figure", "item", "group", "draw", "value", "weight"}


def test_a_second_run_gives_the_same_record(
    good: list[Result], synthesized: Path, real: Path
) -> None:
    task = face_dataset.open_data(
        str(real / "held-out"), {}, HOW, train=str(real / "train"), test=None, judge="pca-lda"
    )[0]
    assert score_set(synthesized, task)[0].record.id == good[0].record.id


def test_a_good_set_is_unique_and_leaks_nobody(good: list[Result]) -> None:
    found, beside = map(values, good)
    assert min(found["unique_share"], beside["unique_share"]) > 0.9
    assert found["exact_duplicates"] == found["copies/train"] == 0
    # at FAR 0.04 one of 24 strangers is about as near; real ones come to that too
    assert found["leakage/train"] == pytest.approx(beside["leakage/train"], abs=0.25)
    assert 0.1 < found["nearer_than_strangers/train"] < 0.9
    assert found["auc"] > 0.99
    # drawn with a spread of 0.1 where the real ones have 0.25
    assert found["within/pixels"] < 0.6 * beside["within/pixels"]
    assert found["between/pixels"] == pytest.approx(beside["between/pixels"], rel=0.35)
    assert found["same_identity_cosine"] > beside["same_identity_cosine"]


def test_copies_of_the_training_set_are_told(
    real: Path, task: face_dataset.FaceSetTask, tmp_path: Path
) -> None:
    """Written anew as JPEG, so that no byte and few pixels are the same."""
    folder = write_people(tmp_path / "copied", range(100, 114), suffix=".jpg")
    found = values(score_set(folder, task)[0])
    assert found["copies/train"] == 1
    assert found["leakage/train"] == 1
    assert found["nearer_than_strangers/train"] > 0.95
    assert found["exact_duplicates"] == 0


def test_a_generator_that_draws_one_person_is_told(
    task: face_dataset.FaceSetTask, tmp_path: Path
) -> None:
    """Eleven of twelve identities are the first one, a little brighter each."""
    folder = write_people(tmp_path / "one", range(300, 312), spread=0.0)
    first = np.asarray(Image.open(folder / "p0300" / "0.png")).astype(int)
    for person in range(301, 311):
        brighter = (first + person % 5).clip(0, 255).astype(np.uint8)
        for number in range(3):
            Image.fromarray(brighter).save(folder / f"p0{person}" / f"{number}.png")
    found, beside = map(values, score_set(folder, task))
    assert found["unique_share"] == pytest.approx(2 / 12)
    assert found["near_duplicates_of_others"] == pytest.approx(11 / 12)
    assert beside["near_duplicates_of_others"] == 0
    assert found["exact_duplicates"] == pytest.approx(1 - 6 / 36)  # five lights, one other person
    assert found["within/pixels"] == 0
    assert found["recall"] < beside["recall"]
    assert found["frechet_distance"] > 1.3 * beside["frechet_distance"]


def test_curve_and_steps_stand_in_the_facts(good: list[Result]) -> None:
    curve = good[0].record.claim.facts["separability"]
    assert list(curve["unique"]) == sorted(curve["unique"])
    assert curve["unique"][-1] == curve["first_n"][-1] == 12
    assert curve["unique_of_first_n"][-1] == round(12 * values(good[0])["unique_share"])
    stored = good[0].predictions
    nearest = stored.loc[stored["figure"] == "nearest_earlier", "value"]
    assert curve["unique"][4] == int((nearest <= curve["tau"][4]).sum())


def test_real_people_are_compared_with_other_real_people(good: list[Result]) -> None:
    """No picture of a sample stands on both sides, or precision would be 1 by itself."""
    metrics = good[1].record.claim.metrics
    assert metrics["frechet_distance"].value > 0
    assert metrics["precision"].value < 1
    assert len(metrics["frechet_distance"].parts) == 5
    assert metrics["frechet_distance"].interval_method == "jackknife"
    assert np.mean(metrics["precision"].parts) == pytest.approx(metrics["precision"].value)


def test_contact_sheets_are_pictures(good: list[Result], tmp_path: Path) -> None:
    paths = write_pictures(good[0].record, tmp_path, face_dataset.pictures(good[0]))
    names = {path.name for path in paths}
    assert names == {"identities-best.jpg", "identities-worst.jpg", "leaks-train.jpg"}
    for path in paths:
        with Image.open(path) as sheet:
            assert sheet.width > 400
            assert sheet.height > 112


def test_evaluation_sets_are_looked_at_one_by_one(
    real: Path, synthesized: Path, tmp_path: Path
) -> None:
    """A set that is also the reference does not count its own people as leaks."""
    other = write_people(tmp_path / "evaluation", range(500, 506), spread=0.1)
    tests = f"{other},{real / 'held-out'}"
    task, rest = face_dataset.open_data(
        str(real / "held-out"), {"template": "arcface-112"}, HOW,
        train=str(real / "train"), test=tests, judge=None,
    )  # fmt: skip
    assert rest == {}
    made, beside = (values(result) for result in score_set(synthesized, task))
    # half of the made people are those of the evaluation set
    assert made["leakage/evaluation"] >= 0.5
    assert made["copies/evaluation"] == pytest.approx(0.5)
    assert beside["leakage/held-out"] < 1
    assert beside["copies/held-out"] == 0
    assert {"leakage/train", "leakage/held-out", "nearer_than_strangers/evaluation"} <= set(made)


def test_notes_say_what_stands_behind_the_figures(good: list[Result]) -> None:
    first, *_ = face_dataset.notes(good[0].record)
    assert first == ("12 identities, 48 pictures; samples of 6 × 3, 5 of them; judge pca-lda")
