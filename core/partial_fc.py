"""The class weights of a margin head: shared out over processes, all or sampled, and their loss.

An et al., 2022 (Partial FC, arXiv 2203.15565). Each process holds the weights of some identities
and sees the embeddings of all processes' faces; only embeddings, maxima, sums of exponentials and
the faces' own cosines travel. With a sample rate below 1, the identities of the batch and a random
part of the others stand in the softmax; the rest is neither computed nor changed.

Differs from the official code: the identities are drawn once for all processes, so how many there
are changes neither loss nor gradient.
"""

# N faces of all processes, n of this one, C identities, K of this process's that take part,
# D width of the embedding.

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .draws import Draws
from .errors import UsageError
from .margins import STATISTICS, Margin
from .training.distributed import World

_DEVIATION = 0.01  # of the initial weights
_DRAWN = 1 << 32  # above all random words: the batch's own identities come first
_BLOCK = 4096  # rows drawn at once


class PartialFC(nn.Module):
    """Margin softmax over this process's share of the identities.

    Args:
        n_classes: C.
        dim: D.
        margin: what is done to the cosine of a face's own identity.
        sample_rate: share of all identities in the softmax; those of the batch are always there.
        seed: of the initial weights, which do not depend on the number of processes.
        world: the processes.

    Attributes:
        n_rows: C.
        rows: which of them this process holds.
        weight: (len(rows), D), normalized when used.
        statistics: (2,) running mean and deviation of the embeddings' norms.

    Raises:
        UsageError: there are fewer than two identities, or fewer than processes.

    Example:
        >>> from .margins import ArcMargin
        >>> head = PartialFC(5, 8, ArcMargin())
        >>> faces, labels = torch.randn(4, 8), torch.tensor([0, 3, 3, 1])
        >>> loss, parts = head(faces, labels, Draws(0, torch.zeros(1, dtype=torch.int64)))
        >>> loss.shape, sorted(parts)
        (torch.Size([]), ['accuracy', 'cosine'])
    """

    def __init__(
        self,
        n_classes: int,
        dim: int,
        margin: Margin,
        *,
        sample_rate: float = 1.0,
        seed: int = 0,
        world: World = World(),  # noqa: B008 - a frozen value
    ) -> None:
        super().__init__()
        if n_classes < max(2, world.size):
            raise UsageError(
                f"{n_classes} {'identity' if n_classes == 1 else 'identities'}, expected at least "
                f"2, and one for each of {world.size} processes",
                "give more identities or start fewer processes",
            )
        self.margin, self.sample_rate, self.world = margin, sample_rate, world
        self.n_rows, self.rows = n_classes, world.rows(n_classes)
        self.weight = nn.Parameter(_initial(self.rows, dim, seed))
        self.statistics: Tensor
        self.register_buffer("statistics", torch.tensor(STATISTICS))

    @property
    def sparse(self) -> bool:
        """Whether the gradient of the weights names some rows only."""
        return self.sample_rate < 1

    def forward(
        self, embeddings: Tensor, labels: Tensor, draws: Draws
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of this process's faces, and what the log shows of it.

        Args:
            embeddings: (n, D) raw.
            labels: (n,) int64 identities, 0 … C − 1.
            draws: one row, the same in all processes: which identities take part.

        Returns:
            The scalar mean over the n faces, whose gradient (as of the sum of all processes'
            losses) reaches the weights of every process; "accuracy", the share of faces whose own
            identity is the nearest of those that take part, and "cosine" with it, both without
            margin.
        """
        counts = self.world.counts(len(labels))
        start = sum(counts[: self.world.rank])
        mine = slice(start, start + len(labels))
        around = (start, sum(counts) - mine.stop)
        faces = self.world.summed(F.pad(embeddings.float(), (0, 0, *around)))
        labels = self.world.sum(F.pad(labels, around))
        norms = faces.norm(dim=1)
        if self.training:
            self.statistics.copy_(self.margin.updated(self.statistics, norms))
        weight, place = self._taking_part(labels, draws)
        scale = self.margin.scale
        # one table of N·K numbers, changed in place: nothing else here is as large
        logits = (scale * F.normalize(faces)) @ F.normalize(weight).T
        held = place >= 0
        at = (torch.arange(len(labels), device=labels.device), place.clamp_min(0))
        beside = logits[at]  # unlike gather, indexing lets its source be changed afterwards
        own = self.world.summed(torch.where(held, beside, 0.0))
        best = self.world.largest(logits.detach().amax(1))
        target = scale * self.margin(own / scale, norms, self.statistics)
        logits[at] = torch.where(held, target, beside)
        losses = self._log_sums(logits) - target + self.margin.penalty(norms)
        seen = own.detach()[mine]
        parts = {"accuracy": (seen >= best[mine]).float().mean(), "cosine": seen.mean() / scale}
        return losses[mine].mean(), parts

    def _taking_part(self, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Weights (K, D) of this process, and each face's row among them, −1 if it is elsewhere."""
        if not self.sparse:
            held = (labels >= self.rows.start) & (labels < self.rows.stop)
            return self.weight, torch.where(held, labels - self.rows.start, -1)
        chosen = self.chosen(labels, draws)
        place = torch.searchsorted(chosen, labels).clamp_max(len(chosen) - 1)
        place = torch.where(chosen[place] == labels, place, -1)
        return F.embedding(chosen - self.rows.start, self.weight, sparse=True), place

    def chosen(self, labels: Tensor, draws: Draws) -> Tensor:
        """This process's identities (K,) in a step's softmax, ascending.

        All identities among the labels (N,), and others at random up to the sample rate's share of
        all C. A process of whose identities none is drawn takes its first one.
        """
        order = draws.bits(self.n_rows)[0]
        order[labels] = _DRAWN
        present = int((order == _DRAWN).sum())
        wanted = max(present, round(self.sample_rate * self.n_rows))
        drawn = order.topk(wanted).indices.sort().values
        own = drawn[(drawn >= self.rows.start) & (drawn < self.rows.stop)]
        return own if len(own) else drawn.new_tensor([self.rows.start])

    def _log_sums(self, logits: Tensor) -> Tensor:
        """The logarithm of Σ exp over the columns (N, K) of all processes: (N,)."""
        own = logits.logsumexp(1)
        if self.world.size == 1:
            return own
        largest = self.world.largest(own)
        return largest + self.world.summed((own - largest).exp()).log()

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """As usual; of weights of all identities, the own rows."""
        whole = state.get(f"{prefix}weight")
        if whole is not None and len(whole) == self.n_rows:
            state[f"{prefix}weight"] = whole[self.rows.start : self.rows.stop]
        super()._load_from_state_dict(state, prefix, *rest)


def _initial(rows: range, dim: int, seed: int) -> Tensor:
    """Normal weights (len(rows), D) that depend on the seed and the identity alone."""
    weight = torch.empty(len(rows), dim)
    for start in range(0, len(rows), _BLOCK):
        ids = torch.tensor(rows[start : start + _BLOCK], dtype=torch.int64)
        weight[start : start + len(ids)] = Draws(seed, ids, stream="class-weights").normal(dim)
    return weight * _DEVIATION
