"""The manifest: one row per picture that says where it lies, made in a stream."""

import hashlib

import pyarrow as pa
import pytest
from pyarrow import parquet

from masquerade.core.errors import DataError
from masquerade.generators.engine import manifest
from masquerade.generators.engine.manifest import read_index, read_rows, write_manifest
from masquerade.generators.engine.plan import read_plan


def test_rows_find_every_picture_once_with_its_facts(finished):
    plan = read_plan(finished)
    rows = list(read_rows(finished, plan))
    assert [(r.identity, r.number) for r in rows] == [(i, n) for i in range(12) for n in range(4)]
    for row in rows:
        data = (finished / "shards" / row.shard).read_bytes()[row.offset :][: row.n_bytes]
        assert hashlib.sha256(data).hexdigest() == row.sha256
        assert row.member == f"{row.identity:07d}_{row.number:04d}.jpg"
        assert row.facts.keys() == {"left", "shift"}
    columns = parquet.read_schema(finished / "manifest.parquet")
    assert columns.names == [
        "shard", "member", "identity", "number", "offset", "n_bytes", "sha256", "left", "shift"
    ]  # fmt: skip
    assert columns.field("left").type == pa.bool_()
    assert columns.field("shift").type == pa.float64()


@pytest.mark.parametrize("group", [1, 9, 16, 48, 100])
def test_row_groups_change_nothing_but_memory(finished, monkeypatch, group):
    plan = read_plan(finished)
    whole = list(read_rows(finished, plan))
    monkeypatch.setattr(manifest, "_GROUP", group)
    write_manifest(finished, plan)
    largest = parquet.read_metadata(finished / "manifest.parquet")
    sizes = [largest.row_group(i).num_rows for i in range(largest.num_row_groups)]
    assert max(sizes) < group + plan.layout.images_per_shard
    assert list(read_rows(finished, plan)) == whole
    for first, last in ((0, 1), (7, 8), (5, 40), (47, 48), (40, None), (20, 20)):
        assert list(read_rows(finished, plan, first, last)) == whole[first:last]


def test_manifest_made_again_is_the_same_bytes(finished):
    before = (finished / "manifest.parquet").read_bytes(), (finished / "shards.json").read_bytes()
    write_manifest(finished, read_plan(finished))
    after = (finished / "manifest.parquet").read_bytes(), (finished / "shards.json").read_bytes()
    assert before == after


def test_index_holds_the_sha256_of_each_shard(finished):
    for entry in read_index(finished, read_plan(finished).hash()):
        data = (finished / "shards" / entry.shard).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.n_bytes, entry.sha256)
        assert entry.n_images == 8


def test_damaged_manifest_index_and_sidecar_are_named(finished):
    plan = read_plan(finished)
    with pytest.raises(DataError, match=r"shards\.json is missing or damaged: .*another plan"):
        read_index(finished, "0" * 64)
    path = finished / "manifest.parquet"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"manifest\.parquet is missing or damaged"):
        list(read_rows(finished, plan))
    parquet.write_table(pa.table({"shard": ["a"]}), path)
    with pytest.raises(DataError, match="its columns are"):
        list(read_rows(finished, plan))
    (finished / "shards" / "000002.json").unlink()
    with pytest.raises(DataError, match=r"000002\.json is missing"):
        write_manifest(finished, plan)
