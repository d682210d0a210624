"""Which real faces the demo takes of a folder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masquerade.core.errors import DataError, UsageError
from masquerade.leaderboards.demo.people import SHARED, find_people, known_faces
from masquerade.modalities.image.faces.split import faces_split


def person(folder: Path, name: str, pictures: int) -> None:
    (folder / name).mkdir(parents=True)
    for number in range(pictures):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / name / f"{number}.png")


def test_people_are_called_by_the_way_to_their_folder_and_capped(tmp_path: Path) -> None:
    for name in ("site/ann", "site/bob", "cleo", "dan"):
        person(tmp_path, name, 5)
    person(tmp_path, ".hidden", 5)
    person(tmp_path, "once", 1)
    Image.new("RGB", (4, 4)).save(tmp_path / "loose.png")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "pairs.tsv").write_text("a\tb\n")
    found = find_people(tmp_path, 10, 3)
    assert found.held_out.classes == ("cleo", "dan", "site_ann", "site_bob")
    assert np.bincount(found.held_out.labels).tolist() == [3, 3, 3, 3]
    assert found.held_out.keys[0] == "cleo/0.png"
    assert found.held_out.read(0).label == 0
    assert found.learned is None
    assert not found.listed


def test_link_that_leads_back_ends(tmp_path: Path) -> None:
    for name in ("ann", "bob", "cleo", "dan"):
        person(tmp_path, name, 3)
    (tmp_path / "ann" / "up").symlink_to(tmp_path)
    assert find_people(tmp_path, 10, 3).held_out.classes == ("ann", "bob", "cleo", "dan")


def test_most_people_are_chosen_by_name_whoever_else_is_there(tmp_path: Path) -> None:
    for number in range(12):
        person(tmp_path, f"p{number:02d}", 3)
    chosen = find_people(tmp_path, 6, 3).held_out.classes
    assert len(chosen) == 6
    for name in [f"p{n:02d}" for n in range(12) if f"p{n:02d}" not in chosen][:3]:
        for path in (tmp_path / name).iterdir():
            path.unlink()
    assert find_people(tmp_path, 6, 3).held_out.classes == chosen


def test_those_whom_the_shipped_generator_knows_are_not_tried_on(tmp_path: Path) -> None:
    split = faces_split()
    known, strangers = split.train[:3], split.held_out[:5]
    for name in (*known, *strangers):
        person(tmp_path, name.replace("_", "/", 1), 3)
    found = find_people(tmp_path, 128, 3, learn=False)
    assert found.held_out.classes == tuple(sorted(strangers))
    with pytest.raises(DataError, match="4 people for the generator to learn"):
        find_people(tmp_path, 128, 3, learn=True)


def test_all_held_out_people_of_the_list_are_recognised_as_such(tmp_path: Path) -> None:
    for name in faces_split().held_out:
        person(tmp_path, name, 2)
    assert find_people(tmp_path, 128, 2).listed
    assert not find_people(tmp_path, 127, 2).listed


def test_unlisted_people_are_shared_out_to_learning_and_trying(tmp_path: Path) -> None:
    names = [f"p{number:02d}" for number in range(25)]
    for name in names:
        person(tmp_path, name, 4)
    found = find_people(tmp_path, 128, 3, learn=True)
    assert found.held_out.classes == ("p04", "p09", "p14", "p19", "p24")
    assert found.learned is not None
    assert set(found.learned.classes) == set(names) - set(found.held_out.classes)
    assert len(found.learned) == 80  # every picture


@pytest.mark.parametrize(("people", "pictures"), [(3, 5), (5, 2), (0, 0), (9, 1)])
def test_too_few_are_said_with_their_numbers(tmp_path: Path, people: int, pictures: int) -> None:
    for number in range(people):
        person(tmp_path, f"p{number}", pictures)
    with pytest.raises(DataError, match=f"{people} folders with pictures"):
        find_people(tmp_path, 128, 3)


def test_no_folder_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="does not exist"):
        find_people(tmp_path / "absent", 128, 3)
    with pytest.raises(UsageError, match="is a file"):
        find_people(tmp_path / "file", 128, 3)


def test_known_faces_lie_in_the_shared_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SHARED, str(tmp_path))
    assert known_faces() is None
    (tmp_path / "data" / "faces").mkdir(parents=True)
    assert known_faces() == tmp_path / "data" / "faces"


def test_shared_faces_give_all_held_out_people(shared: Path) -> None:
    found = find_people(shared / "data" / "faces", 128, 3)
    assert found.listed
    assert len(found.held_out) == 384
