"""Measured molecules, split by their scaffolds."""

# N molecules, T tasks.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.hashing import sha256_json

if TYPE_CHECKING:
    from ..core.modality import Source
    from .subjects import Extraction

_SHARES = (0.8, 0.9)  # where train and validation end


@dataclass(frozen=True)
class MoleculeData:
    """Measured molecules.

    Attributes:
        name: how a user calls them.
        source: the molecules.
        targets: (N, T) float32, NaN = not measured.
        tasks: T names.
        splits: "train", "val", "test" → rows.
        n_unreadable: molecules that were left out.
    """

    name: str
    source: "Source"
    targets: NDArray[np.float32]
    tasks: tuple[str, ...]
    splits: Mapping[str, NDArray[np.int64]]
    n_unreadable: int

    @property
    def binary(self) -> bool:
        """Whether all that was measured is 0 or 1."""
        return bool(np.isin(self.targets[np.isfinite(self.targets)], (0, 1)).all())

    def hash(self) -> str:
        """The sha256 of the readable molecules and what was measured of them."""
        from ..modalities.fingerprints import array_hash
        from ..modalities.graph.molecule_part import MoleculePart

        rows = np.sort(np.concatenate(list(self.splits.values())))
        return sha256_json({
            "molecules": MoleculePart(self.source, rows.tolist(), "readable").fingerprint(),
            "targets": array_hash(self.targets[rows]),
        })  # fmt: skip


def open_molecule_data(
    text: str, own: Mapping[str, Any], extraction: "Extraction"
) -> tuple[MoleculeData, Mapping[str, Any]]:
    """The measured molecules that a user names, split by scaffold.

    Raises:
        DataError: no molecules, nothing measured, or a split without molecules.
        MissingExtra: RDKit is not installed.
    """
    del extraction
    from ..modalities.catalogue import resolve_data
    from ..modalities.graph.molecules import MoleculeSource, scaffolds

    source = resolve_data(text, "graph")
    if not isinstance(source, MoleculeSource) or not source.tasks:
        raise DataError(
            f"{source.name} holds no measured molecules",
            "give a .csv with a column smiles and columns of 0 and 1, or FILE.csv#COLUMN",
        )
    readable = []
    for row in range(len(source)):
        try:
            source.read(row)
            readable.append(row)
        except DataError:  # counted, and told in the record
            continue
    groups = scaffold_split(scaffolds([source.smiles[row] for row in readable]))
    splits = {name: np.array(readable)[rows] for name, rows in groups.items()}
    empty = next((name for name, rows in splits.items() if not len(rows)), None)
    if empty is not None:
        raise DataError(f"{source.name}: no molecule is left for {empty}", "give more molecules")
    data = MoleculeData(
        text.rpartition("/")[2], source, source.targets, source.tasks, splits,
        len(source) - len(readable),
    )  # fmt: skip
    return data, own


def scaffold_split(scaffolds: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Rows of train, val and test: whole scaffolds, the most frequent first (ties: the later first
    molecule first), filled up to 80 and 90 % (Hu et al., 2020, official order).

    Example:
        >>> {k: v.tolist() for k, v in scaffold_split(["a"] * 8 + ["b", "c"]).items()}
        {'train': [0, 1, 2, 3, 4, 5, 6, 7], 'val': [9], 'test': [8]}
    """  # noqa: D205
    groups: dict[str, list[int]] = {}
    for row, scaffold in enumerate(scaffolds):
        groups.setdefault(scaffold, []).append(row)
    ordered = sorted(groups.values(), key=lambda rows: (len(rows), rows[0]), reverse=True)
    ends = [share * len(scaffolds) for share in _SHARES]
    parts: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for rows in ordered:
        if len(parts["train"]) + len(rows) <= ends[0]:
            parts["train"] += rows
        elif len(parts["train"]) + len(parts["val"]) + len(rows) <= ends[1]:
            parts["val"] += rows
        else:
            parts["test"] += rows
    return {name: np.array(rows, dtype=np.int64) for name, rows in parts.items()}
