"""The text files of GIN (Xu et al., 2019), with the published folds where they lie beside them.

First line: the number of graphs. Each graph: `n label`, then n lines `tag degree neighbours…`.
Tags that are all the same say nothing: nodes then have their degree, one-hot, as in TU sets.
"""

# G graphs, N nodes of all of them, E edges.

from pathlib import Path
from typing import NoReturn

import numpy as np

from ...core.errors import DataError
from .features import one_hot, one_hot_degrees
from .source import GraphSource, GraphTable, Ids, class_ids
from .text_tables import read_ids, read_text

_FOLDS = "10fold_idx"


def is_gin_text(path: Path) -> bool:
    """Whether a text file begins like one of these."""
    with path.open(encoding="utf-8", errors="replace") as file:
        first, second = file.readline(64).split(), file.readline(64).split()
    return len(first) == 1 and len(second) == 2 and all(w.isdigit() for w in (*first, second[0]))


def open_gin_text(path: Path, *, one_way: bool = False) -> GraphSource:
    """The graphs of a file.

    Args:
        path: the file.
        one_way: an edge may be listed in one direction only (GIN's own reader asks for no more).

    Raises:
        DataError: a line is not as expected; names it.
    """
    rows = _Rows(path)
    (n_graphs,) = rows.numbers(1)
    if n_graphs < 1:
        rows.refuse("at least one graph")
    labels: list[int] = []
    sizes: list[int] = []
    tags: list[int] = []
    degrees: list[int] = []
    neighbours: list[int] = []
    for _ in range(n_graphs):
        n, label = rows.numbers(2)
        if n < 1:
            rows.refuse("a graph of at least one node")
        before = len(tags)
        labels.append(label)
        sizes.append(n)
        for _ in range(n):
            tag, others = rows.node()
            bad = next((other for other in others if not 0 <= other < n), None)
            if bad is not None:
                rows.refuse(f"neighbours 0 … {n - 1} of the same graph, got {bad}")
            tags.append(tag)
            degrees.append(len(others))
            neighbours += [before + other for other in others]
    target = np.repeat(np.arange(len(tags)), degrees).astype(np.int64)
    ids, classes = class_ids(labels)
    kinds, _ = class_ids(tags)
    table = GraphTable(
        name=str(path), sizes=np.array(sizes, dtype=np.int64),
        source=np.array(neighbours, dtype=np.int64), target=target,
        x=one_hot(kinds) if len(set(tags)) > 1 else one_hot_degrees(target, len(tags)),
        labels=ids, classes=classes, folds=_folds(path, len(sizes)),
    )  # fmt: skip
    return GraphSource(table, one_way=one_way)


class _Rows:
    """The lines of a file, one after the other."""

    def __init__(self, path: Path) -> None:
        self._path, self._line = path, 0
        self._lines = read_text(path).splitlines()

    def numbers(self, count: int) -> list[int]:
        """The whole numbers of the next line, as many as `count` says."""
        words = self._words()
        if len(words) != count:
            self.refuse(f"{count} whole numbers, got {len(words)}")
        return self._whole(words)

    def node(self) -> tuple[int, list[int]]:
        """The tag and the neighbours of the next line; attributes after them are not read."""
        words = self._words()
        tag, degree = self._whole((words + ["", ""])[:2])
        if degree < 0 or len(words) < 2 + degree:
            self.refuse(f"a tag, a degree and as many neighbours, got {len(words)} words")
        return tag, self._whole(words[2 : 2 + degree])

    def refuse(self, what: str) -> NoReturn:
        """Say what was expected in the line just taken."""
        raise DataError(f"{self._path}, line {self._line}: expected {what}", "mend the line")

    def _words(self) -> list[str]:
        if self._line == len(self._lines):
            raise DataError(f"{self._path} ends after line {self._line}", "fetch it again")
        self._line += 1
        return self._lines[self._line - 1].split()

    def _whole(self, words: list[str]) -> list[int]:
        try:
            return [int(word) for word in words]
        except ValueError as error:
            raise DataError(
                f"{self._path}, line {self._line}: expected whole numbers, got {error}",
                "mend the line",
            ) from error


def _folds(path: Path, n_graphs: int) -> tuple[tuple[Ids, Ids], ...]:
    """The published folds `10fold_idx/NAME/{train,test}_idx-K.txt` beside the file, or none."""
    folder = path.parent / _FOLDS / path.stem
    count = len(list(folder.glob("test_idx-*.txt"))) if folder.is_dir() else 0
    folds = []
    for number in range(1, count + 1):
        train, test = (read_ids(folder / f"{part}_idx-{number}.txt") for part in ("train", "test"))
        if set(train) & set(test) or not set(train) | set(test) <= set(range(n_graphs)):
            raise DataError(
                f"{folder}, fold {number}: train and test overlap, or name absent graphs",
                "fetch the folds again",
            )
        folds.append((train, test))
    return tuple(folds)
