"""Graphs as pictures: input | masked | reconstruction, side by side, colours by the features."""

# N nodes, d features.

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...core.atomic_io import write_file
from ...core.tokens import Batch, Tokens

if TYPE_CHECKING:
    import networkx

_MOST_NODES = 120
_INCH, _DPI = 5, 110
_HIDDEN = (1.0, 1.0, 1.0)


def draw_graphs(batch: Batch, tokens: Tokens, hidden: Tensor, path: Path) -> Path:
    """Write a PNG of a union of graphs.

    A node's colour is its features' place on their three leading axes, the same axes in all three
    pictures, so that equal colours mean equal features. Hidden nodes are white in the middle and
    ringed on the right. Of a large graph the surroundings of its hidden node with the most
    neighbours are drawn.

    Args:
        batch: the graphs (named only for its graph edges where `tokens` has none).
        tokens: the reconstruction, (1, N, d) with edges.
        hidden: (1, N) bool.
        path: where to; the suffix may be completed.

    Returns:
        The path written.
    """
    import networkx
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    is_hidden = hidden[0].cpu().numpy()
    graph, nodes = _part(tokens, is_hidden)
    truth, restored = _colours(_true_values(batch), tokens.values[0].detach().float().cpu().numpy())
    place = networkx.spring_layout(graph, seed=0, k=1.6 / max(len(graph), 1) ** 0.5)
    masked = np.where(is_hidden[:, None], np.array(_HIDDEN), truth)
    figure = Figure(figsize=(3 * _INCH, _INCH), dpi=_DPI)
    FigureCanvasAgg(figure)
    columns = {"input": truth, "masked": masked, "reconstruction": restored}
    for number, (title, colours) in enumerate(columns.items(), start=1):
        axes = figure.add_subplot(1, 3, number)
        axes.set_title(title)
        axes.set_axis_off()
        networkx.draw_networkx_edges(graph, place, ax=axes, edge_color="#b0b0b0", width=0.8)
        drawn = networkx.draw_networkx_nodes(
            graph, place, nodelist=nodes, ax=axes, node_size=60, linewidths=0.8,
            node_color=[tuple(colours[node]) for node in nodes],
            edgecolors=["#d62728" if is_hidden[node] else "#606060" for node in nodes],
        )  # fmt: skip
        drawn.set_zorder(2)
    figure.tight_layout()
    target = path.with_suffix(".png")
    write_file(target, lambda temporary: figure.savefig(temporary, format="png"))
    return target


def _true_values(batch: Batch) -> NDArray[np.float32]:
    """(N, d) the features, or one-hot atom types."""
    x = batch["x"].cpu()
    if x.dtype.is_floating_point:
        return x.numpy()
    from torch.nn.functional import one_hot

    from ...core.graphs.molecule import MASKED_ATOM

    return one_hot(x[:, 0], MASKED_ATOM).float().numpy()


def _colours(truth: NDArray[Any], restored: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(N, 3) colours in 0…1 of both, on the leading axes of the truth."""
    mean = truth.mean(axis=0)
    centred = (truth - mean).astype(np.float64)
    # the leading axes by the smaller of the two Gram matrices
    if centred.shape[1] <= centred.shape[0]:
        axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :3]
    else:
        axes = np.linalg.svd(centred[:: max(1, len(centred) // 500)], full_matrices=False)[2][:3].T
    axes = np.pad(axes, ((0, 0), (0, 3 - axes.shape[1])))
    found = [(values - mean) @ axes for values in (truth, restored)]
    low, high = np.quantile(found[0], [0.02, 0.98], axis=0)
    # an axis on which the features hardly differ is not blown up, one without any is left out
    widest = max(float((high - low).max()), 1e-6)
    differ = high - low > widest * 1e-6
    span = np.maximum(high - low, widest / 3)
    first, second = (np.clip((v - low) / span, 0, 1) * 0.85 * differ for v in found)
    return first, second


def _part(tokens: Tokens, hidden: NDArray[np.bool_]) -> tuple["networkx.Graph", list[int]]:
    """The nodes that are drawn, and the edges between them."""
    import networkx

    assert tokens.edges is not None  # noqa: S101 - graph methods give them
    source, target = tokens.edges.cpu().numpy()
    apart = source != target
    source, target = source[apart], target[apart]
    n = len(hidden)
    nodes = list(range(n)) if n <= _MOST_NODES else _around(source, target, hidden)
    inside = np.zeros(n, dtype=bool)
    inside[nodes] = True
    both = inside[source] & inside[target]
    graph = networkx.Graph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(zip(source[both].tolist(), target[both].tolist(), strict=True))
    return graph, nodes


def _around(source: NDArray[Any], target: NDArray[Any], hidden: NDArray[np.bool_]) -> list[int]:
    """The nearest nodes of the hidden node with the most neighbours, nearest first."""
    n = len(hidden)
    degree = np.bincount(target, minlength=n)
    first = int(np.argmax(np.where(hidden, degree, -1)))
    order = np.argsort(target, kind="stable")
    ptr = np.concatenate([[0], np.cumsum(degree)])
    seen, queue = {first}, deque([first])
    while queue and len(seen) < _MOST_NODES:
        node = queue.popleft()
        for other in source[order[ptr[node] : ptr[node + 1]]].tolist():
            if other not in seen and len(seen) < _MOST_NODES:
                seen.add(other)
                queue.append(other)
    return list(seen)
