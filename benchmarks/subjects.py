"""What is scored: a model's frozen features, its untrained twin, the raw input, its PCA, chance.

Every subject has one function `features`, which serves the train and the test split alike.
"""

# B samples of a batch, N of a source, D width.

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UsageError
from ..core.hashing import sha256_json
from .features import Features, extract

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from ..core.config import Config
    from ..core.method import Method
    from ..core.modality import Modality, Source
    from ..core.tokens import Batch

Kind = Literal["model", "data set", "chance", "random", "raw", "pca"]
Watch = Callable[[str], Callable[[Iterable[int]], Iterable[int]]]
RAW_SIDE = 32  # longest side of a raw image or frame, in pixels
PCA_WIDTH = 32


@dataclass(frozen=True)
class Extraction:
    """How features are computed; changes the speed, never the result.

    Attributes:
        batch_size: samples at once.
        workers: loader processes.
        device: torch device.
        watch: of a name, what wraps the range of items that take long (a progress bar).
    """

    batch_size: int = 64
    workers: int = 0
    device: str = "cpu"
    watch: Watch = field(default=lambda _name: iter, compare=False, repr=False)


class Subject(ABC):
    """Base of all subjects.

    Args:
        name: what people call it.
        content_hash: the sha256 of what it is.
        modality: prepares the samples.
        extraction: how features are computed.
        training_data: the data sets that it was trained on, as declared.

    Attributes:
        kind: for records; the baselines have kinds of their own.
        baselines: which baselines can stand beside it; None = all that a protocol names.
        facts: what records say of it beside what decides its scores, such as its size.
    """

    kind: ClassVar[Kind]
    baselines: ClassVar[tuple[str, ...] | None] = None
    facts: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        name: str,
        content_hash: str,
        modality: "Modality",
        extraction: Extraction,
        training_data: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.hash = content_hash
        self.modality = modality
        self.extraction = extraction
        self.training_data = training_data

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """The modality's settings, as they enter the record."""
        return {"modality": self.modality.slug, **self.modality.config.to_dict()}

    def fit(self, train: "Source") -> "Subject":  # noqa: ARG002 - most need nothing
        """The subject after it has seen the train split (without its labels)."""
        return self

    @abstractmethod
    def encode(self, batch: "Batch") -> "Tensor":
        """(B, D) features of prepared samples."""

    def features(self, source: "Source") -> Features:
        """The features of every readable sample.

        Raises:
            ValidationError: a feature is not finite; names row and sample.
            DataError: no sample can be read.
        """
        how = self.extraction
        return extract(
            self.encode, source, self.modality,
            batch_size=how.batch_size, workers=how.workers, device=how.device,
        )  # fmt: skip


class ModelSubject(Subject):
    """A trained method's frozen features.

    Args:
        name: the run's or file's name.
        method: the model; it is put into evaluation mode.
        modality: its own preprocessing.
        extraction: how features are computed.
        training_data: as declared.
    """

    kind: ClassVar[Kind] = "model"

    def __init__(
        self,
        name: str,
        method: "Method",
        modality: "Modality",
        extraction: Extraction,
        training_data: tuple[str, ...] = (),
    ) -> None:
        super().__init__(name, method_hash(method), modality, extraction, training_data)
        self.method = method.eval().to(extraction.device)
        self.facts = {"method": method.slug, "parameters": n_parameters(method)}

    def encode(self, batch: "Batch") -> "Tensor":
        """(B, D) by the method's one `features`."""
        return self.method.features(batch)


class RandomSubject(ModelSubject):
    """The untrained trunk: what the architecture alone is worth."""

    kind: ClassVar[Kind] = "random"


class RawSubject(Subject):
    """The flattened input; images shrunk (area mean) to at most 32 pixels a side first.

    Args:
        modality: prepares the samples.
        extraction: how features are computed.
    """

    kind: ClassVar[Kind] = "raw"

    def __init__(self, modality: "Modality", extraction: Extraction) -> None:
        content = sha256_json({"kind": self.kind, "side": RAW_SIDE})
        super().__init__("raw", content, modality, extraction)

    def encode(self, batch: "Batch") -> "Tensor":
        """(B, D): all inputs in the order of their names, one row a sample."""
        import torch

        raw = self.modality.raw(batch)
        return torch.cat([_shrunk(raw[name]).flatten(1) for name in sorted(raw)], dim=1)

    def features(self, source: "Source") -> Features:
        """The flattened inputs, marked as of one unit."""
        return replace(super().features(source), one_unit=True)


class PcaSubject(RawSubject):
    """The raw input's leading principal components, fitted on the train split.

    Args:
        modality: prepares the samples.
        extraction: how features are computed.
        width: components kept (fewer where the train split has fewer rows or columns).
    """

    kind: ClassVar[Kind] = "pca"

    def __init__(
        self, modality: "Modality", extraction: Extraction, width: int = PCA_WIDTH
    ) -> None:
        super().__init__(modality, extraction)
        self.name = "pca" if width == PCA_WIDTH else f"pca:{width}"
        self.hash = sha256_json({"kind": self.kind, "side": RAW_SIDE, "width": width})
        self._width = width
        self._mean: NDArray[np.float64] | None = None
        self._axes: NDArray[np.float64] | None = None

    def fit(self, train: "Source") -> "PcaSubject":
        """A copy that knows the axes of the train split."""
        from scipy.sparse.linalg import svds

        raw = RawSubject.features(self, train).values.astype(np.float64)
        fitted = copy.copy(self)
        fitted._mean = raw.mean(axis=0)
        centred = raw - fitted._mean
        width = min(self._width, *(side - 1 for side in centred.shape))
        # the leading axes exactly (Lanczos), from a fixed start so that they never differ
        start = np.random.default_rng(0).standard_normal(min(centred.shape))
        _, values, axes = svds(centred, k=max(1, width), v0=start, solver="arpack")
        fitted._axes = axes[np.argsort(-values)].T
        return fitted

    def features(self, source: "Source") -> Features:
        """The projections of a source on the fitted axes.

        Raises:
            UsageError: `fit` was not called.
        """
        if self._mean is None or self._axes is None:
            raise UsageError("the PCA is not fitted", "call fit(train) first")
        raw = super().features(source)
        values = ((raw.values.astype(np.float64) - self._mean) @ self._axes).astype(np.float32)
        return replace(raw, values=values)


class ChanceSubject(Subject):
    """Sees nothing: protocols give it the constant guess (see `classification.majority`).

    Args:
        modality: as the other subjects have; nothing is prepared.
        extraction: unused, as the others have.
    """

    kind: ClassVar[Kind] = "chance"

    def __init__(self, modality: "Modality", extraction: Extraction) -> None:
        super().__init__("chance", sha256_json({"kind": self.kind}), modality, extraction)

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """Nothing: the input is not looked at."""
        return {}

    def encode(self, batch: "Batch") -> "Tensor":
        """(B, 1) zeros."""
        import torch

        return torch.zeros(len(batch), 1)

    def features(self, source: "Source") -> Features:
        """Zeros (N, 1), without reading a sample."""
        return Features(
            np.zeros((len(source), 1), np.float32),
            source.labels, tuple(source.keys), tuple(source.classes),
        )  # fmt: skip


def n_parameters(module: "Module") -> int:
    """How many parameters a model has, those of its decoder and heads with them."""
    return sum(parameter.numel() for parameter in module.parameters())


def method_hash(method: "Method") -> str:
    """The sha256 of a model's slug, settings and weights, however the file is written."""
    return module_hash(method.slug, method.config, method)


def module_hash(slug: str, config: "Config", module: "Module") -> str:
    """As `method_hash`, of a method's classifier."""
    digest = hashlib.sha256(f"{slug}\0{config.hash()}".encode())
    for name, value in sorted(module.state_dict().items()):
        tensor = value.detach().cpu().contiguous()
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.flatten().view(_bytes_type()).numpy().tobytes())
    return digest.hexdigest()


def _bytes_type() -> Any:  # noqa: ANN401 - torch is imported late
    import torch

    return torch.uint8


def _shrunk(values: "Tensor") -> "Tensor":
    """Images (B, C, H, W) or clips (B, C, T, H, W) of at most 32 pixels a side; others as is."""
    from torch.nn.functional import adaptive_avg_pool2d

    if values.ndim not in (4, 5) or max(values.shape[-2:]) <= RAW_SIDE:
        return values
    height, width = values.shape[-2:]
    shrink = RAW_SIDE / max(height, width)
    size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    flat = adaptive_avg_pool2d(values.flatten(0, values.ndim - 4), size)
    return flat.unflatten(0, values.shape[: values.ndim - 3])
