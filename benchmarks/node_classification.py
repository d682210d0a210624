"""Node classification: logistic regression on frozen node codes of one graph, public split.

The whole graph goes through the frozen encoder once, unmasked. One linear layer is fitted on the
train nodes by Adam, full batch, for a fixed number of epochs (GraphMAE's official probe; its
learning rate, weight decay and epochs are those of the data set's recipe). Two numbers: the test
accuracy of the last epoch, and that of the epoch with the best validation accuracy (the later one
of equals). The second looks at validation labels, neither looks at test labels.
"""

# N nodes, M test nodes, D width, C classes.

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config, build
from ..core.errors import UsageError, ValidationError
from ..core.metrics.classification import accuracy
from ..core.records import Metric
from .classification import accuracy_metrics
from .protocol import Identity, Result, Stopwatch, make_result
from .subjects import ModelSubject, RawSubject

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor

    from ..core.modality import Source
    from .subjects import Extraction, Subject

SLUG = "node-classification"
VERSION = "1.0.0"
SUMMARY = "logistic regression on frozen codes of one graph's nodes, public split"
MAIN_METRIC = "accuracy"
BASELINES = ("chance", "random", "raw")
TRANSDUCTIVE = True
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC,
    ("benchmarks/node_classification.py", "modalities/graph/features.py"),
)  # fmt: skip


class Settings(Config):
    """How the probe is fitted; the defaults are those of Cora.

    Attributes:
        recipe: whose `[node-classification]` settings are taken where none is given here.
        lr: of Adam.
        weight_decay: part of the gradient.
        epochs: full-batch steps.
        seeds: initial weights.
        seed: the first one.
    """

    recipe: str | None = None
    lr: float | None = Field(default=None, gt=0)
    weight_decay: float | None = Field(default=None, ge=0)
    epochs: int | None = Field(default=None, ge=1)
    seeds: int = Field(default=1, ge=1)
    seed: int = Field(default=0, ge=0)


_DEFAULTS = {"lr": 1e-2, "weight_decay": 1e-4, "epochs": 300}


@dataclass(frozen=True)
class NodeData:
    """One graph whose nodes have classes.

    Attributes:
        name: how a user calls it.
        source: the graph.
        labels: (N,) int64, −1 = none.
        splits: "train", "val", "test" → node ids.
    """

    name: str
    source: "Source"
    labels: NDArray[np.int64]
    splits: Mapping[str, NDArray[np.int64]]

    def hash(self) -> str:
        """The sha256 of the graph with its labels and splits."""
        return self.source.fingerprint()


def open_data(
    text: str, own: Mapping[str, Any], extraction: "Extraction"
) -> tuple[NodeData, Mapping[str, Any]]:
    """The graph that a user names; all `data.` settings are the subject's.

    Raises:
        DataError: no graph, no node labels, or no splits.
    """
    del extraction
    from ..modalities.catalogue import resolve_data
    from ..modalities.graph.source import node_task

    source = resolve_data(text, "graph")
    labels, splits = node_task(source)
    return NodeData(text.rpartition("/")[2], source, labels, splits), own


def open_subject(text: str, own: Mapping[str, Any], extraction: "Extraction") -> "Subject":
    """The subject that a user names, one that reads graphs.

    Raises:
        UsageError: it reads something else, or there is none.
        WeightsError: the weights do not load.
    """
    from .opening import open_subject as opened

    subject = opened(text, extraction, preprocessing=own, modality="graph")
    if subject.modality.slug != "graph":
        raise UsageError(
            f"the subject '{subject.name}' reads {subject.modality.slug} data, not graphs",
            "name a run of a graph method",
        )
    return subject


def resolved(subject: "Subject", data: NodeData, settings: Settings) -> Settings:  # noqa: ARG001
    """The settings with what is open filled in: from the recipe, or Cora's.

    Raises:
        UsageError: no such recipe.
    """
    from ..methods.recipes import benchmark_settings

    slug = subject.method.slug if isinstance(subject, ModelSubject) else "graphmae"
    given = {k: v for k, v in settings.to_dict().items() if v is not None}
    published = benchmark_settings(slug, settings.recipe, SLUG)
    return build(Settings, {**_DEFAULTS, **published, **given})


def run(subject: "Subject", data: NodeData, settings: Settings) -> Result:
    """Probe a subject; see the module's text.

    Raises:
        UsageError: the subject has no codes of nodes.
        ValidationError: a code is not finite.
    """
    import pandas as pd

    clock = Stopwatch()
    settings = resolved(subject, data, settings)
    codes = None if subject.kind == "chance" else node_codes(subject, data.source)
    seeds = range(settings.seed, settings.seed + settings.seeds)
    tables = []
    for seed in seeds:
        last, best = _majority(data) if codes is None else fitted(codes, data, settings, seed)
        test = data.splits["test"]
        tables.append(
            pd.DataFrame({
                "key": [str(node) for node in test], "label": data.labels[test],
                "predicted": last, "predicted_best": best, "seed": seed,
            })
        )  # fmt: skip
    predictions = pd.concat(tables, ignore_index=True)
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=seeds, metrics=score(predictions), predictions=predictions, clock=clock,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """Accuracy and mean class accuracy of the last epoch, and accuracy at the best validation."""
    best = predictions.assign(predicted=predictions["predicted_best"])
    return {
        **accuracy_metrics(predictions),
        "accuracy_at_best_validation": accuracy_metrics(best)["accuracy"],
    }


def node_codes(subject: "Subject", source: "Source") -> "Tensor":
    """(N, D) float32 codes of the nodes of a source of one graph.

    Raises:
        UsageError: the subject has none.
        ValidationError: one is not finite; names the node.
    """
    import torch

    sample = source.read(0)
    batch = subject.modality.collate([sample], [subject.modality.prepare(sample, None)])
    batch = batch.to(subject.extraction.device)
    if isinstance(subject, ModelSubject) and hasattr(subject.method, "node_features"):
        with torch.inference_mode():
            codes: Tensor = subject.method.node_features(batch)  # type: ignore[operator]
    elif type(subject) is RawSubject:
        codes = batch["x"].float()
    else:
        raise UsageError(
            f"the subject '{subject.name}' has no codes of nodes",
            "name a run of a graph method, random:METHOD@RECIPE, raw or chance",
        )
    bad = ~torch.isfinite(codes).all(dim=1)
    if bool(bad.any()):
        raise ValidationError(
            f"{subject.name}: the code of node {int(bad.int().argmax())} is not finite",
            "the weights may have diverged: look at the run's metrics.jsonl",
        )
    return codes.clone()  # outside inference mode, so that a probe may learn from it


def fitted(
    codes: "Tensor", data: NodeData, settings: Settings, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(M,) predicted classes of the test nodes: of the last epoch, and at the best validation."""
    import torch
    from torch.nn.functional import cross_entropy

    ids = {name: torch.from_numpy(rows).to(codes.device) for name, rows in data.splits.items()}
    wanted = torch.from_numpy(data.labels).to(codes.device)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        probe = torch.nn.Linear(codes.shape[1], int(data.labels.max()) + 1).to(codes.device)
    optimizer = torch.optim.Adam(
        probe.parameters(), lr=float(settings.lr or 0), weight_decay=settings.weight_decay or 0.0
    )
    highest, best = -1.0, np.empty(0, dtype=np.int64)
    train, held = codes[ids["train"]], codes[torch.cat([ids["val"], ids["test"]])]
    labels = {name: data.labels[rows] for name, rows in data.splits.items()}
    n_val = len(labels["val"])
    for _ in range(settings.epochs or 0):
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(probe(train), wanted[ids["train"]]).backward()
        optimizer.step()
        with torch.no_grad():
            predicted = probe(held).argmax(dim=1).cpu().numpy()
        found = accuracy(labels["val"], predicted[:n_val])
        if found >= highest:
            highest, best = found, predicted[n_val:]
    return predicted[n_val:], best


def _majority(data: NodeData) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The most frequent class of the train nodes (ties: the lowest), for all."""
    found = np.bincount(data.labels[data.splits["train"]]).argmax()
    same = np.full(len(data.splits["test"]), found, dtype=np.int64)
    return same, same
