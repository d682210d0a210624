"""Molecules: the whole encoder fine-tuned on measured properties, scaffold split 80/10/10.

Molecules with the same Bemis–Murcko scaffold stay together; the larger groups go to train, so that
test asks for scaffolds that were not seen (Hu et al., 2020; GraphMAE's official folder chem). Mean
pooling, one linear layer, Adam; binary cross entropy over what was measured, and ROC-AUC averaged
over the tasks whose test molecules have both classes. Numbers that are no classes: mean squared
error of standardised values, and RMSE in their own unit. The last epoch counts; the one with the
best validation is told beside it.
"""

# N molecules, T tasks.

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config, build
from ..core.errors import UsageError, ValidationError
from ..core.metrics.intervals import seeds_interval
from ..core.metrics.ranking import rmse, roc_auc
from ..core.records import Metric
from .molecule_data import MoleculeData, open_molecule_data
from .node_classification import open_subject as open_graph_subject
from .protocol import Identity, Result, Stopwatch, make_result
from .subjects import ModelSubject

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor
    from torch.optim import Optimizer

    from ..core.tokens import Batch
    from ..core.training.loader import Loader
    from .subjects import Subject

SLUG = "molecule-finetune"
VERSION = "1.0.0"
SUMMARY = "molecule encoder fine-tuned on measured properties, scaffold split"
MAIN_METRIC = "roc_auc"  # "rmse" of numbers that are no classes
BASELINES = ("chance", "random")
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC,
    (
        "benchmarks/molecule_finetune.py", "benchmarks/molecule_data.py", "core/metrics/ranking.py",
        "modalities/graph/molecules.py", "core/graphs/molecule.py",
    ),
)  # fmt: skip
open_subject = open_graph_subject
open_data = open_molecule_data


class Settings(Config):
    """The published fine-tuning.

    Attributes:
        recipe: whose `[molecule-finetune]` settings are taken where none is given here.
        epochs: over the train molecules.
        batch_size: molecules in a step.
        lr: of Adam.
        dropout: after each layer of the encoder.
        drop_every: epochs after which the learning rate is multiplied by `drop_to`; 0 = never
            (BACE: 30).
        drop_to: that factor.
        seeds: whole fine-tunings.
        seed: the first one.
    """

    recipe: str | None = None
    epochs: int | None = Field(default=None, ge=1)
    batch_size: int | None = Field(default=None, ge=2)
    lr: float | None = Field(default=None, gt=0)
    dropout: float | None = Field(default=None, ge=0, lt=1)
    drop_every: int = Field(default=0, ge=0)
    drop_to: float = Field(default=0.3, gt=0)
    seeds: int = Field(default=1, ge=1)
    seed: int = Field(default=0, ge=0)


_DEFAULTS = {"epochs": 100, "batch_size": 32, "lr": 1e-3, "dropout": 0.5}


def resolved(subject: "Subject", data: MoleculeData, settings: Settings) -> Settings:  # noqa: ARG001
    """The settings with what is open filled in: from the recipe, or the published ones.

    Raises:
        UsageError: no such recipe.
    """
    from ..methods.recipes import benchmark_settings

    slug = subject.method.slug if isinstance(subject, ModelSubject) else "graphmae"
    given = {k: v for k, v in settings.to_dict().items() if v is not None}
    published = benchmark_settings(slug, settings.recipe, SLUG)
    return build(Settings, {**_DEFAULTS, **published, **given})


def run(subject: "Subject", data: MoleculeData, settings: Settings) -> Result:
    """Fine-tune a copy of a subject's encoder and score it; see the module's text.

    Raises:
        UsageError: the subject has no molecule encoder.
        ValidationError: the loss is not finite.
    """
    import pandas as pd

    clock = Stopwatch()
    settings = resolved(subject, data, settings)
    seeds = range(settings.seed, settings.seed + settings.seeds)
    tables = []
    for seed in seeds:
        if isinstance(subject, ModelSubject):
            last, best = fine_tuned(subject, data, settings, seed)
        else:
            mean = np.nanmean(data.targets[data.splits["train"]], axis=0)
            last = best = np.tile(mean, (len(data.splits["test"]), 1))
        tables.append(_rows(data, last, best, seed))
    predictions = pd.concat(tables, ignore_index=True)
    main = MAIN_METRIC if data.binary else "rmse"
    return make_result(
        replace(IDENTITY, main_metric=main), subject, data, settings,
        seeds=seeds, metrics=score(predictions), predictions=predictions, clock=clock,
        facts={"unreadable_molecules": data.n_unreadable, "tasks": len(data.tasks)},
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """ROC-AUC or RMSE of each seed, averaged over tasks, then over seeds; last and best epoch."""
    labels = predictions["label"].to_numpy()
    binary = bool(np.isin(labels, (0, 1)).all())
    name = MAIN_METRIC if binary else "rmse"
    columns = {name: "score", f"{name}_at_best_validation": "score_best"}
    seeds = [rows for _, rows in predictions.groupby("seed", sort=True)]
    return {
        metric: _metric([_one_seed(rows, column, binary) for rows in seeds], binary)
        for metric, column in columns.items()
    }


def _one_seed(rows: "DataFrame", column: str, binary: bool) -> float:  # noqa: FBT001
    found = []
    for _, task in rows.groupby("task", sort=True):
        labels, scores = task["label"].to_numpy(), task[column].to_numpy()
        if not binary:
            found.append(rmse(labels, scores))
        elif len(np.unique(labels)) == 2:
            found.append(roc_auc(labels.astype(np.int64), scores))
    if not found:
        raise ValidationError("no task has test molecules of both classes", "give more molecules")
    return float(np.mean(found))


def _metric(values: list[float], binary: bool) -> Metric:  # noqa: FBT001
    interval = seeds_interval(values)
    return Metric(
        value=float(np.mean(values)), unit="fraction" if binary else "unit of the target",
        direction="higher" if binary else "lower", n=len(values), n_of="seeds", interval=interval,
        interval_method=None if interval is None else "seeds", parts=tuple(values),
    )  # fmt: skip


def _rows(
    data: MoleculeData, last: NDArray[np.float64], best: NDArray[np.float64], seed: int
) -> "DataFrame":
    """A row for each molecule and task that was measured."""
    import pandas as pd

    test = data.splits["test"]
    item, task = np.nonzero(np.isfinite(data.targets[test]))
    return pd.DataFrame({
        "key": np.array(data.source.keys)[test][item], "task": np.array(data.tasks)[task],
        "label": data.targets[test][item, task].astype(np.float64),
        "score": last[item, task], "score_best": best[item, task], "seed": seed,
    })  # fmt: skip


class Classifier:
    """A copy of a subject's encoder, and a head on the mean of its codes.

    Args:
        subject: whose encoder is copied; the subject itself stays as it is.
        data: the molecules; numbers that are no classes are standardised by those of train.
        dropout: after each layer of the encoder.

    Raises:
        UsageError: it has no molecule encoder.
    """

    def __init__(self, subject: ModelSubject, data: MoleculeData, dropout: float) -> None:
        import torch

        from ..core.graphs.molecule import MoleculeTrunk

        trunk = getattr(subject.method, "encoder", None)
        if not isinstance(trunk, MoleculeTrunk):
            raise UsageError(
                f"the subject '{subject.name}' has no molecule encoder",
                "name a run of graphmae-molecules, or random:graphmae@graphmae-molecules",
            )
        self.trunk = copy.deepcopy(trunk)
        self.trunk.drop = dropout
        self.head = torch.nn.Linear(trunk.dim, len(data.tasks))
        self.net = torch.nn.ModuleList([self.trunk, self.head]).to(subject.extraction.device)
        self.binary = data.binary
        known = data.targets[data.splits["train"]]
        mean, spread = np.nanmean(known, axis=0), np.nanstd(known, axis=0)
        ones = np.ones_like(spread)
        self._mean = torch.from_numpy(0 * ones if data.binary else mean)
        self._scale = torch.from_numpy(ones if data.binary else np.where(spread > 0, spread, ones))

    def loss(self, batch: "Batch") -> "Tensor":
        """The mean loss over what was measured of a batch."""
        from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

        outputs, wanted = self._outputs(batch), batch["targets"]
        known = ~wanted.isnan()
        if self.binary:
            return cross_entropy(outputs[known], wanted[known])
        scaled = (wanted - self._mean.to(wanted)) / self._scale.to(wanted)
        return (outputs[known] - scaled[known]).square().mean()

    def predict(self, loader: "Loader") -> NDArray[np.float64]:
        """(N, T) logits, or numbers in the targets' unit, of a loader's molecules in order."""
        import torch

        self.net.eval()
        with torch.inference_mode():
            found = torch.cat([self._outputs(batch).cpu() for batch in loader.once()])
        self.net.train()
        return (found * self._scale + self._mean).double().numpy()

    def _outputs(self, batch: "Batch") -> "Tensor":
        """(B, T)."""
        from ..core.graphs.batch import GraphBatch, pool_graphs

        assert isinstance(batch, GraphBatch)  # noqa: S101 - the subject reads graphs
        codes = self.trunk.encode(batch["x"], batch.edges, batch["bonds"])
        return self.head(pool_graphs(codes, batch.graph_ptr, "mean"))


def fine_tuned(
    subject: ModelSubject, data: MoleculeData, settings: Settings, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(M, T) test predictions of the last epoch, and of the epoch of the best validation."""
    import torch

    from ..core.training.loader import Loader
    from ..core.training.trainer import step_seed
    from ..modalities.graph.molecule_part import MoleculePart

    loaders = {
        name: Loader(
            MoleculePart(data.source, rows.tolist(), name), subject.modality, seed=seed,
            batch_size=settings.batch_size or 1, device=subject.extraction.device,
            last_batch="keep",
        )
        for name, rows in data.splits.items()
    }  # fmt: skip
    highest, best = -np.inf, np.empty(0)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        classifier = Classifier(subject, data, settings.dropout or 0.0)
        optimizer = torch.optim.Adam(classifier.net.parameters(), lr=settings.lr or 0.0)
        classifier.net.train()
        batches, per_epoch = loaders["train"].batches(), loaders["train"].steps_per_epoch
        for epoch in range(settings.epochs or 0):
            drops = epoch // settings.drop_every if settings.drop_every else 0
            for group in optimizer.param_groups:
                group["lr"] = (settings.lr or 0.0) * settings.drop_to**drops
            steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
            for step, batch in zip(steps, batches, strict=False):
                torch.manual_seed(step_seed(seed, step, rank=0))  # dropout
                _learn(classifier, optimizer, batch)
            last = classifier.predict(loaders["test"])
            found = _validation(data, classifier.predict(loaders["val"]))
            if epoch == 0 or found > highest:
                highest, best = found, last
    return last, best


def _learn(classifier: Classifier, optimizer: "Optimizer", batch: "Batch") -> None:
    """One step; a batch of which nothing was measured teaches nothing."""
    import torch

    if bool(batch["targets"].isnan().all()):
        return
    loss = classifier.loss(batch)
    if not torch.isfinite(loss):
        raise ValidationError(
            f"fine-tuning: expected a finite loss, got {loss.item()}", "lower --set lr=…"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def _validation(data: MoleculeData, scores: NDArray[np.float64]) -> float:
    """How good validation scores are, higher = better; −∞ where no task can be scored."""
    wanted, found = data.targets[data.splits["val"]], []
    for task in range(wanted.shape[1]):
        known = np.isfinite(wanted[:, task])
        if data.binary and len(np.unique(wanted[known, task])) == 2:
            found.append(roc_auc(wanted[known, task].astype(np.int64), scores[known, task]))
        elif not data.binary and known.any():
            found.append(-rmse(wanted[known, task], scores[known, task]))
    return float(np.mean(found)) if found else -np.inf
