"""Files of embeddings: what is written is read, in any blocks; damaged ones are named."""

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from masquerade.core.embedding_writer import Part, write_embeddings
from masquerade.core.embeddings import Embeddings
from masquerade.core.errors import DataError
from masquerade.core.frames import content_hash, read_frame
from masquerade.core.search import search
from masquerade.core.vectors import ArrayVectors

N, WIDTH = 700, 6
KEYS = [f"p{i % 9}/bild-ü{i}" for i in range(N)]
LABELS = np.arange(N) % 9
FLOATS = pa.list_(pa.float32())


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N, WIDTH), dtype=np.float32)


@pytest.fixture
def path(tmp_path: Path, values: np.ndarray) -> Path:
    out = tmp_path / "embeddings.parquet"
    parts = (
        Part(KEYS[s : s + 300], LABELS[s : s + 300], values[s : s + 300]) for s in (0, 300, 600)
    )
    write_embeddings(out, parts, {"subject": "net", "classes": [f"p{i}" for i in range(9)]})
    return out


@pytest.mark.parametrize("n_rows", [1, 64, 5000])
def test_blocks_give_every_row_once_in_order(path: Path, values: np.ndarray, n_rows: int) -> None:
    file = Embeddings(path)
    assert file.shape == (N, WIDTH)
    starts, blocks = zip(*file.blocks(n_rows), strict=True)
    assert max(len(block) for block in blocks) <= n_rows
    assert starts == tuple(np.cumsum([0, *(len(block) for block in blocks[:-1])]))
    np.testing.assert_array_equal(np.concatenate(blocks), values)


def test_rows_and_names_come_as_asked(path: Path, values: np.ndarray) -> None:
    file = Embeddings(path)
    rows = np.array([699, 3, 3, 0, 350])
    np.testing.assert_array_equal(file.take(rows), values[rows])
    assert file.keys_at(rows) == [KEYS[row] for row in rows]
    assert file.rows_of([KEYS[row] for row in (5, 1)]).tolist() == [5, 1]
    labels, names = file.identities()
    assert [names[label] for label in labels] == [key.split("/")[0] for key in KEYS]


def test_hash_is_that_of_the_table(path: Path, tmp_path: Path, values: np.ndarray) -> None:
    """Another writer, compression and part size: the same content, the same hash."""
    frame = read_frame(path)
    assert list(frame.columns) == ["key", "label", "feature"]
    assert Embeddings(path).content_hash() == content_hash(frame)
    other = tmp_path / "other.parquet"
    pd.DataFrame({"key": KEYS, "label": LABELS, "feature": list(values)}).to_parquet(other)
    assert Embeddings(other).content_hash() == content_hash(frame)
    changed = values.copy()
    changed[5, 2] += 1e-6
    write_embeddings(other, iter([Part(KEYS, LABELS, changed)]), {})
    assert Embeddings(other).content_hash() != content_hash(frame)


def test_search_in_a_file_equals_search_in_memory(path: Path, values: np.ndarray) -> None:
    queries = values[:40] + 0.1
    on_disk = search(Embeddings(path), queries, 9, memory_bytes=1 << 14)
    in_memory = search(ArrayVectors(values), queries, 9)
    np.testing.assert_array_equal(on_disk.rows, in_memory.rows)
    np.testing.assert_array_equal(on_disk.scores, in_memory.scores)


def test_a_file_larger_than_the_memory_is_searched_within_it(tmp_path: Path) -> None:
    """51 MB of rows in 6 MiB, of which NumPy and Arrow hold all that there is."""
    random = np.random.default_rng(1)
    out = tmp_path / "large.parquet"
    keys = [[f"a/{part}-{i}" for i in range(10_000)] for part in range(10)]
    rows = random.standard_normal((10, 10_000, 128), np.float32)
    write_embeddings(out, (Part(k, None, v) for k, v in zip(keys, rows, strict=True)), {})
    file = Embeddings(out)
    queries = file.take(np.arange(0, 100_000, 1000))
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    tracemalloc.start()
    found = search(file, queries, 3, memory_bytes=6 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.rows[:, 0].tolist() == list(range(0, 100_000, 1000))
    assert peak + pool.bytes_allocated() - before < 9 << 20


def test_identities_by_label_folder_or_number(tmp_path: Path) -> None:
    one = np.ones((2, 1), np.float32)

    def identities(keys: list[str], labels: list[int] | None, **facts: object) -> list[str]:
        out = tmp_path / "i.parquet"
        own = None if labels is None else np.array(labels)
        write_embeddings(out, iter([Part(keys, own, one)]), facts)
        numbers, names = Embeddings(out).identities()
        return [names[number] for number in numbers]

    assert identities(["a/1", "b/1"], [1, 0], classes=["x", "y"]) == ["y", "x"]
    assert identities(["b/c/1", "a/1"], None) == ["b/c", "a"]
    assert identities(["b/1", "a/1"], [0, 1]) == ["b", "a"]  # what 0 means is not said
    assert identities(["1", "2"], [4, 4]) == ["4", "4"]
    with pytest.raises(DataError, match="does not say whose '1' is"):
        identities(["1", "2"], None)


def test_missing_and_double_names_are_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no embedding of 'p9/x' \(1 of 2 are missing\)"):
        Embeddings(path).rows_of([KEYS[0], "p9/x"])
    out = tmp_path / "double.parquet"
    write_embeddings(out, iter([Part(["a/1", "a/1"], None, np.ones((2, 1), np.float32))]), {})
    with pytest.raises(DataError, match="'a/1' stands in two rows"):
        Embeddings(out).rows_of(["a/1"])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"key": ["a", "b"], "feature": [[1.0, 2.0], [1.0]]}, "row 1: .* width 2 .*, got 1"),
        ({"key": ["a", "b"], "feature": [[1.0], None]}, "a feature in every row"),
        ({"key": ["a", "b"], "feature": [[1.0], [None]]}, "a feature in every row"),
        ({"key": ["a"], "feature": pa.array([[]], FLOATS)}, "row 0: expected an embedding"),
        ({"key": ["a"], "feature": [["x"]]}, "expected lists of floats"),
        ({"key": ["a"], "feature": [1.0]}, "expected lists of floats as feature, got double"),
        ({"key": ["a"], "vector": [[1.0]]}, "the columns key and feature, got key, v"),
        ({"key": [], "feature": pa.array([], FLOATS)}, "holds no embedding"),
    ],
)  # fmt: skip
def test_tables_of_something_else_are_named(tmp_path: Path, table: dict, said: str) -> None:
    from pyarrow import parquet

    out = tmp_path / "bad.parquet"
    parquet.write_table(pa.table(table), out)
    with pytest.raises(DataError, match=said):
        for _ in Embeddings(out).blocks(10):
            pass


def test_nan_is_found_when_the_file_is_hashed(tmp_path: Path) -> None:
    values = np.ones((5, 2), np.float32)
    values[3, 1] = np.nan
    write_embeddings(tmp_path / "n.parquet", iter([Part(list("abcde"), None, values)]), {})
    with pytest.raises(DataError, match="row 3: expected finite numbers"):
        Embeddings(tmp_path / "n.parquet").content_hash()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table at all", None])
def test_what_is_no_parquet_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    out = tmp_path / "broken.parquet"
    if content is not None:
        out.write_bytes(content)
    with pytest.raises(DataError, match="broken.parquet is no readable Parquet file"):
        Embeddings(out)


def test_a_truncated_file_is_named(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="is no readable Parquet file"):
        Embeddings(path)


def test_damaged_bytes_are_refused_or_read_and_never_anything_else(path: Path) -> None:
    whole, random = path.read_bytes(), np.random.default_rng(5)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in random.integers(len(whole) - 2000, len(whole), 3):  # the footer
            damaged[place] = random.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            file = Embeddings(path)
            file.content_hash()
            file.identities()
        except DataError:
            refused += 1
    assert 50 < refused < 150


def test_parts_of_different_widths_leave_nothing_behind(tmp_path: Path) -> None:
    parts = iter([Part(["a"], None, np.ones((1, 3), np.float32)),
                  Part(["b"], None, np.ones((1, 2), np.float32))])  # fmt: skip
    with pytest.raises(DataError, match="'b': expected width 3 as before, got 2"):
        write_embeddings(tmp_path / "w.parquet", parts, {})
    with pytest.raises(DataError, match="no embeddings to write"):
        write_embeddings(tmp_path / "w.parquet", iter([]), {})
    assert list(tmp_path.iterdir()) == []
