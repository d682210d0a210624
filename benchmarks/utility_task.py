"""What a training set is compared with: a real set, and pairs of other real people."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import DataError, UsageError
from ..core.hashing import sha256_json
from .data_set_subjects import DataSetSubject, open_data_set
from .pair_data import LISTS, PairSettings, PairTask, open_pairs

if TYPE_CHECKING:
    from pandas import DataFrame

    from .subjects import Extraction

REAL, TEST = "fit", "held-out"  # parts of a prepared folder: shipped generators see the first
_SPLIT = "faces-split.toml"


@dataclass(frozen=True)
class Tested:
    """How a net judges the pairs.

    Attributes:
        frame: a row per pair.
        facts: of the pairs.
        weights: the hash of the net.
    """

    frame: "DataFrame"
    facts: Mapping[str, Any]
    weights: str


class UtilityTask:
    """A real set, and pairs of other people.

    Args:
        name: how a user calls it.
        real: the real set.
        pairs: of real people.
        made: how the pairs were made.
        runs: the folder where trainings are kept.

    Raises:
        DataError: somebody is in both, or on the wrong side of `recipes/faces-split.toml`.
    """

    def __init__(
        self, name: str, real: DataSetSubject, pairs: PairTask, *, made: str, runs: Path
    ) -> None:
        self.name, self.real, self.pairs, self.made, self.runs = name, real, pairs, made, runs
        self.people = _kept_apart(real, pairs)
        self._tested: dict[tuple[str, int], Tested] = {}

    def hash(self) -> str:
        """The sha256 of the real set and the pairs.

        Raises:
            DataError: a picture cannot be read.
        """
        return self._hash

    @cached_property
    def _hash(self) -> str:
        return sha256_json({"real": self.real.hash, "pairs": self.pairs.hash()})

    def tested(self, content: str, seed: int, compute: Callable[[], Tested]) -> Tested:
        """How the net of a content hash and a seed judges the pairs; computed once."""
        key = content, seed
        if key not in self._tested:
            self._tested[key] = compute()
        return self._tested[key]


def open_utility(
    text: str,
    own: Mapping[str, Any],
    extraction: "Extraction",
    *,
    train: str | None = None,
    test: str | None = None,
    runs: Path,
) -> tuple[UtilityTask, dict[str, Any]]:
    """The real set and the pairs that a user names, and the `data.` settings left over.

    Args:
        text: a prepared folder with people of `recipes/faces-split.toml`: its part `fit` is the
            real set, its part `held-out` gives the pairs.
        own: the `data.` settings: those of the pairs.
        extraction: how pictures are embedded.
        train: another real set.
        test: another source of pairs; see `open_pairs`.
        runs: the folder where trainings are kept.

    Raises:
        UsageError: no folder of faces is named, or a setting is wrong.
        DataError: there is no such data, or people are in both.
    """
    from ..modalities.catalogue import CATALOGUE

    if text in CATALOGUE and (train is None or test is None):
        raise UsageError(
            f"no real faces to compare with: the data set '{text}' holds none",
            "name a folder of `masquerade data prepare faces` with --data, or --train and --test",
        )
    real = open_data_set(train or f"{text}#{REAL}", extraction)
    where = test or f"{text}#{TEST}"
    pairs, rest = open_pairs(where, own, extraction)
    made = "as listed"
    if Path(where).suffix not in LISTS:
        seed = own.get("seed", PairSettings().seed)
        made = "all genuine pairs, as many impostor pairs of one source each, drawn by data.seed "
        made += str(seed)
    name = f"{real.name} and {pairs.name}" if train or test else Path(text).name
    return UtilityTask(name, real, pairs, made=made, runs=runs), rest


def _kept_apart(real: DataSetSubject, pairs: PairTask) -> str:
    """What is known of the people of both.

    Raises:
        DataError: somebody is in both, or on the wrong side of the shipped split.
    """
    from ..modalities.image.faces.split import faces_split

    tested = pairs.pairs.identities
    if tested is None:
        return "not known to be others than the real set's: the pairs name nobody"
    split = faces_split()
    train, test = set(real.source.classes), set(tested)
    held_out, learned = set(split.held_out), set(split.train)
    for found, what in (
        (train & test, f"both in the real set {real.name} and in the pairs of {pairs.name}"),
        (train & held_out, f"in the real set {real.name}, and {_SPLIT} holds them out"),
        (test & learned, f"in the pairs of {pairs.name}, and {_SPLIT} gives them to training"),
    ):
        if found:
            raise DataError(
                f"{len(found)} people are {what}, the first {min(found)}",
                f"train on FACES#{REAL} and test on FACES#{TEST}",
            )
    said = f"{len(test)} people, none of them in the real set"
    return f"{said}; {_SPLIT} holds out {len(test & held_out)}"
