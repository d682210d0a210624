"""Masks over a hierarchy: drawn at the coarsest level, carried down to the tokens it is made of.

Multi-scale masking (Zhang et al., 2022, Point-M2AE §3.1): a token of a finer level is visible iff
it is a neighbour of a visible token of the level above, so that all levels show the same parts.
"""

# B clouds, N tokens of the coarsest level, G tokens of a level, k neighbours of one.

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ..draws import Draws
from ..step import StepContext
from ..tokens import Tokens
from .mask import Mask
from .masker import Masker, Ratio

SCORES = "saliency"


class MultiScaleMasker(Masker):
    """Hide int(ratio · N) tokens of the coarsest level.

    Attributes:
        ratio: the hidden share.
        guide: "none", uniformly; "saliency", the visible tokens are drawn without replacement with
            probabilities softmax(saliency / temperature) (Zhang et al., 2023, I2P-MAE §3.2), which
            the step carries as the scores "saliency".
        temperature: of that softmax; published: 1, at which it is nearly uniform.

    Example:
        >>> mask = MultiScaleMasker(ratio=0.5).from_noise(torch.tensor([[0.9, 0.1, 0.5, 0.3]]))
        >>> mask.visible
        tensor([[1, 3]])
    """

    kind: Literal["multi-scale"] = "multi-scale"
    ratio: Ratio = 0.8
    guide: Literal["none", "saliency"] = "none"
    temperature: float = Field(default=1.0, gt=0)

    def __call__(self, tokens: Tokens, draws: Draws, step: StepContext) -> Mask:
        """Draw (B, N) noise and mask by it, and by the saliency where that guides.

        Raises:
            ValueError: the step carries no saliency.
        """
        if self.guide == "saliency" and SCORES not in step.scores:
            raise ValueError(f"no scores '{SCORES}' among {sorted(step.scores)}")
        return self.from_noise(draws.uniform(tokens.count), step.scores.get(SCORES))

    def from_noise(self, noise: Tensor, saliency: Tensor | None = None) -> Mask:
        """The mask of (B, N) uniform noise and, where it guides, (B, N) saliency."""
        n_visible = noise.shape[1] - int(self.ratio * noise.shape[1])
        keys = noise
        if self.guide == "saliency":
            if saliency is None:
                raise ValueError("the masker is guided and was given no saliency")
            # softmax's denominator is the same for all, and adding Gumbel noise to log-weights and
            # sorting draws without replacement (Kool et al., 2019)
            tiny = torch.finfo(torch.float32).tiny
            gumbel = -torch.log(-torch.log(noise.clamp_min(tiny)))
            keys = -(saliency.float() / self.temperature + gumbel)
        return Mask.from_order(torch.argsort(keys, dim=1, stable=True), n_visible)


def visible_levels(
    top: Tensor, neighbours: Sequence[Tensor], counts: Sequence[int], *, first_token: bool = False
) -> tuple[Tensor, ...]:
    """Which tokens of every level are visible, fine to coarse.

    Args:
        top: (B, N) bool, True = visible, of the coarsest level.
        neighbours: of each level but the finest, fine to coarse: (B, G, k) int64 ids of the tokens
            that a token is made of, in the level below.
        counts: tokens of the levels below those, fine to coarse.
        first_token: token 0 of the batch's first cloud is visible at each level below one where
            anything is hidden, as in the official code (the ids of hidden tokens are zeroed before
            they are scattered). It makes the first cloud depend on its place in the batch.

    Returns:
        (B, G) bool of each level.

    Example:
        >>> ids = torch.tensor([[[0, 1], [2, 1]]])
        >>> visible_levels(torch.tensor([[False, True]]), [ids], [4])[0]
        tensor([[False,  True,  True, False]])
    """
    levels = [top]
    for ids, count in zip(reversed(neighbours), reversed(counts), strict=True):
        above = levels[0]
        reached = above[:, :, None].expand_as(ids).flatten(1).to(torch.int8)
        below = torch.zeros(len(top), count, dtype=torch.int8, device=top.device)
        below = below.scatter_reduce(1, ids.flatten(1), reached, "amax").bool()
        if first_token:
            below[0, 0] |= ~above.all()
        levels.insert(0, below)
    return tuple(levels)
