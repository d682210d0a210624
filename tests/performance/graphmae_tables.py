"""GraphMAE's published tables, run again: per data set and seed, beside the published numbers.

    python tests/performance/graphmae_tables.py --graphs GRAPHS --out tables.json
        [--only cora,mutag] [--seeds 5] [--ablation] [--threads 1]

GRAPHS holds `planetoid/`, `tu/` and `gin/` (docs/methods/graphmae.md says which files). Each data
set is pre-trained by its recipe through the library's own trainer and scored by its benchmark,
beside the untrained encoder of the same seed and the raw features. Every finished run is added to
OUT, and a run broken off lies in the folder OUT.runs, so that the same command goes on where it
stopped. What is there is printed.

`--ablation` runs the paper's order on Cora instead, at a small budget (H = 128, 200 epochs).
"""

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from masquerade.benchmarks import graph_classification, node_classification
from masquerade.benchmarks.opening import open_subject
from masquerade.benchmarks.subjects import Extraction, ModelSubject, RandomSubject
from masquerade.core.atomic_io import write_text
from masquerade.core.training.outcome import Outcome
from masquerade.methods.graph.graphmae import GraphMAE
from masquerade.methods.pretraining import pretrain
from masquerade.methods.recipes import resolve
from masquerade.methods.weights import load_method
from masquerade.modalities.catalogue import resolve_data
from masquerade.modalities.graph import Graph

HOW = Extraction(batch_size=256)


@dataclass(frozen=True)
class DataSet:
    """A row of the published tables: file, published mean and deviation in per cent."""

    path: str
    mean: float
    std: float
    level: str  # "node" or "graph"


SETS = {
    "cora": DataSet("planetoid#cora", 84.2, 0.4, "node"),
    "citeseer": DataSet("planetoid#citeseer", 73.4, 0.4, "node"),
    "mutag": DataSet("tu/MUTAG", 88.19, 1.26, "graph"),
    "proteins": DataSet("tu/PROTEINS", 75.30, 0.39, "graph"),
    "imdb-binary": DataSet("gin/IMDB-BINARY.txt", 75.52, 0.66, "graph"),
    "imdb-multi": DataSet("gin/IMDB-MULTI.txt", 51.63, 0.52, "graph"),
    "nci1": DataSet("gin/NCI1.txt", 80.40, 0.30, "graph"),
}
SMALL = ("dim=128", "train.epochs=200")
ABLATION = {
    "full": (),
    "MSE instead of SCE": ("method.objective=mse",),
    "no mask": ("method.masking.rate=0.0", "method.masking.replace=0.0"),
    "no re-mask": ("method.remask=false",),
    "decoder MLP": ("method.decoder=mlp",),
}


@dataclass
class Store:
    """Finished runs in a JSON file, one entry per name and seed."""

    path: Path
    runs: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> "Store":
        return cls(path, json.loads(path.read_text()) if path.exists() else [])

    def of(self, name: str) -> list[dict[str, Any]]:
        return sorted((r for r in self.runs if r["name"] == name), key=lambda r: r["seed"])

    def has(self, name: str, seed: int) -> bool:
        return any(run["seed"] == seed for run in self.of(name))

    def add(self, run: dict[str, Any]) -> None:
        self.runs.append(run)
        write_text(self.path, json.dumps(self.runs, indent=1))


def scores(level: str, subject: Any, data: Any, recipe: str) -> dict[str, float]:
    """Per cent: what the benchmark of the level says of a subject."""
    if level == "node":
        settings = node_classification.Settings(recipe=recipe)
        settings = node_classification.resolved(subject, data, settings)
        metrics = node_classification.run(subject, data, settings).record.claim.metrics
        best = metrics["accuracy_at_best_validation"].value
        return {"last": 100 * metrics["accuracy"].value, "best": 100 * best}
    settings = graph_classification.Settings()
    metrics = graph_classification.run(subject, data, settings).record.claim.metrics
    return {"last": 100 * metrics["accuracy"].value}


def one_run(
    name: str, data_set: DataSet, path: str, seed: int, folder: Path, changes: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Pre-train with a seed, and score the run and its untrained twin."""
    recipe = data_set.recipe
    protocol = node_classification if data_set.level == "node" else graph_classification
    data, _ = protocol.open_data(path, {}, HOW)
    resolved = resolve("graphmae", recipe, [f"train.seed={seed}", "train.device=cpu", *changes])
    source = resolve_data(path, "graph")
    start, spent = time.perf_counter(), time.process_time()
    outcome: Outcome = pretrain(resolved, source, folder, progress=False)
    wall, own = time.perf_counter() - start, time.process_time() - spent
    if outcome.signal:
        raise SystemExit(f"{name}, seed {seed}: stopped; the same command goes on")
    # of a run that went on, what its last part took stands for all steps
    share = outcome.total / (outcome.total - outcome.start)
    method = load_method(folder, expect="graphmae")
    shutil.rmtree(folder)
    adapter = Graph(resolved.settings.data)
    trained = ModelSubject(name, method, adapter, HOW)
    torch.manual_seed(seed)
    untrained = RandomSubject("random", GraphMAE(method.config), adapter, HOW)
    start = time.perf_counter()
    found = scores(data_set.level, trained, data, recipe)
    return {
        "name": name, "seed": seed, **found, "loss": outcome.loss,
        "random": scores(data_set.level, untrained, data, recipe)["last"],
        "train_s": wall * share, "train_processor_s": own * share, "score_s": time.perf_counter() - start,
        "torch": torch.__version__,
    }  # fmt: skip


def spread(values: list[float]) -> str:
    mean = statistics.mean(values)
    return f"{mean:6.2f} ± {statistics.stdev(values):4.2f}" if len(values) > 1 else f"{mean:6.2f}"


def verdict(data_set: DataSet, values: list[float]) -> str:
    """Whether the mean is within one published deviation and half a point, or above."""
    below = data_set.mean - statistics.mean(values)
    allowed = data_set.std + 0.5
    return "holds" if below <= allowed else f"{below - allowed:.2f} short"


def lines(store: Store, graphs: Path, only: list[str]) -> Iterator[str]:
    yield "data set      seeds  ours (last epoch)   best validation   untrained        raw   published"
    for name in only:
        runs, data_set = store.of(name), SETS[name]
        if not runs:
            continue
        raw = store.of(f"{name}/raw")
        best = spread([r["best"] for r in runs]) if "best" in runs[0] else "-"
        yield (
            f"{name:13} {len(runs):5}  {spread([r['last'] for r in runs]):17}   {best:15}   "
            f"{spread([r['random'] for r in runs]):14} {raw[0]['last'] if raw else 0:6.2f}   "
            f"{data_set.mean} ± {data_set.std}  "
            f"{verdict(data_set, [r['last'] for r in runs])}; a run "
            f"{statistics.mean(r['train_s'] for r in runs):.0f} s by the clock, "
            f"{statistics.mean(r['train_processor_s'] for r in runs):.0f} s of the processor"
        )


def add_raw(store: Store, name: str, path: str) -> None:
    """The raw features' score, once."""
    data_set = SETS[name]
    if store.has(f"{name}/raw", 0):
        return
    protocol = node_classification if data_set.level == "node" else graph_classification
    data, _ = protocol.open_data(path, {}, HOW)
    raw = open_subject("raw", HOW, modality="graph")
    recipe = f"graphmae-{name}"
    settings = resolve("graphmae", recipe).settings.data
    raw.modality = Graph(settings)
    store.add({"name": f"{name}/raw", "seed": 0, **scores(data_set.level, raw, data, recipe)})


def ablation(store: Store, graphs: Path, seeds: int) -> None:
    """The paper's order on Cora at a small budget."""
    path, cora = str(graphs / SETS["cora"].path), SETS["cora"]
    for seed in range(seeds):
        for name, changes in ABLATION.items():
            label = f"ablation/{name}"
            if not store.has(label, seed):
                run = one_run(label, cora, path, "graphmae-cora", seed, (*SMALL, *changes))
                store.add(run)
                print(f"{label} seed {seed}: {run['last']:.2f}", flush=True)
    print("\nablation on Cora, H 128, 200 epochs   ours (last epoch)   untrained")
    for name in ABLATION:
        runs = store.of(f"ablation/{name}")
        found, twin = ([r[key] for r in runs] for key in ("last", "random"))
        print(f"  {name:35} {spread(found):17}   {spread(twin)}   ({len(runs)} seeds)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default=",".join(SETS), help="data sets, separated by commas")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ablation", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    store, only = Store.open(given.out), given.only.split(",")
    if given.ablation:
        ablation(store, given.graphs, given.seeds)
        return
    for name in only:
        path = str(given.graphs / SETS[name].path)
        add_raw(store, name, path)
        for seed in range(given.seeds):
            if not store.has(name, seed):
                run = one_run(name, SETS[name], path, f"graphmae-{name}", seed, ())
                store.add(run)
                print(f"{name} seed {seed}: {run['last']:.2f} (untrained {run['random']:.2f}), "
                      f"{run['train_s']:.0f} s", flush=True)  # fmt: skip
    print()
    print("\n".join(lines(store, given.graphs, only)))


if __name__ == "__main__":
    main()
