"""Vec2Face+'s second stage: what learns, where it starts, resume, and the official file."""

import sys
from pathlib import Path

import pytest
import torch

from masquerade.core.draws import Draws
from masquerade.core.errors import UsageError, WeightsError
from masquerade.core.step import StepContext
from masquerade.core.weights import save_method
from masquerade.generators.vec2face.config import POSE_GENERATION_ROWS
from masquerade.generators.vec2face.pose import pose_condition
from masquerade.generators.vec2face.start import load_start
from masquerade.methods.pretraining import pretrain
from masquerade.methods.recipes import resolve
from masquerade.methods.weights import export_official, import_official, load_method
from masquerade.modalities.image import Image
from masquerade.modalities.image.faces.templates import template

sys.path.insert(0, str(Path(__file__).parent))
from tiny_method import faces, overrides, tiny, write_faces  # noqa: E402

NO_GAN = {"rec": 1.0, "lpips": 0.4, "ssim": 1.0, "token": 0.0, "id": 1.0, "gan": 0.0}
POSE = {"pose": True, "lora_rank": 2, "weights": NO_GAN, "dropout": 0.5}
POINTS = torch.tensor(template("arcface-112").points).float()[None]


def trained(**more):
    """Weights of the first stage, with a frame and centres."""
    base = tiny(frame="fitted", weights=NO_GAN, **more)
    base.fit([faces(8)])
    return base


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    path = tmp_path_factory.mktemp("first") / "base.safetensors"
    save_method(trained(), path)
    return path


def outcome(method, **more):
    batch = faces()
    return method(batch, Draws(0, batch.ids), StepContext(0.0, 0, 0), **more)


def test_only_adapters_and_pose_net_learn_and_the_network_stays_in_eval_mode():
    method = tiny(**POSE).train()
    learning = {n for n, p in method.named_parameters() if p.requires_grad}
    adapters = {n for n, _ in method.named_parameters() if n.endswith((".A", ".B"))}
    assert len(adapters) == 2 * 2 * 2  # A and B of qkv and proj in one block on either side
    assert learning == adapters | {
        n for n, _ in method.named_parameters() if n.startswith("net.pose.")
    }
    assert method.training
    assert not any(module.training for module in method.net.modules())
    outcome(method).loss.backward()
    assert all((p.grad is not None) == p.requires_grad for p in method.parameters())
    assert tiny().train().net.training


def test_loss_is_the_pose_stages_and_points_not_found_are_counted():
    out = outcome(tiny(**POSE))
    assert set(out.parts) == {"rec", "lpips", "ssim", "id", "no_points"}
    p = {name: float(value) for name, value in out.parts.items()}
    expected = p["rec"] + 0.4 * p["lpips"] + p["ssim"] + p["id"]
    assert out.loss.item() == pytest.approx(expected, rel=1e-5)
    assert p["no_points"] == 1.0  # blobs are no faces


def test_the_condition_reaches_the_picture():
    method = tiny(**POSE)
    before = float(outcome(method).parts["rec"])
    torch.nn.init.normal_(method.net.pose.linear.weight)
    assert float(outcome(method).parts["rec"]) != before


def test_started_network_draws_what_the_first_stage_draws(start):
    method = tiny(frame="fitted", start=str(start), **POSE)
    batch = faces(8)
    method.fit([batch])
    base = load_method(start).eval()
    assert torch.equal(method.frame.centres, base.frame.centres)
    assert float(method.frame.scale) == float(base.frame.scale) != 1.0
    vectors, draws = base.embed(batch["image"]), Draws(0, batch.ids)
    with torch.no_grad():
        wanted, got = base.generate(vectors, draws), method.eval().generate(vectors, draws)
    assert torch.equal(wanted, got)  # B is 0, and nothing else differs


def test_plus_weights_go_on_with_their_adapters(start, tmp_path):
    first = tiny(frame="fitted", start=str(start), **POSE)
    first.fit([])
    for parameter in first.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter)
    save_method(first, tmp_path / "plus.safetensors")
    second = tiny(frame="fitted", start=str(tmp_path / "plus.safetensors"), **POSE)
    second.fit([])
    assert all(torch.equal(v, second.state_dict()[k]) for k, v in first.state_dict().items())


def test_pose_stage_without_trained_weights_is_refused():
    with pytest.raises(UsageError, match="pose stage begins with trained weights.*none are named"):
        tiny(**POSE).fit([])


def test_weights_that_do_not_fit_are_refused_with_what_differs(start, tmp_path):
    with pytest.raises(WeightsError, match=r"heads 2, the settings say 4"):
        load_start(tiny(**POSE, heads=4), start)
    with pytest.raises(WeightsError, match=str(tmp_path)):
        load_start(tiny(**POSE), tmp_path / "nothing.safetensors")
    damaged = trained()
    del damaged.net.norm
    save_method(damaged, tmp_path / "damaged.safetensors")
    with pytest.raises(WeightsError, match=r"net\.norm\.weight"):
        load_start(tiny(**POSE), tmp_path / "damaged.safetensors")


def test_pictures_of_a_pose_follow_it_at_rates_of_their_own():
    method = tiny(**POSE).eval()
    torch.nn.init.normal_(method.net.pose.linear.weight)
    ids = torch.arange(3)
    vectors, draws = Draws(1, ids).normal(128), Draws(0, ids)
    turned = POINTS + torch.tensor([[0.0, 0], [0, 0], [12, 0], [0, 0], [0, 0]])
    masks = []
    decode = method.net.decode
    method.net.decode = lambda x, mask, condition=None: (
        masks.append(mask.mask_bool.sum(1)) or decode(x, mask, condition)
    )
    with torch.no_grad():
        front, side = (pose_condition(method, points) for points in (POINTS, turned))
        assert front.shape == (1, 1, 16)
        made = [method.generate(vectors, draws, condition) for condition in (front, side, None)]
    assert not torch.allclose(made[0], made[1], atol=1e-4)
    low, high = 49 * POSE_GENERATION_ROWS.r_min, 49 * POSE_GENERATION_ROWS.r_max + 1
    assert all(low <= n <= high for n in masks[0].tolist())
    assert min(masks[2].tolist()) < low  # as without a pose net
    with pytest.raises(UsageError, match="hold no pose net"):
        pose_condition(tiny(), POINTS)


def test_a_pose_run_broken_off_goes_on_bit_for_bit(start, tmp_path, tmp_path_factory):
    folder = write_faces(tmp_path_factory.mktemp("aligned"))
    train = ("batch_size=4", "steps=4", "checkpoint_every_steps=2", "precision=fp32", "device=cpu")
    texts = [*overrides(frame="fitted", start=str(start), **{**POSE, "pose": "PLACE"})]
    texts = [text.replace('"PLACE"', "true") for text in texts if "weights" not in text]
    texts += [f"train.{text}" for text in train]
    resolved = resolve("vec2face", "vec2face-plus-pose", texts)
    for name in "ab":
        pretrain(resolved, Image.open(folder), tmp_path / name, progress=False)
    (tmp_path / "b" / "latest").unlink()
    (tmp_path / "b" / "latest").symlink_to("checkpoints/step-2")
    start.rename(tmp_path / "away")  # only a run's beginning needs it
    try:
        pretrain(resolved, Image.open(folder), tmp_path / "b", progress=False)
    finally:
        (tmp_path / "away").rename(start)
    for file in ("latest/model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    state, base = load_method(tmp_path / "a").state_dict(), load_method(start).state_dict()
    assert torch.equal(state["net.blocks.0.attn.qkv.base.weight"],
                       base["net.blocks.0.attn.qkv.weight"])  # fmt: skip
    assert state["net.blocks.0.attn.qkv.B"].any()
    assert state["net.pose.linear.weight"].any()


def test_export_has_the_official_layout_and_comes_back(start, tmp_path):
    method = tiny(frame="fitted", start=str(start), **POSE)
    method.fit([])
    save_method(method, tmp_path / "plus.safetensors")
    export_official(tmp_path / "plus.safetensors", tmp_path / "plus.pth")
    content = torch.load(tmp_path / "plus.pth", weights_only=True)
    assert set(content) == {"model_vec2face", "pose_model"}
    net = content["model_vec2face"]
    assert net["blocks.0.attn.qkv.base.weight"].shape == (48, 16)
    assert net["blocks.0.attn.qkv.A"].shape == (2, 16)
    assert net["decoder_blocks.0.attn.proj.B"].shape == (16, 2)
    assert "blocks.0.attn.qkv.weight" not in net
    assert {"conv1.weight", "conv4.bias", "linear.weight"} <= set(content["pose_model"])
    heads = {"heads": 2, "decoder_heads": 2, "norm_groups": 8}
    back = import_official("vec2face", tmp_path / "plus.pth", overrides=heads)
    assert back.container == "plus"
    mine = method.state_dict()
    same = [k for k in back.module.state_dict() if not k.startswith("frame.")]
    assert all(torch.equal(back.module.state_dict()[k], mine[k]) for k in same)
    assert len(same) == len([k for k in mine if not k.startswith("frame.")])


def test_recipes_say_what_the_card_says():
    plus, pose = resolve("vec2face", "vec2face-plus"), resolve("vec2face", "vec2face-plus-pose")
    terms = ("rec", "lpips", "ssim", "token", "id", "gan")
    given = [[getattr(r.settings.method.weights, t) for t in terms] for r in (plus, pose)]
    assert given == [[1, 0.4, 1, 1, 1, 0], [1, 0.4, 1, 0, 1, 0]]
    assert (plus.settings.optim.clip_norm, plus.settings.method.lora_rank) == (1.0, 0)
    method, optim, train = pose.settings.method, pose.settings.optim, pose.settings.train
    assert (method.lora_rank, method.lora_alpha, method.pose) == (8, 32, True)
    rows = method.training_rows
    assert (rows.r_min, rows.r_max, rows.mean, rows.std) == (0.6, 0.8, 0.7, 0.1)
    assert (train.epochs, train.batch_size) == (10, 256)
    assert (optim.lr, optim.weight_decay, optim.min_lr) == (1e-4, 0.05, 1e-6)
    assert (optim.warmup_epochs, optim.warmup_start) == (1, 1e-3)
