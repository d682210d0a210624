"""A protocol's code may change only together with its version."""

from pathlib import Path

import pytest

from masquerade.benchmarks import knn, registered
from masquerade.benchmarks.registry import BENCHMARKS, benchmark
from masquerade.core.config import tomllib
from masquerade.core.errors import ValidationError

MEND = (
    "raise VERSION in the protocol's file (its numbers may have changed), then run "
    "`python -m masquerade.benchmarks.registered`; before the first release, while nobody has "
    "records, `python -m masquerade.benchmarks.registered --replace`"
)


def test_every_protocol_is_registered_and_unchanged() -> None:
    for slug in BENCHMARKS:
        version = benchmark(slug).VERSION
        assert registered.registered_hash(slug, version), f"{slug} {version}: {MEND}"
    assert registered.changed_without_version() == [], MEND


def test_a_changed_protocol_is_refused_until_its_version_rises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "protocols.toml"
    written = registered.register(path)
    assert f"knn {knn.VERSION}" in written
    assert registered.register(path) == []
    monkeypatch.setattr(knn.Identity, "hash", lambda self: f"{self.version:0>64}")
    with pytest.raises(
        ValidationError, match=r"code: found 0+\d\S*, expected [0-9a-f]+; raise its"
    ):
        registered.register(path)
    assert registered.register(path, replace=True)
    monkeypatch.setattr(knn, "VERSION", "9.9.9")
    monkeypatch.setattr(knn, "IDENTITY", knn.Identity("knn", "9.9.9", "accuracy", ()))
    assert registered.register(path) == ["knn 9.9.9"]
    assert "9.9.9" in tomllib.loads(path.read_text())["knn"]
