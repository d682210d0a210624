"""Sets, real people and judges that `face-dataset` must refuse or warn about."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from masquerade.benchmarks import face_dataset
from masquerade.benchmarks.face_dataset import Settings, notes, open_data, open_subject, run
from masquerade.benchmarks.subjects import Extraction
from masquerade.cli.main import call
from masquerade.core.errors import DataError, UsageError, ValidationError, WeightsError
from masquerade.generators.engine.synthesis import Request, synthesize
from masquerade.modalities.image.faces import judge as judges

sys.path.insert(0, str(Path(__file__).parent))
from portraits import NAME, portrait, write_people  # noqa: E402

HOW = Extraction(batch_size=32)
FAST = Settings(far=0.2, draws=5)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("real") / "people", range(12))


@pytest.fixture(scope="module")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "set"
    request = Request(NAME, folder, 8, 3, format="png", workers=1, device="cpu", images_per_shard=6)
    synthesize(request)
    return folder


def task_of(people: Path, **more: str | None) -> face_dataset.FaceSetTask:
    return open_data(str(people), {}, HOW, **more)[0]


def score_set(folder: Path, task: face_dataset.FaceSetTask, settings: Settings = FAST):  # noqa: ANN201
    return run(open_subject(str(folder), {}, HOW), task, settings)


@pytest.mark.parametrize("damage", ["missing", "flipped", "audit", "unfinished"])
def test_a_damaged_set_is_refused_as_data_verify_refuses_it(
    damage: str, synthesized: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set"
    shutil.copytree(synthesized, folder)
    shard = folder / "shards" / "000001.tar"
    if damage == "missing":
        shard.unlink()
    elif damage == "flipped":
        content = bytearray(shard.read_bytes())
        content[700] ^= 1
        shard.write_bytes(content)
    elif damage == "audit":
        (folder / "audit.json").unlink()
    else:
        for name in ("audit.json", "manifest.parquet"):
            (folder / name).unlink()
    with pytest.raises(DataError) as refused:
        open_subject(str(folder), {}, HOW)
    assert call(["data", "verify", str(folder)]) == 3
    said = capsys.readouterr().err
    assert refused.value.message.removeprefix(f"{folder}: ").split(":")[0] in said


def test_a_folder_that_is_no_set_of_people_is_refused(tmp_path: Path, people: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images in"):
        open_subject(str(tmp_path / "empty"), {}, HOW)
    with pytest.raises(DataError, match="does not exist"):
        open_subject(str(tmp_path / "nothing" / "here"), {}, HOW)
    flat = tmp_path / "flat"
    flat.mkdir()
    Image.fromarray(portrait(0, 0)).save(flat / "0.png")
    with pytest.raises(DataError, match="does not say whose faces"):
        open_subject(str(flat), {}, HOW)
    with pytest.raises(UsageError, match=r"data\.sze"):
        open_subject(str(people), {"sze": 3}, HOW)


def test_no_real_people_are_asked_for() -> None:
    with pytest.raises(UsageError, match="no real faces to compare with.*FACES#held-out"):
        open_data("photos", {}, HOW)


def test_pictures_without_a_template_need_one_said(tmp_path: Path, people: Path) -> None:
    folder = write_people(tmp_path / "plain", range(30, 36))
    (folder / "faces.json").unlink()
    with pytest.raises(UsageError, match="does not say which template"):
        score_set(folder, task_of(people))
    task, rest = open_data(str(people), {"template": "arcface-112"}, HOW)
    assert rest == {}
    assert score_set(folder, task).record.claim.metrics["auc"].value > 0.9


def test_sets_of_two_templates_are_refused(tmp_path: Path, people: Path) -> None:
    folder = write_people(tmp_path / "other", range(30, 36))
    facts = {"format": "masquerade-faces/1", "template": "dlib-150"}
    (folder / "faces.json").write_text(json.dumps(facts))
    with pytest.raises(UsageError, match="'dlib-150', people of 'arcface-112'"):
        score_set(folder, task_of(people))


def test_one_picture_each_says_nothing_about_variation(tmp_path: Path, people: Path) -> None:
    result = score_set(write_people(tmp_path / "single", range(40, 50), images=1), task_of(people))
    claim = result.record.claim
    assert claim.settings["images_per_identity"] == 1
    assert "unique_share" in claim.metrics
    assert "frechet_distance" in claim.metrics
    inside = ("auc", "eer", "d_prime", "consistency", "same_identity_cosine")
    assert not [name for name in claim.metrics if name in inside or name.startswith("within/")]
    assert any("nobody has two pictures" in sentence for sentence in claim.facts["warnings"])


def test_too_few_identities_are_refused_with_both_numbers(tmp_path: Path, people: Path) -> None:
    one = write_people(tmp_path / "one", range(1), images=8)
    with pytest.raises(DataError, match="need at least 4 identities.*one has 1 and people has 12"):
        score_set(one, task_of(people))
    with pytest.raises(DataError, match="40 identities with 3 pictures"):
        score_set(people, task_of(people), Settings(identities=20, images_per_identity=3))


def test_few_pictures_are_scored_with_a_warning(synthesized: Path, people: Path) -> None:
    """Four identities × 3 against vectors of width 64."""
    result = score_set(synthesized, task_of(people))
    metrics, facts = result.record.claim.metrics, result.record.claim.facts
    assert metrics["frechet_distance"].value > 0
    said = [w for w in facts["warnings"] if "lack rank" in w]
    assert said == [
        "a sample has 12 pictures for vectors of width 64: the Fréchet distance is defined, but "
        "covariances lack rank; read it against the real people's"
    ]
    small = score_set(synthesized, task_of(people), Settings(
        far=0.2, draws=5, identities=2, images_per_identity=2
    ))  # fmt: skip
    assert "precision" not in small.record.claim.metrics
    assert any("too small for precision" in w for w in small.record.claim.facts["warnings"])


def test_too_few_impostors_leave_thresholds_unsupported(synthesized: Path, people: Path) -> None:
    result = score_set(synthesized, task_of(people), Settings(draws=5))
    claim = result.record.claim
    # pairs of 12 people; 36 pictures against 11 others each
    assert claim.facts["unsupported"] == {
        "tau_at_far": {"n_impostor": 66, "needed": 10_000},
        "leak_at_far": {"n_impostor": 396, "needed": 10_000},
    }
    assert not [name for name in claim.metrics if "at_far" in name or name.startswith("leakage/")]
    assert any("unsupported: tau_at_far needs 10000" in line for line in notes(result.record))


def test_judges_of_the_generators_kind_are_warned_of(synthesized: Path, people: Path) -> None:
    """The toy says that it was made with face-api; a stand-in takes that name and its kin's."""
    for name, what in (("face-api", "the generator's own extractor"), ("dlib", "kin of")):
        task = task_of(people)
        task.judge.name = name
        facts = score_set(synthesized, task).record.claim.facts
        assert any(f"the judge {name} is {what}" in sentence for sentence in facts["warnings"])
    facts = score_set(synthesized, task_of(people)).record.claim.facts
    assert not [sentence for sentence in facts["warnings"] if "the judge" in sentence]


def test_pictures_in_two_sets_are_warned_of(people: Path, tmp_path: Path) -> None:
    train = write_people(tmp_path / "train", range(10, 20))  # two people are also held out
    made = write_people(tmp_path / "made", range(11, 19))
    warnings = score_set(made, task_of(people, train=str(train))).record.claim.facts["warnings"]
    assert any(w.startswith("6 pictures of people are also in train:") for w in warnings)
    assert any(w.startswith("3 pictures of made are also in people:") for w in warnings)


def test_unknown_judges_and_judges_of_no_faces_are_refused(people: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'pca-lda'"):
        task_of(people, judge="pca-ldb")
    (tmp_path / "w.safetensors").write_bytes(b"none")
    with pytest.raises(WeightsError):
        task_of(people, judge=str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize(("value", "error"), [(np.nan, ValidationError), (0.0, DataError)])
def test_vectors_that_are_not_finite_or_zero_are_refused(
    value: float, error: type[Exception], people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        judges.Judge, "chips_to_vectors", lambda _, chips: torch.full((len(chips), 64), value)
    )
    with pytest.raises(error, match="p0000/0"):
        score_set(people, task_of(people))


def test_two_sets_of_one_name_are_refused(people: Path, tmp_path: Path) -> None:
    other = write_people(tmp_path / "people", range(3))
    with pytest.raises(UsageError, match="two sets are called 'people'"):
        task_of(people, test=f"{people},{other}")
