"""Features of a whole source: extracted once, in one way for train and test, checked, float32."""

# N samples, D width.

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError, ValidationError

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.modality import Modality, Source
    from ..core.tokens import Batch


@dataclass(frozen=True)
class Features:
    """What a subject makes of a source.

    Attributes:
        values: (N, D) float32, finite.
        labels: (N,) int64, or None where the source has none.
        keys: the samples' names.
        classes: class names, in the order of the labels.
        one_unit: the columns are measured in one unit (pixels, or a rotation of them), so that
            scaling each by its own deviation would only blow up the noise.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int64] | None
    keys: tuple[str, ...]
    classes: tuple[str, ...]
    one_unit: bool = False

    def __post_init__(self) -> None:
        bad = ~np.isfinite(self.values).all(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            raise ValidationError(
                f"features row {row} ('{self.keys[row]}'): expected finite numbers, "
                f"got {self.values[row][~np.isfinite(self.values[row])][0]}",
                "the weights may have diverged: look at the run's metrics.jsonl",
            )

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def classes_of(self) -> NDArray[np.int64]:
        """The labels.

        Raises:
            DataError: the source has none.
        """
        if self.labels is None:
            raise DataError(
                "the data has no labels, and this benchmark needs them",
                "use a folder with one sub-folder per class, or an .npz with labels",
            )
        return self.labels

    def take(self, rows: NDArray[np.int64]) -> "Features":
        """The features of some rows."""
        labels = None if self.labels is None else self.labels[rows]
        keys = tuple(self.keys[row] for row in rows)
        return Features(self.values[rows], labels, keys, self.classes, self.one_unit)


@dataclass(frozen=True)
class Scaler:
    """Standardisation by the statistics of one set of features; a constant column becomes 0.

    Columns of one unit share one scale, the root of their mean variance.

    Attributes:
        mean: (D,) float64.
        scale: (D,) float64.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, features: Features) -> "Scaler":
        """The scaler of a train split's features."""
        wide = features.values.astype(np.float64)
        mean, deviation = wide.mean(axis=0), wide.std(axis=0)
        # below float32's rounding of the mean a column is constant, not tiny
        constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
        if features.one_unit and not constant.all():
            deviation = np.full_like(deviation, np.sqrt((deviation**2).mean()))
        return cls(mean, np.where(constant, np.inf, deviation))

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """(M, D) float64 standardised features."""
        return (values.astype(np.float64) - self.mean) / self.scale


def extract(
    encode: "Callable[[Batch], Tensor]",
    source: "Source",
    modality: "Modality",
    *,
    batch_size: int,
    workers: int,
    device: str,
) -> Features:
    """The features of every readable sample of a source, in its own order.

    Args:
        encode: a batch → (B, D); the one function for train and test.
        source: the samples; damaged ones are named and skipped by the loader.
        modality: prepares them without augmentation.
        batch_size: changes nothing but the speed.
        workers: loader processes.
        device: where the batches go.

    Raises:
        ValidationError: a feature is not finite, which names row and sample, or widths differ.
        DataError: no sample can be read.
    """
    import torch

    from ..core.hashing import sample_id
    from ..core.training.loader import Loader

    loader = Loader(
        source, modality, batch_size=batch_size, seed=0, workers=workers, train=False, device=device
    )
    names = {sample_id(key): key for key in source.keys}
    values, labels, keys = [], [], []
    with torch.inference_mode():
        for batch in loader.once():
            values.append(encode(batch).to("cpu", torch.float32).numpy())
            keys += [names[sample] for sample in batch.ids.tolist()]
            if batch.labels is not None:
                labels.append(batch.labels.cpu().numpy())
    if not keys:
        raise DataError(f"{source.name}: no sample could be read")
    widths = sorted({block.shape[1] for block in values})
    if len(widths) > 1:
        raise ValidationError(
            f"{source.name}: expected one width of features, got {widths[0]} and {widths[-1]}",
            "look at the model: the width must not depend on the batch",
        )
    joined = np.concatenate(labels) if labels else None
    return Features(np.concatenate(values), joined, tuple(keys), tuple(source.classes))
