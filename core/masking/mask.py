"""The mask: which tokens are visible, hidden, predicted. Nothing else gathers or scatters."""

# B samples, N tokens, V visible, M hidden, K any number of kept ids, D width.

from dataclasses import dataclass, replace

import torch
from torch import Tensor


def take(values: Tensor, ids: Tensor) -> Tensor:
    """The rows `ids` (B, K) of `values` (B, N, D): (B, K, D)."""
    return values.gather(1, ids[:, :, None].expand(-1, -1, values.shape[-1]))


@dataclass(frozen=True)
class Mask:
    """A partition of the N tokens of each sample into visible and hidden ones.

    Attributes:
        visible: (B, V) int64, in the order in which the encoder sees them.
        hidden: (B, M) int64.
        predicted: (B, K) int64 ids to predict, or None = the hidden ones. Visible tokens among
            them are predicted but carry no loss.
        replaced: (B, K) int64 ids that are hidden yet go through the encoder, or None.

    Example:
        >>> mask = Mask(visible=torch.tensor([[2]]), hidden=torch.tensor([[0, 1]]))
        >>> mask.as_bool()
        tensor([[ True,  True, False]])
    """

    visible: Tensor
    hidden: Tensor
    predicted: Tensor | None = None
    replaced: Tensor | None = None

    @classmethod
    def from_order(cls, order: Tensor, n_visible: int) -> "Mask":
        """The mask that keeps the first `n_visible` ids of each row of `order` (B, N)."""
        return cls(visible=order[:, :n_visible], hidden=order[:, n_visible:])

    @classmethod
    def from_bool(cls, hidden: Tensor) -> "Mask":
        """The mask of a (B, N) bool tensor, True = hidden, the same number in each row.

        Raises:
            ValueError: rows hide different numbers of tokens.
        """
        counts = hidden.sum(1)
        if bool((counts != counts[0]).any()):
            raise ValueError(f"rows hide different numbers of tokens: {counts.tolist()}")
        order = torch.argsort(hidden.to(torch.uint8), dim=1, stable=True)
        return cls.from_order(order, hidden.shape[1] - int(counts[0]))

    @property
    def count(self) -> int:
        """N, the number of tokens of each sample."""
        return self.visible.shape[1] + self.hidden.shape[1]

    @property
    def predict(self) -> Tensor:
        """(B, K) the ids to predict."""
        return self.hidden if self.predicted is None else self.predicted

    def predicting_all(self) -> "Mask":
        """The same mask with every token predicted, in order (for pictures and comparisons)."""
        ids = torch.arange(self.count, device=self.visible.device)
        return replace(self, predicted=ids.expand(len(self.visible), -1))

    def take_visible(self, values: Tensor) -> Tensor:
        """(B, N, D) → (B, V, D)."""
        return take(values, self.visible)

    def take_hidden(self, values: Tensor) -> Tensor:
        """(B, N, D) → (B, M, D)."""
        return take(values, self.hidden)

    def take_predict(self, values: Tensor) -> Tensor:
        """(B, N, D) → (B, K, D)."""
        return take(values, self.predict)

    def restore(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Tokens in their own order from the two parts.

        Args:
            visible: (B, V, D).
            hidden: (B, M, D), or anything that expands to it, such as one mask token (D,).

        Returns:
            (B, N, D).
        """
        shape = (*self.hidden.shape, visible.shape[-1])
        parts = torch.cat([visible, hidden.to(visible.dtype).expand(shape)], dim=1)
        return take(parts, torch.argsort(torch.cat([self.visible, self.hidden], dim=1), dim=1))

    def put_predicted(self, values: Tensor, predicted: Tensor) -> Tensor:
        """`values` (B, N, D) with the rows `predict` replaced by `predicted` (B, K, D)."""
        ids = self.predict[:, :, None].expand(-1, -1, values.shape[-1])
        return values.scatter(1, ids, predicted.to(values.dtype))

    def as_bool(self) -> Tensor:
        """(B, N) bool, True = hidden."""
        visible = torch.zeros(self.visible.shape[0], self.count, device=self.visible.device)
        return visible.scatter(1, self.visible, 1.0) == 0

    def loss_weight(self) -> Tensor | None:
        """(B, K) bool at `predict`, True = hidden and so in the loss; None = all of them."""
        return None if self.predicted is None else self.as_bool().gather(1, self.predicted)
