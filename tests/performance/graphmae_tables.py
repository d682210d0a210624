"""GraphMAE's published tables, run again: per data set and seed, beside the published numbers.

    python tests/performance/graphmae_tables.py --graphs GRAPHS --out tables.json
        [--only cora,mutag] [--seeds 5] [--ablation] [--threads 1]

GRAPHS holds `planetoid/`, `tu/` and `gin/` (docs/methods/graphmae.md says which files). Each data
set is pre-trained by its recipe through the library's own trainer and scored by its benchmark,
beside the untrained encoder of the same seed and the raw features. Every finished run is added to
OUT, and a run broken off lies in the folder OUT.runs, so that the same command goes on where it
stopped. What is there is printed.

`--ablation` runs the paper's order on Cora instead, at a small budget (H = 128, 200 epochs) unless
`--epochs` says another.
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
from masquerade.benchmarks.subjects import Extraction, ModelSubject, RandomSubject, Subject
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
PROTOCOLS: dict[str, Any] = {"node": node_classification, "graph": graph_classification}
WIDTH, EPOCHS = 128, 200  # of the ablation
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


def scores(level: str, subject: Subject, data: Any, recipe: str) -> dict[str, float]:  # noqa: ANN401
    """Per cent: what the benchmark of the level says of a subject."""
    if level == "graph":
        settings = graph_classification.Settings()
        metrics = graph_classification.run(subject, data, settings).record.claim.metrics
        return {"last": 100 * metrics["accuracy"].value}
    probe = node_classification.Settings(recipe=recipe)
    probe = node_classification.resolved(subject, data, probe)
    metrics = node_classification.run(subject, data, probe).record.claim.metrics
    best = metrics["accuracy_at_best_validation"].value
    return {"last": 100 * metrics["accuracy"].value, "best": 100 * best}


@dataclass
class Study:
    """The runs of the tables.

    Attributes:
        graphs: where the data sets lie.
        store: of finished runs.
        unfinished: folder of runs that were broken off.
    """

    graphs: Path
    store: Store
    unfinished: Path

    def data(self, set_name: str) -> Any:  # noqa: ANN401 - the protocol's own
        protocol = PROTOCOLS[SETS[set_name].level]
        return protocol.open_data(str(self.graphs / SETS[set_name].path), {}, HOW)[0]

    def run(self, name: str, set_name: str, seed: int, changes: tuple[str, ...] = ()) -> None:
        """Pre-train with a seed, and score the run and its untrained twin, unless it was done."""
        if self.store.has(name, seed):
            return
        data, level, recipe = self.data(set_name), SETS[set_name].level, f"graphmae-{set_name}"
        resolved = resolve("graphmae", recipe, [f"train.seed={seed}", "train.device=cpu", *changes])
        folder = self.unfinished / f"{name.replace('/', '-').replace(' ', '-')}-{seed}"
        start, spent = time.perf_counter(), time.process_time()
        source = resolve_data(str(self.graphs / SETS[set_name].path), "graph")
        outcome: Outcome = pretrain(resolved, source, folder, progress=False)
        wall, own = time.perf_counter() - start, time.process_time() - spent
        if not outcome.finished:
            raise SystemExit(f"{name}, seed {seed}: stopped at step {outcome.step}; run it again")
        method = load_method(folder, expect="graphmae")
        adapter = Graph(resolved.settings.data)
        torch.manual_seed(seed)
        untrained = RandomSubject("random", GraphMAE(method.config), adapter, HOW)
        done = {
            "name": name, "seed": seed, "loss": outcome.loss, "torch": torch.__version__,
            **scores(level, ModelSubject(name, method, adapter, HOW), data, recipe),
            "random": scores(level, untrained, data, recipe)["last"],
        }  # fmt: skip
        if outcome.started_at == 0:  # the parts of a run broken off were not timed
            done |= {"train_s": wall, "train_processor_s": own}
        self.store.add(done)
        shutil.rmtree(folder)
        print(
            f"{name} seed {seed}: {done['last']:.2f} (untrained {done['random']:.2f})", flush=True
        )

    def raw(self, name: str) -> None:
        """The raw features' score, once."""
        if self.store.has(f"{name}/raw", 0):
            return
        subject, recipe = open_subject("raw", HOW, modality="graph"), f"graphmae-{name}"
        subject.modality = Graph(resolve("graphmae", recipe).settings.data)
        found = scores(SETS[name].level, subject, self.data(name), recipe)
        self.store.add({"name": f"{name}/raw", "seed": 0, **found})

    def table(self, names: list[str]) -> Iterator[str]:
        """The lines of the table, the published numbers beside ours."""
        yield "data set     seeds  last epoch      best validation  untrained      raw    published"
        for name in names:
            runs, data_set = self.store.of(name), SETS[name]
            if not runs:
                continue
            last = [r["last"] for r in runs]
            best = spread([r["best"] for r in runs]) if "best" in runs[0] else "-"
            timed = [r for r in runs if "train_s" in r]
            yield (
                f"{name:13}{len(runs):4}   {spread(last):14}  {best:15}  "
                f"{spread([r['random'] for r in runs]):13} "
                f"{self.store.of(f'{name}/raw')[0]['last']:6.2f}  "
                f"{data_set.mean} ± {data_set.std}  {verdict(data_set, last)}"
            )
            if timed:
                clock, own = (
                    statistics.mean(r[key] for r in timed)
                    for key in ("train_s", "train_processor_s")
                )
                yield f"{'':13}a run: {clock:.0f} s by the clock, {own:.0f} s of the processor"

    def ablation(self, seeds: int, epochs: int) -> Iterator[str]:
        """The paper's order on Cora at a small budget."""
        folder = "ablation" if epochs == EPOCHS else f"ablation-{epochs}"
        budget = (f"dim={WIDTH}", f"train.epochs={epochs}")
        for seed in range(seeds):
            for name, changes in ABLATION.items():
                self.run(f"{folder}/{name}", "cora", seed, (*budget, *changes))
        yield f"Cora, H {WIDTH}, {epochs:4} epochs    last epoch      untrained"
        for name in ABLATION:
            runs = self.store.of(f"{folder}/{name}")
            last, twin = ([r[key] for r in runs] for key in ("last", "random"))
            yield f"  {name:25} {spread(last):14}  {spread(twin)}   ({len(runs)} seeds)"


def spread(values: list[float]) -> str:
    """Mean and deviation over seeds."""
    mean = statistics.mean(values)
    return f"{mean:6.2f} ± {statistics.stdev(values):4.2f}" if len(values) > 1 else f"{mean:6.2f}"


def verdict(data_set: DataSet, values: list[float]) -> str:
    """Whether the mean is at most one published deviation and half a point below, or above."""
    below = data_set.mean - statistics.mean(values)
    allowed = data_set.std + 0.5
    return "holds" if below <= allowed else f"{below - allowed:.2f} short"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default=",".join(SETS), help="data sets, separated by commas")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the ablation")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    names = given.only.split(",")
    study = Study(given.graphs, Store.open(given.out), given.out.with_suffix(".runs"))
    if given.ablation:
        print("\n".join(study.ablation(given.seeds, given.epochs)))
        return
    for name in names:
        study.raw(name)
        for seed in range(given.seeds):
            study.run(name, name, seed)
    print("\n".join(study.table(names)))


if __name__ == "__main__":
    main()
