"""Template lists in the official form and as tables; damaged ones are one sentence."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from masquerade.core.errors import DataError
from masquerade.modalities.image.faces.alignment import align
from masquerade.modalities.image.faces.template_lists import TemplateLists, read_template_lists
from masquerade.modalities.image.faces.template_pictures import ListedPictures
from masquerade.modalities.image.faces.templates import template

POINTS = "30 40 70 40 50 60 35 80 65 80"


def official(folder: Path) -> Path:
    """Three templates of four pictures, as IJB's lists are written."""
    meta = folder / "meta"
    meta.mkdir(parents=True)
    (meta / "ijbc_face_tid_mid.txt").write_text(
        "1.jpg 7 50\n2.jpg 7 50\n3.jpg 7 51\n4.jpg 20 60\n1.jpg 3 9\n"
    )
    scores = [f"{i}.jpg {POINTS} 0.{i}" for i in (4, 3, 2, 1)]
    (meta / "ijbc_name_5pts_score.txt").write_text("\n".join(scores) + "\n")
    (meta / "ijbc_template_pair_label.txt").write_text("7 3 1\n7 20 0\n20 3 0\n")
    (meta / "ijbc_1N_gallery_G1.csv").write_text(
        "TEMPLATE_ID,SUBJECT_ID,FILENAME,A\n7,1,x.jpg,0\n7,1,y.jpg,0\n"
    )
    (meta / "ijbc_1N_gallery_G2.csv").write_text(
        "TEMPLATE_ID,SUBJECT_ID,FILENAME,A\n20,2,x.jpg,0\n"
    )
    (meta / "ijbc_1N_probe_mixed.csv").write_text(
        "TEMPLATE_ID,SUBJECT_ID,FILENAME,A\n3,1,x.jpg,0\n"
    )
    return folder


def tables(folder: Path) -> Path:
    """The same templates as tables."""
    folder.mkdir(parents=True)
    (folder / "templates.tsv").write_text(
        "template\tmedia\timage\tscore\n7\t50\t1.jpg\t0.1\n7\t50\t2.jpg\t0.2\n7\t51\t3.jpg\t0.3\n"
        "20\t60\t4.jpg\t0.4\n3\t9\t1.jpg\t0.1\n"
    )
    (folder / "pairs.tsv").write_text("a\tb\tsame\n7\t3\t1\n7\t20\t0\n20\t3\t0\n")
    (folder / "gallery.tsv").write_text("template\tsubject\n7\t1\n20\t2\n")
    (folder / "probes.tsv").write_text("template\tsubject\n3\t1\n")
    return folder


def listed(lists: TemplateLists) -> list[tuple[str, str, int, float]]:
    """Template, picture, medium (numbered inside its template) and score of each row."""
    media: dict[str, dict[int, int]] = {}
    rows = []
    for p, t, m, s in zip(lists.picture, lists.template, lists.media, lists.score, strict=True):
        own = media.setdefault(lists.templates[t], {})
        rows.append((lists.templates[t], lists.images[p], own.setdefault(m, len(own)), s))
    return rows


@pytest.mark.parametrize("form", [official, tables])
def test_both_forms_say_the_same(form: object, tmp_path: Path) -> None:
    lists = read_template_lists(form(tmp_path / "set"))  # type: ignore[operator]
    assert listed(lists) == [
        ("7", "1.jpg", 0, 0.1), ("7", "2.jpg", 0, 0.2), ("7", "3.jpg", 1, 0.3),
        ("20", "4.jpg", 0, 0.4), ("3", "1.jpg", 0, 0.1),
    ]  # fmt: skip
    blocks = list(lists.pairs())
    first, second, same = (np.concatenate(column) for column in zip(*blocks, strict=True))
    pairs = [(lists.templates[a], lists.templates[b]) for a, b in zip(first, second, strict=True)]
    assert pairs == [("7", "3"), ("7", "20"), ("20", "3")]
    assert same.tolist() == [True, False, False]
    rows, subjects = lists.people("gallery")
    assert ([lists.templates[row] for row in rows], subjects) == (["7", "20"], ["1", "2"])
    assert [lists.templates[row] for row in lists.people("probes")[0]] == ["3"]


def test_landmarks_align_the_pictures(tmp_path: Path) -> None:
    folder = official(tmp_path / "set")
    (folder / "loose_crop").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (100, 110, 3), dtype=np.uint8)
    for number in range(1, 5):
        Pillow.fromarray(pixels).save(folder / "loose_crop" / f"{number}.jpg", quality=100)
    lists = read_template_lists(folder)
    assert lists.root == folder / "loose_crop"
    source = ListedPictures("set", lists.root, lists.images, lists.points, "arcface-112")
    seen = np.asarray(Pillow.open(folder / "loose_crop" / "2.jpg"))
    points = np.array(POINTS.split(), float).reshape(5, 2)
    expected = align(seen, points, template("arcface-112"))
    np.testing.assert_array_equal(source.read(1).content, expected)
    with pytest.raises(DataError, match=r"cannot read .*0.jpg: No such file.* data.root"):
        ListedPictures("set", lists.root, ("0.jpg",), None, None).read(0)


def test_hash_follows_lists_and_not_their_place(tmp_path: Path) -> None:
    one, two = (read_template_lists(official(tmp_path / name)) for name in ("a", "b"))
    assert one.hash() == two.hash()
    pairs = tmp_path / "b" / "meta" / "ijbc_template_pair_label.txt"
    pairs.write_text(pairs.read_text().replace("20 3 0", "20 3 1"))
    assert read_template_lists(tmp_path / "b").hash() != one.hash()


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("ijbc_face_tid_mid.txt", "4.jpg 20 60", "5.jpg 20 60", "names the picture '5.jpg'"),
        ("ijbc_face_tid_mid.txt", "4.jpg 20 60", "4.jpg 20", "expected 3 columns in every line"),
        ("ijbc_name_5pts_score.txt", "0.2", "nan", "row 3: expected finite numbers"),
        ("ijbc_name_5pts_score.txt", "0.2", "high", "expected numbers"),
        ("ijbc_template_pair_label.txt", "7 20 0", "7 21 0", "line 2: template '21'"),
        ("ijbc_template_pair_label.txt", "7 20 0", "7 20 2", "pair 2: expected 0 or 1, got '2'"),
        ("ijbc_template_pair_label.txt", "7 20 0", "7 20", "is no readable list"),
        ("ijbc_template_pair_label.txt", "7 20 0", "7 x 0", "is no readable list"),
        ("ijbc_template_pair_label.txt", "7 20 0", "7 20 0 1", "is no readable list: Error token"),
        ("ijbc_template_pair_label.txt", "7 20 0", f"7 {10**30} 0", "is no readable list"),
        ("ijbc_1N_gallery_G1.csv", "7,1,x", "8,1,x", "template '8' has no picture"),
        ("ijbc_1N_gallery_G2.csv", "20,2", "7,2", "each template of the gallery once"),
    ],
)  # fmt: skip
def test_damaged_lists_are_one_sentence(
    tmp_path: Path, file: str, old: str, new: str, said: str
) -> None:
    path = official(tmp_path / "set") / "meta" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=said):
        lists = read_template_lists(tmp_path / "set")
        list(lists.pairs())
        lists.people("gallery")


def test_absent_lists_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no template list"):
        read_template_lists(tmp_path)
    folder = official(tmp_path / "set")
    for name in ("ijbc_template_pair_label.txt", "ijbc_1N_probe_mixed.csv"):
        (folder / "meta" / name).unlink()
    lists = read_template_lists(folder)
    with pytest.raises(DataError, match="has no list of pairs"):
        list(lists.pairs())
    with pytest.raises(DataError, match="has no list of probes"):
        lists.people("probes")
    (folder / "meta" / "ijbc_name_5pts_score.txt").unlink()
    with pytest.raises(DataError, match="_name_5pts_score.txt"):
        read_template_lists(folder)


def test_empty_list_of_pairs_is_refused(tmp_path: Path) -> None:
    folder = tables(tmp_path / "set")
    (folder / "pairs.tsv").write_text("a\tb\tsame\n")
    with pytest.raises(DataError, match="lists no pair"):
        list(read_template_lists(folder).pairs())
    (folder / "pairs.tsv").write_text("")
    with pytest.raises(DataError, match="is no readable list"):
        list(read_template_lists(folder).pairs())
