"""A finished set: opened, read, and every damage found."""

import json
import random

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as Pillow
from pyarrow import parquet

from masquerade.core.errors import DataError
from masquerade.generators.engine.dataset import SynthesizedSet, is_synthesized
from masquerade.generators.engine.synthesis import synthesize
from masquerade.generators.engine.verification import verify_dataset
from masquerade.generators.export.folders import export_folders


def flip(path, byte, bit=0):
    data = bytearray(path.read_bytes())
    data[byte] ^= 1 << bit
    path.write_bytes(data)


def only(folder):
    (problem,) = verify_dataset(folder)
    return problem


def test_set_gives_rows_pictures_and_identities(ovals, request_for, tmp_path):
    out = tmp_path / "set"
    outcome = synthesize(request_for(out, 6, 3, format="png"))
    dataset = SynthesizedSet(out)
    rows = np.arange(18)
    render = ovals.Ovals.open(None, "cpu").render
    expected = render(dataset.plan.for_rendering(out), rows // 3, rows % 3)
    assert (len(dataset), dataset.hash) == (18, outcome.dataset)
    found, facts = [], []
    for some, images in dataset.batches(5):
        assert len(some) == len(images) <= 5
        found.append(images)
        facts += [row.facts for row in some]
    assert (np.concatenate(found) == expected.images).all()
    assert facts == expected.facts
    assert [(r.identity, r.number) for r in dataset.of_identity(4)] == [(4, 0), (4, 1), (4, 2)]
    assert dataset.audit["dataset"] == dataset.hash
    assert is_synthesized(out)
    assert not is_synthesized(tmp_path)


def test_set_is_a_source_whose_classes_are_the_identities(finished):
    source = SynthesizedSet(finished).source()
    assert len(source) == 48
    assert source.keys[5] == "0000001_0001"
    assert source.labels.tolist() == [i for i in range(12) for _ in range(4)]
    assert source.classes == tuple(map(str, range(12)))
    assert source.read(5).label == 1
    assert source.template == "none"  # as the generator says


def test_extractor_is_what_plan_and_audit_say(finished):
    dataset = SynthesizedSet(finished)
    assert dataset.extractor == {}
    audit = {**dataset.audit, "findings": {"embedder": "net", "embedder_hash": "0" * 64}}
    (finished / "audit.json").write_text(json.dumps(audit))
    assert SynthesizedSet(finished).extractor == {"name": "net", "hash": "0" * 64}


def test_whole_set_has_no_problem_and_an_unfinished_one_is_refused(request_for, finished, tmp_path):
    assert verify_dataset(finished) == []
    with pytest.raises(DataError, match="holds no synthesized set"):
        verify_dataset(tmp_path)
    for name in ("audit.json", "manifest.parquet", "shards.json", "shards/000001.tar"):
        (finished / name).unlink()
    with pytest.raises(DataError, match="is not finished: 5 of 6 shards are there"):
        verify_dataset(finished)


def test_flipped_bit_in_a_picture_names_the_picture(finished):
    row = list(SynthesizedSet(finished).rows())[13]
    flip(finished / "shards" / row.shard, row.offset + row.n_bytes // 2, 3)
    problem = only(finished)
    assert problem.file == "shards/000001.tar"
    assert "the picture 0000003_0001.jpg" in problem.what
    assert "remove it and run" in problem.mend


@pytest.mark.parametrize(
    ("column", "value"),
    [("member", "../../../outside.jpg"), ("member", "/outside.jpg"), ("shard", "../plan.json"),
     ("offset", -1), ("identity", 7)],
)  # fmt: skip
def test_manifest_row_that_leads_elsewhere_is_refused_by_reading_and_export(
    finished, tmp_path, column, value
):
    """A manifest of a stranger must not name what is read, or where an export writes."""
    path = finished / "manifest.parquet"
    table = parquet.read_table(path)
    values = table[column].to_pylist()
    values[1] = value
    place = table.schema.get_field_index(column)
    parquet.write_table(table.set_column(place, table.schema.field(column), pa.array(values)), path)
    with pytest.raises(DataError, match="row 1 is"):
        list(SynthesizedSet(finished).rows())
    out = tmp_path / "deep" / "out"
    with pytest.raises(DataError, match="row 1 is"):
        export_folders(SynthesizedSet(finished), out)
    assert not out.exists()
    assert not list(tmp_path.rglob("outside.jpg"))


def test_flipped_bit_elsewhere_in_a_shard_is_found(finished):
    flip(finished / "shards" / "000002.tar", 3)
    assert "no picture (headers, facts or padding)" in only(finished).what


def test_missing_truncated_and_foreign_shards_are_found(finished):
    shards = finished / "shards"
    (shards / "000000.tar").unlink()
    whole = (shards / "000003.tar").read_bytes()
    (shards / "000003.tar").write_bytes(whole[: len(whole) // 2])
    (shards / "000005.tar").write_bytes(b"")
    (shards / "000009.tar").write_bytes(whole)
    found = {p.file: p.what for p in verify_dataset(finished)}
    assert found == {
        "shards/000000.tar": "is missing",
        "shards/000003.tar": f"has {len(whole) // 2} of {len(whole)} bytes: it is cut off",
        "shards/000005.tar": f"has 0 of {len(whole)} bytes: it is cut off",
        "shards/000009.tar": "is no shard of the plan",
    }


def test_manifest_and_shards_of_another_seed_do_not_fit(request_for, finished, tmp_path):
    other = tmp_path / "other"
    synthesize(request_for(other, seed=1))
    manifest = finished / "manifest.parquet"
    own = manifest.read_bytes()
    manifest.write_bytes((other / "manifest.parquet").read_bytes())
    problems = verify_dataset(finished)
    assert any(p.file == "manifest.parquet" and "does not fit shards/" in p.what for p in problems)
    manifest.write_bytes(own)
    (finished / "shards" / "000001.tar").write_bytes((other / "shards" / "000001.tar").read_bytes())
    assert only(finished).file == "shards/000001.tar"


def test_manifest_of_a_smaller_set_does_not_fit(request_for, finished, tmp_path):
    other = tmp_path / "other"
    synthesize(request_for(other, 10))
    (finished / "manifest.parquet").write_bytes((other / "manifest.parquet").read_bytes())
    whats = [p.what for p in verify_dataset(finished) if p.file == "manifest.parquet"]
    assert "ends before row 40 of 48" in whats


def test_changed_audit_plan_and_prepared_file_are_found(finished):
    path = finished / "audit.json"
    own = path.read_text()
    path.write_text(own.replace('"repeated":0', '"repeated":1'))
    assert "was changed" in only(finished).what
    path.unlink()
    assert "missing" in only(finished).what
    path.write_text(own)
    flip(finished / "prepared" / "identities.npy", -1)
    assert only(finished).file == "prepared/identities.npy"
    flip(finished / "prepared" / "identities.npy", -1)
    plan = finished / "plan.json"
    values = json.loads(plan.read_text())
    plan.write_text(json.dumps(values | {"seed": 99}, sort_keys=True, separators=(",", ":")))
    files = {p.file for p in verify_dataset(finished)}
    assert {"shards.json", "audit.json"} & files


def test_any_flipped_bit_is_found(finished):
    """60 random bits over all files; 3,000 were tried by hand."""
    rng = random.Random(3)
    files = [p for p in finished.rglob("*") if p.is_file() and not p.name.startswith(".")]
    for _ in range(60):
        path = rng.choice(files)
        byte, bit = rng.randrange(path.stat().st_size), rng.randrange(8)
        flip(path, byte, bit)
        try:
            problems = verify_dataset(finished)
        except DataError:
            problems = ["refused"]
        assert problems, f"bit {bit} of byte {byte} of {path.name}"
        flip(path, byte, bit)
    assert verify_dataset(finished) == []


def test_mend_that_is_proposed_mends(request_for, finished, snapshot):
    before = snapshot(finished)
    flip(finished / "shards" / "000004.tar", 2000)
    (finished / only(finished).file).unlink()
    synthesize(request_for(finished))
    assert verify_dataset(finished) == []
    flip(finished / "manifest.parquet", 100)
    (finished / "manifest.parquet").unlink()
    synthesize(request_for(finished))
    assert snapshot(finished) == before


def test_picture_of_a_damaged_shard_is_one_sentence(finished):
    dataset = SynthesizedSet(finished)
    row = next(dataset.rows())
    path = finished / "shards" / row.shard
    data = path.read_bytes()
    path.write_bytes(data[: row.offset] + b"no picture" * 90)
    with pytest.raises(DataError, match=r"0000000_0000\.jpg is damaged|ends inside"):
        dataset.picture(row)
    path.write_bytes(data[: row.offset + 5])
    with pytest.raises(DataError, match=r"ends inside 0000000_0000\.jpg"):
        dataset.read(row)
    path.unlink()
    with pytest.raises(DataError, match="cannot read"):
        dataset.read(row)


def test_picture_of_too_many_pixels_is_one_sentence(finished, monkeypatch):
    dataset = SynthesizedSet(finished)
    row = next(dataset.rows())
    for limit in (100, 200):  # an error above twice the limit, a warning above it
        monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError, match=r"0000000_0000\.jpg has more than .* pixels"):
            dataset.picture(row)
