"""`template-verification` against the card's sentences in loops; streamed; recomputed; refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from masquerade.benchmarks import template_verification as protocol
from masquerade.benchmarks.opening import open_subject
from masquerade.benchmarks.protocol import Result
from masquerade.benchmarks.subjects import Extraction
from masquerade.cli.main import call
from masquerade.core.embedding_writer import Part, write_embeddings
from masquerade.core.metrics.verification import eer, roc, tar_at_far
from masquerade.core.record_store import read_predictions, read_records
from masquerade.modalities.image.faces.alignment import align
from masquerade.modalities.image.faces.embedders import open_embedder
from masquerade.modalities.image.faces.templates import template as named

WIDTH = 8


def a_set(
    folder: Path, n_people: int = 35, n_templates: int = 3, n_pairs: int = 4000, noise: float = 1.0
) -> tuple[str, str, dict[str, np.ndarray]]:
    """Lists and embeddings: per person some templates of a video of three and a photograph."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    n = n_people * n_templates
    person = np.repeat(np.arange(n_people), n_templates)
    rows, values, keys = [], [], []
    centres = random.standard_normal((n_people, WIDTH))
    for number in range(n):
        for place, media in enumerate((0, 0, 0, 1)):
            keys.append(f"{number}-{place}.jpg")
            values.append(centres[person[number]] + noise * random.standard_normal(WIDTH))
            score = 0.5 + random.random() / 2
            rows.append((f"t{number}", media, keys[-1], score))
    lines = [f"{t}\t{m}\t{k}\t{s!r}" for t, m, k, s in rows]
    (folder / "templates.tsv").write_text(
        "template\tmedia\timage\tscore\n" + "\n".join(lines) + "\n"
    )
    first, second = random.integers(0, n, (2, n_pairs))
    keep = first != second
    first, second = first[keep], second[keep]
    genuine = np.array([(a, b) for a in range(n) for b in range(a) if person[a] == person[b]])
    first, second = np.append(first, genuine[:, 0]), np.append(second, genuine[:, 1])
    same = person[first] == person[second]
    lines = [f"t{a}\tt{b}\t{int(s)}" for a, b, s in zip(first, second, same, strict=True)]
    (folder / "pairs.tsv").write_text("a\tb\tsame\n" + "\n".join(lines) + "\n")
    stored = np.array(values, np.float32)
    write_embeddings(folder / "e.parquet", iter([Part(keys, None, stored)]), {"subject": "net"})
    return str(folder), str(folder / "e.parquet"), {
        "values": stored, "score": np.array([row[3] for row in rows]), "first": first,
        "second": second, "same": same,
    }  # fmt: skip


def restated(rows: dict[str, np.ndarray]) -> np.ndarray:
    """The scores of all pairs: score × embedding, mean of the video, plus the photograph."""
    weighted = rows["values"].astype(np.float64) * rows["score"][:, None]
    sums = [
        weighted[i : i + 3].sum(axis=0) / 3 + weighted[i + 3] for i in range(0, len(weighted), 4)
    ]
    unit = np.array([v / np.sqrt((v**2).sum()) for v in sums])
    return np.array([unit[a] @ unit[b] for a, b in zip(rows["first"], rows["second"], strict=True)])


def scored(data: str, subject: str, published: bool = False) -> Result:
    task, _ = protocol.open_data(data, {}, Extraction())
    return protocol.run(
        open_subject(subject), task, protocol.Settings(published_protocol=published)
    )


def test_rates_equal_a_restatement(tmp_path: Path) -> None:
    data, subject, rows = a_set(tmp_path / "set")
    result = scored(data, subject, published=True)
    curve = roc(restated(rows).astype(np.float32), rows["same"])
    claim = result.record.claim
    assert claim.metrics["eer"].value == pytest.approx(eer(curve), abs=2e-3)
    assert 0.01 < claim.metrics["eer"].value < 0.4
    for name in ("1e-1", "1e-2"):
        point = tar_at_far(curve, float(name), "nearest")
        assert claim.metrics[f"tar_at_far_{name}"].value == pytest.approx(point.tar, abs=1e-2)
        assert claim.facts["far"][name] == pytest.approx(point.far, abs=1e-3)  # type: ignore[index, call-overload]
    assert set(claim.metrics) == {"eer", "tar_at_far_1e-1", "tar_at_far_1e-2"}
    n_impostor = int((~rows["same"]).sum())
    assert claim.facts["unsupported"]["tar_at_far_1e-3"] == {
        "n_impostor": n_impostor,
        "needed": 10_000,
    }  # type: ignore[index, call-overload]
    published = claim.facts["published"]["tar_at_far_1e-6"]  # type: ignore[index, call-overload]
    assert published["ranked"] is False  # type: ignore[index, call-overload]
    metric = claim.metrics["tar_at_far_1e-2"]
    assert (metric.n, metric.n_of, metric.interval_method) == (35, "groups", "bootstrap")
    assert metric.interval is not None
    assert metric.interval[0] < metric.value < metric.interval[1]


def test_counts_are_of_each_person_and_rate(tmp_path: Path) -> None:
    data, subject, rows = a_set(tmp_path / "set")
    result = scored(data, subject)
    scores, far = restated(rows), result.record.claim.facts["far"]
    person = {"first": rows["first"] // 3, "second": rows["second"] // 3}
    for name, found in result.predictions.groupby("rate"):
        threshold = found["threshold"].iloc[0]
        for kind, same in (("genuine", rows["same"]), ("impostor", ~rows["same"])):
            for column, chosen in ((kind, same), (f"accepted_{kind}", same & (scores > threshold))):
                expected = np.bincount(person["first"][chosen], minlength=35)
                if kind == "impostor":  # an impostor pair stands at both of its people
                    expected = expected + np.bincount(person["second"][chosen], minlength=35)
                # people are numbered as they come; a score at the threshold may round either way
                gaps = np.sort(found[column].to_numpy()) - np.sort(expected)
                assert np.abs(gaps).max() <= (1 if column.startswith("accepted") else 0)
        if name in ("tar_at_far_1e-1", "tar_at_far_1e-2"):
            rate = protocol.people_counts(found).far
            assert rate == far[str(name).removeprefix("tar_at_far_")]  # type: ignore[index, call-overload]
            assert found["tar_per_far"].iloc[0] > 0


def test_tars_never_fall_with_far_and_are_recomputed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, subject, _ = a_set(tmp_path / "set")
    results = tmp_path / "results"
    command = ["evaluate", "template-verification", "--subject", subject, "--data", data,
               "--results", str(results), "--json"]  # fmt: skip
    assert call(command) == 0
    printed = capsys.readouterr()
    rows = {(r["subject"], r["metric"]): r["value"] for r in json.loads(printed.out)["rows"]}
    assert "35 people" in printed.err
    for record in read_records(results):
        again = protocol.score(read_predictions(record, results))
        assert dict(record.claim.metrics) == dict(again)
    assert rows["net", "tar_at_far_1e-2"] < rows["net", "tar_at_far_1e-1"]
    assert rows["net", "eer"] < rows["chance", "eer"]
    assert 0.35 < rows["chance", "eer"] < 0.65


def test_rotation_and_scale_change_nothing(tmp_path: Path) -> None:
    data, subject, rows = a_set(tmp_path / "set")
    plain = scored(data, subject)
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(WIDTH, WIDTH)))
    moved = (300 * rows["values"].astype(np.float64) @ turn).astype(np.float32)
    keys = [f"{n}-{p}.jpg" for n in range(105) for p in range(4)]
    write_embeddings(tmp_path / "m.parquet", iter([Part(keys, None, moved)]), {})
    other = scored(data, str(tmp_path / "m.parquet"))
    for name, metric in plain.record.claim.metrics.items():
        assert other.record.claim.metrics[name].value == pytest.approx(metric.value, abs=2e-3)


def test_a_net_reads_aligned_pictures_and_their_mirror_images(tmp_path: Path) -> None:
    """Official lists with landmarks: embeddings restated by hand from the aligned crops."""
    import torch

    random = np.random.default_rng(2)
    meta, crops = tmp_path / "set" / "meta", tmp_path / "set" / "loose_crop"
    meta.mkdir(parents=True)
    crops.mkdir()
    points = np.array([[30, 40], [70, 41], [50, 60], [35, 80], [65, 82]], float)
    net, chips = open_embedder("pca-lda"), []
    for number in range(6):
        pixels = random.integers(0, 256, (120, 100, 3), dtype=np.uint8)
        Pillow.fromarray(pixels).save(crops / f"{number}.png")
        chips.append(align(pixels, points + number, named("arcface-112")))
    faces = torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    with torch.inference_mode():
        vectors = [
            net.embed(v, "arcface-112").numpy().astype(float) for v in (faces, faces.flip(3))
        ]
    spelled = [" ".join(f"{v:.1f}" for v in (points + n).ravel()) for n in range(6)]
    (meta / "x_name_5pts_score.txt").write_text(
        "\n".join(f"{n}.png {spelled[n]} 0.9" for n in range(6)) + "\n"
    )
    (meta / "x_face_tid_mid.txt").write_text("\n".join(f"{n}.png {n // 2} {n}" for n in range(6)))
    (meta / "x_template_pair_label.txt").write_text("0 1 1\n0 2 0\n1 2 0\n")
    sums = (vectors[0] + vectors[1]).reshape(3, 2, -1).sum(axis=1)
    expected = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    task, _ = protocol.open_data(str(tmp_path / "set"), {}, Extraction())
    np.testing.assert_allclose(task.templates(open_subject("pca-lda")), expected, atol=1e-5)
    result = protocol.run(open_subject("pca-lda"), task, protocol.Settings())
    assert result.record.claim.facts["pairs"] == {"genuine": 1, "impostor": 2}


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ("one person", 3, "all templates of the list are of one person"),
        ("genuine only", 5, "0 impostor"),
        ("zero", 5, "template t0: expected a finite vector that is not zero"),
        ("missing picture", 3, "has no embedding of '0-0.jpg' (1 of 160 are missing)"),
        ("no lists", 3, "holds no template list"),
        ("no folder", 3, "no folder"),
        ("splits", 2, "has no --train and --test"),
    ],
)
def test_bad_input_is_one_sentence(
    change: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, subject, rows = a_set(tmp_path / "set", n_people=1 if change == "one person" else 20,
                                n_templates=2, n_pairs=300)  # fmt: skip
    values, keys = rows["values"].copy(), [f"{n}-{p}.jpg" for n in range(40) for p in range(4)]
    if change == "genuine only":
        (tmp_path / "set" / "pairs.tsv").write_text("a\tb\tsame\nt0\tt1\t1\nt2\tt3\t1\n")
    if change == "zero":
        values[:4] = 0
    if change == "missing picture":
        keys[0] = "0-9.jpg"
    if change in ("zero", "missing picture"):
        write_embeddings(tmp_path / "set" / "e.parquet", iter([Part(keys, None, values)]), {})
    if change in ("no lists", "no folder"):
        data = str(tmp_path / change)
        (tmp_path / "no lists").mkdir()
    extra = ["--train", data, "--test", data] if change == "splits" else []
    command = ["evaluate", "template-verification", "--subject", subject, "--data", data, *extra]
    assert call([*command, "--results", str(tmp_path / "results")]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error
    assert not (tmp_path / "results").exists()
