"""Shards: plain WebDataset tars, the same bytes always, sidecars that tell the truth."""

import errno
import hashlib
import json
import tarfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image as Pillow

from masquerade.core.errors import DataError, MasqueradeError
from masquerade.generators.engine import shards
from masquerade.generators.engine.plan import read_plan
from masquerade.generators.engine.shards import read_sidecar
from masquerade.generators.engine.synthesis import synthesize
from masquerade.generators.engine.units import unit, units


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_shard_is_a_sorted_tar_without_time_or_owner(request_for, tmp_path, suffix):
    out = tmp_path / "set"
    synthesize(request_for(out, 4, 3, format=suffix, images_per_shard=6))
    plan = read_plan(out)
    with tarfile.open(out / "shards" / "000001.tar") as tar:
        members = tar.getmembers()
        names = [m.name for m in members]
        about = json.load(tar.extractfile("0000002_0001.json"))
        first = tar.extractfile(f"0000002_0000.{suffix}").read()
    assert names == sorted(names)
    assert names[:2] == sorted([f"0000002_0000.{suffix}", "0000002_0000.json"])
    assert len(names) == 12
    plain = {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members}
    assert plain == {(0, 0, 0, "", "", 0o644)}
    assert not any(m.pax_headers for m in members)
    assert about["synthetic"] is True
    assert (about["identity"], about["label"], about["number"]) == (2, 2, 1)
    assert about["generator_hash"] == plan.generator_hash
    assert about["plan"] == plan.hash()
    assert about["facts"].keys() == {"shift", "left"}
    assert Pillow.open(BytesIO(first)).format == {"jpg": "JPEG"}.get(suffix, suffix.upper())


def test_webdataset_reads_the_shards(request_for, tmp_path):
    import webdataset

    synthesize(request_for(tmp_path / "set", 4, 2, format="png"))
    urls = str(tmp_path / "set" / "shards" / "000000.tar")
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8"))
    assert [s["__key__"] for s in samples] == [f"{i:07d}_{n:04d}" for i in range(4) for n in (0, 1)]
    assert samples[3]["json"]["identity"] == 1
    assert samples[0]["png"].shape == (16, 16, 3)


def test_png_shards_hold_what_the_generator_rendered(ovals, request_for, tmp_path):
    out = tmp_path / "set"
    synthesize(request_for(out, 5, 2, format="png"))
    plan = read_plan(out)
    rows = np.arange(10)
    rendered = ovals.Ovals.open(None, "cpu").render(plan.for_rendering(out), rows // 2, rows % 2)
    found = []
    for path in sorted((out / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            pngs = [m for m in tar.getmembers() if m.name.endswith("png")]
            found += [np.asarray(Pillow.open(tar.extractfile(m))) for m in pngs]
    assert (np.stack(found) == rendered.images).all()


def test_sidecar_gives_place_length_and_hash_of_each_picture(finished):
    plan = read_plan(finished)
    for each in units(plan):
        sidecar = read_sidecar(finished, each, plan.hash())
        data = (finished / "shards" / each.shard).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (sidecar.n_bytes, sidecar.sha256)
        assert len(sidecar.entries) == len(each)
        for entry in sidecar.entries:
            picture = data[entry.offset : entry.offset + entry.n_bytes]
            assert hashlib.sha256(picture).hexdigest() == entry.sha256
            assert picture.startswith(b"\xff\xd8")
            assert picture.endswith(b"\xff\xd9")


def test_sidecar_of_another_plan_or_shard_is_refused(finished):
    plan = read_plan(finished)
    with pytest.raises(DataError, match="another plan or shard"):
        read_sidecar(finished, unit(plan, 0), "0" * 64)
    path = finished / "shards" / "000000.json"
    path.write_bytes((finished / "shards" / "000001.json").read_bytes())
    with pytest.raises(DataError, match="another plan or shard"):
        read_sidecar(finished, unit(plan, 0), plan.hash())
    path.write_text("[1]")
    with pytest.raises(DataError, match=r"000000\.json is missing or damaged"):
        read_sidecar(finished, unit(plan, 0), plan.hash())


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("nan", "the fact 'shift' is nan"),
        ("facts", r"gave the facts \['shift'\], declared are \['left', 'shift'\]"),
        ("pixels", r"gave a picture float32 \(16, 16, 3\)"),
        ("few", "gave 3 pictures and 4 facts for 4 rows"),
        ("read", r"cannot read .*gone\.npy"),
    ],
)
def test_generator_that_breaks_its_word_is_named(request_for, tmp_path, monkeypatch, fault, named):
    monkeypatch.setenv("OVALS_FAULT", fault)
    out = tmp_path / "set"
    with pytest.raises(MasqueradeError, match=named):
        synthesize(request_for(out, generator="ovals:Broken"))
    assert not list((out / "shards").iterdir()), "nothing half-written is left"


def test_disk_full_in_mid_shard_leaves_nothing_half_and_is_resumable(
    request_for, tmp_path, snapshot, monkeypatch
):
    written = 0
    honest = shards._Hashed.write

    def write(self, data):
        nonlocal written
        written += len(data)
        if written > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return honest(self, data)

    out = tmp_path / "set"
    with monkeypatch.context() as patched:
        patched.setattr(shards._Hashed, "write", write)
        with pytest.raises(MasqueradeError, match=r"cannot write .*\.tar: No space left on device"):
            synthesize(request_for(out))
    names = sorted(p.name for p in (out / "shards").iterdir())
    tars = [name for name in names if name.endswith(".tar")]
    assert 0 < len(tars) < 6
    assert names == sorted([*tars, *(t.replace("tar", "json") for t in tars)])
    synthesize(request_for(out))
    synthesize(request_for(tmp_path / "straight"))
    assert snapshot(out) == snapshot(tmp_path / "straight")
