"""Images of one identity: its vector moved a little, at the same norm (Wu et al., 2025).

v' = (v + n) · ‖v‖ / ‖v + n‖ with n ~ N(0, σ² I); σ is 0.3, 0.5 and 0.7 for 40, 40 and 20 % of the
images. The official code stacks the noise of the whole job, 40 % of its rows at σ 0.3 and so on,
and shuffles these, so only the job has the exact shares. By default ours has them in every
identity (largest remainder), `paper_shuffle` in the job alone, as published.
"""

# B rows, d width, M images per identity.

from fractions import Fraction

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ...core.config import Config
from ...core.draws import Draws
from ...core.errors import UsageError, ValidationError
from .shuffle import KeyedShuffle

_SEARCHED = 1000  # rows below and above the wanted number
_NUMBER_BITS = 32  # an image's number takes the low bits of a row's key


def row_draws(seed: int, identities: Tensor, numbers: Tensor, stream: str = "") -> Draws:
    """Draws keyed by (seed, identity, image), for rows of different image numbers in one batch.

    Args:
        seed: the plan's.
        identities: (B,) int64 below 2^31.
        numbers: (B,) int64 below 2^32.
        stream: what the numbers are for.
    """
    ids = (identities.to(torch.int64) << _NUMBER_BITS) | numbers.to(torch.int64)
    return Draws(seed, ids, stream=stream)


def perturbed(vectors: Tensor, noise: Tensor) -> Tensor:
    """(v + n) · ‖v‖ / ‖v + n‖: vectors (B, d) moved by noise (B, d), each at its old norm."""
    moved = vectors + noise
    return moved * (vectors.norm(dim=1) / moved.norm(dim=1))[:, None]


def edited(vectors: Tensor, dimensions: list[int], amount: float) -> Tensor:
    """Vectors (B, d) with `amount` added to some dimensions, each at its old norm (demo: 2, 4).

    Raises:
        UsageError: no such dimension.
    """
    width = vectors.shape[1]
    wrong = [number for number in dimensions if not 0 <= number < width]
    if wrong:
        raise UsageError(f"dimension {wrong[0]}: expected 0 … {width - 1}, the vectors' width")
    noise = torch.zeros_like(vectors)
    noise[:, dimensions] = amount
    return perturbed(vectors, noise)


def expected_cosine(norm: float, width: int, sigma: float) -> float:
    """The cosine to expect between a vector and its perturbed one: ‖v‖ / √(‖v‖² + d σ²).

    Example:
        >>> round(expected_cosine(21.9, 512, 0.5), 3)
        0.888
    """
    return norm / (norm**2 + width * sigma**2) ** 0.5


class Perturbation(Config):
    """Which σ each image gets; the defaults are HSFace's.

    Example:
        >>> Perturbation().quotas(50), Perturbation().quotas(4)
        ((20, 20, 10), (2, 1, 1))
    """

    sigmas: tuple[float, ...] = Field(default=(0.3, 0.5, 0.7), min_length=1)
    shares: tuple[float, ...] = Field(default=(0.4, 0.4, 0.2), min_length=1)
    paper_shuffle: bool = False

    @model_validator(mode="after")
    def _sound(self) -> "Perturbation":
        if len(self.sigmas) != len(self.shares):
            raise ValueError(
                f"{len(self.sigmas)} sigmas and {len(self.shares)} shares: expected as many"
            )
        if min(self.sigmas) < 0 or min(self.shares) < 0:
            raise ValueError("sigmas and shares must not be negative")
        if abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(f"shares must add up to 1, got {sum(self.shares)}")
        return self

    def quotas(self, images: int) -> tuple[int, ...]:
        """How many of an identity's images get each σ: largest remainder, ties to the first."""
        exact = [images * Fraction(str(share)) / self._whole for share in self.shares]
        counts = [int(value) for value in exact]
        order = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], i))
        for i in order[: images - sum(counts)]:
            counts[i] += 1
        return tuple(counts)

    @property
    def _whole(self) -> Fraction:
        """The shares' sum as written in decimals: 1, or as near as the check above wants."""
        return sum((Fraction(str(share)) for share in self.shares), Fraction(0))

    def paper_counts(self, rows: int) -> tuple[int, ...]:
        """How many of a job's rows get each σ, as the official code counts: int(rows · share).

        Raises:
            UsageError: these do not add up to the rows; names numbers of rows that do.
        """
        counts = self._truncated(rows)
        if sum(counts) != rows:
            fitting = " or ".join(map(str, self._fitting(rows)))
            mend = f"make it {fitting} rows, or leave paper_shuffle out"
            raise UsageError(
                f"paper_shuffle: the shares {self.shares} of {rows} rows (identities x images) "
                f"are {counts} in whole rows, {sum(counts)} in all",
                mend if fitting else "leave paper_shuffle out",
            )
        return counts

    def _fitting(self, rows: int) -> list[int]:
        """The nearest numbers of rows, below and above, whose whole shares add up."""
        ways = (range(rows, max(rows - _SEARCHED, 0), -1), range(rows, rows + _SEARCHED))
        found = (next((n for n in way if sum(self._truncated(n)) == n), None) for way in ways)
        return [n for n in found if n is not None]

    def _truncated(self, rows: int) -> tuple[int, ...]:
        return tuple(int(rows * share) for share in self.shares)

    def sigmas_of(
        self, seed: int, identities: Tensor, numbers: Tensor, *, n_identities: int, images: int
    ) -> Tensor:
        """The σ of each row: (B,) float32, a pure function of (plan, identity, image).

        Args:
            seed: the plan's.
            identities: (B,) int64, 0 … n_identities - 1.
            numbers: (B,) int64, 0 … images - 1.
            n_identities: of the whole job.
            images: per identity.

        Raises:
            UsageError: `paper_shuffle` and a job whose shares are no whole rows.
        """
        if self.paper_shuffle:
            counts = self.paper_counts(n_identities * images)
            shuffle = KeyedShuffle(n_identities * images, seed, "perturbation/paper-shuffle")
            places = shuffle.places(identities * images + numbers)
        else:
            counts = self.quotas(images)
            # all images of a batch's identity share one order: draw it once
            unique, which = torch.unique(identities, return_inverse=True)
            orders = Draws(seed, unique, stream="perturbation/order").permutation(images)
            places = orders[which, numbers]
        ends = torch.tensor(counts, device=places.device).cumsum(0)
        table = torch.tensor(self.sigmas, dtype=torch.float32, device=places.device)
        return table[torch.searchsorted(ends, places, right=True)]

    def __call__(
        self,
        vectors: Tensor,
        seed: int,
        identities: Tensor,
        numbers: Tensor,
        *,
        n_identities: int,
        images: int,
    ) -> tuple[Tensor, Tensor]:
        """The rows' perturbed vectors (B, d) float32, and their σ (B,).

        Args:
            vectors: (B, d) the identity's vector of each row.
            seed: the plan's.
            identities: (B,) int64.
            numbers: (B,) int64.
            n_identities: of the whole job.
            images: per identity.

        Raises:
            ValidationError: a vector is not finite.
        """
        if not bool(torch.isfinite(vectors).all()):
            row = int(torch.nonzero(~torch.isfinite(vectors).all(dim=1))[0])
            raise ValidationError(
                f"identity {int(identities[row])}: expected a finite vector, got NaN or infinity",
                "look at the identities file",
            )
        sigmas = self.sigmas_of(seed, identities, numbers, n_identities=n_identities, images=images)
        draws = row_draws(seed, identities, numbers, stream="perturbation/noise")
        noise = draws.normal(vectors.shape[1]).double() * sigmas.double()[:, None]
        return perturbed(vectors.double(), noise).float(), sigmas


# other modes of the official code, each with one σ
REFERENCE = Perturbation(sigmas=(0.2,), shares=(1.0,))
POSE = Perturbation(sigmas=(0.7,), shares=(1.0,))
