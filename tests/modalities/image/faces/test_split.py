"""The identity split: the counts and rules of the data set, and what is refused."""

from pathlib import Path

import pytest
from PIL import Image as Pillow

from masquerade.core.errors import DataError, UsageError
from masquerade.methods import recipes
from masquerade.modalities.image.faces.split import SPLIT, Rule, faces_split, split_identities


def test_counts_are_those_of_the_rules() -> None:
    """By hand: 24 + 12 + 5 + (542 − 108) for training, 11 + 5 + 4 + 108 held out."""
    split = faces_split()
    assert (len(split.train), len(split.held_out)) == (24 + 12 + 5 + 434, 11 + 5 + 4 + 108)
    assert not set(split.train) & set(split.held_out)
    assert set(split.validation) < set(split.train)
    assert len(split.validation) == 47
    assert split.validation[0] == split.train[9]


def test_people_at_the_borders_are_on_their_side() -> None:
    split = faces_split()
    learned = {"att_s02", "att_s25", "essex94_p00", "essex94_p11", "lfw10_Ariel_Sharon"}
    assert learned <= set(split.train)
    held = {"att_s26", "att_s36", "essex94_p12", "essex94_p16", "lfw10_Gerhard_Schroeder"}
    assert held <= set(split.held_out)
    assert "lfw10_George_W_Bush" in split.train  # the fifth by name


def test_every_fifth_of_the_542_is_held_out(shared: Path) -> None:
    """Straight from the rule: index mod 5 = 4 of the sorted folders."""
    people = sorted(p.name for p in (shared / "data/faces/lfw543").iterdir() if p.is_dir())
    expected = {f"lfw543_{name}" for i, name in enumerate(people) if i % 5 == 4}
    held = {name for name in faces_split().held_out if name.startswith("lfw543_")}
    assert held == expected


def test_lists_are_those_of_the_data(shared: Path) -> None:
    folder = shared / "data" / "faces"
    there = {f"{s}_{p.name}" for s in ("att", "essex94", "lfw10", "lfw543")
             for p in (folder / s).iterdir() if p.is_dir()}  # fmt: skip
    split = faces_split()
    assert {*split.train, *split.held_out} == there


def test_side_of_a_person_never_depends_on_who_else_is_there() -> None:
    split = faces_split()
    names = [*split.held_out[::3], *split.train[::7]]
    train, held_out = split_identities(reversed(names))
    assert train == sorted(split.train[::7])
    assert held_out == sorted(split.held_out[::3])


def test_unknown_identity_is_named() -> None:
    with pytest.raises(DataError, match="does not know the identity 'att_s1'.*SOURCE_PERSON"):
        split_identities(["att_s02", "att_s1"])
    with pytest.raises(DataError, match=r"'s02' \(2 such\)"):
        split_identities(["s02", "s03"])


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [
        ({"from": "b", "to": "c"}, "bc"),
        ({"first": 2}, "ab"),
        ({"every": 2, "at": 1}, "bd"),
    ],
)
def test_rules_choose_by_name_and_place(rule: dict, chosen: str) -> None:
    assert Rule.model_validate(rule).chosen("abcde") == frozenset(chosen)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('train = { first = 1, every = 2, at = 0 }\npeople = ["a"]', "expected 'from' and 'to'"),
        ('people = ["a"]', "expected one of 'train' and 'held_out'"),
        ('train = { first = 1 }\npeople = ["b", "a"]', "sorted by name"),
        ('train = { frist = 1 }\npeople = ["a"]', "unknown setting"),
    ],
)
def test_broken_rules_are_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "split.toml"
    path.write_text(f"[sources.x]\n{text}\n[validation]\nevery = 10\nat = 9\n")
    with pytest.raises(UsageError, match=message):
        faces_split(path)


def test_the_split_is_no_recipe() -> None:
    assert SPLIT.parent == recipes.FOLDER
    assert SPLIT.stem not in recipes.names()
    assert "mae-tiny" in recipes.names()  # which only extends another
    with pytest.raises(UsageError, match="unknown recipe 'faces-split'"):
        recipes.resolve("mae", "faces-split")


def test_parts_of_prepared_faces_open_by_name(tmp_path: Path) -> None:
    from masquerade.core.atomic_io import canonical_json
    from masquerade.modalities.image.sources import open_source

    split = faces_split()
    people = [*split.train[:12], *split.held_out[:3]]
    for person in people:
        (tmp_path / person).mkdir()
        Pillow.new("RGB", (112, 112)).save(tmp_path / person / "1.png")
    with pytest.raises(DataError, match="no sub-folder 'train'"):
        open_source(Path(f"{tmp_path}#train"))  # no prepared faces: nobody's split
    facts = {"format": "masquerade-faces/1", "template": "arcface-112"}
    (tmp_path / "faces.json").write_text(canonical_json(facts))
    found = {p: open_source(Path(f"{tmp_path}#{p}")) for p in ("train", "held-out", "fit")}
    assert found["train"].classes == tuple(split.train[:12])
    assert found["held-out"].classes == tuple(split.held_out[:3])
    watched = set(split.validation)
    assert found["fit"].classes == tuple(n for n in split.train[:12] if n not in watched)
    assert 0 < len(found["fit"]) < 12
    assert found["train"].name == f"{tmp_path}#train"
    with pytest.raises(DataError, match="no part 'trian'.*train"):
        open_source(Path(f"{tmp_path}#trian"))
