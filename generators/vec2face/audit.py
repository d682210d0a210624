"""The audit of a synthesized set of faces: what an extractor sees in the pictures themselves.

The certificate speaks of the vectors that pictures were drawn from; a generator may bring them
together again. So the pictures are embedded anew, and it is these vectors that are counted.
"""

# M pictures of an identity, d vector width.

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue

from ...core.metrics.cosines import unit_rows
from ...core.metrics.faces import leakage, separability, threshold_at_far
from ...modalities.image.faces.embedders import Embedder
from .frame import Frame

if TYPE_CHECKING:
    from ..engine.dataset import SynthesizedSet

_BATCH = 64
_DIGITS = 6
_LEAST_CENTRES = 150  # real identities that a threshold at FAR 1e-3 needs (10 of 11,175 pairs)


def audit_faces(
    dataset: "SynthesizedSet",
    embedder: Embedder,
    frame: Frame,
    training_centres: NDArray[np.float32],
    *,
    template: str,
    tau: float,
) -> dict[str, JsonValue]:
    """Separation, consistency and leakage; cosines in the frame of the generator's vectors.

    Args:
        dataset: the finished set.
        embedder: the extractor.
        frame: of the vectors.
        training_centres: (C, d) of the identities that the generator was trained on, in the frame.
        template: of the pictures.
        tau: the bound on the cosine of two identities.
    """
    centres, cosines = [], []
    nearest: list[NDArray[np.float32]] = []
    for vectors in _identities(dataset, embedder, frame, template):
        unit = unit_rows(vectors, "pictures")
        centre = vectors.mean(axis=0)
        centres.append(centre)
        cosines.append(unit @ (centre / max(float(np.linalg.norm(centre)), 1e-12)))
        if len(training_centres):
            nearest.append(leakage(vectors, training_centres).cosine)
    together = np.stack(centres).astype(np.float32)
    own = np.concatenate(cosines)
    found: dict[str, JsonValue] = {
        "embedder": embedder.name,
        "embedder_hash": embedder.hash,
        "tau": tau,
        "unique_identities": separability(together, tau).unique[-1],
        "identities": len(together),
        "consistency_mean": _round(own.mean()),
        "consistency_5_percent": _round(np.quantile(own, 0.05)),
    }
    n_real = len(training_centres)
    if n_real < _LEAST_CENTRES:
        found["leakage"] = f"not measured: the weights carry {n_real} centres of real identities"
    else:
        found["leakage"] = _leakage(np.concatenate(nearest), training_centres)
    return found


def _leakage(nearest: NDArray[np.float32], centres: NDArray[np.float32]) -> dict[str, JsonValue]:
    """The pictures' largest cosine with a training identity, beside that of the real ones."""
    real = unit_rows(centres, "training centres")
    products = real @ real.T
    strangers = products[np.triu_indices(len(real), 1)]
    np.fill_diagonal(products, -1)
    threshold = threshold_at_far(strangers, 1e-3)
    return {
        "nearest_mean": _round(nearest.mean()),
        "nearest_95_percent": _round(np.quantile(nearest, 0.95)),
        "real_nearest_mean": _round(products.max(axis=1).mean()),
        "real_nearest_95_percent": _round(np.quantile(products.max(axis=1), 0.95)),
        "threshold_at_far_0.001": _round(threshold),
        "share_above_threshold": _round((nearest >= threshold).mean()),
    }


def _identities(
    dataset: "SynthesizedSet", embedder: Embedder, frame: Frame, template: str
) -> Iterator[NDArray[np.float32]]:
    """The frame's vectors (M, d) of each identity's pictures, in order."""

    def embedded() -> Iterator[tuple[int, NDArray[np.float32]]]:
        device = next(embedder.parameters(), torch.zeros(0)).device
        for rows, pictures in dataset.batches(_BATCH):
            images = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2)
            with torch.inference_mode():
                raw = embedder.embed(images.float().div(127.5).sub(1), template)
            yield from zip(
                (row.identity for row in rows), frame.to_frame(raw.cpu().numpy()), strict=True
            )

    for _, group in groupby(embedded(), key=lambda pair: pair[0]):
        yield np.stack([vector for _, vector in group])


def _round(value: float | np.floating) -> float:
    return round(float(value), _DIGITS)
