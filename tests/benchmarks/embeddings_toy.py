"""Small files of embeddings: people as clouds of points."""

from pathlib import Path

import numpy as np

from masquerade.core.embedding_writer import Part, write_embeddings


def cloud(
    n_people: int, n_each: int, width: int = 16, noise: float = 0.6, seed: int = 0
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Keys "person/picture", labels and embeddings: a centre of length 1 and noise around it."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_people), n_each)
    centres = random.standard_normal((n_people, width)) / np.sqrt(width)
    values = centres[labels] + noise * random.standard_normal((len(labels), width)) / np.sqrt(width)
    keys = [f"p{label:03}/{row}" for row, label in enumerate(labels)]
    return keys, labels, values.astype(np.float32)


def write_cloud(path: Path, keys: list[str], labels: np.ndarray, values: np.ndarray) -> str:
    """The file's name, for the command line."""
    classes = sorted({key.split("/")[0] for key in keys})
    numbers = {name: place for place, name in enumerate(classes)}
    own = np.array([numbers[key.split("/")[0]] for key in keys])
    assert len(own) == len(labels)
    facts = {"subject": "net", "subject_hash": "f" * 64, "classes": classes}
    write_embeddings(path, iter([Part(keys, own, values)]), facts)
    return str(path)


def write_some(
    path: Path, keys: list[str], labels: np.ndarray, values: np.ndarray, rows: np.ndarray
) -> str:
    """The same of some rows (a mask)."""
    some = [key for key, wanted in zip(keys, rows, strict=True) if wanted]
    return write_cloud(path, some, labels[rows], values[rows])


def write_table(path: Path, keys: list[str], rows: list[list[float]]) -> str:
    """What another program may have written: rows of any width, or none."""
    import pyarrow as pa
    from pyarrow import parquet

    features = pa.array(rows, pa.list_(pa.float32()))
    parquet.write_table(pa.table({"key": pa.array(keys, pa.string()), "feature": features}), path)
    return str(path)
