"""Data sets as subjects: named by their content, with what is known of them."""

import sys
from pathlib import Path

import pytest
import torch

from masquerade.benchmarks.data_set_subjects import open_data_set
from masquerade.benchmarks.subjects import Extraction
from masquerade.core.errors import DataError, UsageError
from masquerade.core.tokens import Batch
from masquerade.generators.engine.dataset import SynthesizedSet
from masquerade.generators.engine.synthesis import Request, synthesize
from masquerade.generators.vec2face.synthesizer import Synthesizer

HERE = Path(__file__).parent
# the toy, and what it is made of
sys.path += [str(HERE), str(HERE.parent / "generators" / "engine")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three identities of four ovals each, synthesized."""
    folder = tmp_path_factory.mktemp("sets") / "ovals"
    layout = {"images_per_shard": 6, "batch_size": 6, "workers": 1, "device": "cpu"}
    synthesize(Request("told_ovals:ToldOvals", folder, 3, 4, settings={"size": 112}, **layout))
    return folder


def test_a_synthesized_set_brings_its_hash_generator_and_audit(made: Path) -> None:
    subject, found = open_data_set(str(made), Extraction()), SynthesizedSet(made)
    assert (subject.name, subject.kind, subject.hash) == ("ovals", "data set", found.hash)
    assert dict(subject.facts) == {
        "images": 12, "identities": 3, "synthetic": True, "audit": found.audit["id"],
        "generator": "told_ovals:ToldOvals", "generator_hash": found.plan.generator_hash,
    }  # fmt: skip
    (made / "audit.json").rename(made / "kept")
    assert open_data_set(str(made), Extraction()).facts["audit"] is None
    (made / "kept").rename(made / "audit.json")


def test_what_the_generator_learned_from_is_declared_of_parts_too(made: Path) -> None:
    subject = open_data_set(str(made), Extraction())
    small = subject.cut_to(subject)
    for one in (subject, small, subject.together_with(small)):
        assert one.training_data == ("faces-split:fit",)
    shipped = Synthesizer.open(None, "cpu").facts()
    assert shipped["training_data"] == ["faces-split:fit"]


def test_a_cut_has_the_size_of_the_other_set(made: Path) -> None:
    subject = open_data_set(str(made), Extraction())
    small = subject.cut_to(subject)
    assert (small.facts["images"], small.facts["identities"]) == (12, 3)
    assert small.hash != subject.hash
    assert small.facts["part_of"] == subject.hash
    both = subject.together_with(small)
    assert (both.facts["images"], both.facts["identities"]) == (24, 6)


def test_a_data_set_gives_no_features_and_must_have_labels(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ovals is a data set and gives no features"):
        open_data_set(str(made), Extraction()).encode(Batch({}, torch.arange(1)))
    with pytest.raises(DataError, match="does not exist"):
        open_data_set(str(tmp_path / "none" / "x"), Extraction())
