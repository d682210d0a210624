"""Reconstruction: how near the predicted tokens of test samples come to what was hidden.

A masked method hides tokens of each test sample, as in training but for what it leaves out to save
time, and predicts them; the mean squared error of the hidden pixels in 0…1 gives a PSNR per sample.
Beside it stands the PSNR of the mean predictor (a prediction of zero: each patch's own mean where
targets are normalized). Methods that normalize their targets give each predicted patch its true
mean and deviation, which flatters them (`facts.own_statistics`): compare such with such.
"""

# N samples, S seeds.

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import stats

from ..core.config import Config
from ..core.errors import UsageError, ValidationError
from ..core.metrics.intervals import LEVEL, MIN_BOOTSTRAP_ITEMS, bootstrap_error
from ..core.records import Metric
from .protocol import Identity, Result, Stopwatch, TaskData, make_result
from .subjects import ModelSubject

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor

    from ..core.tokens import Batch
    from .subjects import Subject

SLUG = "reconstruction"
VERSION = "1.0.0"
SUMMARY = "PSNR of the hidden tokens of test samples, beside the mean predictor's"
MAIN_METRIC = "psnr"
BASELINES = ("random",)
IDENTITY = Identity(
    SLUG,
    VERSION,
    MAIN_METRIC,
    ("benchmarks/reconstruction_psnr.py", "benchmarks/reconstruction.py"),
)
_SMALLEST = 1e-10  # of a mean squared error: a perfect patch has 100 dB, not infinity


class Settings(Config):
    """Which masks."""

    seeds: int = Field(default=1, ge=1)  # masks of each sample
    seed: int = Field(default=0, ge=0)  # the first one


def run(subject: "Subject", data: TaskData, settings: Settings) -> Result:
    """Score a subject's predictions on the test split; see the module's text.

    Raises:
        UsageError: the subject predicts no pixels.
        WeightsError: its weights hold no decoder.
        ValidationError: a prediction is not finite; names the sample.
    """
    import pandas as pd

    clock = Stopwatch()
    pixels = subject.modality.config
    if not isinstance(subject, ModelSubject) or not hasattr(pixels, "std"):
        raise UsageError(
            f"the subject '{subject.name}' predicts no pixels",
            "name a run folder, a weights file or random:METHOD of a masked method on pictures",
        )
    seeds = range(settings.seed, settings.seed + settings.seeds)
    tables = [_errors(subject, data, seed) for seed in seeds]
    predictions = pd.concat(tables, ignore_index=True)
    own = bool(getattr(subject.method.config, "norm_pix", False))
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=seeds, metrics=score(predictions), predictions=predictions, clock=clock,
        facts={"own_statistics": own},
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """Mean PSNRs over samples, each sample's the mean over its masks, from stored errors."""
    found = {
        name: _decibels(predictions[column].to_numpy())
        for name, column in (("psnr", "error"), ("mean_psnr", "mean_error"))
    }
    found["gain"] = found["psnr"] - found["mean_psnr"]
    keys = predictions["key"].to_numpy()
    return {name: _metric(values, keys) for name, values in found.items()}


def _errors(subject: ModelSubject, data: TaskData, seed: int) -> "DataFrame":
    """A row per test sample: the mean squared errors of its hidden pixels under one mask."""
    import pandas as pd

    from ..core.hashing import sample_id
    from ..core.training.loader import Loader
    from .reconstruction import reconstruct

    how = subject.extraction
    loader = Loader(
        data.test, subject.modality, batch_size=how.batch_size, seed=0, workers=how.workers,
        train=False, device=how.device,
    )  # fmt: skip
    names = {sample_id(key): key for key in data.test.keys}
    rows: list[dict[str, object]] = []
    for batch in loader.once():
        found = reconstruct(subject.method, batch, seed=seed)
        errors = _pixel_errors(subject, batch, found.tokens.values, found.truth, found.hidden)
        means = _pixel_errors(subject, batch, found.constant.values, found.truth, found.hidden)
        for sample, error, mean in zip(batch.ids.tolist(), errors, means, strict=True):
            if not np.isfinite(error):
                raise ValidationError(
                    f"{subject.name}: the prediction of '{names[sample]}' is not finite",
                    "the weights may have diverged: look at the run's metrics.jsonl",
                )
            rows.append({"key": names[sample], "seed": seed, "error": error, "mean_error": mean})
    return pd.DataFrame(rows)


def _pixel_errors(
    subject: ModelSubject, batch: "Batch", made: "Tensor", truth: "Tensor", hidden: "Tensor"
) -> list[float]:
    """The mean squared error of each sample's hidden pixels in 0…1, over all its views."""
    import torch

    config = subject.modality.config
    channels = made.shape[-1] // len(config.std)
    mean, std = (
        torch.tensor(values, device=made.device).repeat(channels)
        for values in (config.mean, config.std)
    )
    shown, true = ((values.float() * std + mean).clamp(0, 1) for values in (made, truth))
    squares = (shown - true).square().mean(-1) * hidden
    per_sample = (len(batch), -1)
    found = squares.reshape(per_sample).sum(1) / hidden.reshape(per_sample).sum(1)
    return [float(value) for value in found]


def _decibels(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    return -10 * np.log10(np.maximum(errors, _SMALLEST))


def _metric(values: NDArray[np.float64], keys: NDArray[np.object_]) -> Metric:
    """A mean over samples, with the bootstrap over them where there are enough."""
    _, place = np.unique(keys, return_inverse=True)
    items = np.bincount(place, values) / np.bincount(place)
    n, value = len(items), float(items.mean())
    interval = None
    if n >= MIN_BOOTSTRAP_ITEMS:
        error = bootstrap_error((items - value) / n)
        half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
        interval = (value - half, value + half)
    return Metric(
        value=value, unit="dB", direction="higher", n=n, interval=interval,
        interval_method=None if interval is None else "bootstrap",
    )  # fmt: skip
