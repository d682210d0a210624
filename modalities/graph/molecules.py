"""Molecules: SMILES in tables to graphs of atoms and bonds (Hu et al., 2020, pretrain-gnns).

An atom is (atomic number − 1, chirality), a bond (type, direction), twice, once each way. RDKit
reads the texts; a molecule is read when it is asked for, so that one bad line costs one sample.
"""

# n atoms, E edges with self-loops, T tasks.

import csv
import hashlib
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import DataError
from ...core.extras import require
from ...core.graphs.batch import EDGES
from ...core.graphs.csr import Csr
from ...core.graphs.molecule import BOND_KINDS, BOND_TYPES, SELF_LOOP
from ...core.modality import Sample, Source
from .source import KEY_DIGITS, OneGraph
from .text_tables import read_text

_CHIRALITIES = ("CHI_UNSPECIFIED", "CHI_TETRAHEDRAL_CW", "CHI_TETRAHEDRAL_CCW")
_BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
_DIRECTIONS = ("NONE", "ENDUPRIGHT", "ENDDOWNRIGHT")
_MAX_ATOMIC_NUMBER = 118
SUFFIXES = (".smi", ".csv", ".csv.gz", ".smi.gz")


class MoleculeSource(Source):
    """Molecules of a table, with what was measured of them.

    Attributes:
        smiles: of each molecule.
        targets: (N, T) float32, NaN = not measured; T may be 0.
        tasks: names of the columns of `targets`.
        n_features: 0: atoms have no features but kinds.
    """

    modality = "graph"
    n_features = 0

    def __init__(
        self, name: str, smiles: Sequence[str], targets: NDArray[np.float32], tasks: Sequence[str]
    ) -> None:
        """Index the texts; a column of 0 and 1 that is the only one makes classes too."""
        self.name, self.smiles, self.targets, self.tasks = name, smiles, targets, tuple(tasks)
        self.keys = [f"{number:0{KEY_DIGITS}d}" for number in range(len(smiles))]
        self.labels, self.classes = None, ()
        one = targets[:, 0] if targets.shape[1] == 1 else None
        if one is not None and np.isin(one, (0, 1)).all():
            self.labels, self.classes = one.astype(np.int64), ("0", "1")
        self._read: dict[int, OneGraph] = {}

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_read": {}}

    def read(self, index: int) -> Sample:
        """One molecule's tensors.

        Raises:
            DataError: its SMILES are none.
            MissingExtra: RDKit is not installed.
        """
        if index not in self._read:
            tensors = molecule_tensors(self.smiles[index], f"{self.name}, molecule {index + 1}")
            targets = torch.from_numpy(self.targets[index][None])
            self._read[index] = OneGraph({**tensors, "targets": targets})
        label = None if self.labels is None else int(self.labels[index])
        return Sample(self.keys[index], self._read[index], label)

    def fingerprint(self) -> str:
        """The sha256 of all texts and measurements, also of those that mean no molecule."""
        digest = hashlib.sha256("\0".join([*self.tasks, *self.smiles]).encode())
        digest.update(np.ascontiguousarray(self.targets).tobytes())
        return digest.hexdigest()

    def facts(self) -> dict[str, int]:
        """How often each task was measured."""
        measured = np.isfinite(self.targets).sum(axis=0)
        return {f"measured {task}": int(n) for task, n in zip(self.tasks, measured, strict=True)}


def open_molecules(path: Path, columns: str | None = None) -> MoleculeSource:
    """The molecules of a table with a column `smiles`, or of a .smi file (SMILES first).

    Args:
        path: the file, .gz or not.
        columns: the measured columns, separated by commas; None = those of 0 and 1 only.

    Raises:
        DataError: no such column, no molecule, or a measurement is no number.
    """
    text = read_text(path)
    name = f"{path}#{columns}" if columns else str(path)
    if path.name.removesuffix(".gz").endswith(".smi"):
        lines = [line.split() for line in text.splitlines() if line.strip()]
        smiles = [words[0] for words in lines if not words[0].startswith("#")]
        return MoleculeSource(name, _some(smiles, path), np.empty((len(smiles), 0), np.float32), ())
    try:
        heading, *rows = list(csv.reader(io.StringIO(text), strict=True))
    except (csv.Error, ValueError) as error:
        raise DataError(f"{path} is no table: {error}", "expected CSV with a heading") from error
    where = next((i for i, title in enumerate(heading) if title.strip().lower() == "smiles"), None)
    if where is None:
        raise DataError(
            f"{path} has the columns {', '.join(heading[:8])}", "expected one called smiles"
        )
    rows = [row for row in rows if row]
    wrong = next((i for i, row in enumerate(rows) if len(row) != len(heading)), None)
    if wrong is not None:
        raise DataError(
            f"{path}, row {wrong + 1}: {len(rows[wrong])} values, expected {len(heading)}",
            "mend the row",
        )
    chosen = _chosen(columns, heading, path) if columns else _binary(heading, rows, where)
    targets = np.array([[_number(row[i], path, n) for i in chosen] for n, row in enumerate(rows)])
    return MoleculeSource(
        name, _some([row[where].strip() for row in rows], path),
        targets.reshape(len(rows), len(chosen)).astype(np.float32), [heading[i] for i in chosen],
    )  # fmt: skip


def _some(smiles: list[str], path: Path) -> list[str]:
    if not smiles:
        raise DataError(f"{path} holds no molecule", "give a table with at least one row")
    return smiles


def _chosen(columns: str, heading: list[str], path: Path) -> list[int]:
    wanted = [title.strip() for title in columns.split(",")]
    absent = next((title for title in wanted if title not in heading), None)
    if absent is not None:
        raise DataError(
            f"{path} has no column {absent!r}", f"it has {', '.join(heading)}; name some after '#'"
        )
    return [heading.index(title) for title in wanted]


def _binary(heading: list[str], rows: list[list[str]], smiles: int) -> list[int]:
    """The columns that hold 0 and 1 alone, some of them perhaps nothing."""
    found = []
    for number in range(len(heading)):
        values = {row[number].strip() for row in rows}
        if number != smiles and values <= {"0", "1", "0.0", "1.0", ""} and len(values - {""}) == 2:
            found.append(number)
    return found


def _number(text: str, path: Path, row: int) -> float:
    try:
        return float(text) if text.strip() else float("nan")
    except ValueError as error:
        raise DataError(f"{path}, row {row + 1}: {text!r} is no number", "mend the row") from error


@cache
def _chemistry() -> Any:  # noqa: ANN401 - the rdkit module
    """RDKit, which is told to keep what it thinks of a molecule to itself."""
    rdkit = require("rdkit")
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    assert rdkit  # noqa: S101 - named with its extra where it is absent
    return Chem


def parsed(smiles: str, where: str) -> Any:  # noqa: ANN401 - rdkit.Chem.Mol
    """The molecule that a text means.

    Raises:
        DataError: it means none.
        MissingExtra: RDKit is not installed.
    """
    molecule = _chemistry().MolFromSmiles(smiles)
    if molecule is None or not molecule.GetNumAtoms():
        raise DataError(f"{where}: {smiles[:80]!r} is no molecule", "mend the SMILES")
    return molecule


def molecule_tensors(smiles: str, where: str) -> dict[str, Tensor]:
    """A molecule as a graph: "x" (n, 2) int64, its edges, and "bonds" (n, 9) counted.

    Raises:
        DataError: it is none, or holds an atom that has no number.
        MissingExtra: RDKit is not installed.
    """
    molecule = parsed(smiles, where)
    atoms = []
    for atom in molecule.GetAtoms():
        number, tag = atom.GetAtomicNum(), str(atom.GetChiralTag())
        if not 1 <= number <= _MAX_ATOMIC_NUMBER:
            raise DataError(
                f"{where}: {smiles[:80]!r} has an atom without a number", "leave it out"
            )
        # other chiralities have no embedding in the published networks
        atoms.append((number - 1, _CHIRALITIES.index(tag) if tag in _CHIRALITIES else 0))
    n = len(atoms)
    bonds = np.zeros((n, BOND_KINDS), dtype=np.float32)
    bonds[:, [SELF_LOOP, BOND_TYPES]] = 1.0
    pairs = []
    for bond in molecule.GetBonds():
        kind, direction = str(bond.GetBondType()), str(bond.GetBondDir())
        if kind not in _BONDS:
            raise DataError(
                f"{where}: {smiles[:80]!r} has a bond of the type {kind}", "leave it out"
            )
        ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        way = _DIRECTIONS.index(direction) if direction in _DIRECTIONS else 0
        for end in ends:
            bonds[end, _BONDS.index(kind)] += 1.0
            bonds[end, BOND_TYPES + way] += 1.0
        pairs += [ends, ends[::-1]]
    loops = [(i, i) for i in range(n)]
    row, column = torch.tensor(pairs + loops, dtype=torch.int64).T.contiguous()
    return {
        "x": torch.tensor(atoms, dtype=torch.int64),
        "bonds": torch.from_numpy(bonds),
        **Csr.from_pairs(row, column, (n, n)).tensors(EDGES),
    }


def scaffolds(smiles: Sequence[str]) -> list[str]:
    """The Bemis–Murcko scaffold of each molecule, chirality included, as SMILES.

    Raises:
        DataError: a text is no molecule.
        MissingExtra: RDKit is not installed.
    """
    _chemistry()
    from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

    return [
        MurckoScaffoldSmiles(mol=parsed(text, f"molecule {i + 1}"), includeChirality=True)
        for i, text in enumerate(smiles)
    ]
