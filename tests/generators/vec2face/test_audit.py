"""The audit of faces equals a slow twin; what cannot be measured is said."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.leakage import threshold_at_far
from masquerade.generators.engine.dataset import SynthesizedSet
from masquerade.generators.engine.synthesis import synthesize
from masquerade.generators.vec2face import audit as module
from masquerade.generators.vec2face.audit import Spread
from masquerade.generators.vec2face.synthesizer import Synthesizer

sys.path.insert(0, str(Path(__file__).parent))
from vec2face_toy import request_for, write_weights  # noqa: E402


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(weights, finished set) of 5 identities x 4."""
    root = tmp_path_factory.mktemp("audit")
    weights = write_weights(root / "weights.safetensors")
    synthesize(request_for(weights, root / "set"))
    return weights, root / "set"


@pytest.fixture(scope="module")
def generator(made):
    return Synthesizer.open(made[0], "cpu")


def unit(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_findings_equal_a_slow_twin(made, generator):
    dataset = SynthesizedSet(made[1])
    found = dataset.audit["findings"]
    net, frame = generator.nets.embedder(dataset.plan.for_rendering(made[1]).settings), {}
    for row in dataset.rows():
        picture = torch.from_numpy(dataset.picture(row).copy()).permute(2, 0, 1)[None]
        vector = net.embed(picture / 127.5 - 1, "arcface-112")[0]
        frame.setdefault(row.identity, []).append(generator.method.frame(vector).numpy())
    own = np.load(made[1] / "prepared" / "identities.npy")
    centres = np.stack([np.mean(vectors, axis=0) for vectors in frame.values()])
    pictures = unit(np.concatenate(list(frame.values())))
    who = np.repeat(np.arange(5), 4)
    consistency = (pictures * unit(centres)[who]).sum(1)
    cosines = unit(centres) @ unit(centres).T
    unique = sum(all(cosines[i, j] <= 0.4 for j in range(i)) for i in range(5))
    real = unit(generator.method.frame.centres.numpy())
    strangers = real @ real.T
    threshold = threshold_at_far(strangers[np.triu_indices(len(real), 1)], 1e-3)
    nearest = (pictures @ real.T).max(1)
    np.fill_diagonal(strangers, -1)
    expected = {
        "consistency_mean": consistency.mean(),
        "own_vector_mean": (pictures * unit(own)[who]).sum(1).mean(),
        "other_vector_mean": (pictures * unit(own)[(who + 1) % 5]).sum(1).mean(),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=2e-5), name
    assert found["consistency_5_percent"] == pytest.approx(
        np.quantile(consistency, 0.05, method="inverted_cdf"), abs=1e-4
    )
    assert (found["identities"], found["unique_identities"]) == (5, unique)
    leaked = found["leakage"]
    assert leaked["threshold_at_far_0.001"] == pytest.approx(threshold, abs=2e-5)
    assert leaked["nearest_mean"] == pytest.approx(nearest.mean(), abs=2e-5)
    assert leaked["share_above_threshold"] == (nearest >= threshold).mean()
    assert leaked["real_nearest_mean"] == pytest.approx(strangers.max(1).mean(), abs=2e-5)
    assert leaked["real_share_above_threshold"] == pytest.approx(
        (strangers.max(1) >= threshold).mean(), abs=1e-6
    )
    claim = found["certificate"]
    assert (claim["verified_pairs"], claim["tried"]) == (10, 5)
    between = unit(own) @ unit(own).T - 2 * np.eye(5)
    assert claim["max_cosine"] == pytest.approx(between.max(), abs=1e-7)
    assert "image_attrop" not in found


def test_pictures_of_training_identities_are_seen_to_leak(made, generator, monkeypatch):
    """Pictures whose vectors lie near those of training identities, as if known by heart."""
    dataset = SynthesizedSet(made[1])
    settings = dataset.plan.for_rendering(made[1]).settings
    frame, real = generator.method.frame.get(), generator.method.frame.centres.numpy()
    copied = [(i, real[i] + 0.2 * np.random.default_rng(i).normal(size=(4, 128)).astype("f4"), 4)
              for i in range(5)]  # fmt: skip
    monkeypatch.setattr(module, "_identities", lambda *_: iter(copied))
    found = module.audit_faces(
        dataset, generator.nets.embedder(settings), frame, real, template="arcface-112",
        settings=settings,
    )["leakage"]  # fmt: skip
    assert found["share_above_threshold"] == 1
    assert found["real_share_above_threshold"] < 0.3


def test_spread_gives_mean_and_quantiles_of_all_in_any_parts():
    values = np.random.default_rng(0).uniform(-1, 1, 5000)
    values[:3] = [-1.0, 1.0, 1.0000001]  # a cosine in float32 may pass 1
    spread = Spread()
    for part in np.split(values, [10, 11, 3000]):
        spread.add(part.astype(np.float32))
    assert spread.mean == pytest.approx(values.mean(), abs=1e-7)
    for share in (0.0001, 0.05, 0.5, 0.95, 1.0):
        exact = np.quantile(values, share, method="inverted_cdf")
        assert spread.quantile(share) == pytest.approx(exact, abs=1e-4)


def test_few_training_identities_measure_no_leakage(tmp_path):
    weights = write_weights(tmp_path / "weights.safetensors", n_centres=20)
    outcome = synthesize(request_for(weights, tmp_path / "set", 2, 1))
    found = outcome.audit["findings"]["leakage"]
    assert found == (
        "not measured: the weights carry 20 centres of real identities, 150 are needed"
    )


def test_identities_that_break_their_certificate_are_refused(generator, made, tmp_path):
    import shutil

    folder = tmp_path / "set"
    shutil.copytree(made[1], folder)
    vectors = np.load(folder / "prepared" / "identities.npy")
    vectors[4] = vectors[2] * np.float32(1.01)
    np.save(folder / "prepared" / "identities.npy", vectors)
    with pytest.raises(ValidationError, match="the vectors give"):
        generator.audit(SynthesizedSet(folder))
