"""The interface of a modality adapter: files → samples → batch, and predictions → pictures."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import Config as BaseConfig
from .draws import Draws
from .errors import UsageError
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
        modality: the slug of the modality that prepares its samples.
    """

    modality: str = "image"
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

    def facts(self) -> Mapping[str, int]:
        """What else a person wants to know of it, counted."""
        return {}


class Modality(ABC):
    """Base of all adapters.

    Attributes:
        slug: its name in the registry.
        Config: its settings (size, augmentation).
        VIEWS: whether inputs have a second dimension: views of each sample (B, V, …).
    """

    slug: ClassVar[str]
    Config: ClassVar[type[BaseConfig]]
    VIEWS: ClassVar[bool] = False

    def __init__(self, config: BaseConfig) -> None:
        self.config: Any = config

    @classmethod
    @abstractmethod
    def open(cls, path: Path) -> Source:
        """The source at a path.

        Raises:
            DataError: nothing there that this modality reads.
        """

    @classmethod
    def recognises(cls, path: Path) -> bool:  # noqa: ARG003 - for those that can tell
        """Whether a path plainly holds data of this modality and no other; False where unsure."""
        return False

    @abstractmethod
    def prepare(self, sample: Sample, draws: Draws | None) -> dict[str, Tensor]:
        """One sample's tensors: augmented when `draws` (one row) is given, else deterministic.

        Raises:
            DataError: the content is damaged; names the sample.
        """

    @classmethod
    def whole(cls, sample: Sample, short_side: int | None = None) -> NDArray[np.uint8]:
        """All of a sample as a uint8 array, for packs; scaled down to a short side where given.

        Raises:
            DataError: the content is damaged; names the sample.
            UsageError: samples of this modality are no pixels.
        """
        raise UsageError(f"{cls.slug} data cannot be packed", "use the files as they are")

    @classmethod
    def check(cls, sample: Sample) -> None:
        """Decode all of a sample.

        Raises:
            DataError: the content is damaged; names the sample.
        """
        cls.whole(sample)

    def collate(self, samples: Sequence[Sample], prepared: Sequence[dict[str, Tensor]]) -> Batch:
        """The batch of prepared samples."""
        labels = [s.label for s in samples]
        return Batch(
            inputs={k: torch.stack([p[k] for p in prepared]) for k in prepared[0]},
            ids=torch.tensor([s.id for s in samples], dtype=torch.int64),
            labels=None if None in labels else torch.tensor(labels, dtype=torch.int64),
        )

    def raw(self, batch: Batch) -> Mapping[str, Tensor]:
        """The inputs of samples without any model, (B, …) each: the baseline `raw`."""
        return batch.inputs

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
