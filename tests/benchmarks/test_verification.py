"""The verification protocol from files to records: values, what is left out, what is refused."""

import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from masquerade.benchmarks import verification
from masquerade.benchmarks.baselines import baselines_of
from masquerade.benchmarks.face_subjects import chips
from masquerade.benchmarks.features import Features
from masquerade.benchmarks.opening import open_subject
from masquerade.benchmarks.pair_data import PairTask, open_pairs
from masquerade.benchmarks.subjects import Extraction, Subject
from masquerade.benchmarks.verification import Settings
from masquerade.cli.main import call
from masquerade.core.errors import DataError, UsageError, ValidationError
from masquerade.core.metrics.pair_folds import contiguous_folds, decide, grid_threshold
from masquerade.core.metrics.verification import eer, roc
from masquerade.core.record_store import read_predictions, read_record, write_record
from masquerade.modalities.image.faces.pair_files import read_pair_file
from masquerade.modalities.image.faces.pictures import Mirrored

from .embeddings_toy import write_table

N_PEOPLE, EACH = 40, 4


def face(person: int, number: int) -> bytes:
    """A smooth random pattern per person with noise per picture, as PNG."""
    coarse = np.random.default_rng(person).integers(40, 216, (6, 6, 3)).astype(np.uint8)
    base = np.asarray(Pillow.fromarray(coarse).resize((112, 112), Pillow.Resampling.BICUBIC))
    noise = np.random.default_rng((person, number)).integers(-40, 41, base.shape)
    buffer = BytesIO()
    Pillow.fromarray((base + noise).clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def write_pair_file(path: Path, *, n: int = 120) -> Path:
    """Pairs by turns genuine and impostor, in `.bin` form."""
    random = np.random.default_rng(0)
    items, flags = [], []
    for i in range(n):
        person, same = int(random.integers(N_PEOPLE)), i % 2 == 0
        other = person if same else (person + 1 + int(random.integers(N_PEOPLE - 1))) % N_PEOPLE
        first, second = random.choice(EACH, 2, replace=False).tolist()
        items += [face(person, first), face(other, second)]
        flags.append(same)
    path.write_bytes(pickle.dumps((items, flags), 2))
    return path


@pytest.fixture(scope="module")
def pair_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pair_file(tmp_path_factory.mktemp("pairs") / "toy.bin")


@pytest.fixture
def task(pair_file: Path) -> PairTask:
    return open_pairs(str(pair_file), {})[0]


class Table(Subject):
    """Embeddings by key, others for mirrored pictures."""

    kind = "model"

    def __init__(self, plain: Mapping[str, np.ndarray], mirrored: Mapping[str, np.ndarray]) -> None:
        super().__init__("table", "0" * 64, chips("arcface-112"), Extraction())
        self.plain, self.mirrored = plain, mirrored

    def encode(self, batch: object) -> torch.Tensor:
        raise AssertionError

    def features(self, source: object) -> Features:
        table = self.mirrored if isinstance(source, Mirrored) else self.plain
        keys = tuple(source.keys)  # type: ignore[attr-defined]
        return Features(np.array([table[key] for key in keys], np.float32), None, keys, ())


def a_table(task: PairTask, seed: int = 0) -> Table:
    random = np.random.default_rng(seed)
    keys = task.pairs.source.keys
    plain, mirrored = (
        {key: random.normal(size=7).astype(np.float32) for key in keys} for _ in range(2)
    )
    return Table(plain, mirrored)


def test_distances_are_of_the_unit_sum_of_a_picture_and_its_mirror_image(task: PairTask) -> None:
    subject = a_table(task)
    result = verification.run(subject, task, Settings())
    frame = result.predictions
    for a, b, distance in zip(frame["a"], frame["b"], frame["distance"], strict=True):
        sums = [subject.plain[k].astype(float) + subject.mirrored[k] for k in (a, b)]
        one, other = (total / np.sqrt((total**2).sum()) for total in sums)
        assert distance == pytest.approx(((one - other) ** 2).sum(), abs=1e-12)
    distance, same = frame["distance"].to_numpy(), frame["same"].to_numpy()
    metrics = result.record.claim.metrics
    found = decide(distance, same, contiguous_folds(120), grid_threshold)
    assert metrics["accuracy"].value == found.accuracy
    assert metrics["accuracy"].parts == found.accuracies
    assert metrics["eer"].value == eer(roc(-distance, same))
    assert metrics["accuracy"].interval is not None
    assert all(m.interval[0] <= m.value <= m.interval[1] for m in metrics.values() if m.interval)


def test_the_record_is_recomputed_from_its_stored_predictions(
    task: PairTask, tmp_path: Path
) -> None:
    result = verification.run(open_subject("pca-lda"), task, Settings())
    path, record = write_record(result.record, tmp_path, result.predictions)
    again = verification.score(read_predictions(read_record(path), tmp_path))
    assert again == dict(record.claim.metrics)
    assert record.claim.facts["interval_over"] == "connected groups of pictures"
    assert record.claim.facts["alignment"] == {"template": "arcface-112"}


def test_the_same_run_gives_the_same_claim(pair_file: Path) -> None:
    ids = {
        verification.run(
            open_subject("raw"), open_pairs(str(pair_file), {})[0], Settings()
        ).record.id
        for _ in range(2)
    }
    assert len(ids) == 1


def test_pictures_are_aligned_once_a_run_and_somebody_may_watch(pair_file: Path) -> None:
    watched = []

    def watch(name: str) -> Callable[[Iterable[int]], Iterable[int]]:
        return lambda items: watched.append((name, len(items))) or items  # type: ignore[arg-type, func-returns-value]

    task = open_pairs(str(pair_file), {}, Extraction(watch=watch))[0]
    for name in ("chance", "raw", "pca-lda"):
        verification.run(open_subject(name), task, Settings())
    assert watched == [("faces, arcface-112", len(task.pairs.used))]


def test_a_subject_that_learns_from_a_train_split_is_refused(task: PairTask) -> None:
    with pytest.raises(UsageError, match="no train split"):
        verification.run(open_subject("pca"), task, Settings())


def test_chance_is_the_constant_guess(task: PairTask) -> None:
    metrics = verification.run(open_subject("chance"), task, Settings()).record.claim.metrics
    assert (metrics["accuracy"].value, metrics["eer"].value) == (0.5, 0.5)


def test_identical_pictures_give_all(tmp_path: Path) -> None:
    items = [face(i, k and i % 2) for i in range(40) for k in (0, 1)]  # odd pairs: two pictures …
    for i in range(1, 40, 2):
        items[2 * i + 1] = face((i + 5) % 40, 1)  # … of two people
    path = tmp_path / "twins.bin"
    path.write_bytes(pickle.dumps((items, [i % 2 == 0 for i in range(40)])))
    for name in ("raw", "pca-lda"):
        result = verification.run(open_subject(name), open_pairs(str(path), {})[0], Settings())
        assert result.record.main.value == 1.0
        assert result.record.main.interval is not None
        assert result.record.main.interval[0] < 0.95  # forty pairs prove no more


def test_a_far_that_too_few_impostors_would_pass_is_no_metric(task: PairTask) -> None:
    # 60 impostor pairs: even at 1e-1 only six may pass
    claim = verification.run(a_table(task), task, Settings()).record.claim
    assert not [name for name in claim.metrics if name.startswith("tar")]
    assert claim.facts["unsupported"]["tar_at_far_1e-1"] == {"n_impostor": 60, "needed": 100}
    assert "published" not in claim.facts
    published = Settings(published_protocol=True)
    claim = verification.run(a_table(task), task, published).record.claim
    assert not [name for name in claim.metrics if name.startswith("tar")]
    figure = claim.facts["published"]["tar_at_far_1e-1"]
    assert figure["ranked"] is False
    assert (figure["n_impostor"], figure["interval_method"]) == (60, "exact")
    assert figure["interval"][0] <= figure["tar"] <= figure["interval"][1]


def test_enough_impostors_make_it_a_metric(tmp_path: Path) -> None:
    task = open_pairs(str(write_pair_file(tmp_path / "more.bin", n=260)), {})[0]
    result = verification.run(open_subject("raw"), task, Settings())
    claim = result.record.claim
    frame = result.predictions
    accepted = np.zeros(len(frame), bool)
    for fold in range(10):
        train = frame[(frame["fold"] != fold) & ~frame["same"]]["distance"].sort_values()
        own = (frame["fold"] == fold).to_numpy()
        limit = train.iloc[int(0.1 * len(train))]  # the first impostor that may not pass
        accepted |= own & (frame["distance"] < limit).to_numpy()
    same = frame["same"].to_numpy()
    assert claim.metrics["tar_at_far_1e-1"].value == accepted[same].mean()
    assert claim.facts["far"]["1e-1"] == accepted[~same].mean()
    assert "tar_at_far_1e-2" in claim.facts["unsupported"]


def test_damaged_pictures_take_their_pairs_out_and_are_counted(tmp_path: Path) -> None:
    path = write_pair_file(tmp_path / "toy.bin")
    items, flags = pickle.loads(path.read_bytes())
    broken = items[10]
    path.write_bytes(pickle.dumps(([i if i != broken else i[:500] for i in items], flags)))
    task = open_pairs(str(path), {})[0]
    result = verification.run(open_subject("raw"), task, Settings())
    facts = result.record.claim.facts
    lost = sum(broken in items[2 * i : 2 * i + 2] for i in range(120))
    assert facts["pairs"]["left_out"] == lost == 120 - len(result.predictions)
    assert list(facts["missing_pictures"].values()) == ["damaged"]
    kept = [i for i in range(120) if broken not in items[2 * i : 2 * i + 2]]
    # the other pairs stay in the folds that they were in
    assert result.predictions["fold"].tolist() == contiguous_folds(120)[kept].tolist()
    assert any("left out" in sentence for sentence in verification.notes(result.record))
    with pytest.raises(DataError, match=r"of 120 pairs lack a picture .*at most 0% may"):
        verification.run(open_subject("raw"), task, Settings(max_missing=0))


def test_bad_embeddings_are_refused_by_the_pictures_name(task: PairTask) -> None:
    subject = a_table(task)
    key = task.pairs.source.keys[5]
    opposite = Table(subject.plain, {**subject.mirrored, key: -subject.plain[key]})
    with pytest.raises(ValidationError, match=f"the embedding of {key} is zero"):
        verification.run(opposite, task, Settings())
    broken = Table({**subject.plain, key: np.full(7, np.nan)}, subject.mirrored)
    with pytest.raises(ValidationError, match=f"'{key}'.*expected finite numbers"):
        verification.run(broken, task, Settings())


class Widening(Subject):
    """A model whose width follows its batch."""

    kind = "model"

    def encode(self, batch: object) -> torch.Tensor:
        return torch.ones(len(batch), len(batch))  # type: ignore[arg-type]


def test_embeddings_of_mixed_width_are_refused(task: PairTask) -> None:
    subject = Widening("wide", "0" * 64, chips("arcface-112"), Extraction(batch_size=50))
    with pytest.raises(ValidationError, match="expected one width of features"):
        verification.run(subject, task, Settings())


def folder_of_people(path: Path, template: str | None = "arcface-112") -> Path:
    for person in range(12):
        (path / f"p{person:02d}").mkdir(parents=True)
        for number in range(3):
            (path / f"p{person:02d}" / f"{number}.png").write_bytes(face(person, number))
    if template:
        facts = {"format": "masquerade-faces/1", "template": template}
        (path / "faces.json").write_text(json.dumps(facts))
    return path


def test_a_folder_per_person_is_scored_over_its_people(tmp_path: Path) -> None:
    task, rest = open_pairs(str(folder_of_people(tmp_path / "faces")), {"seed": 3, "size": 9})
    assert rest == {"size": 9}
    record = verification.run(open_subject("raw"), task, Settings()).record
    assert record.claim.facts["pairs"] == {"genuine": 36, "impostor": 36, "left_out": 0}
    assert (record.claim.facts["interval_over"], record.main.n) == ("identities", 12)
    assert record.main.value > 0.9


def test_a_table_scores_each_origin_and_takes_its_pictures_from_the_root(tmp_path: Path) -> None:
    folder_of_people(tmp_path / "faces")
    lines = ["fold\tsource\tsame\ta\tb"]
    for i in range(120):
        origin, person = ("east", i % 6) if i < 60 else ("west", 6 + i % 6)
        other = person if i % 2 else person // 6 * 6 + (person + 1 + i % 5) % 6
        lines.append(
            f"{i % 10}\t{origin}\t{int(other == person)}\tp{person:02d}/0.png\tp{other:02d}/1.png"
        )
    (tmp_path / "pairs.tsv").write_text("\n".join(lines))
    own = {"root": str(tmp_path / "faces")}
    task, _ = open_pairs(str(tmp_path / "pairs.tsv"), own)
    metrics = verification.run(open_subject("raw"), task, Settings()).record.claim.metrics
    assert {"accuracy/east", "accuracy/west", "eer/east", "eer/west"} < set(metrics)
    assert metrics["accuracy/east"].n == 6
    with pytest.raises(UsageError, match="'arcface-112', data.template says 'dlib-150'"):
        open_pairs(str(tmp_path / "pairs.tsv"), {**own, "template": "dlib-150"})
    with pytest.raises(DataError, match="no folder"):
        open_pairs(str(tmp_path / "pairs.tsv"), {"root": str(tmp_path / "nowhere")})


def test_one_kind_of_pair_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "same.bin"
    path.write_bytes(pickle.dumps(([face(0, 0), face(0, 1)] * 12, [True] * 12)))
    with pytest.raises(DataError, match="12 genuine and 0 impostor pairs"):
        open_pairs(str(path), {})
    assert len(read_pair_file(path)) == 12  # it can be read all the same


def test_baselines_of_a_face_net_are_chance_raw_and_an_untrained_net() -> None:
    found = baselines_of(verification, open_subject("pca-lda"))  # type: ignore[arg-type]
    assert [s.name for s in found] == ["chance", "raw", "random:arcface@arcface-small"]
    untrained = open_subject("random:arcface@arcface-small")
    names = [s.name for s in baselines_of(verification, untrained)]  # type: ignore[arg-type]
    assert names == ["chance", "raw"]


def test_curves_are_pictures_and_the_same_every_time(task: PairTask) -> None:
    result = verification.run(open_subject("raw"), task, Settings())
    one, other = verification.pictures(result), verification.pictures(result)
    assert set(one) == {"roc.png", "roc.svg", "det.png", "det.svg"}
    assert one == other
    assert Pillow.open(BytesIO(one["roc.png"])).size[0] > 400
    assert b"<svg" in one["det.svg"]


def test_the_command_writes_records_predictions_and_curves(
    pair_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["evaluate", "verification", "--subject", "pca-lda", "--data", str(pair_file)]
    results = tmp_path / "results"
    assert call([*asked, "--results", str(results), "--published-protocol", "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert {row["subject"] for row in found["rows"]} == {
        "pca-lda", "chance", "raw", "random:arcface@arcface-small"
    }  # fmt: skip
    record = read_record(results / "records" / f"{found['records'][0]}.json")
    assert "published" in record.claim.facts
    assert (results / "pictures" / record.id / "roc.svg").is_file()
    assert len(read_predictions(record, results)) == 120
    assert "60 genuine and 60 impostor pairs" in said.err
    assert "unsupported from tar_at_far_1e-1 on" in said.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["verification", "--data", "photos"], 2, "'photos' holds no faces"),
        (["verification", "--data", "none.bin"], 3, "cannot read none.bin"),
        (["verification", "--data", "none"], 3, "neither a data set nor a path"),
        (
            ["verification", "--data", "x", "--train", "a", "--test", "b"],
            2,
            "no --train and --test",
        ),
        (["knn", "--published-protocol"], 2, "leave out --published-protocol"),
    ],
)
def test_wrong_requests_are_one_sentence(
    arguments: list[str], code: int, message: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    asked = ["evaluate", *arguments, "--subject", "pca-lda", "--results", str(tmp_path)]
    assert call(asked) == code
    assert message in capsys.readouterr().err


class Runs:
    """A pickle of it asks for a shell command."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.witness}",)


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ("malicious", 3, "it asks for 'posix.system'"),
        ("odd", 3, "an odd number of pictures, 239; fetch the file again"),
        ("flags", 3, "120 pairs of pictures and 119 flags; fetch the file again"),
        ("truncated", 3, "at most 10% may; fetch the pictures again, or allow more with"),
        ("all truncated", 3, "of 120 pairs none has both pictures"),
        ("one kind", 3, "120 genuine and 0 impostor pairs"),
        ("one person", 3, "faces shows one person only; verification needs several people"),
        ("zero", 5, "the embedding of 005 is zero; look at the model"),
        ("nan", 3, "row 5: expected finite numbers"),
        ("mixed width", 3, "row 5: expected an embedding of width 8 as in row 0, got 7"),
        ("missing row", 3, "has no embedding of '005' (1 of"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    pair_file: Path, change: str, code: int, said: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    items, flags = pickle.loads(pair_file.read_bytes())
    keys = list(read_pair_file(pair_file).source.keys)
    values = np.random.default_rng(0).normal(size=(len(keys), 8))
    cut = [item[:500] if n % 3 == 0 or change == "all truncated" else item
           for n, item in enumerate(items)]  # fmt: skip
    content = {
        "malicious": ([*items[:-1], Runs(tmp_path / "ran")], flags),
        "odd": (items[:-1], flags), "flags": (items, flags[:-1]),
        "truncated": (cut, flags), "all truncated": (cut, flags),
        "one kind": (items, [True] * 120),
    }.get(change)  # fmt: skip
    subject, data = "raw", pair_file
    if content is not None:
        data = tmp_path / "toy.bin"
        data.write_bytes(pickle.dumps(content))
    elif change == "one person":
        data = tmp_path / "faces"
        folder_of_people(data)
        for number in range(1, 12):
            shutil.rmtree(data / f"p{number:02d}")
    else:
        rows = {"zero": [0.0] * 8, "nan": [np.nan] * 8, "mixed width": [1.0] * 7}
        table = values.tolist()
        table[5] = rows.get(change, table[5])
        keys[5] = "other" if change == "missing row" else keys[5]
        subject = write_table(tmp_path / "e.parquet", keys, table)
    results = tmp_path / "results"
    command = ["evaluate", "verification", "--subject", subject, "--data", str(data)]
    assert call([*command, "--results", str(results)]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error
    assert not results.exists()
    assert not (tmp_path / "ran").exists()


def test_some_shared_pairs_are_told_apart_by_the_shipped_net(shared: Path, tmp_path: Path) -> None:
    """The reference is 98.67 % of 600; all of them: `evaluate verification` (0.977, att 0.997)."""
    faces = shared / "data" / "faces"
    lines = (faces / "pairs.tsv").read_text().splitlines()
    (tmp_path / "some.tsv").write_text("\n".join([lines[0], *lines[1::20]]))
    task, _ = open_pairs(str(tmp_path / "some.tsv"), {"root": str(faces)})
    looked_at = []
    detector = task._detector
    found = detector._detector.detect  # type: ignore[attr-defined]
    detector._detector.detect = lambda p: looked_at.append(1) or found(p)  # type: ignore[attr-defined]
    record = verification.run(open_subject("face-api"), task, Settings()).record
    assert record.main.value >= 0.9
    assert record.claim.facts["alignment"]["detector"] == "mtcnn"
    n_detected = len(looked_at)
    raw = verification.run(open_subject("raw"), task, Settings()).record
    assert len(looked_at) == n_detected  # two templates, one search
    assert raw.main.value < record.main.value
    assert raw.claim.benchmark.data_hash == record.claim.benchmark.data_hash
