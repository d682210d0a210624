"""Data sets whose pictures have poses: bytes, the column, the rates, refusals."""

import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from masquerade.core.errors import DataError, UsageError
from masquerade.core.hashing import sha256_file
from masquerade.generators.engine.dataset import SynthesizedSet
from masquerade.generators.engine.synthesis import synthesize
from masquerade.generators.generator import RenderPlan
from masquerade.generators.vec2face.config import POSE_GENERATION_ROWS
from masquerade.generators.vec2face.perturbation import row_draws
from masquerade.generators.vec2face.pose import pose_condition
from masquerade.generators.vec2face.poses import pose_of
from masquerade.generators.vec2face.settings import Vec2FaceSynthesis
from masquerade.generators.vec2face.synthesizer import Synthesizer
from masquerade.modalities.image.faces.templates import template

sys.path.insert(0, str(Path(__file__).parent))
from vec2face_toy import request_for, write_weights  # noqa: E402

POSED = {"pose": True, "lora_rank": 2}
ATTROP = {
    "quality_target": 1.36, "quality_gate": 0.02, "quality_weight": 100.0, "id_weight": 0.0,
    "id_gate": 2.0, "lr": 0.5, "cap": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("posed")


@pytest.fixture(scope="module")
def weights(folder):
    return write_weights(folder / "posed.safetensors", **POSED)


@pytest.fixture(scope="module")
def generator(weights):
    return Synthesizer.open(weights, "cpu")


@pytest.fixture(scope="module")
def poses(folder):
    """Three: to the front, and with the nose to either side."""
    points = np.stack([template("arcface-112").points] * 3).astype(np.float32)
    points[:, 2, 0] += [0, -14, 14]
    np.save(folder / "poses.npy", points)
    return folder / "poses.npy"


@pytest.fixture(scope="module")
def finished(weights, poses, folder):
    """A set of 5 identities x 4 in 3 shards."""
    synthesize(request_for(weights, folder / "set", settings={"pose": str(poses)}))
    return folder / "set"


def prepared(generator, folder, **settings):
    folder.mkdir()
    wanted = Vec2FaceSynthesis(**settings)
    facts = generator.prepare(5, wanted, 0, folder, lambda done, total: None)
    return facts, RenderPlan(0, 5, 4, wanted, folder)


def test_two_workers_make_the_bytes_of_one(weights, poses, finished, snapshot, tmp_path):
    synthesize(request_for(weights, tmp_path / "two", workers=2, settings={"pose": str(poses)}))
    assert snapshot(tmp_path / "two") == snapshot(finished)


def test_a_lost_shard_is_made_again_without_the_file_of_poses(
    weights, poses, finished, snapshot, tmp_path
):
    gone = tmp_path / "poses.npy"
    gone.write_bytes(poses.read_bytes())
    asked = request_for(weights, tmp_path / "set", settings={"pose": str(gone)})
    synthesize(asked)
    before = snapshot(asked.out)
    gone.unlink()
    (asked.out / "shards" / "000001.tar").unlink()
    synthesize(asked)
    assert snapshot(asked.out) == before
    pictures = [[row.sha256 for row in SynthesizedSet(f).rows()] for f in (finished, asked.out)]
    assert pictures[0] == pictures[1]  # where the file lay is in the plan, not in the pictures


def test_the_manifest_says_which_pose_and_the_plan_which_file(finished, poses):
    dataset = SynthesizedSet(finished)
    rows = list(dataset.rows())
    who, which = (torch.tensor([getattr(r, n) for r in rows]) for n in ("identity", "number"))
    assert [row.facts["pose"] for row in rows] == pose_of(0, who, which, 3).tolist()
    given = np.reshape([row.facts["pose"] for row in rows], (5, 4))
    assert all(set(row[:3]) == {0, 1, 2} for row in given.tolist())
    facts = dataset.plan.prepared_facts
    assert (facts["poses"], facts["poses_sha256"]) == (3, sha256_file(poses))
    assert dataset.plan.prepared["poses.npy"] == sha256_file(finished / "prepared" / "poses.npy")
    assert set(dataset.plan.prepared) == {
        "identities.npy", "certificate.json", "poses.npy", "poses.json",
    }  # fmt: skip


def test_changed_poses_of_a_set_are_refused(weights, poses, tmp_path):
    asked = request_for(weights, tmp_path / "set", 2, 2, settings={"pose": str(poses)})
    synthesize(asked)
    (asked.out / "prepared" / "poses.npy").write_bytes(b"others")
    with pytest.raises(DataError, match=r"poses\.npy has the sha256"):
        synthesize(asked)


def test_picture_is_the_methods_own_of_its_vector_and_pose(generator, poses, tmp_path):
    _, plan = prepared(generator, tmp_path / "p", pose=str(poses), perturbation={
        "sigmas": (0.0,), "shares": (1.0,)})  # fmt: skip
    who, which = np.array([0, 4, 2]), np.array([3, 0, 1])
    made = generator.render(plan, who, which)
    points = torch.from_numpy(np.load(poses))[[fact["pose"] for fact in made.facts]]
    vectors = torch.from_numpy(np.load(plan.folder / "identities.npy")[who])
    draws = row_draws(0, torch.from_numpy(who), torch.from_numpy(which), "render")
    with torch.no_grad():
        condition = pose_condition(generator.method, points)
        images = generator.method.generate(vectors, draws, condition).clamp(-1, 1)
        other = generator.method.generate(vectors, draws, condition.flip(0)).clamp(-1, 1)
    wanted = ((images + 1) * 127.5).round().permute(0, 2, 3, 1).numpy()
    assert np.abs(made.images.astype(float) - wanted).max() <= 1
    assert (images - other).abs().mean() * 127.5 > 1  # another pose, another picture
    alone = generator.render(plan, who[1:2], which[1:2])
    assert np.abs(made.images[1].astype(int) - alone.images[0]).max() <= 1
    assert made.facts[1] == alone.facts[0]


def test_masks_have_the_rates_of_the_pose_stage(generator, poses, tmp_path, monkeypatch):
    seen = []
    decode = generator.method.net.decode
    monkeypatch.setattr(
        generator.method.net, "decode",
        lambda x, mask, condition=None: (
            seen.append((mask.mask_bool.sum(1), condition)) or decode(x, mask, condition)
        ),
    )  # fmt: skip
    settings = {"pose": str(poses), "quality": "face-api", "image_attrop": ATTROP}
    _, plan = prepared(generator, tmp_path / "p", **settings)
    generator.render(plan, np.arange(4), np.zeros(4, dtype=int))
    low, high = 49 * POSE_GENERATION_ROWS.r_min, 49 * POSE_GENERATION_ROWS.r_max + 1
    assert len(seen) == 4  # AttrOP's start and two steps, then the picture
    assert all(low <= n <= high for counts, _ in seen for n in counts.tolist())
    assert all(torch.equal(condition, seen[-1][1]) for _, condition in seen)


def test_pose_weights_draw_without_a_pose_and_say_so(generator, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        facts, plan = prepared(generator, tmp_path / "p")
    assert "hold a pose net and no pose is asked for" in caplog.text
    assert "poses" not in facts
    made = generator.render(plan, np.array([1]), np.array([2]))
    assert set(made.facts[0]) == {"sigma", "accepted"} == set(generator.columns(plan.settings))
    assert not (plan.folder / "poses.npy").exists()
    assert made.images.std() > 5


def test_weights_without_a_pose_net_refuse_before_anything_is_written(poses, tmp_path):
    plain = write_weights(tmp_path / "plain.safetensors")
    asked = request_for(plain, tmp_path / "set", settings={"pose": str(poses)})
    with pytest.raises(UsageError, match="hold no pose net, so no pose can be asked for"):
        synthesize(asked)
    assert not asked.out.exists()


def test_compiled_and_half_precision_networks_draw_the_same_poses(
    generator, poses, tmp_path, monkeypatch
):
    compiler = torch.compile
    monkeypatch.setattr(
        torch, "compile",
        lambda net, **how: compiler(net, backend="eager", fullgraph=how["fullgraph"]),
    )  # fmt: skip
    rows = np.array([0, 1, 4]), np.array([0, 2, 1])
    _, plan = prepared(generator, tmp_path / "p", pose=str(poses))
    plain = generator.render(plan, *rows).images.astype(int)
    _, plan = prepared(generator, tmp_path / "c", pose=str(poses), compile=True)
    assert np.array_equal(generator.render(plan, *rows).images, plain)
    _, plan = prepared(generator, tmp_path / "h", pose=str(poses), precision="bf16")
    assert 0 < np.abs(generator.render(plan, *rows).images - plain).mean() < 8


def test_json_beside_a_picture_names_its_pose(finished):
    import tarfile

    with tarfile.open(finished / "shards" / "000000.tar") as tar:
        about = json.load(tar.extractfile("0000000_0000.json"))
    who, which = torch.tensor([0]), torch.tensor([0])
    assert about["facts"]["pose"] == pose_of(0, who, which, 3).item()
