"""Bundles: what goes in comes out, the same bytes; nothing hostile or damaged gets in."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from masquerade.core.errors import UsageError, ValidationError
from masquerade.core.record_store import read_records, write_record
from masquerade.leaderboards import bundles
from masquerade.leaderboards.bundles import add_file, write_bundle
from masquerade.leaderboards.checking import check_results

from .simulated import a_store, class_rows, simulate, store


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Five records in one file, made of the folder `ours`."""
    a_store(tmp_path / "ours")
    write_bundle(tmp_path / "ours", tmp_path / "ours.bundle")
    return tmp_path / "ours.bundle"


def remade(bundle: Path, members: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> Path:
    """Another file with these members beside those of the bundle, and a list of all."""
    with zipfile.ZipFile(bundle) as old:
        held = {name: old.read(name) for name in old.namelist() if name != bundles.LIST}
    held |= members
    hashes = {name: bundles.sha256_bytes(data) for name, data in held.items()}
    held.setdefault(bundles.LIST, json.dumps({"format": bundles.FORMAT, "sha256": hashes}).encode())
    path = bundle.with_name("other.bundle")
    with zipfile.ZipFile(path, "w", how) as new:
        for name, data in held.items():
            new.writestr(name, data)
    return path


def test_what_goes_in_comes_out(bundle: Path, tmp_path: Path) -> None:
    records, report = add_file(bundle, tmp_path / "theirs")
    assert report.holds
    ours, theirs = (read_records(tmp_path / name) for name in ("ours", "theirs"))
    assert theirs == ours
    assert sorted(r.id for r in records) == [r.id for r in ours]
    assert check_results(tmp_path / "theirs").holds


def test_the_same_records_give_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    first = bundle.read_bytes()
    again = tmp_path / "again.bundle"
    write_bundle(tmp_path / "ours", again)
    assert again.read_bytes() == first


def test_some_records_by_the_beginnings_of_their_ids(tmp_path: Path) -> None:
    records = a_store(tmp_path)
    out = tmp_path / "one.bundle"
    assert write_bundle(tmp_path, out, [records["good"].id[:10]]) == 1
    (record,) = add_file(out, tmp_path / "theirs")[0]
    assert record == records["good"]
    with pytest.raises(UsageError, match="5 records of .* begin with '', expected one"):
        write_bundle(tmp_path, out, [""])


def test_one_records_file_brings_its_predictions(tmp_path: Path) -> None:
    records = a_store(tmp_path / "ours")
    path = tmp_path / "ours" / "records" / f"{records['good'].id}.json"
    (record,) = add_file(path, tmp_path / "theirs")[0]
    assert record == records["good"]
    assert check_results(tmp_path / "theirs").holds


def test_adding_twice_changes_nothing_and_another_machine_confirms(
    bundle: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    add_file(bundle, theirs)
    first = read_records(theirs)
    add_file(bundle, theirs)
    assert read_records(theirs) == first
    store(tmp_path / "b", simulate("knn", "good", class_rows(0.9, seed=0), machine="b"))
    write_bundle(tmp_path / "b", tmp_path / "b.bundle")
    (record,) = add_file(tmp_path / "b.bundle", theirs)[0]
    assert [p.hardware["processor"] for p in record.provenance] == ["a", "b"]
    assert len(read_records(theirs)) == len(first)


@pytest.mark.parametrize(
    "name",
    [
        "../escaped.json", "/escaped.json", "records/../../escaped.json", "records/x.json",
        f"records/{'0' * 64}.json/../{'0' * 64}.json", "C:\\escaped.json", "cache/boards.json",
        f"predictions/{'0' * 64}.json", f"records/{'0' * 64}.json ",
    ],
)  # fmt: skip
def test_a_name_that_is_no_member_is_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    path = remade(bundle, {name: b"{}"})
    with pytest.raises(ValidationError, match="found the name"):
        add_file(path, tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()
    assert not list(tmp_path.rglob("escaped*"))


def test_compressed_members_are_refused_before_they_are_unpacked(
    bundle: Path, tmp_path: Path
) -> None:
    path = remade(bundle, {}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValidationError, match="expected a stored one"):
        add_file(path, tmp_path / "theirs")


def test_a_bundle_above_the_cap_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "MAX_BYTES", 1000)
    with pytest.raises(ValidationError, match="size: found .* expected at most 1,000"):
        add_file(bundle, tmp_path / "theirs")
    with pytest.raises(ValidationError, match="make several bundles"):
        write_bundle(tmp_path / "ours", tmp_path / "large.bundle")


def test_a_later_format_is_named(bundle: Path, tmp_path: Path) -> None:
    path = remade(bundle, {bundles.LIST: b'{"format":"masquerade-bundle/9","sha256":{}}'})
    with pytest.raises(ValidationError, match="found 'masquerade-bundle/9', expected 'masq"):
        add_file(path, tmp_path / "theirs")


def test_a_member_that_the_list_lacks_is_refused(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as old:
        listed = old.read(bundles.LIST)
    path = remade(bundle, {bundles.LIST: listed, f"records/{'0' * 64}.json": b"{}"})
    with pytest.raises(ValidationError, match="another list than the members"):
        add_file(path, tmp_path / "theirs")


def test_one_wrong_record_keeps_all_out_and_is_named(tmp_path: Path) -> None:
    """A metric changed with everything sealed anew: only the predictions tell."""
    ours = tmp_path / "ours"
    a_store(ours)
    record, frame = simulate("knn", "liar", class_rows(0.5, seed=8))
    better = record.main.model_copy(
        update={"value": 0.99, "interval": (0.9, 1.0), "parts": (0.99,)}
    )
    claim = record.claim.model_copy(
        update={"metrics": {**record.claim.metrics, "accuracy": better}}
    )
    liar = record.model_copy(update={"claim": claim})
    write_record(liar, ours, frame)
    write_bundle(ours, tmp_path / "lies.bundle")
    said = r"accuracy\.value: found 0.99, expected 0\.\d+, by its predictions.*nothing was added"
    with pytest.raises(ValidationError, match=rf"{liar.id}\.json: claim\.metrics\.{said}"):
        add_file(tmp_path / "lies.bundle", tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()


def test_what_is_no_bundle_is_one_sentence(tmp_path: Path) -> None:
    for content in (b"", b"PK", b"PK\x05\x06" + b"\x00" * 18, b"\xff\xfe", b"[]", b"{" * 9999):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(ValidationError, match=str(tmp_path / "x")):
            add_file(tmp_path / "x", tmp_path / "theirs")
    with pytest.raises(UsageError, match="there is no file"):
        add_file(tmp_path / "y", tmp_path / "theirs")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_changed_byte_is_found_or_changes_nothing(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, small: bytes
) -> None:
    """Headers hold bytes that mean nothing (dates): then the records are the same."""
    content = bytearray(small)
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "x.bundle").write_bytes(content)
    try:
        records, _ = add_file(folder / "x.bundle", folder / "theirs")
    except ValidationError:
        assert not (folder / "theirs").exists()
        return
    with zipfile.ZipFile(io.BytesIO(small)) as bundle:
        names = {name for name in bundle.namelist() if name.startswith("records/")}
    assert {f"records/{record.id}.json" for record in records} == names


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A bundle of one record with few predictions."""
    folder = tmp_path_factory.mktemp("small")
    rows = class_rows(0.5, n=8)
    assert np.isfinite(rows["label"]).all()
    store(folder, simulate("knn", "m", rows))
    write_bundle(folder, folder / "m.bundle")
    return (folder / "m.bundle").read_bytes()
