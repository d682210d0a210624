"""Small graph files in the formats of the field, written as their authors do."""

import gzip
import pickle
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

TRIANGLE = [(0, 1), (1, 2), (2, 0)]


def write_tu(
    folder: Path, graphs: list[tuple[int, list[tuple[int, int]], int]], *,
    node_labels: list[int] | None = None, graph_labels: bool = True, both_ways: bool = True,
) -> Path:  # fmt: skip
    """Graphs (nodes, edges, label) as a TU folder called after itself."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs, indicator, before = [], [], 0
    for number, (n, edges, _) in enumerate(graphs, start=1):
        for a, b in edges:
            pairs.append((before + a + 1, before + b + 1))
            if both_ways:
                pairs.append((before + b + 1, before + a + 1))
        indicator += [number] * n
        before += n
    name = folder.name
    lines = {
        "A": [f"{a}, {b}" for a, b in pairs],
        "graph_indicator": indicator,
        "graph_labels": [label for *_, label in graphs] if graph_labels else None,
        "node_labels": node_labels,
    }
    for what, rows in lines.items():
        if rows is not None:
            (folder / f"{name}_{what}.txt").write_text("".join(f"{row}\n" for row in rows))
    return folder


def write_gin(path: Path, graphs: list[tuple[int, list[tuple[int, int]], int]],
              tags: list[int] | None = None) -> Path:  # fmt: skip
    """Graphs (nodes, edges, label) as GIN text."""
    lines, at = [str(len(graphs))], 0
    for n, edges, label in graphs:
        lines.append(f"{n} {label}")
        for node in range(n):
            near = [b for a, b in edges if a == node] + [a for a, b in edges if b == node]
            tag = 0 if tags is None else tags[at]
            lines.append(" ".join(map(str, [tag, len(near), *near])))
            at += 1
    path.write_text("\n".join(lines) + "\n")
    return path


def planetoid_parts() -> dict[str, object]:
    """Nodes of two classes: words, labels, neighbours; the test ids with a gap, as CiteSeer."""
    random = np.random.default_rng(0)
    n_known, n_test, words = 600, 5, 12
    test = np.array([604, 600, 602, 601, 605])  # 603 is nowhere described
    x = (random.random((n_known + n_test, words)) < 0.3).astype(np.float32)
    x[0] = 0.0
    y = np.eye(2, dtype=np.int32)[random.integers(0, 2, n_known + n_test)]
    graph: dict[int, list[int]] = {node: [] for node in range(606)}
    for node in range(605):
        graph[node].append(node + 1)
        graph[node + 1].append(node)
    graph[0].append(1)  # there twice
    graph[5].append(5)  # a self-loop
    del graph[603][:]
    for node in (602, 604):
        graph[node] = [other for other in graph[node] if other != 603]
    return {
        "x": csr_matrix(x[:40]), "y": y[:40], "allx": csr_matrix(x[:n_known]), "ally": y[:n_known],
        "tx": csr_matrix(x[n_known:]), "ty": y[n_known:], "graph": graph, "test.index": test,
    }  # fmt: skip


def write_planetoid(folder: Path, name: str = "small", **change: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, content in {**planetoid_parts(), **change}.items():
        path = folder / f"ind.{name}.{part}"
        if part == "test.index" and not isinstance(content, bytes):
            path.write_text("".join(f"{i}\n" for i in content))
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_bytes(pickle.dumps(content, 2))
    return folder


def write_ogb(folder: Path, n: int = 12, packed: bool = True) -> Path:
    """A path of n nodes in two classes, edges in one direction."""
    random = np.random.default_rng(0)
    tables = {
        "raw/edge.csv": [f"{i},{i + 1}" for i in range(n - 1)],
        "raw/node-feat.csv": [f"{a:.3f},{b:.3f},1" for a, b in random.normal(2, 3, (n, 2))],
        "raw/node-label.csv": [str(i % 2) for i in range(n)],
        "split/time/train.csv": [str(i) for i in range(0, 6)],
        "split/time/valid.csv": [str(i) for i in range(6, 9)],
        "split/time/test.csv": [str(i) for i in range(9, n)],
    }
    for name, rows in tables.items():
        path = folder / (f"{name}.gz" if packed else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{row}\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if packed else text)
    return folder
