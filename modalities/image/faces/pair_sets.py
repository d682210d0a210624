"""Pairs of a set that has a folder per person: all genuine ones, as many impostor ones."""

# N pairs, K pictures.

import hashlib

import numpy as np
from numpy.typing import NDArray

from ....core.errors import DataError
from ....core.metrics.pair_folds import N_FOLDS
from ....core.modality import Source
from .pairs import FacePairs
from .split import faces_split

Rows = NDArray[np.int64]


def set_pairs(source: Source, name: str, template: str | None = None, seed: int = 0) -> FacePairs:
    """Every genuine pair of a labelled source, and as many impostor pairs, drawn by a seed.

    People whose folders are called SOURCE_PERSON as in `recipes/faces-split.toml` are compared
    inside their own source only: between two sources background and clothes tell people apart.
    Pairs of either kind are dealt to ten folds in a drawn order.

    Args:
        source: its classes are the people.
        name: how a user calls it.
        template: that the pictures are aligned to, if they are.
        seed: of the impostor pairs and the folds.

    Raises:
        DataError: no labels, one person only, or too few pairs for ten folds.
    """
    if source.labels is None:
        raise DataError(
            f"{name} does not say who its pictures show", "make a folder per person, or name a list"
        )
    origin_of = _origins(source.classes)
    labels = source.labels
    if len(np.unique(labels)) < 2:
        raise DataError(
            f"{name} shows one person only", "verification needs several people: name others too"
        )
    random = np.random.Philox(key=_key(stream="pairs", seed=seed))
    found = []
    for origin in sorted(set(origin_of)):
        inside = np.isin(labels, [i for i, own in enumerate(origin_of) if own == origin])
        rows = np.flatnonzero(inside)
        genuine = _shuffled(_genuine(rows, labels), random)
        found.append((origin, genuine, _impostors(rows, labels, len(genuine), random)))
    return _dealt(source, name, template, found, origin_of)


def _origins(people: tuple[str, ...]) -> list[str]:
    split = faces_split()
    listed = {*split.train, *split.held_out}
    return [person.split("_", 1)[0] if person in listed else "" for person in people]


def _key(**facts: object) -> NDArray[np.uint64]:
    digest = hashlib.blake2b(repr(sorted(facts.items())).encode(), digest_size=16).digest()
    return np.frombuffer(digest, "<u8")


def _genuine(rows: Rows, labels: Rows) -> Rows:
    """All pairs (G, 2) of rows with one label, the smaller row first."""
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for label in np.unique(labels[rows]):
        own = rows[labels[rows] == label]
        one, other = np.triu_indices(len(own), 1)
        pairs.append(np.stack([own[one], own[other]], axis=1))
    return np.concatenate(pairs)


def _shuffled(pairs: Rows, random: np.random.Philox) -> Rows:
    # ranks of raw words: NumPy promises their stream for ever, that of `permutation` it does not
    return pairs[np.argsort(_words(len(pairs), random), kind="stable")]


def _words(n: int, random: np.random.Philox) -> NDArray[np.uint64]:
    return np.asarray(random.random_raw(n), dtype=np.uint64)


def _impostors(rows: Rows, labels: Rows, wanted: int, random: np.random.Philox) -> Rows:
    """Different pairs (≤ wanted, 2) of rows with two labels, uniformly drawn."""
    n = len(rows)
    counts = np.unique(labels[rows], return_counts=True)[1]
    available = (n * (n - 1) - int((counts * (counts - 1)).sum())) // 2
    if wanted >= available // 2:
        one, other = np.triu_indices(n, 1)
        strangers = labels[rows[one]] != labels[rows[other]]
        every = np.stack([rows[one[strangers]], rows[other[strangers]]], axis=1)
        return _shuffled(every, random)[:wanted]
    chosen: dict[int, None] = {}  # in the order drawn
    while len(chosen) < wanted:
        words = _words(2 * (wanted - len(chosen)) + 16, random) >> np.uint64(32)
        drawn = ((words * np.uint64(n)) >> np.uint64(32)).astype(np.int64).reshape(-1, 2)
        one, other = drawn.min(axis=1), drawn.max(axis=1)
        strangers = labels[rows[one]] != labels[rows[other]]
        chosen.update(dict.fromkeys((one * n + other)[strangers].tolist()))
    codes = np.array(list(chosen)[:wanted], dtype=np.int64)
    return np.stack([rows[codes // n], rows[codes % n]], axis=1)


def _dealt(
    source: Source,
    name: str,
    template: str | None,
    found: list[tuple[str, Rows, Rows]],
    origin_of: list[str],
) -> FacePairs:
    parts = []
    for kind in (1, 2):  # genuine, impostor
        pairs = np.concatenate([entry[kind] for entry in found])
        if len(pairs) < N_FOLDS:
            raise DataError(
                f"{name} gives {len(pairs)} {('genuine', 'impostor')[kind - 1]} pairs, expected at "
                f"least {N_FOLDS}, one per fold",
                "verification needs several people with several pictures each",
            )
        parts.append((pairs, np.arange(len(pairs)) % N_FOLDS))
    pairs = np.concatenate([pairs for pairs, _ in parts])
    fold = np.concatenate([fold for _, fold in parts])
    same = np.repeat([True, False], [len(pairs) for pairs, _ in parts])
    order = np.argsort(fold, kind="stable")
    labels = np.asarray(source.labels)
    return FacePairs(
        name=name,
        source=source,
        first=pairs[order, 0],
        second=pairs[order, 1],
        same=same[order],
        fold=fold[order],
        origin=tuple(origin_of[label] for label in labels[pairs[order, 0]].tolist()),
        identities=tuple(source.classes[label] for label in labels.tolist()),
        template=template,
    )
