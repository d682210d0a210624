"""One look at all training faces before the first step: their vectors, mean and small pictures."""

# n training pictures, d vector width.

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from ...core.tokens import Batch


@dataclass(frozen=True)
class Survey:
    """What was seen.

    Attributes:
        raw: (n, d) vectors in the extractor's own units.
        labels: (n,) identities, or None where the source names none.
        mean: (3, S, S) the mean picture.
        lessons: (m, d) raw vectors, (m, 3, s, s) small pictures and (m,) identities or None,
            mirrored faces among them where asked for; None where no side was given.
    """

    raw: NDArray[np.floating]
    labels: NDArray[np.int64] | None
    mean: Tensor
    lessons: tuple[Tensor, Tensor, Tensor | None] | None

    @classmethod
    def of(
        cls,
        batches: Iterable[Batch],
        embed: Callable[[Tensor], Tensor],
        *,
        side: int | None,
        mirrored: bool,
    ) -> "Survey":
        """Look at every batch once.

        Args:
            batches: of aligned faces in [-1, 1].
            embed: pictures (B, 3, S, S) → raw vectors (B, d).
            side: s of the small pictures to keep, or None.
            mirrored: whether to keep them of the mirrored faces too.
        """
        raw: list[Tensor] = []
        labels: list[Tensor] = []
        lessons: list[tuple[Tensor, Tensor]] = []
        total, count = torch.zeros(()), 0
        with torch.no_grad():
            for batch in batches:
                images = batch["image"]
                raw.append(embed(images).cpu())
                if batch.labels is not None:
                    labels.append(batch.labels.cpu())
                total = total + images.double().sum(0).cpu()
                count += len(images)
                if side is not None:
                    lessons.append((raw[-1], _small(images, side)))
                    if mirrored:
                        flipped = images.flip(-1)
                        lessons.append((embed(flipped).cpu(), _small(flipped, side)))
        people = torch.cat(labels) if labels else None
        return cls(
            torch.cat(raw).numpy(),
            None if people is None else people.numpy(),
            (total / count).float(),
            _joined(lessons, labels, mirrored=mirrored) if lessons else None,
        )


def _joined(
    lessons: list[tuple[Tensor, Tensor]], labels: list[Tensor], *, mirrored: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    raw, pictures = (torch.cat(part) for part in zip(*lessons, strict=True))
    each = [part for part in labels for _ in range(1 + mirrored)]  # in the order of the lessons
    return raw, pictures, torch.cat(each) if each else None


def _small(images: Tensor, side: int) -> Tensor:
    return interpolate(images, (side, side), mode="area").cpu()
