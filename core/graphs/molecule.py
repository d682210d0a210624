"""Graph isomorphism layers with bonds (Hu et al., 2020, pretrain-gnns), as GraphMAE has them.

An edge's embedding is that of its bond type plus that of its bond direction. Both are summed over
a node's incoming edges, so a node needs but the numbers of its bonds of each kind.
"""

# N atoms, H width, L layers, K rows that are asked for.

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .csr import Csr, product

ATOM_TYPES = 120  # atomic number − 1; 118 unused, 119 = mask
MASKED_ATOM = 119
CHIRALITIES = 3
BOND_TYPES = 6  # single, double, triple, aromatic, 4 = self-loop, 5 = mask
SELF_LOOP = 4
BOND_DIRECTIONS = 3  # none, up, down
BOND_KINDS = BOND_TYPES + BOND_DIRECTIONS


class BondLayer(nn.Module):
    """MLP(Σ (x_u + type embedding + direction embedding)) over incoming edges and a self-loop.

    Args:
        dim: width of the input; the MLP is twice as wide inside.
        out_dim: width of the output.
    """

    def __init__(self, dim: int, out_dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, out_dim))
        self.bond_type = nn.Embedding(BOND_TYPES, dim)
        self.bond_direction = nn.Embedding(BOND_DIRECTIONS, dim)
        for table in (self.bond_type, self.bond_direction):
            nn.init.xavier_uniform_(table.weight)

    def forward(self, x: Tensor, edges: Csr, bonds: Tensor, rows: Tensor | None = None) -> Tensor:
        """The new vectors of all atoms, or of the atoms `rows` (K,) only.

        Args:
            x: (N, H).
            edges: (N, N) with one self-loop each.
            bonds: (N, 9) float32, the incoming bonds of each type and each direction counted,
                self-loops with them.
            rows: whose vectors are asked for.

        Returns:
            (N, out) or (K, out).
        """
        embeddings = torch.cat([self.bond_type.weight, self.bond_direction.weight])
        gathered = product(edges, x) + bonds @ embeddings
        return self.mlp(gathered if rows is None else gathered.index_select(0, rows))


class MoleculeTrunk(nn.Module):
    """Atom embeddings and L bond layers, each with batch norm, and ReLU but for the last.

    Args:
        dim: H.
        depth: L.
        drop: dropout after each layer.
    """

    def __init__(self, dim: int, depth: int, drop: float) -> None:
        super().__init__()
        self.dim, self.drop = dim, drop
        self.atom_type = nn.Embedding(ATOM_TYPES, dim)
        self.chirality = nn.Embedding(CHIRALITIES, dim)
        self.layers = nn.ModuleList(BondLayer(dim, dim) for _ in range(depth))
        self.norms = nn.ModuleList(nn.BatchNorm1d(dim) for _ in range(depth))
        for table in (self.atom_type, self.chirality):
            nn.init.xavier_uniform_(table.weight)

    def encode(self, atoms: Tensor, edges: Csr, bonds: Tensor) -> Tensor:
        """The codes (N, H) of atoms (N, 2) int64: type and chirality."""
        x = self.atom_type(atoms[:, 0]) + self.chirality(atoms[:, 1])
        for number, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = norm(layer(x, edges, bonds))
            if number < len(self.layers) - 1:
                x = F.relu(x)
            x = F.dropout(x, self.drop, self.training)
        return x
