"""Fine-tuning of the whole trunk, end to end, with layer-wise learning-rate decay.

The recipe is that of the masked autoencoder (He et al., 2022, table 9): AdamW, cosine per
iteration, layer decay, label smoothing, RandAugment, mixup, cutmix, random erasing, drop path,
mean pooling. The last weights are scored: nothing is chosen on the test split. Of a sample with
several views (clips × crops of a video) the softmax is averaged over them.
"""

# B samples, V views of each, C classes.

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from ..core.config import Config, build, merge
from ..core.errors import UsageError, ValidationError
from ..core.records import Metric
from .classification import accuracy_metrics, frequency_scores, scored_rows
from .features import Features, extract
from .protocol import Identity, Result, Stopwatch, TaskData, make_result
from .subjects import ModelSubject

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor
    from torch.optim import Optimizer

    from ..core.classifier import ViTClassifier
    from ..core.tokens import Batch, Tokens
    from .subjects import Subject

SLUG = "finetune"
VERSION = "1.1.0"  # 1.1: top-5 accuracy, views, the settings of clips
SUMMARY = "the whole trunk fine-tuned with layer-wise learning-rate decay"
MAIN_METRIC = "accuracy"
BASELINES = ("chance", "random")
TRAINS = True
IDENTITY = Identity(
    SLUG,
    VERSION,
    MAIN_METRIC,
    ("benchmarks/finetune.py", "core/classifier.py", "modalities/image/augmentation.py"),
)
_REFERENCE_BATCH = 256  # lr = blr · batch / 256


class RandAugmentSettings(Config):
    """Strength of RandAugment; magnitude 0 switches it off."""

    magnitude: float = Field(default=9, ge=0, le=10)
    std: float = Field(default=0.5, ge=0)
    operations: int = Field(default=2, ge=1)  # for each sample


class Settings(Config):
    """The recipe; the defaults are those of ViT-B. A recipe's `[finetune]` table has these keys.

    Attributes:
        data: settings of the modality in which fine-tuning differs from pre-training (crops, views
            in training, clips and crops in evaluation).
    """

    epochs: float = Field(default=100, gt=0)
    batch_size: int = Field(default=1024, ge=1)
    optimizer: Literal["adamw"] = "adamw"
    blr: float = Field(default=5e-4, gt=0)  # lr = blr · batch / 256
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_epochs: float = Field(default=5, ge=0)
    warmup_start: float = Field(default=0, ge=0, lt=1)  # of lr, where the warm-up begins
    min_lr: float = Field(default=1e-6, ge=0)
    clip_norm: float | None = Field(default=None, gt=0)  # of the gradient
    layer_decay: float = Field(default=0.65, gt=0, le=1)
    drop_path: float = Field(default=0.1, ge=0, lt=1)
    dropout: float = Field(default=0, ge=0, lt=1)  # of the features under the head
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    randaugment: RandAugmentSettings = RandAugmentSettings()
    mixup: float = Field(default=0.8, ge=0)
    cutmix: float = Field(default=1.0, ge=0)
    random_erasing: float = Field(default=0.25, ge=0, le=1)
    pooling: Literal["mean", "cls"] = "mean"
    data: dict[str, Any] = Field(default_factory=dict)
    precision: Literal["fp32", "bf16"] = "fp32"
    seeds: int = Field(default=1, ge=1)  # whole fine-tunings
    seed: int = Field(default=0, ge=0)  # the first one


def run(subject: "Subject", data: TaskData, settings: Settings) -> Result:
    """Fine-tune a copy of a subject's trunk and score it; see the module's text.

    Raises:
        UsageError: the subject has no trunk to fine-tune, or train is smaller than a batch.
        ValidationError: the loss or a logit is not finite.
    """
    import pandas as pd

    clock = Stopwatch()
    if subject.kind != "chance" and not isinstance(subject, ModelSubject):
        raise UsageError(
            f"the subject '{subject.name}' has no trunk to fine-tune",
            "name a run folder, a weights file, random:METHOD or chance",
        )
    seeds = range(settings.seed, settings.seed + settings.seeds)
    tables = []
    for seed in seeds:
        if isinstance(subject, ModelSubject):
            classify = fine_tuned(subject, data, settings, seed)
            test = classify(data)
            scores = test.values.astype(np.float64)
        else:
            test = subject.features(data.test)
            scores = frequency_scores(subject.features(data.train), len(test))
        tables.append(scored_rows(test, scores, seed=seed))
    predictions = pd.concat(tables, ignore_index=True)
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=seeds, metrics=score(predictions), predictions=predictions, clock=clock,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """Accuracy over test items, the mean over the seeds; see `accuracy_metrics`."""
    return accuracy_metrics(predictions)


class Classifier:
    """A trunk with a head, and the way from a batch to logits.

    Args:
        subject: whose trunk is copied; the subject itself stays as it is.
        n_classes: C.
        settings: pooling and drop path.
    """

    def __init__(self, subject: ModelSubject, n_classes: int, settings: Settings) -> None:
        from ..core.classifier import ViTClassifier
        from ..core.encoders import ViTEncoder

        encoder = getattr(subject.method, "encoder", None)
        if not isinstance(encoder, ViTEncoder):
            raise UsageError(
                f"the method '{subject.method.slug}' has no ViT trunk", "score it with probe or knn"
            )
        trunk = copy.deepcopy(encoder)
        trunk.set_drop_path(settings.drop_path)
        if settings.pooling == "cls" and trunk.cls_token is None:
            raise UsageError(
                f"the trunk of '{subject.method.slug}' has no class token", "set pooling=mean"
            )
        self._tokenize: Callable[[Batch], Tokens] = subject.method.tokenize  # type: ignore[assignment]
        self.subject = subject
        adapter = subject.modality
        asked = merge(adapter.config.to_dict(), settings.data)
        self.modality = type(adapter)(build(type(adapter.config), asked, "data"))
        self.model = ViTClassifier(trunk, n_classes, settings.pooling, settings.dropout)
        self.model.to(subject.extraction.device)

    def logits(self, batch: "Batch") -> "Tensor":
        """(B·V, C): a row per view of each sample."""
        return self.model(self._tokenize(batch))

    def scores(self, batch: "Batch") -> "Tensor":
        """(B, C): the logits, or the mean over a sample's views of their softmax."""
        return mean_of_views(self.logits(batch), len(batch))

    def __call__(self, data: TaskData) -> Features:
        """The scores of the test split, as checked features."""
        how = self.subject.extraction
        self.model.eval()
        return extract(
            self.scores, data.test, self.modality,
            batch_size=how.batch_size, workers=how.workers, device=how.device,
        )  # fmt: skip


def mean_of_views(logits: "Tensor", n_samples: int) -> "Tensor":
    """(B, C) the mean softmax over the views of each sample, of (B·V, C); of one view its logits.

    Args:
        logits: (B·V, C).
        n_samples: B.
    """
    views = len(logits) // n_samples
    if views == 1:
        return logits
    return logits.float().softmax(1).unflatten(0, (n_samples, views)).mean(1)


def fine_tuned(subject: ModelSubject, data: TaskData, settings: Settings, seed: int) -> Classifier:
    """A classifier trained on the train split; the same seed, the same weights.

    Raises:
        UsageError: train is smaller than a batch, or the settings do not fit the subject.
        ValidationError: the loss is not finite.
    """
    import torch
    from torch.nn.utils import clip_grad_norm_

    from ..core.training.loader import Loader
    from ..core.training.optim import set_lr
    from ..core.training.schedule import lr_at
    from ..core.training.trainer import step_seed

    how = subject.extraction
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        classifier = Classifier(subject, len(data.train.classes), settings)
        loader = Loader(
            data.train, classifier.modality, batch_size=settings.batch_size, seed=seed,
            workers=how.workers, train=True, device=how.device,
        )  # fmt: skip
        per_epoch = loader.steps_per_epoch
        n_steps = max(1, round(settings.epochs * per_epoch))
        peak = settings.blr * settings.batch_size / _REFERENCE_BATCH
        optimizer = _optimizer(classifier.model, settings)
        classifier.model.train()
        for step, batch in zip(range(n_steps), loader.batches(), strict=False):
            set_lr(optimizer, lr_at(
                step / per_epoch, lr=peak, min_lr=settings.min_lr,
                warmup_epochs=settings.warmup_epochs, epochs=settings.epochs,
                warmup_start=settings.warmup_start,
            ))  # fmt: skip
            torch.manual_seed(step_seed(seed, step, rank=0))  # drop path
            loss = _loss(classifier, batch, settings, seed, step)
            if not torch.isfinite(loss):
                raise ValidationError(
                    f"fine-tuning {subject.name}: expected a finite loss, got {loss.item()} "
                    f"at step {step}",
                    "lower --set blr=…",
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if settings.clip_norm is not None:
                clip_grad_norm_(classifier.model.parameters(), settings.clip_norm)
            optimizer.step()
    return classifier


def _optimizer(model: "ViTClassifier", settings: Settings) -> "Optimizer":
    from ..core.training.optim import layer_scale_groups, make_optimizer
    from ..core.training.settings import OptimSettings

    groups = layer_scale_groups(
        model.named_parameters(),
        weight_decay=settings.weight_decay,
        layer_decay=settings.layer_decay,
        layer_id=model.layer_id,
        no_decay=model.no_decay,
    )
    return make_optimizer(groups, OptimSettings(optimizer="adamw", betas=settings.betas))


def _loss(
    classifier: Classifier, batch: "Batch", settings: Settings, seed: int, step: int
) -> "Tensor":
    """Soft-target cross entropy of an augmented batch, float32."""
    from dataclasses import replace

    import torch
    from torch.nn.functional import cross_entropy

    from ..core.draws import Draws
    from ..modalities.image.augmentation import FineTuneAugment, FineTuneSettings

    if batch.labels is None:
        raise UsageError("the data has no labels", "fine-tuning needs a labelled train split")
    pixels = classifier.modality.config
    augment = FineTuneAugment(
        FineTuneSettings(
            magnitude=settings.randaugment.magnitude, spread=settings.randaugment.std,
            operations=settings.randaugment.operations,
            erasing=settings.random_erasing, mixup=settings.mixup, cutmix=settings.cutmix,
            smoothing=settings.label_smoothing, mean=pixels.mean, std=pixels.std,
        )
    )  # fmt: skip
    # keyed by the step, so that a sample is augmented anew each time that it comes
    draws = Draws(seed, batch.ids, epoch=step, stream="finetune")
    n_classes = classifier.model.head.out_features
    ((name, values),) = batch.inputs.items()
    views = values.shape[1] if classifier.modality.VIEWS else 1
    rows = values.flatten(0, 1) if classifier.modality.VIEWS else values
    labels = batch.labels.repeat_interleave(views)
    rows, targets = augment(rows, labels, n_classes, draws.views(views), step)
    with torch.autocast(rows.device.type, torch.bfloat16, settings.precision == "bf16"):
        logits = classifier.logits(replace(batch, inputs={name: rows.view_as(values)}))
    return cross_entropy(logits.float(), targets)
