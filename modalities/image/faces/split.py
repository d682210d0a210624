"""Which identities of the shipped list may be learned from: `recipes/faces-split.toml`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import Field, model_validator

from ....core.config import Config, build, tomllib
from ....core.errors import DataError, nearest

SPLIT = Path(__file__).resolve().parents[3] / "recipes" / "faces-split.toml"


class Rule(Config):
    """A choice from a list in its order: between two names, the first ones, or every n-th."""

    start: str | None = Field(default=None, alias="from")
    end: str | None = Field(default=None, alias="to")
    first: int | None = Field(default=None, ge=1)
    every: int | None = Field(default=None, ge=2)
    at: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one(self) -> "Rule":
        said = {name for name in type(self).model_fields if getattr(self, name) is not None}
        if said not in ({"start", "end"}, {"first"}, {"every", "at"}):
            raise ValueError("expected 'from' and 'to', or 'first', or 'every' and 'at'")
        return self

    def chosen(self, names: Sequence[str]) -> frozenset[str]:
        """The names that the rule takes."""
        if self.first is not None:
            return frozenset(names[: self.first])
        if self.every is not None and self.at is not None:
            return frozenset(names[self.at :: self.every])
        return frozenset(name for name in names if (self.start or "") <= name <= (self.end or ""))


class SourceRule(Config):
    """One set: its people, and who of them is for training or held out."""

    people: tuple[str, ...]
    train: Rule | None = None
    held_out: Rule | None = None

    @model_validator(mode="after")
    def _whole(self) -> "SourceRule":
        if (self.train is None) == (self.held_out is None):
            raise ValueError("expected one of 'train' and 'held_out'")
        if list(self.people) != sorted(set(self.people)):
            raise ValueError("expected people sorted by name, each once")
        return self

    def train_people(self) -> frozenset[str]:
        """Those who may be learned from."""
        if self.train is not None:
            return self.train.chosen(self.people)
        held = self.held_out.chosen(self.people) if self.held_out else frozenset()
        return frozenset(self.people) - held


class SplitRules(Config):
    """The whole file."""

    sources: dict[str, SourceRule]
    validation: Rule


@dataclass(frozen=True)
class FaceSplit:
    """Identities, called SOURCE_PERSON as the folders of prepared faces, each part sorted.

    Attributes:
        train: those that may be learned from.
        held_out: those that nothing has seen.
        validation: the part of `train` that early stopping looks at.
    """

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    validation: tuple[str, ...]


def part_of(split: FaceSplit, part: str) -> tuple[str, ...]:
    """The identities of a part: train, fit (train without validation), validation, held-out.

    Raises:
        DataError: no such part; names the nearest one.
    """
    watched = set(split.validation)
    parts = {
        "train": split.train,
        "fit": tuple(name for name in split.train if name not in watched),
        "validation": split.validation,
        "held-out": split.held_out,
    }
    if part not in parts:
        raise DataError(f"the split of faces has no part '{part}'", nearest(part, parts))
    return parts[part]


@lru_cache(maxsize=4)
def faces_split(path: Path = SPLIT) -> FaceSplit:
    """The split that a file states; the shipped one by default.

    Raises:
        UsageError: the file is no such table; names the key.

    Example:
        >>> split = faces_split()
        >>> len(split.train), len(split.held_out), "att_s26" in split.held_out
        (475, 128, True)
    """
    rules = build(SplitRules, tomllib.loads(path.read_text("utf-8")), path.name)
    train: list[str] = []
    held_out: list[str] = []
    for source, rule in rules.sources.items():
        learned = rule.train_people()
        for person in rule.people:
            (train if person in learned else held_out).append(f"{source}_{person}")
    train.sort()
    validation = sorted(rules.validation.chosen(train))
    return FaceSplit(tuple(train), tuple(sorted(held_out)), tuple(validation))


def split_identities(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """The train and the held-out identities among `names`, each sorted.

    A person's side never depends on who else is there.

    Args:
        names: SOURCE_PERSON, such as "att_s02".

    Raises:
        DataError: a name is not in the list.
    """
    split = faces_split()
    wanted = set(names)
    unknown = sorted(wanted - {*split.train, *split.held_out})
    if unknown:
        known = [*split.train, *split.held_out]
        raise DataError(
            f"{SPLIT.name} does not know the identity '{unknown[0]}' ({len(unknown)} such)",
            f"{nearest(unknown[0], known)}; folders are called SOURCE_PERSON, such as att_s02"
            if len(unknown) == 1
            else "folders are called SOURCE_PERSON, such as att_s02",
        )
    return sorted(wanted & set(split.train)), sorted(wanted & set(split.held_out))
