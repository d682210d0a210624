"""Times a GraphMAE step on Cora, and graph attention on a graph of the size of ogbn-arxiv.

    python tests/performance/graphmae_step.py --cora GRAPHS/planetoid#cora [--rounds 5]
        [--nodes 170000] [--edges 1200000] [--no-large]

On Cora (published widths): ours against the plain edge-list step and against the dense products
alone that a plain step computes. On the synthetic graph (2 layers, H = 256, 4 heads, d = 128):
forward and backward of our encoder against torch-geometric's GATConv with the same weights; then
the growth of ours with the number of edges. Losses and outputs are checked equal before timing;
rounds are interleaved, medians and ranges printed. Seconds are the processor's, so that a busy
machine tells the same; peak memory is measured in processes of their own. Without torch-geometric
its lines are left out.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from mae_step import report, rounds
from plain_graphmae import PlainGAT
from torch import Tensor, nn

from masquerade.core.draws import Draws
from masquerade.core.extras import installed
from masquerade.core.graphs.batch import GraphBatch
from masquerade.core.graphs.csr import Csr
from masquerade.core.graphs.trunk import GraphTrunk, LayerSettings
from masquerade.core.step import StepContext
from masquerade.methods.graph.graphmae import GraphMAE
from masquerade.methods.recipes import resolve
from masquerade.modalities.catalogue import resolve_data
from masquerade.modalities.graph import Graph

CPU = torch.device("cpu")
SETTINGS = LayerSettings(dim=256, heads=4, feat_drop=0.0, attn_drop=0.0)
D = 128
TOKENS_ONLY = ["method.masking.replace=0.0"]  # noise rows cost nothing and complicate the plain way


def cora_batch(path: str) -> tuple[GraphBatch, GraphMAE]:
    """The graph as training reads it, and an untrained model of the published widths."""
    settings = resolve("graphmae", "graphmae-cora", TOKENS_ONLY).settings
    source, adapter = resolve_data(path, "graph"), Graph(settings.data)
    sample = source.read(0)
    torch.manual_seed(0)
    return adapter.collate([sample], [adapter.prepare(sample, None)]), GraphMAE(settings.method)


def step_of(loss: Callable[[], Tensor], model: nn.Module, *, fused: bool) -> Callable[[], Tensor]:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=2e-4, fused=fused)

    def run() -> Tensor:
        value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return value.detach()

    return run


def cora(path: str, n_rounds: int) -> None:
    """Times of the step, ours and plain, and of the plain step's dense products."""
    batch, model = cora_batch(path)
    plain, gamma = PlainGAT(model), model.config.gamma
    draws = Draws(0, batch.ids)
    mask, _ = model.config.masking.draw(batch.graph_ptr, draws.fork("mask"))
    edges, hidden, x = batch.edges, mask.hidden[0], batch["x"]

    def ours() -> Tensor:
        return model(batch, draws, StepContext()).loss

    def standard() -> Tensor:
        return plain(x, edges.column, edges.row, hidden, gamma)

    with torch.no_grad():
        found, wanted = (float(way()) for way in (model.eval() and ours, plain.eval() and standard))
    assert abs(found - wanted) < 1e-5 * wanted, (found, wanted)
    print(f"equal losses on Cora: ours {found:.7f}, plain {wanted:.7f}")
    products = plain.dense_products(batch.n_nodes)

    def dense() -> None:
        for layer, given in products:
            layer(given).sum().backward()
            layer.weight.grad = given.grad = None

    ways = {
        "plain edge list": step_of(standard, plain.train(), fused=False),
        "ours": step_of(ours, model.train(), fused=True),
        "dense products of the plain step": dense,
    }
    times = rounds(ways, n_rounds, CPU, time.process_time)
    report("a GraphMAE step on Cora, H 512, 4 heads", times, 1, "steps")
    ratios = sorted(
        a / b for a, b in zip(times["ours"], times["dense products of the plain step"], strict=True)
    )
    middle = ratios[len(ratios) // 2]
    print(f"  ours / dense products: {middle:.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}), aim 3")


def random_graph(n: int, n_edges: int) -> tuple[Tensor, Csr]:
    """Features (N, D), and `n_edges` directed edges, each there in both directions, with loops."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(n, (2, n_edges // 2), generator=generator)
    loops = torch.arange(n).expand(2, -1)
    row, column = torch.cat([pairs, pairs.flip(0), loops], dim=1)
    return torch.randn(n, D, generator=generator), Csr.from_pairs(row, column, (n, n))


class Geometric(nn.Module):
    """The same encoder of torch-geometric's layers, with the weights of ours."""

    def __init__(self, ours: GraphTrunk) -> None:
        super().__init__()
        from torch_geometric.nn import GATConv

        self.layers, self.activations = nn.ModuleList(), nn.ModuleList()
        for layer in ours.get_submodule("gat").children():
            width = layer.project.in_features
            other = GATConv(width, layer.head_dim, layer.heads, add_self_loops=False)
            with torch.no_grad():
                other.lin.weight.copy_(layer.project.weight)
                other.att_src.copy_(layer.attend_source)
                other.att_dst.copy_(layer.attend_target)
            self.layers.append(other)
            self.activations.append(nn.PReLU())

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        for layer, activation in zip(self.layers, self.activations, strict=True):
            x = activation(layer(x, edge_index))
        return x


def encoder_ways(x: Tensor, edges: Csr, names: list[str]) -> dict[str, Callable[[], Tensor]]:
    """Forward passes of the encoders named."""
    torch.manual_seed(0)
    trunk = GraphTrunk("gat", D, 2, SETTINGS)
    ways: dict[str, Callable[[], Tensor]] = {}
    if "torch-geometric" in names:
        other, index = Geometric(trunk), torch.stack([edges.column, edges.row])
        ways["torch-geometric"] = lambda: other(x, index)
    if "ours" in names:
        ways["ours"] = lambda: trunk.encode(x, edges)
    return ways


def both_ways(forward: Callable[[], Tensor]) -> Callable[[], None]:
    return lambda: forward().square().mean().backward()


def memory(name: str) -> float:
    """MiB of this process: "VmRSS" now, "VmHWM" at its highest."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise SystemExit("memory is read from /proc/self/status, which this system lacks")


def peak(name: str, n: int, n_edges: int) -> None:
    """Prints the MiB that one forward and backward pass adds to this process."""
    run = both_ways(encoder_ways(*random_graph(n, n_edges), [name])[name])
    before = memory("VmRSS")
    run()
    print(memory("VmHWM") - before)


def large(n: int, n_edges: int, n_rounds: int, names: list[str]) -> None:
    """Time and memory on the synthetic graph, and growth with its edges."""
    ways = encoder_ways(*random_graph(n, n_edges), names)
    with torch.no_grad():
        found = [way() for way in ways.values()]
    assert all(torch.allclose(found[0], each, rtol=1e-4, atol=1e-5) for each in found)
    del found
    title = f"2 GAT layers, H 256, 4 heads; {n} nodes, {n_edges} edges and a loop per node"
    timed = rounds(
        {name: both_ways(way) for name, way in ways.items()}, n_rounds, CPU, time.process_time
    )
    report(title, timed, 1, "passes")
    for name in ways:
        size = [str(n), str(n_edges)]
        own = [sys.executable, __file__, "--peak", name, "--nodes", size[0], "--edges", size[1]]
        printed = subprocess.run(own, check=True, capture_output=True, text=True).stdout
        print(f"  {name:34s} {float(printed):7.0f} MiB at the peak of a pass")
    grown = {}
    for share in (0.5, 1.0, 2.0):
        count = int(share * n_edges)
        grown[f"{count} edges"] = both_ways(encoder_ways(*random_graph(n, count), ["ours"])["ours"])
    report(
        "ours, growing with the edges", rounds(grown, n_rounds, CPU, time.process_time), 1, "passes"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cora", help="Planetoid files; left out where not given")
    parser.add_argument("--nodes", type=int, default=170_000)
    parser.add_argument("--edges", type=int, default=1_200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-large", action="store_true")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.peak:
        peak(given.peak, given.nodes, given.edges)
        return
    print(f"torch {torch.__version__}, cpu, {given.threads} threads")
    if given.cora:
        cora(given.cora, given.rounds)
    if not given.no_large:
        names = [*(["torch-geometric"] if installed("torch_geometric") else []), "ours"]
        large(given.nodes, given.edges, given.rounds, names)


if __name__ == "__main__":
    main()
