"""A graph of communities with words of their own: a stochastic block model."""

import networkx
import numpy as np
import pytest
from scipy.sparse import csr_matrix

from masquerade.modalities.graph.features import row_normalized
from masquerade.modalities.graph.source import GraphSource, GraphTable

CLASSES, PER_CLASS, WORDS = 4, 40, 80


@pytest.fixture(scope="session")
def communities() -> GraphSource:
    """160 nodes in four classes; a node's eight words are mostly of its class, and few."""
    graph = networkx.stochastic_block_model(
        [PER_CLASS] * CLASSES, 0.01 + 0.09 * np.eye(CLASSES), seed=0
    )
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES), PER_CLASS)
    share = WORDS // CLASSES
    words = np.zeros((len(labels), WORDS), dtype=np.float32)
    for node, label in enumerate(labels):
        own = random.choice(share, 3, replace=False) + label * share
        words[node, [*own, *random.choice(WORDS, 5, replace=False)]] = 1.0
    ends = np.array([pair for edge in graph.edges for pair in (edge, edge[::-1])], dtype=np.int64)
    order = np.arange(len(labels)).reshape(CLASSES, -1)
    table = GraphTable(
        name="communities", sizes=np.array([len(labels)], dtype=np.int64),
        source=ends[:, 0], target=ends[:, 1], x=row_normalized(csr_matrix(words)),
        node_labels=labels, node_classes=tuple("abcd"),
        splits={
            "train": order[:, :5].ravel(), "val": order[:, 5:12].ravel(),
            "test": order[:, 12:].ravel(),
        },
    )  # fmt: skip
    return GraphSource(table)
