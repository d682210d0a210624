"""The audit of a synthesized set of faces: what an extractor sees in the pictures themselves.

The certificate speaks of the vectors that pictures were drawn from; a generator may bring them
together again. So the pictures are embedded anew, and it is these vectors that are counted. Memory
grows with the identities (their centres), not with the pictures.
"""

# K identities, M pictures of each, C real identities, d vector width.

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue

from ...core.metrics.cosines import unit_rows
from ...core.metrics.leakage import RealIdentities
from ...core.metrics.separability import separability
from ...modalities.image.faces.embedders import Embedder
from .certificate import Certificate, read_identities, verify_certificate
from .frame import Frame
from .settings import Vec2FaceSynthesis

if TYPE_CHECKING:
    from ..engine.dataset import SynthesizedSet

_BATCH = 64
_DIGITS = 6
_FAR = 1e-3
_LEAST_CENTRES = 150  # real identities that a threshold at FAR 1e-3 needs (10 of 11,175 pairs)
_BINS = 20_000  # of cosines: quantiles are right to 1e-4


@dataclass
class Spread:
    """Mean and quantiles of any number of cosines in constant memory.

    Example:
        >>> spread = Spread()
        >>> spread.add(np.array([0.1, 0.3, 0.2]))
        >>> round(spread.mean, 6), round(spread.quantile(0.5), 4)
        (0.2, 0.2)
    """

    n: int = 0
    total: float = 0.0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, dtype=np.int64))

    def add(self, cosines: NDArray[np.floating]) -> None:
        """Count cosines (n,)."""
        wide = np.asarray(cosines, dtype=np.float64)
        self.n += len(wide)
        self.total += float(wide.sum())
        bins = np.clip(((wide + 1) * (_BINS / 2)).astype(np.int64), 0, _BINS - 1)
        self.counts += np.bincount(bins, minlength=_BINS)

    @property
    def mean(self) -> float:
        """The mean."""
        return self.total / self.n

    def quantile(self, share: float) -> float:
        """The smallest cosine that at least this share does not exceed: its bin's middle."""
        place = int(np.searchsorted(np.cumsum(self.counts), share * self.n))
        return (place + 0.5) * (2 / _BINS) - 1


class _Leaks:
    """How near pictures come to the identities that the generator was trained on.

    Args:
        centres: (C, d) of these.
    """

    def __init__(self, centres: NDArray[np.float32]) -> None:
        self._real = RealIdentities(centres)
        self.threshold = self._real.pair_threshold(_FAR)
        self.pictures, self.above = Spread(), 0

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Compare pictures' vectors (M, d)."""
        nearest = self._real.nearest(vectors).cosine
        self.pictures.add(nearest)
        self.above += int((nearest >= self.threshold).sum())

    def findings(self) -> dict[str, JsonValue]:
        """The pictures' largest cosines with a training identity, beside those of real strangers.

        The threshold is one of pairs: of many training identities one lies above it by chance, so
        the share of real identities that do is what the pictures' share must be held against.
        """
        strangers, real = self._real.strangers(), Spread()
        real.add(strangers.cosine)
        return {
            "training_identities": len(self._real),
            "threshold_at_far_0.001": _round(self.threshold),
            "nearest_mean": _round(self.pictures.mean),
            "nearest_95_percent": _round(self.pictures.quantile(0.95)),
            "share_above_threshold": _round(self.above / self.pictures.n),
            "real_nearest_mean": _round(real.mean),
            "real_nearest_95_percent": _round(real.quantile(0.95)),
            "real_share_above_threshold": _round(strangers.share(self.threshold)),
        }


def audit_faces(
    dataset: "SynthesizedSet",
    embedder: Embedder,
    frame: Frame,
    training_centres: NDArray[np.float32],
    *,
    template: str,
    settings: Vec2FaceSynthesis,
) -> dict[str, JsonValue]:
    """The certificate proven again, separation, consistency, leakage and AttrOP's acceptance.

    Cosines are in the frame of the generator's vectors.

    Args:
        dataset: the finished set.
        embedder: the extractor.
        frame: of the vectors.
        training_centres: (C, d) of the identities that the generator was trained on, in the frame.
        template: of the pictures.
        settings: that the set was made with.

    Raises:
        ValidationError: the identity vectors break their certificate.
    """
    certificate = verify_certificate(dataset.prepared)
    identities = unit_rows(np.asarray(read_identities(dataset.prepared)), "identity vectors")
    centres = np.empty((len(identities), frame.width), dtype=np.float32)
    own, followed, strange = Spread(), Spread(), Spread()
    leakage = _Leaks(training_centres) if len(training_centres) >= _LEAST_CENTRES else None
    accepted = 0
    for number, vectors, n_accepted in _identities(dataset, embedder, frame, template):
        unit = unit_rows(vectors, f"pictures of identity {number}")
        centres[number] = vectors.mean(axis=0)
        own.add(unit @ unit_rows(centres[number : number + 1], "centre")[0])
        followed.add(unit @ identities[number])
        strange.add(unit @ identities[(number + 1) % len(identities)])
        accepted += n_accepted
        if leakage is not None:
            leakage.add(vectors)
    tau = settings.separation.tau
    found: dict[str, JsonValue] = {
        "certificate": _claim(certificate),
        "embedder": embedder.name,
        "embedder_hash": embedder.hash,
        "tau": tau,
        "identities": len(centres),
        "unique_identities": separability(centres, tau).unique[-1],
        "consistency_mean": _round(own.mean),
        "consistency_5_percent": _round(own.quantile(0.05)),
        "own_vector_mean": _round(followed.mean),
        "other_vector_mean": _round(strange.mean) if len(centres) > 1 else None,
        "leakage": leakage.findings()
        if leakage is not None
        else f"not measured: the weights carry {len(training_centres)} centres of real identities, "
        f"{_LEAST_CENTRES} are needed",
    }
    if settings.image_attrop is not None:
        found["image_attrop"] = {
            "pictures": own.n, "accepted": accepted, "acceptance": _round(accepted / own.n),
            "cap": settings.image_attrop.cap,
        }  # fmt: skip
    return found


def _claim(certificate: Certificate) -> dict[str, JsonValue]:
    """What the certificate says, now that it was found true."""
    return {
        "verified_pairs": certificate.n * (certificate.n - 1) // 2,
        "max_cosine": certificate.max_cosine,
        "pair": None if certificate.pair is None else list(certificate.pair),
        "tried": certificate.tried,
        "sha256": certificate.sha256,
    }


def _identities(
    dataset: "SynthesizedSet", embedder: Embedder, frame: Frame, template: str
) -> Iterator[tuple[int, NDArray[np.float32], int]]:
    """Each identity's number, its pictures' vectors (M, d) in order, and how many were accepted."""

    def embedded() -> Iterator[tuple[int, NDArray[np.float32], bool]]:
        device = next(embedder.parameters(), torch.zeros(0)).device
        for rows, pictures in dataset.batches(_BATCH):
            images = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2)
            with torch.inference_mode():
                raw = embedder.embed(images.float().div(127.5).sub(1), template)
            for row, vector in zip(rows, frame.to_frame(raw.cpu().numpy()), strict=True):
                yield row.identity, vector, bool(row.facts["accepted"])

    for number, group in groupby(embedded(), key=lambda item: item[0]):
        members = list(group)
        vectors = np.stack([vector for _, vector, _ in members])
        yield number, vectors, sum(ok for _, _, ok in members)


def _round(value: float) -> float:
    return round(float(value), _DIGITS)
