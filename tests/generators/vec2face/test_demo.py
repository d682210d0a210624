"""The shipped demo weights: their size and papers, and that they draw the person of a vector."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from masquerade.core.draws import Draws
from masquerade.core.weights import read_own_weights
from masquerade.generators.engine.dataset import SynthesizedSet
from masquerade.generators.engine.synthesis import Request, synthesize
from masquerade.generators.vec2face.sampling import PcaGaussianSampler
from masquerade.generators.vec2face.synthesizer import SHIPPED, Synthesizer

MOST_MB = 12


@pytest.fixture(scope="module")
def generator():
    return Synthesizer.open(None, "cpu")


@pytest.fixture(scope="module")
def vectors(generator):
    """(24, 128) of nobody, in the frame of the weights."""
    sampler = PcaGaussianSampler.fit(generator.method.frame.centres.numpy())
    return torch.from_numpy(sampler.draw(seed=5, start=0, stop=24))


def drawn(generator, vectors, seed):
    with torch.inference_mode():
        return generator.method.generate(vectors, Draws(seed, torch.arange(len(vectors))))


def test_they_are_small_and_licensed_and_say_what_they_learned_from():
    assert SHIPPED.stat().st_size <= MOST_MB * 1e6
    licence = (SHIPPED.parent / "LICENSE-demo.txt").read_text("utf-8")
    assert "research use only" in licence
    facts = read_own_weights(SHIPPED).header["facts"]
    assert facts["training_data"] == "faces-split:fit"


def test_pictures_show_the_person_of_their_vector(generator, vectors):
    pictures = drawn(generator, vectors, 0).clamp(-1, 1)
    with torch.inference_mode():
        seen = generator.method.embed(pictures)
    matched = cosine_similarity(seen, vectors).mean()
    mismatched = cosine_similarity(seen, vectors.roll(1, 0)).mean()
    assert float(matched - mismatched) >= 0.35


def test_mask_draws_vary_a_picture_less_than_another_person_does(generator, vectors):
    one, other = drawn(generator, vectors, 0), drawn(generator, vectors, 1)
    mask = float((one - other).square().mean().sqrt())
    person = float((one - one.roll(1, 0)).square().mean().sqrt())
    assert 0.035 < mask < person / 2


def test_a_data_set_needs_no_other_weights(tmp_path):
    synthesize(Request("vec2face", tmp_path / "faces", 3, 2, workers=1))
    dataset = SynthesizedSet(tmp_path / "faces")
    assert len(dataset) == 6
    assert dataset.audit["findings"]["leakage"]["training_identities"] == 428
