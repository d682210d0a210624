"""What `masquerade data` says of a synthesized set: inspect, verify, export."""

import json
from pathlib import Path

import pytest

from masquerade.cli.data_synthesized import (
    export,
    inspect_synthesized,
    synthesized,
    verify_synthesized,
)
from masquerade.core.errors import DataError
from masquerade.generators.engine.synthesis import Request, synthesize

TOYS = Path(__file__).parent.parent / "generators" / "engine"


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A set of 6 identities x 2 in 2 shards."""
    monkeypatch.syspath_prepend(TOYS)
    layout = {"images_per_shard": 6, "batch_size": 6, "workers": 1, "device": "cpu"}
    synthesize(Request("stripes:Stripes", tmp_path / "set", 6, 2, **layout))
    return tmp_path / "set"


def test_only_the_folder_of_a_synthesized_set_is_one(finished, tmp_path):
    assert synthesized(str(finished)) == finished
    assert synthesized(str(tmp_path)) is None
    assert synthesized("photos:test") is None


def test_inspect_tells_plan_hash_and_findings(finished, capsys):
    inspect_synthesized(finished, as_json=True)
    facts = json.loads(capsys.readouterr().out)
    assert (facts["samples"], facts["identities"], facts["shards"]) == (12, 6, 2)
    assert facts["findings"] == {"images": 12}
    inspect_synthesized(finished, as_json=False)
    printed = capsys.readouterr().out
    assert facts["hash"] in printed
    assert "findings.images" in printed


def test_verify_names_each_damage_and_is_a_data_error(finished, capsys):
    verify_synthesized(finished, as_json=False)
    assert capsys.readouterr().out == "12 samples, 0 problems\n"
    (finished / "shards" / "000001.tar").unlink()
    with pytest.raises(DataError, match="1 files or pictures of"):
        verify_synthesized(finished, as_json=True)
    captured = capsys.readouterr()
    (damage,) = json.loads(captured.out)["damaged"]
    assert (damage["key"], damage["reason"]) == ("shards/000001.tar", "is missing")
    assert captured.err.startswith("damaged: shards/000001.tar is missing; run the `masquerade")


@pytest.mark.parametrize(
    ("shape", "files"), [("folders", 12), ("recordio", 3)]
)  # fmt: skip
def test_export_writes_the_shape_that_is_asked_for(finished, tmp_path, capsys, shape, files):
    out = tmp_path / shape
    export.main([str(finished), "--to", shape, "--out", str(out)], standalone_mode=False)
    assert capsys.readouterr().out == f"{out}\n"
    assert sum(path.is_file() for path in out.rglob("*")) == files
