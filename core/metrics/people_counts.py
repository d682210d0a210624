"""What a threshold does to each person's pairs, and 95 % intervals of TAR and EER from that alone.

Millions of pairs are too many to store; how many pairs of each person a threshold accepts is
enough for the intervals of `pair_intervals`. An impostor pair is counted at both of its people.
The variance that it has by itself is then taken to be the binomial one, the least there can be.
"""

# P people.

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .intervals import Interval, Method, effective_number, joint_freedom, share_interval


@dataclass(frozen=True, eq=False)
class PeopleCounts:
    """The pairs of each person, and how many of them a threshold accepts.

    Attributes:
        genuine: (P,) pairs of two of her templates.
        accepted_genuine: (P,) of those.
        impostor: (P,) pairs of one of hers with another person's.
        accepted_impostor: (P,) of those.
        rate: the TAR that a little more FAR buys at the threshold; see `exchange_rate`.
    """

    genuine: NDArray[np.int64]
    accepted_genuine: NDArray[np.int64]
    impostor: NDArray[np.int64]
    accepted_impostor: NDArray[np.int64]
    rate: float

    @property
    def n_genuine(self) -> int:
        """All genuine pairs."""
        return int(self.genuine.sum())

    @property
    def n_impostor(self) -> int:
        """All impostor pairs."""
        return int(self.impostor.sum()) // 2

    @property
    def tar(self) -> float:
        """The accepted share of genuine pairs."""
        return int(self.accepted_genuine.sum()) / self.n_genuine

    @property
    def far(self) -> float:
        """The accepted share of impostor pairs."""
        return int(self.accepted_impostor.sum()) // 2 / self.n_impostor

    @property
    def eer(self) -> float:
        """The mean of FAR and FRR."""
        return (self.far + 1 - self.tar) / 2

    def tar_interval(self, seed: int = 0) -> tuple[Interval, Method]:
        """The interval of TAR at a FAR, whose threshold the impostor pairs have set."""
        own, price = self._tar_influence, -self.rate * self._far_influence
        accepted, passed = self.accepted_genuine, self.accepted_impostor
        groups = effective_number(self.genuine)
        errors = min(effective_number(passed), int(passed.sum()) / 2)
        return share_interval(
            self.tar, own + price, groups=groups,
            outcomes=min(map(effective_number, (accepted, self.genuine - accepted))),
            freedom=joint_freedom((float(own @ own), groups), (float(price @ price), errors)),
            twice=self.rate**2 * self._own_variance, seed=seed,
        )  # fmt: skip

    def eer_interval(self, seed: int = 0) -> tuple[Interval, Method]:
        """The interval of the EER at its threshold, which moves with FAR and FRR."""
        influence = (self.rate * self._far_influence - self._tar_influence) / (self.rate + 1)
        parts = (
            self.accepted_genuine, self.genuine - self.accepted_genuine,
            self.accepted_impostor, self.impostor - self.accepted_impostor,
        )  # fmt: skip
        return share_interval(
            self.eer, influence,
            groups=min(map(effective_number, (self.genuine, self.impostor))),
            outcomes=min(map(effective_number, parts)),
            twice=(self.rate / (self.rate + 1)) ** 2 * self._own_variance, seed=seed,
        )  # fmt: skip

    @property
    def _tar_influence(self) -> NDArray[np.float64]:
        return (self.accepted_genuine - self.tar * self.genuine) / self.n_genuine

    @property
    def _far_influence(self) -> NDArray[np.float64]:
        return (self.accepted_impostor - self.far * self.impostor) / self.n_impostor

    @property
    def _own_variance(self) -> float:
        return self.far * (1 - self.far) / self.n_impostor
