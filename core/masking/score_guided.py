"""Score-guided masking: a map of scores (attention, loss, text, 2-D) decides what is hidden."""

# B samples, N tokens.

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ..draws import Draws
from ..step import StepContext
from ..tokens import Tokens
from .mask import Mask
from .masker import Masker, Ratio, visible_count


class ScoreGuidedMasker(Masker):
    """Hide or keep tokens by the scores that the step carries.

    Attributes:
        scores: the name under which `StepContext.scores` holds a (B, N) tensor.
        rule: "hide-top": the highest scores are hidden for certain, as many as `share` of all
            hidden ones, the others are drawn uniformly (Wang et al., 2023, HPM); "keep-sampled":
            the visible tokens are drawn without replacement with probabilities proportional to
            the scores (MaskAlign; I2P-MAE with softmax scores).
        share_start: the guided share of the hidden tokens at progress 0.
        share_end: the same at progress 1; linear in between.
    """

    kind: Literal["score-guided"] = "score-guided"
    ratio: Ratio = 0.75
    scores: str = "scores"
    rule: Literal["hide-top", "keep-sampled"] = "hide-top"
    share_start: float = Field(default=0.0, ge=0, le=1)
    share_end: float = Field(default=0.5, ge=0, le=1)

    def __call__(self, tokens: Tokens, draws: Draws, step: StepContext) -> Mask:
        """Draw (B, N) noise and mask by it and the scores.

        Raises:
            ValueError: the step carries no such scores.
        """
        if self.scores not in step.scores:
            raise ValueError(f"no scores '{self.scores}' among {sorted(step.scores)}")
        return self.from_noise(draws.uniform(tokens.count), step.scores[self.scores], step.progress)

    def from_noise(self, noise: Tensor, scores: Tensor, progress: float = 0.0) -> Mask:
        """The mask of (B, N) noise and (B, N) scores."""
        n_tokens = noise.shape[1]
        n_visible = visible_count(n_tokens, self.ratio)
        if self.rule == "keep-sampled":
            # adding Gumbel noise to log-scores and sorting draws without replacement
            tiny = torch.finfo(torch.float32).tiny
            gumbel = -torch.log(-torch.log(noise.clamp_min(tiny)))
            keys = torch.log(scores.clamp_min(tiny)) + gumbel
            order = torch.argsort(keys, dim=1, descending=True, stable=True)
            return Mask.from_order(order, n_visible)
        share = self.share_start + (self.share_end - self.share_start) * progress
        n_certain = int((n_tokens - n_visible) * share)
        hardest = torch.argsort(scores, dim=1, descending=True, stable=True)[:, :n_certain]
        pushed = noise.scatter(1, hardest, 2.0)  # above all noise: sorted last, so hidden
        return Mask.from_order(torch.argsort(pushed, dim=1, stable=True), n_visible)
