"""Real graphs that installed packages carry: found by path or made in place, no network."""

import numpy as np

from ...core.errors import DataError
from ...core.extras import path_inside
from .features import one_hot_degrees
from .molecules import MoleculeSource
from .source import GraphSource, GraphTable, class_ids
from .text_tables import read_text

_NCI = "Data/NCI/first_5K.smi"
_TRAIN_PER_CLASS = 4


def karate(split: str) -> GraphSource:  # noqa: ARG001 - there is one graph
    """Zachary's karate club (networkx): 34 members, their degrees one-hot, labelled by club.

    Four members of each club are for training, as many for validation, the others for the test.
    """
    import networkx

    club = networkx.karate_club_graph()
    ends = np.array([pair for edge in club.edges for pair in (edge, edge[::-1])], dtype=np.int64)
    labels, classes = class_ids([club.nodes[node]["club"] for node in club])
    of_class = [np.flatnonzero(labels == label) for label in range(len(classes))]
    places = {
        "train": slice(0, _TRAIN_PER_CLASS),
        "val": slice(_TRAIN_PER_CLASS, 2 * _TRAIN_PER_CLASS),
        "test": slice(2 * _TRAIN_PER_CLASS, None),
    }
    splits = {s: np.sort(np.concatenate([ids[p] for ids in of_class])) for s, p in places.items()}
    table = GraphTable(
        name="karate", sizes=np.array([len(club)], dtype=np.int64),
        source=ends[:, 0], target=ends[:, 1], x=one_hot_degrees(ends[:, 1], len(club)),
        node_labels=labels, node_classes=classes, splits=splits,
    )  # fmt: skip
    return GraphSource(table)


def nci(split: str) -> MoleculeSource:  # noqa: ARG001 - there is one set
    """4,999 molecules of the National Cancer Institute that RDKit carries, without labels.

    Raises:
        MissingExtra: RDKit is not installed.
        DataError: the installed package does not carry them.
    """
    lines = [line.split() for line in read_text(path_inside("rdkit", _NCI)).splitlines()]
    smiles = [words[0] for words in lines if words]
    if not smiles:
        raise DataError(f"{_NCI} of the installed RDKit is empty", "install RDKit again")
    return MoleculeSource("nci", smiles, np.empty((len(smiles), 0), dtype=np.float32), ())
