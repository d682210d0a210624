"""Vec2Face data sets end to end: bytes, σ column, AttrOP, refusals before the first picture."""

import json
import logging
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from masquerade.core.errors import DataError, UsageError, WeightsError
from masquerade.generators.engine.dataset import SynthesizedSet
from masquerade.generators.engine.synthesis import estimate, synthesize
from masquerade.generators.generator import RenderPlan
from masquerade.generators.vec2face import synthesizer
from masquerade.generators.vec2face.attrop import Attributed
from masquerade.generators.vec2face.attrop_losses import AttrLosses
from masquerade.generators.vec2face.certificate import read_identities, verify_certificate
from masquerade.generators.vec2face.settings import Vec2FaceSynthesis
from masquerade.generators.vec2face.synthesizer import Synthesizer
from masquerade.modalities.image.faces.embedders import open_embedder

sys.path.insert(0, str(Path(__file__).parent))
from vec2face_toy import request_for, write_weights  # noqa: E402

# the shipped net's feature norm stands in for a quality; untrained pictures have about 1.27
QUALITY = {
    "quality_target": 1.36, "quality_gate": 0.02, "quality_weight": 100.0, "id_weight": 0.0,
    "id_gate": 2.0, "lr": 0.5, "cap": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="module")
def generator(weights):
    return Synthesizer.open(weights, "cpu")


@pytest.fixture(scope="module")
def finished(weights, tmp_path_factory):
    """A set of 5 identities x 4 in 3 shards."""
    folder = tmp_path_factory.mktemp("finished") / "set"
    synthesize(request_for(weights, folder))
    return folder


def prepared(generator, folder, n=5, seed=0, progress=lambda done, total: None, **settings):
    """(facts, plan) of identities prepared in a new folder."""
    folder.mkdir()
    wanted = Vec2FaceSynthesis(**settings)
    facts = generator.prepare(n, wanted, seed, folder, progress)
    return facts, RenderPlan(seed, n, 4, wanted, folder)


def facts_of(folder, name):
    return [row.facts[name] for row in SynthesizedSet(folder).rows()]


def qualities(folder):
    """The stand-in quality of every picture."""
    net = open_embedder("face-api")
    found = []
    for _, pictures in SynthesizedSet(folder).batches(32):
        images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.inference_mode():
            found.append(net.embed(images, "arcface-112").norm(dim=1))
    return torch.cat(found)


def test_two_workers_make_the_bytes_of_one(weights, finished, snapshot, tmp_path):
    synthesize(request_for(weights, tmp_path / "two", workers=2))
    assert snapshot(tmp_path / "two") == snapshot(finished)


def test_another_seed_gives_other_identities_and_other_pictures(weights, finished, tmp_path):
    synthesize(request_for(weights, tmp_path / "set", seed=1))
    one, other = SynthesizedSet(finished), SynthesizedSet(tmp_path / "set")
    assert not {row.sha256 for row in one.rows()} & {row.sha256 for row in other.rows()}
    assert not np.array_equal(read_identities(one.prepared), read_identities(other.prepared))


def test_sigma_column_has_the_quotas_of_every_identity(finished):
    sigmas = np.reshape(facts_of(finished, "sigma"), (5, 4))
    assert [Counter(row.tolist()) for row in sigmas] == [{0.3: 2, 0.5: 1, 0.7: 1}] * 5
    assert len({tuple(row) for row in sigmas.tolist()}) > 1  # which picture, each for itself
    assert all(facts_of(finished, "accepted"))


def test_pictures_of_an_identity_differ_and_resemble_each_other(finished):
    """Untrained weights: the vector alone decides what is shared."""
    _, pictures = next(SynthesizedSet(finished).batches(20))
    flat = pictures.reshape(5, 4, -1).astype(np.float64)
    within = np.abs(flat[:, 0] - flat[:, 1]).mean()
    between = np.abs(flat[0] - flat[1:]).mean()
    assert 1 < within < between


def test_picture_depends_on_its_row_alone(generator, tmp_path):
    _, plan = prepared(generator, tmp_path / "p")
    who, which = np.array([0, 4, 2, 2]), np.array([3, 0, 1, 2])
    together = generator.render(plan, who, which)
    alone = generator.render(plan, who[2:3], which[2:3])
    again = generator.render(plan, who, which)
    assert np.array_equal(together.images, again.images)
    assert np.abs(together.images[2].astype(int) - alone.images[0]).max() <= 1
    assert together.facts[2] == alone.facts[0]
    assert np.abs(together.images[2].astype(int) - together.images[3]).max() > 20


def test_identities_are_mapped_not_read(generator, tmp_path):
    _, plan = prepared(generator, tmp_path / "p")
    generator.render(plan, np.array([1]), np.array([0]))
    assert isinstance(generator._identities(plan.folder), np.memmap)


def test_preparation_is_the_same_bytes_each_time(generator, tmp_path):
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder, seed in zip(folders, (0, 0, 1), strict=True):
        prepared(generator, folder, seed=seed)
    one, two, three = ([p.read_bytes() for p in sorted(f.iterdir())] for f in folders)
    assert one == two
    assert one != three


def test_quality_pass_moves_identities_on_one_thread_and_keeps_the_certificate_true(
    generator, tmp_path, monkeypatch
):
    plain, _ = prepared(generator, tmp_path / "plain")
    settings = {"quality": "face-api", "identity_attrop": QUALITY | {"cap": 2}}
    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    facts, _ = prepared(generator, tmp_path / "moved", **settings)
    assert threads == [1, 1]  # in, and out again to this test's own
    again, _ = prepared(generator, tmp_path / "again", **settings)
    own, moved = read_identities(tmp_path / "plain"), read_identities(tmp_path / "moved")
    assert np.abs(own - moved).max() > 0.1
    assert facts["identities_put_back"] == 0
    assert (
        verify_certificate(tmp_path / "moved").tried == verify_certificate(tmp_path / "plain").tried
    )
    for name in ("identities.npy", "certificate.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "moved" / name).read_bytes()
    assert (facts, set(facts) - set(plain)) == (
        again, {"identity_attrop", "identity_attrop_accepted", "identities_put_back"}
    )  # fmt: skip
    assert "of 5 reached their targets" in str(facts["identity_attrop"])


class Together:
    """Moves every vector to one place."""

    def run(self, vectors, wanted, paint):
        moved = torch.ones_like(vectors)
        zeros = torch.zeros(len(vectors))
        losses = AttrLosses(zeros, zeros, zeros)
        return Attributed(moved, zeros == 0, zeros.long(), losses, losses)


def test_identities_that_the_quality_pass_brings_together_are_put_back(
    generator, tmp_path, monkeypatch
):
    monkeypatch.setattr(generator.nets, "attrop", lambda *_: Together())
    prepared(generator, tmp_path / "plain", n=70)
    seen = []
    facts, _ = prepared(
        generator, tmp_path / "moved", n=70, progress=lambda *done: seen.append(done),
        identity_attrop=QUALITY,
    )  # fmt: skip
    assert facts["identities_put_back"] == 70
    assert np.array_equal(read_identities(tmp_path / "moved"), read_identities(tmp_path / "plain"))
    assert verify_certificate(tmp_path / "moved").max_cosine < 0.4
    assert seen[-2:] == [(64, 70), (70, 70)]


def test_attrop_of_pictures_raises_the_quality_and_tells_its_acceptance(
    weights, finished, tmp_path
):
    settings = {"quality": "face-api", "image_attrop": QUALITY}
    outcome = synthesize(request_for(weights, tmp_path / "set", 3, settings=settings))
    before, after = qualities(finished)[:12], qualities(tmp_path / "set")
    assert float((after - before).mean()) > 0.01
    accepted = facts_of(tmp_path / "set", "accepted")
    assert 0 < sum(accepted) < 12
    assert outcome.audit["findings"]["image_attrop"] == {
        "pictures": 12, "accepted": sum(accepted), "acceptance": round(sum(accepted) / 12, 6),
        "cap": 5,
    }  # fmt: skip
    (line,) = outcome.closing
    assert line.startswith(f"image_attrop: {sum(accepted)} of 12 reached their targets (")
    assert f"; {12 - sum(accepted)} ended at the cap of 5 steps" in line
    assert facts_of(tmp_path / "set", "sigma") == facts_of(finished, "sigma")[:12]


def test_target_out_of_reach_ends_at_the_cap_with_a_line(weights, tmp_path, caplog):
    wanted = QUALITY | {"quality_target": 50.0, "cap": 1}
    settings = {"quality": "face-api", "image_attrop": wanted, "identity_attrop": wanted}
    request = request_for(weights, tmp_path / "set", 2, 2, settings=settings)
    with caplog.at_level(logging.WARNING):
        outcome = synthesize(request)
    assert outcome.audit["findings"]["image_attrop"]["accepted"] == 0
    lines = outcome.closing
    # of the identities it is said before the first picture, too: there is time to stop
    assert [record.getMessage() for record in caplog.records] == [lines[0]]
    assert lines[0].startswith("identity_attrop: mean identity distance ")
    assert "; 0 of 2 reached their targets (0.0 %); 2 ended at the cap of 1 steps" in lines[0]
    assert lines[1].startswith("image_attrop: 0 of 4 reached their targets (0.0 %); 4 ended at")
    assert all("may be out of reach" in line for line in lines)
    told = json.loads((tmp_path / "set" / "plan.json").read_text())["prepared_facts"]
    assert told["identity_attrop_accepted"] == 0


def test_a_worker_opens_the_nets_of_attrop_itself(generator, weights, tmp_path):
    """It opens them while it renders, in torch's inference mode, and needs their gradients."""
    rows = np.array([0, 1]), np.array([0, 2])
    settings = {"quality": "face-api", "image_attrop": QUALITY | {"cap": 2}}
    _, plan = prepared(generator, tmp_path / "p", **settings)
    here = generator.render(plan, *rows)
    there = Synthesizer.open(weights, "cpu").render(plan, *rows)
    assert np.array_equal(here.images, there.images)


def test_pictures_by_another_net_than_the_planned_one_are_refused(weights, tmp_path):
    generator = Synthesizer.open(weights, "cpu")
    _, plan = prepared(
        generator, tmp_path / "p", quality="face-api", image_attrop=QUALITY | {"cap": 1}
    )
    path = plan.folder / "nets.json"
    nets = json.loads(path.read_text())
    assert set(nets) == {"embedder", "quality"}
    path.write_text(json.dumps(nets | {"quality": "0" * 64}))
    with pytest.raises(DataError, match=r"the quality net .* was made with 0000000000000000…"):
        generator.render(plan, np.array([0]), np.array([0]))


def test_quality_net_without_gradients_is_refused(weights, tmp_path):
    generator = Synthesizer.open(weights, "cpu")
    generator.nets._opened("face-api").differentiable = False
    with pytest.raises(UsageError, match="'face-api' gives no gradients, which image_attrop needs"):
        prepared(generator, tmp_path / "p", quality="face-api", image_attrop=QUALITY)


def test_gate_that_is_wide_beside_its_target_is_refused_with_the_published_proportions(
    generator, tmp_path
):
    """The defaults are for norms of MagFace: with them any face would do for face-api's 1.36."""
    asked = {"quality": "face-api", "identity_attrop": {"quality_target": 1.36}}
    with pytest.raises(UsageError) as caught:
        prepared(generator, tmp_path / "p", **asked)
    assert "quality_gate 1 would let a quality of 0.36 pass for the target 1.36" in str(caught)
    words = caught.value.remedy.split("--set identity_attrop.")[1:]
    mended = dict(word.split()[0].split("=") for word in words)
    assert mended == {"quality_gate": "0.05", "quality_weight": "20"}
    values = {name: float(value) for name, value in mended.items()}
    wanted = {"quality_target": 1.36, "cap": 0, **values}
    prepared(generator, tmp_path / "q", quality="face-api", identity_attrop=wanted)
    with pytest.raises(UsageError, match="give a positive image_attrop.quality_target"):
        wanted = {"quality_target": -1.0}
        prepared(generator, tmp_path / "r", quality="face-api", image_attrop=wanted)


def test_closing_says_which_identities_reached_their_target_and_which_were_put_back(
    generator, weights, tmp_path, monkeypatch
):
    settings = {"quality": "face-api", "identity_attrop": QUALITY | {"quality_target": 1.2}}
    request = request_for(weights, tmp_path / "set", 3, 2, settings=settings)
    outcome = synthesize(request)
    (line,) = outcome.closing
    assert line.endswith("; 3 of 3 reached their targets (100.0 %)")
    assert synthesize(request).closing == outcome.closing  # asked again of the finished set
    dataset = SynthesizedSet(tmp_path / "set")
    monkeypatch.setitem(dataset.plan.prepared_facts, "identities_put_back", 2)
    assert "; 2 were put back to where they were drawn" in generator.closing(dataset)[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"image_attrop": {}},
            r"image_attrop\.quality_target 27\.0 needs a quality net.*--set quality=NAME",
        ),
        (
            {"identity_attrop": {"pose_target": 60}},
            r"identity_attrop\.pose_target 60\.0 needs a di",
        ),
        ({"image_attrop": {"quality_target": None}}, "image_attrop has no target"),
        ({"image_attrop": {}, "quality": "nobody"}, "no face extractor 'nobody'"),
        ({"embedder": "pca-lda"}, "gives vectors of .* values, the weights take 128"),
    ],
)
def test_what_is_missing_is_said_before_the_first_picture(generator, tmp_path, settings, message):
    with pytest.raises(UsageError, match=message):
        prepared(generator, tmp_path / "p", **settings)
    assert not list((tmp_path / "p").iterdir())


def test_weights_that_name_no_extractor_need_one(tmp_path):
    path = write_weights(tmp_path / "w.safetensors", embedder="", rep_dim=64)
    with pytest.raises(UsageError, match="do not say which face extractor .*--set embedder=FILE"):
        prepared(Synthesizer.open(path, "cpu"), tmp_path / "p")


@pytest.mark.parametrize(
    "settings",
    [{"image_attrop": {"gate": "batch"}}, {"vectors": "a.npy", "centres": "b.npy"}],
)
def test_settings_that_contradict_a_data_set_are_refused(settings):
    with pytest.raises(ValueError, match="depend on the ones beside it|the identities themselves"):
        Vec2FaceSynthesis(**settings)


def test_without_shipped_weights_the_mend_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(synthesizer, "SHIPPED", tmp_path / "demo.safetensors")
    with pytest.raises(WeightsError, match="no demo weights of vec2face .*--weights FILE"):
        Synthesizer.open(None, "cpu")


def test_compiled_and_half_precision_networks_draw_the_same_pictures(
    generator, tmp_path, monkeypatch
):
    """Traced whole and with fixed shapes; the kernels themselves are torch's own matter."""
    compiler, asked = torch.compile, []

    def traced(net, **how):
        asked.append(how)
        return compiler(net, backend="eager", fullgraph=how["fullgraph"], dynamic=how["dynamic"])

    monkeypatch.setattr(torch, "compile", traced)
    rows = np.array([0, 1, 4]), np.array([0, 2, 1])
    _, plan = prepared(generator, tmp_path / "p")
    plain = generator.render(plan, *rows).images.astype(int)
    _, plan = prepared(generator, tmp_path / "c", compile=True)
    assert np.array_equal(generator.render(plan, *rows).images, plain)
    assert asked == [
        {"fullgraph": True, "dynamic": False, "options": {"deterministic": True}}
    ]  # fmt: skip
    _, plan = prepared(generator, tmp_path / "h", precision="bf16")
    assert 0 < np.abs(generator.render(plan, *rows).images - plain).mean() < 8


def test_dry_run_predicts_the_separation_but_not_a_quality_pass(weights, generator, tmp_path):
    cost = estimate(request_for(weights, tmp_path / "set"))
    assert (cost.images, cost.shards) == (20, 3)
    assert 0 < cost.prepare_s < 60
    assert not (tmp_path / "set").exists()
    wanted = Vec2FaceSynthesis(identity_attrop=QUALITY, quality="face-api")
    assert generator.preparation_s(5, wanted) is None


def test_files_limited_in_size_leave_no_half_shard_and_the_command_goes_on(
    refused_by_a_full_disk, weights, finished, snapshot, tmp_path
):
    """A shard is 200 kB here; the system refuses the bytes after the first 100 kB."""
    words = [
        "synthesize", "vec2face", "--weights", weights, "--identities", 5,
        "--images-per-identity", 4, "--images-per-shard", 8, "--batch-size", 4,
        "--device", "cpu", "--format", "png",
    ]  # fmt: skip
    refused_by_a_full_disk(words, tmp_path / "set", file_bytes=100_000)
    assert snapshot(tmp_path / "set") == snapshot(finished)
