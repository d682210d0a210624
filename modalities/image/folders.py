"""Folders of pictures: one folder per class, or flat without classes; and a single file."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ...core.errors import DataError
from ...core.modality import Sample, Source
from ..fingerprints import fingerprint
from .decoding import SUFFIXES, Encoded

SPLITS = frozenset(
    {"train", "training", "val", "valid", "validation", "test", "testing", "eval", "dev"}
)


class FileSource(Source):
    """Picture files under one folder.

    Attributes:
        root: the folder.
        files: paths relative to it (POSIX), in the order of the keys.
    """

    def __init__(
        self, name: str, root: Path, files: Sequence[str], classes: tuple[str, ...] = ()
    ) -> None:
        """Index the files; with `classes`, the first part of each path is its class."""
        self.name, self.root, self.classes = name, root, classes
        stems = Counter(_stem(file) for file in files)
        # two files that differ by their suffix only keep it
        named = sorted((file if stems[_stem(file)] > 1 else _stem(file), file) for file in files)
        self.keys = [key for key, _ in named]
        self.files = [file for _, file in named]
        number = {c: i for i, c in enumerate(classes)}
        self.labels = (
            np.array([number[file.split("/")[0]] for file in self.files], dtype=np.int64)
            if classes
            else None
        )

    def read(self, index: int) -> Sample:
        """The file's bytes, not yet decoded.

        Raises:
            DataError: the file cannot be read.
        """
        path = self.root / self.files[index]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}", "restore the file") from error
        label = None if self.labels is None else int(self.labels[index])
        return Sample(self.keys[index], Encoded(str(path), data), label)

    def fingerprint(self) -> str:
        """The sha256 of all keys, labels and file bytes."""
        return fingerprint(self)


def _stem(file: str) -> str:
    return file[: -len(Path(file).suffix)]


def open_file(path: Path) -> FileSource:
    """A source of one picture."""
    return FileSource(str(path), path.parent, [path.name])


def open_folder(path: Path, only: Collection[str] | None = None) -> FileSource:
    """The pictures of a folder; its sub-folders, where there are any, are the classes.

    Args:
        path: the folder.
        only: the classes wanted; None = all.

    Raises:
        DataError: no pictures, or classes and loose pictures mixed, or a folder of splits.
    """
    folders = sorted(p.name for p in path.iterdir() if p.is_dir() and not _is_hidden(p.name))
    if only is not None:
        folders = [name for name in folders if name in only]
    loose = sorted(p.name for p in path.iterdir() if p.is_file() and _is_picture(p))
    if not folders:
        return FileSource(str(path), path, _some(loose, path))
    if all(name.lower() in SPLITS for name in folders):
        raise DataError(
            f"{path} holds the splits {', '.join(folders)}, not classes",
            f"name one of them: {path}#{folders[0]}",
        )
    files = [file for name in folders for file in _pictures(path, name)]
    if files and loose:
        raise DataError(
            f"{path} holds both class folders ({folders[0]}, …) and loose pictures ({loose[0]}, …)",
            "move the loose ones into a class folder or elsewhere",
        )
    if loose:
        return FileSource(str(path), path, loose)
    return FileSource(str(path), path, _some(files, path), tuple(folders))


def _some(files: list[str], path: Path) -> list[str]:
    if not files:
        suffixes = " ".join(sorted(SUFFIXES))
        raise DataError(
            f"no images in {path} (looked for {suffixes})",
            "point --data at a folder with a sub-folder of images per class, or of images",
        )
    return files


def _pictures(root: Path, folder: str) -> list[str]:
    return sorted(
        p.relative_to(root).as_posix()
        for p in (root / folder).rglob("*")
        if _is_picture(p) and not any(_is_hidden(part) for part in p.relative_to(root).parts)
    )


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not _is_hidden(path.name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
