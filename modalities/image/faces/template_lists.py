"""Template lists of IJB: which pictures make a template, and which templates are compared.

Two forms are read, from a folder or its sub-folder `meta`:

- the official one: `*_face_tid_mid.txt` (picture, template, medium), `*_name_5pts_score.txt`
  (picture, ten coordinates, detector score), `*_template_pair_label.txt` (template, template,
  1 or 0), and for 1:N `*_1N_gallery_*.csv` and `*_1N_probe_*.csv` (TEMPLATE_ID,SUBJECT_ID,…);
- tables with a header line, separated by tabs: `templates.tsv` (template, media, image, and
  perhaps score), `pairs.tsv` (a, b, same), `gallery.tsv` and `probes.tsv` (template, subject).

The pictures lie in `loose_crop` beside `meta`, or in the folder itself.
"""

# K pictures, R rows of the list, T templates.

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ....core.errors import DataError
from ....core.hashing import sha256_file

if TYPE_CHECKING:
    from pandas import DataFrame

_MEDIA, _POINTS, _PAIRS = "*_face_tid_mid.txt", "*_name_5pts_score.txt", "*_template_pair_label.txt"
_GALLERY, _PROBES = "*_1[Nn]_gallery_*.csv", "*_1[Nn]_probe_*.csv"
_BLOCK = 1 << 18  # pairs parsed at once
Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class TemplateLists:
    """What a folder of lists says.

    Attributes:
        name: the folder.
        root: where the pictures lie.
        images: K names of picture files, relative to the root.
        points: (K, 5, 2) landmarks (x, y), or None where pictures are aligned.
        picture: (R,) which picture.
        template: (R,) which template.
        media: (R,) which medium, inside its template.
        score: (R,) the detector's; 1 where there is none.
        templates: T names.
        files: the lists by role: "pairs", "gallery", "probes"; the latter two may be several.
    """

    name: str
    root: Path
    images: tuple[str, ...]
    points: NDArray[np.float64] | None
    picture: NDArray[np.int64]
    template: NDArray[np.int64]
    media: NDArray[np.int64]
    score: NDArray[np.float64]
    templates: tuple[str, ...]
    files: dict[str, tuple[Path, ...]]

    def hash(self) -> str:
        """The sha256 of the lists.

        Pictures count by their names: embeddings of them can be scored where they do not lie.
        """
        digest = hashlib.sha256("\0".join(self.images).encode())
        for part in (self.picture, self.template, self.media, self.score, self.points):
            digest.update(b"\0" if part is None else np.ascontiguousarray(part).tobytes())
        digest.update("\0".join(self.templates).encode())
        for role, paths in sorted(self.files.items()):
            digest.update(f"{role}\0{[sha256_file(path) for path in paths]}".encode())
        return digest.hexdigest()

    def pairs(self) -> Iterator[Pairs]:
        """The pairs in blocks: two templates (n,) and whether they are of one person (n,).

        Raises:
            DataError: there is no list of pairs, a line is damaged, or a template is unknown.
        """
        path = self._file("pairs", f"{_PAIRS} or pairs.tsv")
        whole = path.suffix == ".txt"  # official lists number their templates
        number, kinds = self._numbers(whole=whole), [0, 1] if whole else ["0", "1"]
        line = 0
        for table in _tables(path, ("a", "b", "same"), _BLOCK, dtype=np.int64 if whole else str):
            sides = [number(table[name], path, line) for name in ("a", "b")]
            same, known = table["same"], table["same"].isin(kinds).to_numpy()
            if not known.all():
                row = int(np.argmin(known))
                raise DataError(
                    f"{path} pair {line + row + 1}: expected 0 or 1, got '{same.iloc[row]}'"
                )
            yield sides[0], sides[1], (same == kinds[1]).to_numpy()
            line += len(table)
        if not line:
            raise DataError(f"{path} lists no pair", "restore the file")

    def people(
        self, role: Literal["gallery", "probes"], part: str | None = None
    ) -> tuple[NDArray[np.int64], list[str]]:
        """The templates (n,) of the gallery or the probes of 1:N, and whose each is.

        Args:
            role: which.
            part: of the name of the lists that are wanted; None = all of them.

        Raises:
            DataError: there is no such list, a line is damaged, or a template is unknown or
                stands twice.
        """
        self._file(role, f"{_GALLERY} and {_PROBES}, or gallery.tsv and probes.tsv")
        paths = [path for path in self.files[role] if part is None or part in path.name]
        if not paths:
            raise DataError(
                f"{self.name} has no {role} '{part}'",
                f"it has {', '.join(path.name for path in self.files[role])}",
            )
        number, templates, subjects = self._numbers(), [], []
        for path in paths:
            for table in _tables(path, ("template", "subject"), None):
                each = table.drop_duplicates("template")  # official lists have a line a picture
                templates.append(number(each["template"], path, 0))
                subjects += each["subject"].tolist()
        rows = np.concatenate(templates)
        if not len(rows) or len(np.unique(rows)) != len(rows):
            raise DataError(
                f"{self.name}: expected each template of the {role} once, got {len(rows)} of "
                f"{len(np.unique(rows))} different ones",
                "name one gallery with --set data.gallery=NAME",
            )
        return rows, subjects

    def _file(self, role: str, wanted: str) -> Path:
        if not self.files.get(role):
            raise DataError(f"{self.name} has no list of {role} (looked for {wanted})")
        return self.files[role][0]

    def _numbers(self, *, whole: bool = False) -> Any:  # noqa: ANN401 - a function of a column
        import pandas as pd

        try:
            known = pd.Index(np.array(self.templates, np.int64) if whole else self.templates)
        except ValueError as error:
            raise DataError(
                f"{self.name}: expected templates with whole numbers: {error}", "restore the lists"
            ) from error

        def number(column: Any, path: Path, line: int) -> NDArray[np.int64]:  # noqa: ANN401
            places = known.get_indexer(column)
            if (places < 0).any():
                row = int(np.argmax(places < 0))
                raise DataError(
                    f"{path} line {line + row + 1}: template '{column.iloc[row]}' has no picture",
                    "the lists belong to different sets: restore them",
                )
            return places.astype(np.int64)

        return number


def has_template_lists(folder: Path) -> bool:
    """Whether a folder, or its sub-folder `meta`, holds a template list."""
    places = (folder, folder / "meta")
    return any((p / "templates.tsv").is_file() or any(p.glob(_MEDIA)) for p in places)


def read_template_lists(folder: Path, root: Path | None = None) -> TemplateLists:
    """The lists in a folder.

    Args:
        folder: see the module's text.
        root: where the pictures lie, if not in the usual place.

    Raises:
        DataError: no template list, or one is damaged or contradicts another.
    """
    folder = Path(folder)
    meta = folder / "meta" if (folder / "meta").is_dir() else folder
    media = sorted(meta.glob(_MEDIA))
    if media:
        table, points = _official(media[0], sorted(meta.glob(_POINTS)))
        roles = {"pairs": _PAIRS, "gallery": _GALLERY, "probes": _PROBES}
    elif (meta / "templates.tsv").is_file():
        table, points = _plain(meta / "templates.tsv"), None
        roles = {"pairs": "pairs.tsv", "gallery": "gallery.tsv", "probes": "probes.tsv"}
    else:
        raise DataError(
            f"{folder} holds no template list (looked for {_MEDIA} and templates.tsv)",
            "name the folder that holds the lists or their sub-folder 'meta'",
        )
    images, picture = np.unique(table["image"].to_numpy(str), return_inverse=True)
    templates, template = np.unique(table["template"].to_numpy(str), return_inverse=True)
    crops = folder / "loose_crop"
    return TemplateLists(
        name=str(folder),
        root=root or (crops if crops.is_dir() else folder),
        images=tuple(images.tolist()),
        points=None if points is None else np.stack([points[name] for name in images]),
        picture=picture.astype(np.int64),
        template=template.astype(np.int64),
        media=np.unique(table["media"].to_numpy(str), return_inverse=True)[1].astype(np.int64),
        score=table["score"].to_numpy(np.float64),
        templates=tuple(templates.tolist()),
        files={role: tuple(sorted(meta.glob(name))) for role, name in roles.items()},
    )


def _official(
    media: Path, points: list[Path]
) -> tuple["DataFrame", dict[str, NDArray[np.float64]]]:
    """The template list with scores, and each picture's landmarks."""
    if not points:
        raise DataError(f"{media.parent} has no {_POINTS}", "restore the file beside the others")
    names = ("image", *(f"p{i}" for i in range(10)), "score")
    (faces,) = _tables(points[0], names, None)
    values = _numbers_of(faces[list(names[1:])], points[0])
    (table,) = _tables(media, ("image", "template", "media"), None)
    score = dict(zip(faces["image"], values[:, 10], strict=True))
    unknown = ~table["image"].isin(score)
    if unknown.any():
        raise DataError(
            f"{media} names the picture {table['image'][unknown].iloc[0]!r}, {points[0].name} "
            "does not",
            "the lists belong to different sets: restore them",
        )
    found = zip(faces["image"], values[:, :10].reshape(-1, 5, 2), strict=True)
    return table.assign(score=table["image"].map(score)), dict(found)


def _plain(path: Path) -> "DataFrame":
    """The table, with a score of 1 where it gives none."""
    (table,) = _tables(path, ("template", "media", "image"), None)
    if "score" not in table:
        return table.assign(score=1.0)
    return table.assign(score=_numbers_of(table[["score"]], path)[:, 0])


def _numbers_of(table: "DataFrame", path: Path) -> NDArray[np.float64]:
    try:
        values = table.to_numpy(np.float64)
    except ValueError as error:
        raise DataError(f"{path}: expected numbers: {error}", "restore the file") from error
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values).all(axis=1)))
        raise DataError(f"{path} row {row + 1}: expected finite numbers", "restore the file")
    return values


def _tables(
    path: Path, names: tuple[str, ...], n_rows: int | None, dtype: type = str
) -> Iterator["DataFrame"]:
    """A list: a table with a header (.tsv, .csv), or columns without one (.txt).

    Args:
        path: the file.
        names: columns that it must have; of .csv files the first ones, whatever they are called.
        n_rows: of a part; None = all at once.
        dtype: of all columns.
    """
    how: dict[str, Any] = {"dtype": dtype, "keep_default_na": False, "encoding": "utf-8"}
    if path.suffix == ".txt":
        how |= {"sep": r"\s+", "header": None, "names": list(names), "index_col": False}
    elif path.suffix == ".csv":
        how |= {"header": 0, "names": list(names), "usecols": range(len(names))}
    else:
        how |= {"sep": "\t"}
    for table in _read(path, {"chunksize": n_rows, **how}):
        missing = [name for name in names if name not in table]
        if missing:
            raise DataError(f"{path} has no column '{missing[0]}'", f"it has {list(table)}")
        if (table[list(names)] == "").any(axis=None) or table.isna().any(axis=None):
            raise DataError(f"{path}: expected {len(names)} columns in every line")
        yield table


def _read(path: Path, how: dict[str, Any]) -> Iterator["DataFrame"]:
    """Pandas' tables; whatever it complains of is an error that names the file."""
    import pandas as pd

    parts: Any = None
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)  # lines of more columns
                if parts is None:
                    read = pd.read_csv(path, **how)
                    parts = iter([read] if isinstance(read, pd.DataFrame) else read)
                table = next(parts, None)
        except (OSError, ValueError, OverflowError, pd.errors.ParserWarning) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path} is no readable list: {reason}", "restore the file") from error
        if table is None:
            return
        yield table
