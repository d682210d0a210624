"""The graph adapter: files become disjoint unions of graphs; predictions become drawings."""

# B graphs, N nodes of all of them, d features.

from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from ...core.config import Config as BaseConfig
from ...core.draws import Draws
from ...core.graphs.batch import SPARSE, GraphBatch, pool_graphs, union
from ...core.graphs.molecule import ATOM_TYPES
from ...core.modality import Modality, Sample, Source
from ...core.tokens import Batch, Tokens
from .source import OneGraph


class Graph(Modality):
    """Graphs with node features, and molecules.

    Example:
        >>> from masquerade.modalities.graph.embedded import karate
        >>> graph = Graph(Graph.Config())
        >>> sample = karate("train").read(0)
        >>> batch = graph.collate([sample], [graph.prepare(sample, None)])
        >>> batch.n_nodes, len(batch.edges)
        (34, 190)
    """

    slug = "graph"

    class Config(BaseConfig):
        """What features are, and how they travel.

        Attributes:
            normalize_rows: divide each node's features by their sum, as Planetoid's sets have it
                (what is so already stays as it is).
            sparse_below: features of one large graph travel by their entries too where fewer than
                this share is not zero (a bag of words); changes the speed only.
        """

        normalize_rows: bool = False
        sparse_below: float = Field(default=0.1, ge=0, le=1)

    @classmethod
    def open(cls, path: Path) -> Source:
        """The graphs at a path; see `sources.open_source`.

        Raises:
            DataError: nothing there that can be read.
        """
        from .sources import open_source

        return open_source(path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether graphs lie at a path."""
        from .sources import recognised

        return recognised(path)

    @classmethod
    def check(cls, sample: Sample) -> None:
        """Nothing more: a graph that could be read is whole."""

    def prepare(self, sample: Sample, draws: Draws | None) -> dict[str, Tensor]:  # noqa: ARG002
        """One graph's tensors, as a `GraphBatch` names them; there is no augmentation."""
        graph: OneGraph = sample.content
        if self.config.normalize_rows:
            graph = graph.row_normalized
        tensors, rows = dict(graph.tensors), graph.x_rows
        dense_size = 0 if rows is None else rows.shape[0] * rows.shape[1]
        if rows is not None and graph.sparse and rows.nnz < self.config.sparse_below * dense_size:
            pattern, values = graph.sparse
            tensors |= {**pattern.tensors(SPARSE), f"{SPARSE}values": values}
        return tensors

    def collate(self, samples: Sequence[Sample], prepared: Sequence[dict[str, Tensor]]) -> Batch:
        """The disjoint union of prepared graphs."""
        labels = [s.label for s in samples]
        return GraphBatch(
            inputs=union(prepared),
            ids=torch.tensor([s.id for s in samples], dtype=torch.int64),
            labels=None if None in labels else torch.tensor(labels, dtype=torch.int64),
        )

    def raw(self, batch: Batch) -> dict[str, Tensor]:
        """{"x": (B, d)} the features of each graph's nodes (of atoms, their types) added up."""
        x = batch["x"]
        if not x.dtype.is_floating_point:
            x = torch.nn.functional.one_hot(x[:, 0], ATOM_TYPES).float()
        return {"x": pool_graphs(x, batch["graph_ptr"], "sum")}

    def draw(self, batch: Batch, tokens: Tokens, hidden: Tensor, path: Path) -> Path:
        """Write a PNG: the graph with its features as colours, masked, and reconstructed."""
        from .drawing import draw_graphs

        return draw_graphs(batch, tokens, hidden, path)
