"""Tables of strangers: plain columns only, sizes looked at before anything is unpacked."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from masquerade.core import frames
from masquerade.core.errors import ValidationError
from masquerade.core.frames import read_frame, write_frame


def written(path: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_plain_columns_come_back(tmp_path: Path) -> None:
    frame = pd.DataFrame({
        "whole": [1, 2], "real": [0.5, np.pi], "truth": [True, False], "text": ["a", "ä"],
        "list": [np.array([1.0, 2.0]), np.array([3.0, 4.0])],
    })  # fmt: skip
    write_frame(frame, tmp_path / "x.parquet")
    back = read_frame(tmp_path / "x.parquet")
    assert back.drop(columns="list").equals(frame.drop(columns="list"))
    assert np.array_equal(np.stack(back["list"]), np.stack(frame["list"]))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([b"code"]), pa.array([{"a": 1}]), pa.array([["text"]]), pa.array([[[1.0]]]),
        pa.array([1], pa.timestamp("ns")), pa.array(["a"]).dictionary_encode(),
        pa.array([None]), pa.array([1], pa.decimal128(5)),
    ],
    ids=lambda column: str(column.type),
)  # fmt: skip
def test_other_columns_are_refused_by_name(tmp_path: Path, column: pa.Array) -> None:
    path = written(tmp_path / "x.parquet", key=pa.array(["a"]), odd=column)
    with pytest.raises(ValidationError, match="x.parquet: column 'odd': found"):
        read_frame(path)


def test_rows_are_counted_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million equal rows are a few kilobytes of Parquet."""
    path = written(tmp_path / "x.parquet", x=pa.array(np.zeros(1_000_000, np.int64)))
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(frames, "MAX_ROWS", 999_999)
    with pytest.raises(ValidationError, match="rows: found 1000000, expected at most 999999"):
        read_frame(path)


def test_what_pandas_was_told_by_the_writer_is_not_looked_at(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([1, 2])}).replace_schema_metadata(
        {"pandas": '{"index_columns":["x"],"columns":[{"name":"x","pandas_type":"object"}]}'}
    )
    pq.write_table(table, tmp_path / "x.parquet")
    assert read_frame(tmp_path / "x.parquet").columns.tolist() == ["x"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 64 + b"PAR1", b"{}"])
def test_what_is_no_parquet_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(ValidationError, match="expected a Parquet table"):
        read_frame(tmp_path / "x.parquet")
