"""Molecules: atoms, bonds and what was measured of them, against RDKit and by hand."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from masquerade.core.errors import DataError
from masquerade.core.graphs.molecule import BOND_TYPES, SELF_LOOP
from masquerade.modalities.catalogue import resolve_data
from masquerade.modalities.graph import Graph
from masquerade.modalities.graph.embedded import karate, nci
from masquerade.modalities.graph.molecules import molecule_tensors, scaffolds
from masquerade.modalities.graph.source import node_task

TABLE = "name,tox,heart,smiles,weight\na,0,1,CCO,46.1\nb,1,,c1ccccc1,78.1\nc,,0,C/C=C/C,56.1\n"


def test_ethanol_by_hand() -> None:
    pytest.importorskip("rdkit")
    tensors = molecule_tensors("CCO", "it")
    assert tensors["x"].tolist() == [[5, 0], [5, 0], [7, 0]]
    edges = {
        (a, b)
        for a, b in zip(
            tensors["edges/row"].tolist(), tensors["edges/column"].tolist(), strict=True
        )
    }
    assert edges == {(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2)}
    bonds = torch.zeros(3, 9)
    bonds[:, SELF_LOOP] = 1
    bonds[:, 0] = torch.tensor([1.0, 2.0, 1.0])  # single
    bonds[:, BOND_TYPES] = torch.tensor([2.0, 3.0, 2.0])  # no direction, self-loops with them
    assert torch.equal(tensors["bonds"], bonds)


def test_kinds_of_bonds_and_chirality() -> None:
    pytest.importorskip("rdkit")
    benzene = molecule_tensors("c1ccccc1", "it")
    assert benzene["bonds"][:, 3].tolist() == [2.0] * 6
    assert molecule_tensors("C#N", "it")["bonds"][:, 2].tolist() == [1.0, 1.0]
    double = molecule_tensors("C/C=C/C", "it")["bonds"]
    assert double[:, 1].tolist() == [0.0, 1.0, 1.0, 0.0]
    assert float(double[:, BOND_TYPES + 1 :].sum()) == 4  # two slanted bonds, seen from both ends
    left, right = (molecule_tensors(f"C[C@{a}H](N)O", "it")["x"][1, 1] for a in ("", "@"))
    assert {int(left), int(right)} == {1, 2}


@pytest.mark.parametrize(
    ("smiles", "message"),
    [("nonsense", "is no molecule"), ("", "is no molecule"), ("C(C)(C)(C)(C)C", "is no molecule"),
     ("*C", "has an atom without a number")],
)  # fmt: skip
def test_what_is_no_molecule_is_refused(smiles: str, message: str) -> None:
    pytest.importorskip("rdkit")
    with pytest.raises(DataError, match=message):
        molecule_tensors(smiles, "row 3")


@pytest.mark.parametrize("packed", [False, True])
def test_a_table_gives_molecules_and_its_columns_of_0_and_1(tmp_path: Path, packed: bool) -> None:
    pytest.importorskip("rdkit")
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    path.write_bytes(gzip.compress(TABLE.encode()) if packed else TABLE.encode())
    source = resolve_data(str(path))
    assert source.tasks == ("tox", "heart")
    np.testing.assert_array_equal(source.targets, [[0, 1], [1, np.nan], [np.nan, 0]])
    assert (source.labels, source.n_features) == (None, 0)
    sample = source.read(1)
    assert sample.content.tensors["targets"][0, 0] == 1
    measured = resolve_data(f"{path}#weight")
    assert measured.tasks == ("weight",)
    np.testing.assert_allclose(measured.targets[:, 0], [46.1, 78.1, 56.1], rtol=1e-6)
    one = resolve_data(f"{path}#tox,weight")
    assert one.tasks == ("tox", "weight")
    with pytest.raises(DataError, match="has no column 'mass'; it has name, tox"):
        resolve_data(f"{path}#mass")
    with pytest.raises(DataError, match="row 1: 'a' is no number"):
        resolve_data(f"{path}#name")


def test_one_whole_column_makes_classes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("smiles,active\nC,0\nCC,1\n")
    source = resolve_data(str(path))
    assert (source.classes, source.labels.tolist()) == (("0", "1"), [0, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\n1,2\n", "expected one called smiles"), ("smiles,a\nC\n", "row 1: 1 values, expected 2"),
     ("smiles\n", "holds no molecule"), ("", "is no table")],
)  # fmt: skip
def test_tables_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        resolve_data(str(path), "graph")  # a .csv may be a list of videos, too


def test_a_bad_line_costs_one_molecule_and_is_named(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    path = tmp_path / "t.smi"
    path.write_text("CCO 1\nbroken 2\nCC 3\n")
    source = resolve_data(str(path))
    assert len(source) == 3
    source.read(0)
    with pytest.raises(DataError, match=r"t.smi, molecule 2: 'broken' is no molecule"):
        source.read(1)
    from masquerade.core.training.loader import Loader

    loader = Loader(source, Graph(Graph.Config()), batch_size=3, seed=0)
    (batch,) = loader.once()
    assert len(batch) == 2
    assert [key for key, _ in loader.damaged] == ["000001"]


def test_scaffolds_forget_side_chains() -> None:
    pytest.importorskip("rdkit")
    assert scaffolds(["Cc1ccccc1", "OC(=O)c1ccccc1CC", "CCO"]) == ["c1ccccc1", "c1ccccc1", ""]


def test_the_embedded_molecules() -> None:
    pytest.importorskip("rdkit")
    source = nci("train")
    assert len(source) == 4999
    assert source.read(0).content.tensors["x"].shape == (9, 2)  # toluquinone


def test_the_embedded_graph() -> None:
    source = karate("train")
    assert source.facts()["edges"] == 78
    labels, splits = node_task(source)
    assert np.bincount(labels).tolist() == [17, 17]
    assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(34))


def test_rdkit_is_named_where_it_is_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from masquerade.core import extras
    from masquerade.core.errors import MissingExtra
    from masquerade.modalities.graph import molecules

    path = tmp_path / "t.smi"
    path.write_text("CCO\n")
    molecules._chemistry.cache_clear()
    monkeypatch.setattr(extras, "installed", lambda name: False)
    with pytest.raises(MissingExtra, match=r"'rdkit' is not installed; .*\[graph\]"):
        resolve_data(str(path)).read(0)
    molecules._chemistry.cache_clear()


def test_the_real_tables(shared: Path) -> None:
    folder = shared / "data" / "graphs" / "molecules"
    tox = resolve_data(str(folder / "tox21.csv.gz"))
    assert (len(tox), len(tox.tasks)) == (8014, 12)
    hiv = resolve_data(str(folder / "HIV.csv.gz"))
    assert (len(hiv), hiv.tasks) == (41913, ("HIV_active",))
