"""Folders of files of one kind: one folder per class, or flat without classes."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ..core.errors import DataError
from ..core.modality import Sample, Source
from .files import FileKind
from .fingerprints import fingerprint

SPLITS = frozenset(
    {"train", "training", "val", "valid", "validation", "test", "testing", "eval", "dev"}
)


class FileSource(Source):
    """Files under one folder.

    Attributes:
        root: the folder.
        files: paths relative to it (POSIX), in the order of the keys.
        kind: what they are.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        files: Sequence[str],
        kind: FileKind,
        classes: tuple[str, ...] = (),
    ) -> None:
        """Index the files; with `classes`, the first part of each path is its class."""
        self.name, self.root, self.classes = name, root, classes
        self.kind, self.modality = kind, kind.noun
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
        """The file, not yet decoded.

        Raises:
            DataError: the file cannot be read.
        """
        content = self.kind.content(self.root / self.files[index])
        label = None if self.labels is None else int(self.labels[index])
        return Sample(self.keys[index], content, label)

    def fingerprint(self) -> str:
        """The sha256 of all keys, labels and file bytes."""
        return fingerprint(self)


def _stem(file: str) -> str:
    return file[: -len(Path(file).suffix)]


def split_of(path: Path) -> tuple[Path, str | None]:
    """The parts of `PATH#SPLIT`; None where no split is named."""
    text = str(path)
    if path.exists() or "#" not in text:
        return path, None
    before, _, after = text.rpartition("#")
    return Path(before), after or None


def open_file(path: Path, kind: FileKind) -> FileSource:
    """A source of one file."""
    return FileSource(str(path), path.parent, [path.name], kind)


def open_folder(path: Path, kind: FileKind, only: Collection[str] | None = None) -> FileSource:
    """The files of a folder; its sub-folders, where there are any, are the classes.

    Args:
        path: the folder.
        kind: which files.
        only: the classes wanted; None = all.

    Raises:
        DataError: no such files, or classes and loose files mixed, or a folder of splits.
    """
    folders = sorted(p.name for p in path.iterdir() if p.is_dir() and not _is_hidden(p.name))
    if only is not None:
        folders = [name for name in folders if name in only]
    loose = sorted(p.name for p in path.iterdir() if p.is_file() and _is_sample(p, kind))
    if not folders:
        return FileSource(str(path), path, _some(loose, path, kind), kind)
    if all(name.lower() in SPLITS for name in folders):
        raise DataError(
            f"{path} holds the splits {', '.join(folders)}, not classes",
            f"name one of them: {path}#{folders[0]}",
        )
    files = [file for name in folders for file in _samples(path, name, kind)]
    if files and loose:
        raise DataError(
            f"{path} holds both class folders ({folders[0]}, …) and loose {kind.noun}s "
            f"({loose[0]}, …)",
            "move the loose ones into a class folder or elsewhere",
        )
    if loose:
        return FileSource(str(path), path, loose, kind)
    return FileSource(str(path), path, _some(files, path, kind), kind, tuple(folders))


def _some(files: list[str], path: Path, kind: FileKind) -> list[str]:
    if not files:
        raise DataError(
            f"no {kind.noun}s in {path} (looked for {' '.join(sorted(kind.suffixes))})",
            f"point --data at a folder with a sub-folder of {kind.noun}s per class, or of "
            f"{kind.noun}s",
        )
    return files


def _samples(root: Path, folder: str, kind: FileKind) -> list[str]:
    return sorted(
        p.relative_to(root).as_posix()
        for p in (root / folder).rglob("*")
        if _is_sample(p, kind) and not any(_is_hidden(part) for part in p.relative_to(root).parts)
    )


def _is_sample(path: Path, kind: FileKind) -> bool:
    return kind.holds(path) and not _is_hidden(path.name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
