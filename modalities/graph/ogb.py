"""Folders of the Open Graph Benchmark (Hu et al., 2020): one graph whose nodes have classes.

`raw/{edge,node-feat,node-label}.csv[.gz]` and `split/NAME/{train,valid,test}.csv[.gz]`. Edges have
one direction in these files and count in both; features are standardized over all nodes, as
GraphMAE prepares ogbn-arxiv.
"""

from pathlib import Path

import numpy as np

from ...core.errors import DataError
from .features import standardized
from .source import GraphSource, GraphTable, Ids
from .text_tables import read_ids, read_numbers


def is_ogb(folder: Path) -> bool:
    """Whether a folder is one of these."""
    return any((folder / "raw" / f"edge.csv{end}").is_file() for end in ("", ".gz"))


def open_ogb(folder: Path) -> GraphSource:
    """The graph of a folder.

    Raises:
        DataError: a file is absent or damaged, or they do not fit together.
    """
    raw = folder / "raw"
    edges = read_ids(_file(raw / "edge.csv"), columns=2)
    x = standardized(read_numbers(_file(raw / "node-feat.csv")).astype(np.float32))
    labels = read_ids(_file(raw / "node-label.csv"))
    if len(labels) != len(x):
        raise DataError(
            f"{raw}: {len(x)} rows of features, {len(labels)} of labels", "fetch both again"
        )
    table = GraphTable(
        name=str(folder), sizes=np.array([len(x)], dtype=np.int64),
        source=edges[:, 0], target=edges[:, 1], x=x, node_labels=labels,
        node_classes=tuple(str(c) for c in range(int(labels.max()) + 1)),
        splits=_splits(folder, len(x)),
    )  # fmt: skip
    return GraphSource(table, one_way=True)


def _file(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    return packed if packed.is_file() else path


def _splits(folder: Path, n: int) -> dict[str, Ids]:
    """The one split that the folder has: OGB calls it by how it was made ("time")."""
    kinds = sorted((folder / "split").glob("*/")) if (folder / "split").is_dir() else []
    if len(kinds) != 1:
        raise DataError(
            f"{folder / 'split'} holds {len(kinds)} splits, expected one", "keep the official one"
        )
    names = {"train": "train", "val": "valid", "test": "test"}
    splits = {
        name: np.sort(read_ids(_file(kinds[0] / f"{official}.csv")))
        for name, official in names.items()
    }
    for name, ids in splits.items():
        if len(ids) and not 0 <= ids[0] <= ids[-1] < n:
            raise DataError(
                f"{kinds[0]}: the split {name!r} names node {ids[-1]}, expected 0 … {n - 1}",
                "fetch it again",
            )
    return splits
