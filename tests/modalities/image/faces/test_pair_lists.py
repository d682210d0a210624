"""Lists of pairs as text: LFW's own, tables, and what can be wrong in them."""

from pathlib import Path

import pytest

from masquerade.core.errors import DataError
from masquerade.modalities.image.faces.pair_lists import read_lfw_pairs, read_pair_table

LFW = "2\t2\nann\t1\t2\nbob\t1\t3\nann\t1\tbob\t1\nann\t2\tcid\t1\n" \
      "bob\t2\t3\ncid\t1\t2\nann\t1\tcid\t2\nbob\t2\tcid\t1\n"  # fmt: skip
TABLE = "fold\tsource\tsame\ta\tb\n0\tx\t1\tann/1.pgm\tann/2.pgm\n0\tx\t0\tann/1.pgm\tbob/1.pgm\n" \
        "1\ty\t1\tbob/1.pgm\tbob/2.pgm\n1\ty\t0\tann/2.pgm\tbob/2.pgm\n"  # fmt: skip


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A picture file for each person and number, empty: lists do not look into them."""
    for person in ("ann", "bob", "cid"):
        (tmp_path / person).mkdir()
        for number in (1, 2, 3):
            (tmp_path / person / f"{person}_{number:04d}.jpg").touch()
            (tmp_path / person / f"{number}.pgm").touch()
    return tmp_path


def listed(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def named(pairs: object) -> list[tuple[str, str]]:
    keys = pairs.source.keys  # type: ignore[attr-defined]
    both = zip(pairs.first, pairs.second, strict=True)  # type: ignore[attr-defined]
    return [(keys[a], keys[b]) for a, b in both]


def test_lfw_lists_give_folds_people_and_files(people: Path) -> None:
    pairs = read_lfw_pairs(listed(people, "pairs.txt", LFW), people)
    assert pairs.same.tolist() == [True, True, False, False] * 2
    assert pairs.fold.tolist() == [0] * 4 + [1] * 4
    assert named(pairs)[:3] == [
        ("ann/ann_0001", "ann/ann_0002"), ("bob/bob_0001", "bob/bob_0003"),
        ("ann/ann_0001", "bob/bob_0001"),
    ]  # fmt: skip
    assert pairs.identities is not None
    assert dict(zip(pairs.source.keys, pairs.identities, strict=True))["cid/cid_0002"] == "cid"
    assert not pairs.absent


def test_pictures_with_another_suffix_are_found_and_absent_ones_listed(people: Path) -> None:
    (people / "ann" / "ann_0002.jpg").rename(people / "ann" / "ann_0002.png")
    (people / "bob" / "bob_0003.jpg").unlink()
    pairs = read_lfw_pairs(listed(people, "pairs.txt", LFW), people)
    assert "ann/ann_0002.png" in pairs.source.files  # type: ignore[attr-defined]
    assert pairs.absent == {"bob/bob_0003"}
    assert len(pairs) == 8
    pairs.hash()  # needs no absent picture


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the number of folds"),
        ("10\n", "line 1: expected the number of folds"),
        ("ann\t1\t2\n", "line 1: expected the number of folds"),
        ("2\t3\n" + LFW.partition("\n")[2], "says 2 folds of 2 × 3 pairs, found 8 lines"),
        (LFW.replace("bob\t1\t3", "bob\t1\tcid\t3"), "line 3: expected a genuine pair"),
        (LFW.replace("ann\t2\tcid\t1", "ann\t2\t1"), "line 5: expected an impostor pair"),
        (LFW.replace("ann\t2\tcid\t1", "ann\t2\tann\t1"), "line 5: expected two people"),
        (LFW.replace("bob\t1\t3", "bob\t1\tx"), "line 3: expected a genuine pair"),
        (LFW.replace("bob\t1\t3", "bob\t1\t" + "9" * 5000), "line 3: expected a genuine pair"),
        (LFW.replace("bob\t1\t3", "../bob\t1\t3"), "no path inside a folder"),
        (LFW.replace("bob\t1\t3", "/bob\t1\t3"), "no path inside a folder"),
        (LFW.replace("bob\t1\t3", "b" * 300 + "\t1\t3"), "no path inside a folder"),
        ("1\t4\n" + LFW.partition("\n")[2], "says 1 folds"),
    ],
)
def test_wrong_lfw_lists_are_refused_by_line(people: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_lfw_pairs(listed(people, "pairs.txt", text), people)


def test_tables_give_folds_origins_and_people_by_folder(people: Path) -> None:
    pairs = read_pair_table(listed(people, "pairs.tsv", TABLE), people)
    assert pairs.fold.tolist() == [0, 0, 1, 1]
    assert pairs.origin == ("x", "x", "y", "y")
    assert named(pairs)[1] == ("ann/1", "bob/1")
    assert pairs.identities == ("ann", "ann", "bob", "bob")


def test_folders_that_disagree_with_a_flag_name_nobody(people: Path) -> None:
    text = TABLE.replace("1\ty\t1\tbob/1", "1\ty\t0\tbob/1")  # two pictures of bob, "different"
    assert read_pair_table(listed(people, "pairs.tsv", text), people).identities is None


def test_a_table_without_folds_is_cut_into_ten(people: Path) -> None:
    lines = ["same\ta\tb"] + ["1\tann/1.pgm\tann/2.pgm", "0\tann/1.pgm\tbob/1.pgm"] * 6
    pairs = read_pair_table(listed(people, "pairs.tsv", "\n".join(lines)), people)
    assert pairs.fold.tolist() == [0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    with pytest.raises(DataError, match="holds 4 pairs, expected at least 10"):
        read_pair_table(listed(people, "few.tsv", "\n".join(lines[:5])), people)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the columns same, a, b"),
        ("same\ta\n", "line 1: expected the columns same, a, b"),
        ("same\ta\tb\n", "holds no pairs"),
        (TABLE.replace("0\tx\t1\t", "0\tx\tyes\t"), "line 2: expected same = 0 or 1"),
        (TABLE.replace("\tann/2.pgm\n0", "\n0"), "line 2: expected same = 0 or 1 and two paths"),
        (TABLE.replace("1\ty\t1", "x\ty\t1"), "line 4: expected a whole number as fold"),
        (TABLE.replace("1\ty\t1", "9" * 30 + "\ty\t1"), "line 4: expected a whole number as fold"),
        (TABLE.replace("bob/1", "../bob/1"), "no path inside a folder"),
        (TABLE.replace("bob/1.pgm", "bob\0"), "no path inside a folder"),
    ],
)
def test_wrong_tables_are_refused_by_line(people: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_pair_table(listed(people, "pairs.tsv", text), people)


def test_what_is_no_text_is_refused(people: Path) -> None:
    path = people / "pairs.txt"
    path.write_bytes(b"\xff\xfe\x00")
    for read in (read_lfw_pairs, read_pair_table):
        with pytest.raises(DataError, match="no readable list of pairs"):
            read(path, people)
    with pytest.raises(DataError, match="no readable list of pairs"):
        read_pair_table(people / "none.tsv", people)


def test_the_shared_lists_are_read(shared: Path) -> None:
    faces = shared / "data" / "faces"
    lfw = read_lfw_pairs(faces / "lfw_protocol" / "pairs.txt", faces / "lfw543")
    assert (len(lfw), int(lfw.same.sum()), int(lfw.fold.max())) == (6000, 3000, 9)
    assert lfw.same[:600].tolist() == [True] * 300 + [False] * 300
    assert len(lfw.source) == 7701  # the different pictures of LFW's view 2
    table = read_pair_table(faces / "pairs.tsv", faces)
    assert (len(table), int(table.same.sum()), len(table.absent)) == (600, 300, 0)
    assert set(table.origin) == {"att", "essex94", "lfw10"}
    assert len(set(table.identities or ())) == 61
