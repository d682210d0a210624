"""Real faces for the demo: which pictures of which people a folder offers."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.errors import DataError, UsageError
from ...core.hashing import sample_id
from ...core.modality import Sample, Source
from ...modalities.files import read_whole
from ...modalities.fingerprints import fingerprint
from ...modalities.image.folders import PICTURES

SHARED = "MASQUERADE_SHARED"
_ROOT = Path(__file__).resolve().parents[2]
_PEOPLE, _PAIRS = 4, 10  # at least: samples take half of the people, pairs fill ten folds
_EVERY = 5  # of people whom nobody has listed, every fifth is held out


class Portraits(Source):
    """Some pictures of some people.

    Args:
        name: how a user calls them.
        files: the pictures of each person.
    """

    def __init__(self, name: str, files: Mapping[str, Sequence[Path]]) -> None:
        named = sorted(
            (f"{person}/{path.name}", path, person) for person in files for path in files[person]
        )
        self.name, self.classes = name, tuple(sorted(files))
        self.keys = tuple(key for key, _, _ in named)
        self.files = tuple(path for _, path, _ in named)
        self.labels = np.array([self.classes.index(who) for _, _, who in named], dtype=np.int64)

    def read(self, index: int) -> Sample:
        """The picture, not yet decoded.

        Raises:
            DataError: the file cannot be read.
        """
        label = None if self.labels is None else int(self.labels[index])
        return Sample(self.keys[index], read_whole(self.files[index]), label)

    def fingerprint(self) -> str:
        """The sha256 of all keys, labels and file bytes."""
        return fingerprint(self)


@dataclass(frozen=True)
class People:
    """Real people whom neither generator nor recogniser has seen, and others to learn from.

    Attributes:
        folder: where they lie.
        held_out: pictures of the former.
        learned: pictures of the latter; only a generator that is trained here looks at them.
        listed: whether the former are all those whom `recipes/faces-split.toml` holds out.
    """

    folder: Path
    held_out: Portraits
    learned: Portraits | None
    listed: bool


def known_faces() -> Path | None:
    """The folder of faces beside the clone (or in `MASQUERADE_SHARED`), where there is one."""
    folder = Path(os.environ.get(SHARED, _ROOT.parent / "shared")) / "data" / "faces"
    return folder if folder.is_dir() else None


def find_people(folder: Path, most: int, pictures: int, *, learn: bool = False) -> People:
    """The people of a folder: of each sub-folder with pictures, however deep, one.

    A person is called by the way to the sub-folder, such as att_s02 for att/s02. Those whom the
    shipped generator learned from (`recipes/faces-split.toml`) are not held out.

    Args:
        folder: of sub-folders.
        most: at most so many people are held out, chosen by a hash of their names.
        pictures: at most so many of each.
        learn: whether people to learn from are wanted, too.

    Raises:
        UsageError: there is no such folder.
        DataError: it holds too few people, or too few pictures of them.
    """
    from ...modalities.image.faces.split import faces_split

    if not folder.is_dir():
        what = "is a file, expected a folder" if folder.exists() else "does not exist"
        raise UsageError(
            f"--faces {folder} {what}", "name a folder that holds a folder of pictures per person"
        )
    everybody = _portraits(folder)
    split = faces_split()
    seen = set(split.train)
    listed = {*split.train, *split.held_out} & set(everybody)
    usable = [who for who, files in everybody.items() if len(files) > 1 and who not in seen]
    learned: Portraits | None = None
    if learn:
        theirs = set(split.train) - set(split.validation) if listed else set(_but_every(usable))
        learned = _chosen(folder, {w: f for w, f in everybody.items() if w in theirs}, None)
        usable = [who for who in usable if who not in theirs]
    kept = sorted(usable, key=sample_id)[:most]
    _check(folder, everybody, kept, pictures, learned if learn else None)
    held_out = _chosen(folder, {who: everybody[who] for who in kept}, pictures)
    return People(folder, held_out, learned, set(kept) == set(split.held_out))


def _portraits(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    entered: set[Path] = set()
    for where, inner, names in os.walk(folder, followlinks=True):
        place = Path(where)
        if place.resolve() in entered:  # a link that leads back
            inner.clear()
            continue
        entered.add(place.resolve())
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        files = sorted(
            place / name for name in names
            if not name.startswith(".") and PICTURES.holds(place / name)
        )  # fmt: skip
        if files and place != folder:
            found["_".join(place.relative_to(folder).parts)] = files
    return found


def _but_every(names: Iterable[str]) -> list[str]:
    return [name for place, name in enumerate(sorted(names)) if place % _EVERY != _EVERY - 1]


def _chosen(folder: Path, files: Mapping[str, Sequence[Path]], pictures: int | None) -> Portraits:
    return Portraits(str(folder), {who: paths[:pictures] for who, paths in files.items()})


def _check(
    folder: Path,
    everybody: Mapping[str, Sequence[Path]],
    kept: Sequence[str],
    pictures: int,
    learned: Portraits | None,
) -> None:
    counts = [min(pictures, len(everybody[who])) for who in kept]
    pairs = sum(n * (n - 1) // 2 for n in counts)
    if len(kept) < _PEOPLE or pairs < _PAIRS:
        raise DataError(
            f"--faces {folder}: expected at least {_PEOPLE} people with two pictures or more whom "
            f"the shipped generator has not learned from, and {_PAIRS} pairs of them; got "
            f"{len(kept)} and {pairs} ({len(everybody)} folders with pictures)",
            "make a folder of pictures per person",
        )
    if learned is not None and len(learned.classes) < _PEOPLE:
        raise DataError(
            f"--faces {folder}: expected at least {_PEOPLE} people for the generator to learn "
            f"from, got {len(learned.classes)}",
            "add people: a folder of pictures for each",
        )
