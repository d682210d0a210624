"""Lists of pairs in text files: LFW's `pairs.txt`, and tables with the columns same, a, b.

`pairs.txt` (Huang et al., 2007): the first line has the number of folds and of pairs of either
kind in a fold; a genuine pair is `NAME number number`, an impostor pair `NAME number NAME number`,
and picture n of a person is the file NAME/NAME_000n.jpg. A table (.tsv) has a header; its columns
`fold` and `source` may be left out, and `a` and `b` are paths.
"""

# N pairs, K pictures.

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from ....core.errors import DataError
from ....core.metrics.pair_folds import N_FOLDS, contiguous_folds
from ..decoding import SUFFIXES
from ..folders import PICTURES, FileSource
from .pairs import FacePairs

_MAX_DIGITS, _MAX_NAME_BYTES = 9, 255
_MEND = "mend the list"
_FLAGS = {"0": False, "1": True}


@dataclass(frozen=True)
class _Line:
    """One pair as a list has it; names are those of the people, "" where not said."""

    a: str
    b: str
    same: bool
    fold: int
    origin: str = ""
    names: tuple[str, str] = ("", "")


def read_lfw_pairs(path: Path, root: Path, template: str | None = None) -> FacePairs:
    """The pairs of an LFW-like `pairs.txt`.

    Args:
        path: the list.
        root: the folder with a folder per person.
        template: that the pictures are aligned to, if they are.

    Raises:
        DataError: the list is not of that form; names the line. A picture that is not there is
            no error here.
    """
    lines = _read_text(path).splitlines()
    head = lines[0].split() if lines else []
    if len(head) != 2 or not all(map(_is_number, head)):
        raise DataError(
            f"{path} line 1: expected the number of folds and of pairs of either kind, "
            f"got {' '.join(head)[:60]!r}",
            "is it a list such as LFW's pairs.txt?",
        )
    n_folds, n_each = int(head[0]), int(head[1])
    body = [(number, line) for number, line in enumerate(lines[1:], 2) if line.strip()]
    if n_folds < 2 or len(body) != 2 * n_folds * n_each:
        raise DataError(
            f"{path}: line 1 says {n_folds} folds of 2 × {n_each} pairs, found {len(body)} lines",
            "fetch the list again; view 2 of LFW has 10 folds of 2 × 300",
        )
    found = []
    for count, (number, line) in enumerate(body):
        fold, place = divmod(count, 2 * n_each)
        found.append(_lfw_line(line, f"{path} line {number}", fold, same=place < n_each))
    return _pairs(path, root, template, found)


def _lfw_line(line: str, where: str, fold: int, *, same: bool) -> _Line:
    form = "NAME number number" if same else "NAME number NAME number"
    fields = [field.strip() for field in (line.split("\t") if "\t" in line else line.split())]
    whole = len(fields) == len(form.split())
    sides = [fields[:2], [fields[0] if same else fields[2], fields[-1]]] if whole else []
    if not whole or not all(_is_number(number) for _, number in sides):
        kind = "a genuine" if same else "an impostor"
        raise DataError(f"{where}: expected {kind} pair '{form}', got {line[:80]!r}", _MEND)
    people = sides[0][0], sides[1][0]
    if not same and people[0] == people[1]:
        raise DataError(
            f"{where}: expected two people in an impostor pair, got {people[0]!r} twice", _MEND
        )
    a, b = (f"{name}/{name}_{int(number):04d}.jpg" for name, number in sides)
    return _Line(a, b, same, fold, names=people)


def read_pair_table(path: Path, root: Path, template: str | None = None) -> FacePairs:
    """The pairs of a tab-separated table.

    People are taken to be the folders of the pictures where that agrees with every flag; else
    the table names nobody.

    Args:
        path: the table; columns same (0 or 1), a, b, and perhaps fold (numbers) and source.
        root: what the paths are relative to.
        template: that the pictures are aligned to, if they are.

    Raises:
        DataError: the table is not of that form; names the line. A picture that is not there is
            no error here.
    """
    head, *body = _read_text(path).splitlines() or [""]
    columns = head.split("\t")
    lacking = [name for name in ("same", "a", "b") if name not in columns]
    if lacking:
        raise DataError(
            f"{path} line 1: expected the columns same, a, b, got {' '.join(columns)[:80]!r}",
            "write a header; the columns fold and source may be left out",
        )
    found = []
    for number, line in enumerate(body, start=2):
        if line.strip():
            fields = dict(zip(columns, line.split("\t"), strict=False))
            found.append(_table_line(fields, path, number))
    if not found:
        raise DataError(f"{path} holds no pairs", "a line each: same, a, b")
    if "fold" not in columns:
        if len(found) < N_FOLDS:
            raise DataError(f"{path} holds {len(found)} pairs, expected at least {N_FOLDS}")
        folds = contiguous_folds(len(found)).tolist()
        found = [
            _Line(line.a, line.b, line.same, fold, line.origin, line.names)
            for line, fold in zip(found, folds, strict=True)
        ]
    agree = all((line.names[0] == line.names[1]) == line.same for line in found)
    return _pairs(path, root, template, found, named=agree)


def _table_line(fields: dict[str, str], path: Path, number: int) -> _Line:
    where, fold = f"{path} line {number}", fields.get("fold", "0")
    if fields.get("same") not in _FLAGS or not fields.get("a") or not fields.get("b"):
        got = " ".join(fields.values())[:80]
        raise DataError(f"{where}: expected same = 0 or 1 and two paths, got {got!r}", _MEND)
    if not _is_number(fold):
        raise DataError(f"{where}: expected a whole number as fold, got {fold[:20]!r}", _MEND)
    people = tuple(str(PurePosixPath(fields[side]).parent) for side in "ab")
    return _Line(
        fields["a"], fields["b"], _FLAGS[fields["same"]], int(fold), fields.get("source", ""),
        (people[0], people[1]),
    )  # fmt: skip


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MAX_DIGITS


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no readable list of pairs: {error}") from error


def _pairs(
    path: Path, root: Path, template: str | None, lines: list[_Line], *, named: bool = True
) -> FacePairs:
    """The pairs of parsed lines, over the pictures that they name."""
    people: dict[str, str] = {}
    for line in lines:
        for file, person in zip((line.a, line.b), line.names, strict=True):
            people.setdefault(_inside(file, path), person)
    there = {file: _present(root, file) for file in people}
    source = FileSource(str(path), root, sorted(set(there.values())), PICTURES)
    row = {file: place for place, file in enumerate(source.files)}
    who = {there[file]: person for file, person in people.items()}
    return FacePairs(
        name=path.name,
        source=source,
        first=np.array([row[there[line.a]] for line in lines], dtype=np.int64),
        second=np.array([row[there[line.b]] for line in lines], dtype=np.int64),
        same=np.array([line.same for line in lines], dtype=bool),
        fold=np.array([line.fold for line in lines], dtype=np.int64),
        origin=tuple(line.origin for line in lines),
        identities=tuple(who[file] for file in source.files) if named else None,
        template=template,
        absent=_absent(source),
    )


def _absent(source: FileSource) -> frozenset[str]:
    named = zip(source.keys, source.files, strict=True)
    return frozenset(key for key, file in named if not (source.root / file).is_file())


def _inside(file: str, path: Path) -> str:
    whole = PurePosixPath(file)
    wrong = any(part == ".." or len(part.encode()) > _MAX_NAME_BYTES for part in whole.parts)
    if wrong or whole.is_absolute() or not whole.name or "\0" in file:
        raise DataError(
            f"{path} names the picture {file[:80]!r}, which is no path inside a folder",
            "write paths relative to the pictures' folder",
        )
    return file


def _present(root: Path, file: str) -> str:
    """The file itself, or that of the same name with another suffix that is there."""
    if (root / file).is_file():
        return file
    stem = str(PurePosixPath(file).with_suffix(""))
    others = (f"{stem}{suffix}" for suffix in sorted(SUFFIXES))
    return next((other for other in others if (root / other).is_file()), file)
