"""The interface of a modality adapter: files → samples → batch, and predictions → pictures."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import Config as BaseConfig
from .draws import Draws
from .hashing import sample_id
from .tokens import Batch, Tokens


@dataclass(frozen=True)
class Sample:
    """One item of a source.

    Attributes:
        key: its name inside the source (relative path without suffix), the same in a folder,
            a tar and a pack of the same data.
        content: the file as opened by the modality, decoded as late as possible.
        label: class index, or None.
    """

    key: str
    content: Any
    label: int | None = None

    @property
    def id(self) -> int:
        """The key of the sample's random draws."""
        return sample_id(self.key)


class Source(ABC):
    """An indexed collection of samples, sorted by key; picklable, so that workers may have it.

    Attributes:
        name: how a user calls it (catalogue name or path).
        keys: the sample keys, sorted.
        labels: (N,) int64, or None where there are no classes.
        classes: class names, in the order of the label values.
    """

    name: str
    keys: Sequence[str]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.keys)

    @abstractmethod
    def read(self, index: int) -> Sample:
        """The sample at `index`.

        Raises:
            DataError: its file is damaged; names the file.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """The sha256 of all keys, labels and contents: the same data, the same hash."""


class Modality(ABC):
    """Base of all adapters.

    Attributes:
        slug: its name in the registry.
        Config: its settings (size, augmentation).
    """

    slug: ClassVar[str]
    Config: ClassVar[type[BaseConfig]]

    def __init__(self, config: BaseConfig) -> None:
        self.config: Any = config

    @classmethod
    @abstractmethod
    def open(cls, path: Path) -> Source:
        """The source at a path.

        Raises:
            DataError: nothing there that this modality reads.
        """

    @abstractmethod
    def prepare(self, sample: Sample, draws: Draws | None) -> dict[str, Tensor]:
        """One sample's tensors: augmented when `draws` (one row) is given, else deterministic.

        Raises:
            DataError: the content is damaged; names the sample.
        """

    def collate(self, samples: Sequence[Sample], prepared: Sequence[dict[str, Tensor]]) -> Batch:
        """The batch of prepared samples."""
        labels = [s.label for s in samples]
        return Batch(
            inputs={k: torch.stack([p[k] for p in prepared]) for k in prepared[0]},
            ids=torch.tensor([s.id for s in samples], dtype=torch.int64),
            labels=None if None in labels else torch.tensor(labels, dtype=torch.int64),
        )

    @abstractmethod
    def draw(self, batch: Batch, tokens: Tokens, hidden: Tensor, path: Path) -> Path:
        """Write a picture that a person looks at: input | masked | reconstruction.

        Args:
            batch: the inputs.
            tokens: the reconstruction (`Method.reconstruction`).
            hidden: (B, N) bool, True = hidden.
            path: where to; the suffix may be completed.

        Returns:
            The path written.
        """
