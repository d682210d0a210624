"""MUTAG by GraphMAE's recipe, by a plain re-statement and by ours, over many seeds.

    python tests/performance/graphmae_mutag.py --graphs GRAPHS [--seeds 50]

The published number is of five seeds. `PlainGIN` draws everything by torch's generator in the
official code's order, so that its first five seeds are drawn as the published five were; it shares
with ours the reader and the SVM, nothing else.
"""

import argparse
import statistics
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from plain_graphmae import PlainGIN

from masquerade.benchmarks import graph_classification as protocol
from masquerade.core.graphs.csr import Csr
from masquerade.core.metrics.classification import accuracy
from masquerade.modalities.catalogue import resolve_data

EPOCHS, BATCH, LR = 20, 64, 5e-4
Graph = tuple[torch.Tensor, torch.Tensor]


def dense(tensors: dict[str, torch.Tensor]) -> Graph:
    """A graph's features (N, d) and its edges as a table (N, N)."""
    x, edges = tensors["x"], Csr.named(tensors, "edges/")
    table = torch.zeros(len(x), len(x))
    return x, table.index_put((edges.row, edges.column), torch.ones(len(edges)), accumulate=True)


def trained(graphs: list[Graph], seed: int) -> PlainGIN:
    torch.manual_seed(seed)
    model = PlainGIN(graphs[0][0].shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    for _ in range(EPOCHS):
        for ids in torch.randperm(len(graphs)).split(BATCH):
            x = torch.cat([graphs[i][0] for i in ids])
            table = torch.block_diag(*[graphs[i][1] for i in ids])
            optimizer.zero_grad()
            model(x, table, rate=0.75, replace=0.1).backward()
            optimizer.step()
    return model.eval()


def score(model: PlainGIN, graphs: list[Graph], source: object) -> float:
    """Per cent of graphs that the protocol's SVM tells right, mean over its folds."""
    with torch.no_grad():
        vectors = np.stack([model.encode(x, table).sum(0).numpy() for x, table in graphs])
    labels = source.labels
    features = SimpleNamespace(values=vectors, classes_of=labels, classes=source.classes)
    settings = protocol.Settings()
    distances = protocol.squared_distances(vectors)
    found = [
        accuracy(labels[test], protocol.machine(distances, features, train, test, settings)[1])
        for train, test in protocol.outer_folds(features, source, settings)
    ]
    return 100 * float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=50)
    given = parser.parse_args()
    torch.set_num_threads(1)
    source = resolve_data(str(given.graphs / "tu/MUTAG"), "graph")
    graphs = [dense(source.read(i).content.tensors) for i in range(len(source))]
    found = []
    for seed in range(given.seeds):
        found.append(score(trained(graphs, seed), graphs, source))
        print(f"seed {seed}: {found[-1]:.2f}", flush=True)
    for name, part in (("seeds 0-4", found[:5]), ("the others", found[5:])):
        if len(part) > 1:
            print(f"{name}: {statistics.mean(part):.2f} ± {statistics.stdev(part):.2f}")


if __name__ == "__main__":
    main()
