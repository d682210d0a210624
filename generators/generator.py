"""What every generator is: settings, prepared files, and pictures as a pure function of a plan."""

# B pictures (rows) of a batch, H x W pixels.

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from ..core.config import Config as BaseConfig

if TYPE_CHECKING:
    from .engine.dataset import SynthesizedSet

Fact = bool | int | float | str
Progress = Callable[[int, int | None], None]  # (done, how many in all or None)


@dataclass(frozen=True)
class RenderPlan:
    """All that a picture may depend on, beside its identity and its number.

    Attributes:
        seed: of all draws.
        identities: how many the data set has.
        images_per_identity: how many pictures each has.
        settings: the generator's `Settings`.
        folder: holds what `Generator.prepare` wrote.
    """

    seed: int
    identities: int
    images_per_identity: int
    settings: Any
    folder: Path


@dataclass(frozen=True)
class Rendered:
    """A batch of pictures.

    Attributes:
        images: (B, H, W, 3) uint8, RGB.
        facts: for each picture the values named by `Generator.columns`.
    """

    images: NDArray[np.uint8]
    facts: Sequence[Mapping[str, Fact]] = field(default_factory=tuple)


class Generator(ABC):
    """Base of all generators; the engine makes data sets of any of them.

    Attributes:
        slug: its name in the registry.
        Settings: what `--set` changes.
        fact_types: fact name → bool, int, float or str; columns of the manifest.
        batch_size: pictures rendered at once unless the user says otherwise.
    """

    slug: ClassVar[str]
    Settings: ClassVar[type[BaseConfig]]
    fact_types: ClassVar[Mapping[str, type]] = {}
    batch_size: ClassVar[int] = 32

    @classmethod
    @abstractmethod
    def open(cls, weights: Path | None, device: str) -> Generator:
        """The generator, ready to render.

        Args:
            weights: its weights; None = the shipped ones.
            device: "cpu" or "cuda:N".

        Raises:
            WeightsError: no weights there, or those of another method.
        """

    @property
    @abstractmethod
    def hash(self) -> str:
        """The sha256 of the weights: 64 hexadecimal digits."""

    @abstractmethod
    def facts(self) -> dict[str, JsonValue]:
        """What the plan shall say of it: template, picture size, how the weights came to be."""

    @abstractmethod
    def prepare(
        self, n_identities: int, settings: Any, seed: int, folder: Path, progress: Progress  # noqa: ANN401
    ) -> dict[str, JsonValue]:  # fmt: skip
        """Write what rendering needs (identity vectors, their certificate); facts for the plan.

        The files must be the same bytes for the same arguments: no times, no paths. They get a
        folder of their own; the engine makes it appear whole or not at all and hashes them.

        Args:
            n_identities: how many identities.
            settings: the generator's `Settings`.
            seed: of all draws.
            folder: an empty folder.
            progress: called with what is done and how much there is.

        Raises:
            UsageError: the settings cannot be met; names what was reached and what to change.
        """

    @abstractmethod
    def render(
        self, plan: RenderPlan, identities: NDArray[np.int64], numbers: NDArray[np.int64]
    ) -> Rendered:
        """The pictures of some rows: a pure function of (plan, rows).

        Only the last bits may depend on which rows stand together; the engine fixes that too.

        Args:
            plan: what they may depend on.
            identities: (B,) from 0.
            numbers: (B,) of the picture within its identity, from 0.
        """

    @abstractmethod
    def audit(self, dataset: SynthesizedSet) -> dict[str, JsonValue]:
        """What this kind of data set must be asked: separation, leakage, consistency.

        Called once the shards and the manifest are whole; must read in a stream and give the
        same answer for the same data set.
        """

    def closing(self, dataset: SynthesizedSet) -> list[str]:  # noqa: ARG002
        """What a person shall read at the end of a run, beside the audit: nothing by default."""
        return []

    def check(  # noqa: B027 - a generator need not refuse anything
        self, identities: int, images_per_identity: int, settings: Any  # noqa: ANN401
    ) -> None:  # fmt: skip
        """Refuse numbers and settings that cannot go together, before anything is written.

        Everything goes by default.

        Raises:
            UsageError: they cannot.
        """

    def columns(self, settings: Any) -> Mapping[str, type]:  # noqa: ANN401, ARG002
        """The facts that pictures have under these settings: all of `fact_types` by default."""
        return self.fact_types

    def preparation_s(self, n_identities: int, settings: Any) -> float | None:  # noqa: ANN401
        """The seconds that `prepare` is expected to take; None where nobody measured it."""
        return None
