"""A method's picture of a user's own file: hide, predict, draw, and say how good it is."""

# B samples, N tokens, D values of a token.

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.config import build, merge
from ..core.draws import Draws
from ..core.errors import UsageError, WeightsError
from ..core.method import Method, StepOutput
from ..core.modality import Modality
from ..core.step import StepContext
from ..core.tokens import Batch, Tokens
from ..modalities.catalogue import resolve_data
from .opening import open_subject
from .subjects import ModelSubject


@dataclass(frozen=True)
class Reconstruction:
    """What a method makes of the hidden tokens of a batch.

    Attributes:
        tokens: the input with the predictions in their places, (B, N, D).
        truth: the input's own tokens, (B, N, D).
        constant: as `tokens`, of the mean predictor.
        hidden: (B, N) bool, True = hidden.
        loss: the method's own training loss.
        error: mean squared error of the hidden tokens, in the units of the prepared input.
        mean_error: the same for the mean predictor, which predicts zero: the patch's own mean
            where targets are normalized, else the data's mean colour.
    """

    tokens: Tokens
    truth: Tensor
    constant: Tokens
    hidden: Tensor
    loss: float
    error: float
    mean_error: float

    @property
    def explained(self) -> float:
        """The share of the mean predictor's error that the prediction removes; ≤ 1."""
        return 1 - self.error / self.mean_error if self.mean_error > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values, without the tokens."""
        return {
            "n_tokens": self.hidden.numel(),
            "n_hidden": int(self.hidden.sum()),
            "loss": self.loss,
            "error": self.error,
            "mean_error": self.mean_error,
            "explained": self.explained,
        }


def _set_mask_ratio(method: Method, ratio: float) -> None:
    """Give a freshly loaded method another share of hidden tokens.

    Raises:
        UsageError: the ratio is out of range, or the method's mask has none.
    """
    settings = method.config.to_dict()
    masking = settings.get("masking", {})
    change: dict[str, Any] = {"ratio": ratio}
    if "encoder" in masking:  # a masker over another one, which hides (running cell)
        masking, change = masking["encoder"], {"encoder": change}
    if "ratio" not in masking:
        raise UsageError(f"the masking of '{method.slug}' has no ratio", "leave out --mask-ratio")
    asked = merge(settings, {"masking": change})
    method.config = build(type(method).Config, asked, "method")


def _untouched(output: StepOutput) -> StepOutput:
    """The same output with one visible token predicted: its hidden tokens are the input's."""
    if output.mask is None or output.prediction is None:
        raise ValueError("the output holds no prediction")
    return replace(
        output,
        mask=replace(output.mask, predicted=output.mask.visible[:, :1]),
        prediction=output.prediction[:, :1],
    )


def _needs_decoder(method: Method) -> None:
    if getattr(method, "decoder", True) is None:
        raise WeightsError(
            f"these weights of '{method.slug}' hold an encoder without its decoder, "
            "so nothing can be reconstructed",
            "use a run folder of `masquerade pretrain`, or published weights with the decoder "
            "(`masquerade weights get` lists them)",
        )


@torch.inference_mode()
def reconstruct(method: Method, batch: Batch, *, seed: int) -> Reconstruction:
    """Hide tokens of a batch and predict them.

    Args:
        method: with its decoder, in evaluation mode.
        batch: of its modality, on its device.
        seed: of the mask.

    Raises:
        WeightsError: the weights hold no decoder.
        UsageError: the method predicts no input.
    """
    _needs_decoder(method)
    output = method(batch, Draws(seed, batch.ids), StepContext(progress=1.0))
    if output.mask is None or output.prediction is None:
        raise UsageError(f"the method '{method.slug}' predicts no input", "choose another method")
    hidden = output.mask.as_bool()
    tokens = method.reconstruction(batch, output)
    constant = replace(output, prediction=torch.zeros_like(output.prediction))
    truth = method.reconstruction(batch, _untouched(output)).values
    zero = method.reconstruction(batch, constant)

    def error(found: Tokens) -> float:
        return float((found.values[hidden] - truth[hidden]).square().mean())

    return Reconstruction(
        tokens=tokens,
        truth=truth,
        constant=zero,
        hidden=hidden,
        loss=float(output.loss),
        error=error(tokens),
        mean_error=error(zero),
    )


def reconstruct_file(
    weights: Path, data: Path, out: Path, *, mask_ratio: float | None = None, seed: int = 0
) -> tuple[Path, Reconstruction]:
    """Draw input | masked | reconstruction of a user's own file, or of a data set's first sample.

    Args:
        weights: run folder or weights file, with its decoder.
        data: a file that the method's modality reads, or a data set of the catalogue.
        out: the picture to write.
        mask_ratio: share of hidden tokens; as in training when None.
        seed: of the mask.

    Returns:
        The picture written, and what the method made of the hidden tokens.

    Raises:
        DataError: the file cannot be read.
        WeightsError: the weights do not load, or hold no decoder.
        UsageError: the ratio is out of range.
    """
    subject = open_subject(str(weights))
    if not isinstance(subject, ModelSubject):
        raise UsageError(
            f"'{weights}' reconstructs nothing",
            "name a run folder or a weights file of a masked method",
        )
    method = subject.method
    _needs_decoder(method)
    if mask_ratio is not None:
        _set_mask_ratio(method, mask_ratio)
    adapter = _whole(subject.modality)
    sample = resolve_data(str(data), adapter.slug).read(0)
    batch = adapter.collate([sample], [adapter.prepare(sample, None)]).to(method.device)
    found = reconstruct(method.eval(), batch, seed=seed)
    return adapter.draw(batch, found.tokens, found.hidden, out), found


def _whole(adapter: Modality) -> Modality:
    """The same adapter without the margin that evaluation cuts off, so that all is seen."""
    if "eval_crop" not in type(adapter.config).model_fields:
        return adapter
    return type(adapter)(adapter.config.model_copy(update={"eval_crop": 1.0}))
