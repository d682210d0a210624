"""The audit: counts, exact duplicates, the generator's findings; refused where damaged."""

import json
from collections import Counter

import pytest

from masquerade.core.errors import DataError, MasqueradeError
from masquerade.core.hashing import sha256_file, sha256_json
from masquerade.generators.engine.audit import duplicates, write_audit
from masquerade.generators.engine.dataset import SynthesizedSet
from masquerade.generators.engine.synthesis import synthesize


def test_audit_counts_and_names_what_it_is_of(finished, ovals):
    audit = json.loads((finished / "audit.json").read_text())
    assert audit["structure"] == {
        "identities": 12, "images_per_identity": 4, "images": 48, "shards": 6,
        "n_bytes": sum(p.stat().st_size for p in (finished / "shards").glob("*.tar")),
    }  # fmt: skip
    assert audit["plan"] == sha256_file(finished / "plan.json")
    assert audit["manifest"] == sha256_file(finished / "manifest.parquet")
    assert audit["id"] == sha256_json({k: v for k, v in audit.items() if k != "id"})
    assert audit["synthetic"] is True
    assert 0 < audit["findings"]["mean"] < 255
    before = (finished / "audit.json").read_bytes()
    write_audit(finished, ovals.Ovals.open(None, "cpu"))
    assert (finished / "audit.json").read_bytes() == before


@pytest.mark.parametrize("at_once", [1, 7, 1 << 21])
def test_duplicates_equal_a_plain_count(request_for, tmp_path, at_once):
    """The brute-force twin is a Counter of all hashes."""
    out = tmp_path / "set"
    synthesize(request_for(out, 9, 4, generator="ovals:Same", settings={"size": 8}))
    dataset = SynthesizedSet(out)
    counted = Counter(row.sha256 for row in dataset.rows())
    found = duplicates(dataset, at_once)
    assert found["distinct"] == len(counted) <= 9
    assert found["repeated"] == 36 - len(counted)
    assert sorted(map(len, found["examples"])) == sorted(c for c in counted.values() if c > 1)
    assert all(group[0][:7] == "0000000" for group in found["examples"][:1])


def test_examples_are_limited(request_for, tmp_path):
    out = tmp_path / "set"
    synthesize(request_for(out, 30, 22, generator="ovals:Same", images_per_shard=220))
    examples = SynthesizedSet(out).audit["duplicates"]["examples"]
    assert len(examples) == 20
    assert max(map(len, examples)) == 20


def test_damaged_shard_gets_no_audit(finished, ovals):
    (finished / "audit.json").unlink()
    path = finished / "shards" / "000003.tar"
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"shards/000003\.tar differs from its sha256"):
        write_audit(finished, ovals.Ovals.open(None, "cpu"))
    assert not (finished / "audit.json").exists()


def test_findings_that_are_no_json_are_refused(finished, ovals, monkeypatch):
    monkeypatch.setattr(ovals.Ovals, "audit", lambda self, dataset: {"cosine": float("nan")})
    with pytest.raises(MasqueradeError, match="no JSON"):
        write_audit(finished, ovals.Ovals.open(None, "cpu"))
