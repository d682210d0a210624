"""A method's picture of a user's own file: hide, predict, draw, and say how good it is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..core.config import build, merge
from ..core.draws import Draws
from ..core.errors import UsageError, WeightsError
from ..core.method import Method, StepOutput
from ..core.modality import Modality
from ..core.step import StepContext
from ..core.tokens import Batch, Tokens
from ..modalities.registry import modality


@dataclass(frozen=True)
class Reconstruction:
    """What one reconstruction gave.

    Attributes:
        picture: the file written.
        n_tokens: tokens of the sample.
        n_hidden: how many were hidden.
        loss: the method's own training loss of this sample.
        error: mean squared error of the hidden tokens, in the units of the normalized input.
        mean_error: the same for the mean predictor, which predicts zero: the patch's own mean
            where targets are normalized, else the data's mean colour.
    """

    picture: Path
    n_tokens: int
    n_hidden: int
    loss: float
    error: float
    mean_error: float

    @property
    def explained(self) -> float:
        """The share of the mean predictor's error that the prediction removes; ≤ 1."""
        return 1 - self.error / self.mean_error if self.mean_error > 0 else 0.0


def with_mask_ratio(method: Method, ratio: float) -> Method:
    """The same method with another share of hidden tokens; its weights are shared.

    Raises:
        UsageError: the ratio is out of range, or the method's mask has none.
    """
    settings = method.config.to_dict()
    if "ratio" not in settings.get("masking", {}):
        raise UsageError(f"the masking of '{method.slug}' has no ratio", "leave out --mask-ratio")
    method.config = build(
        type(method).Config, merge(settings, {"masking": {"ratio": ratio}}), "method"
    )
    return method


def _without_prediction(output: StepOutput) -> StepOutput:
    """The same output with nothing predicted: its reconstruction is the input itself."""
    if output.mask is None or output.prediction is None:
        raise ValueError("the output holds no prediction")
    return replace(
        output,
        mask=replace(output.mask, predicted=output.mask.hidden[:, :0]),
        prediction=output.prediction[:, :0],
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
def reconstruct(
    method: Method, adapter: Modality, batch: Batch, out: Path, *, seed: int
) -> Reconstruction:
    """Hide tokens of a batch, predict them, and draw input | masked | reconstruction.

    Args:
        method: with its decoder, in evaluation mode.
        adapter: of the method's modality.
        batch: prepared by that adapter.
        out: the picture to write.
        seed: of the mask.

    Raises:
        WeightsError: the weights hold no decoder.
    """
    _needs_decoder(method)
    output = method(batch, Draws(seed, batch.ids), StepContext(progress=1.0))
    if output.mask is None or output.prediction is None:
        raise UsageError(f"the method '{method.slug}' predicts no input", "choose another method")
    hidden = output.mask.as_bool()
    drawn = method.reconstruction(batch, output)
    constant = replace(output, prediction=torch.zeros_like(output.prediction))
    truth = method.reconstruction(batch, _without_prediction(output)).values

    def error(tokens: Tokens) -> float:
        return float((tokens.values - truth)[hidden].square().mean())

    return Reconstruction(
        picture=adapter.draw(batch, drawn, hidden, out),
        n_tokens=drawn.count * len(batch),
        n_hidden=int(hidden.sum()),
        loss=float(output.loss),
        error=error(drawn),
        mean_error=error(method.reconstruction(batch, constant)),
    )


def reconstruct_file(
    method: Method, path: Path, out: Path, *, data: Mapping[str, Any], seed: int = 0
) -> Reconstruction:
    """Draw input | masked | reconstruction of the first sample at a user's own path.

    Args:
        method: with its decoder.
        path: a file that the method's modality reads.
        out: the picture to write.
        data: settings of the modality.
        seed: of the mask.

    Raises:
        DataError: the file cannot be read.
        WeightsError: the weights hold no decoder.
    """
    _needs_decoder(method)
    adapter_class = modality(method.modality)
    adapter = adapter_class(build(adapter_class.Config, data, "data"))
    sample = adapter_class.open(path).read(0)
    batch = adapter.collate([sample], [adapter.prepare(sample, None)])
    return reconstruct(method.eval(), adapter, batch.to(method.device), out, seed=seed)
