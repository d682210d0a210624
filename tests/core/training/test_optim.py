"""Parameter groups, LARS, schedule, EMA, FLOPs against hand values and the official ones."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from masquerade.core.encoders import ViTEncoder
from masquerade.core.errors import UsageError
from masquerade.core.training.compiling import compile_blocks, repeated_blocks, wants_compile
from masquerade.core.training.distributed import pick_device
from masquerade.core.training.ema import Ema
from masquerade.core.training.flops import forward_flops, peak_flops
from masquerade.core.training.lars import Lars
from masquerade.core.training.optim import layer_scale_groups, make_optimizer, set_lr
from masquerade.core.training.schedule import lr_at, lr_at_step
from masquerade.core.training.settings import OptimSettings, TrainSettings

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def golden():
    folder = Path(os.environ.get("MASQUERADE_GOLDEN", ROOT.parent / "shared/golden"))
    if not (folder / "mae.npz").is_file():
        pytest.skip(f"no golden vectors at {folder} (set MASQUERADE_GOLDEN)")
    return np.load(folder / "mae.npz")


def test_lars_equals_the_official_steps(golden):
    config = json.loads(str(golden["config"]))["lars"]
    weight, bias = (nn.Parameter(torch.tensor(golden[f"input/lars/{n}"])) for n in ("w0", "b0"))
    optimizer = Lars(
        [weight, bias], lr=config["lr"], weight_decay=config["weight_decay"],
        momentum=config["momentum"], trust=config["trust_coefficient"],
    )  # fmt: skip
    wanted = golden["output/lars/params_after_each_step"]
    for gradient, want in zip(golden["input/lars/grads"], wanted, strict=True):
        weight.grad = torch.tensor(gradient[:24]).view(4, 6)
        bias.grad = torch.tensor(gradient[24:])
        optimizer.step()
        got = torch.cat([weight.detach().flatten(), bias.detach()])
        torch.testing.assert_close(got, torch.tensor(want), rtol=1e-6, atol=1e-7)


def test_schedule_equals_the_official_one(golden):
    config = json.loads(str(golden["config"]))["lr_schedule"]
    ours = [lr_at(epoch, **config) for epoch in golden["input/lr_epochs"]]
    np.testing.assert_allclose(ours, golden["output/lr_schedule"], rtol=1e-12)


def test_lars_leaves_zero_norms_and_vectors_alone():
    zero, vector = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.ones(2))
    zero.grad, vector.grad = torch.ones(2, 2), torch.ones(2)
    Lars([zero, vector], lr=0.5, weight_decay=0.1).step()
    assert zero.tolist() == [[-0.5, -0.5]] * 2  # by hand: scale 1, no decay of a zero
    assert vector.tolist() == [0.5, 0.5]


def test_lr_of_a_run_by_hand():
    optim = OptimSettings(blr=1.5e-4, warmup_epochs=40, min_lr=0)
    rates = [
        lr_at_step(s, optim, batch_size=4096, steps=8000, steps_per_epoch=10)
        for s in (0, 200, 400, 4200, 8000)
    ]
    assert rates == pytest.approx([0, 1.2e-3, 2.4e-3, 1.2e-3, 0], abs=1e-12)
    quick = OptimSettings(lr=1.0, warmup_steps=4)
    two = [lr_at_step(s, quick, batch_size=8, steps=8, steps_per_epoch=100) for s in (2, 4, 6)]
    assert two == pytest.approx([0.5, 1.0, 0.5])
    assert TrainSettings(epochs=2.5).total_steps(10) == 25
    assert TrainSettings(epochs=2.5, steps=7).total_steps(10) == 7


def test_warm_up_may_begin_above_zero():
    """Vec2Face+'s pose stage, by hand: from 1e-7 over one epoch to 1e-4, then down to 1e-6."""
    optim = OptimSettings(lr=1e-4, warmup_epochs=1, warmup_start=1e-3, min_lr=1e-6)
    rates = [
        lr_at_step(s, optim, batch_size=256, steps=40, steps_per_epoch=4) for s in (0, 1, 2, 4, 40)
    ]
    wanted = [1e-7, 1e-7 + 0.25 * 9.99e-5, 1e-7 + 0.5 * 9.99e-5, 1e-4, 1e-6]
    assert rates == pytest.approx(wanted, rel=1e-12)
    with pytest.raises(ValueError, match="less than 1"):
        OptimSettings(warmup_start=1.0)


def test_groups_of_a_vit_by_hand():
    encoder = ViTEncoder(patch_values=12, grid=(2, 2), dim=8, depth=2, heads=2)
    encoder.norm.weight.requires_grad_(False)
    groups = layer_scale_groups(
        encoder.named_parameters(), weight_decay=0.05, layer_decay=0.5,
        layer_id=encoder.layer_id, no_decay=["cls_token"],
    )  # fmt: skip
    found = {n: (g["lr_scale"], g["weight_decay"]) for g in groups for n in g["names"]}
    assert found["cls_token"] == (0.125, 0.0)
    assert found["embed.weight"] == (0.125, 0.05)
    assert found["embed.bias"] == (0.125, 0.0)
    assert found["blocks.0.attn.qkv.weight"] == (0.25, 0.05)
    assert found["blocks.1.mlp.fc2.bias"] == (0.5, 0.0)
    assert found["norm.bias"] == (1.0, 0.0)
    assert "norm.weight" not in found
    assert len(found) == len(list(encoder.named_parameters())) - 1
    plain = layer_scale_groups(encoder.named_parameters(), weight_decay=0.05)
    tokens = {n: g["weight_decay"] for g in plain for n in g["names"]}
    assert tokens["cls_token"] == 0.05, "the official pre-training decays the 3-D tokens"


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "lars"])
def test_optimizer_takes_each_groups_lr(name):
    near, far = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    groups = [
        {"params": [near], "names": ["near"], "weight_decay": 0.0, "lr_scale": 0.5},
        {"params": [far], "names": ["far"], "weight_decay": 0.0, "lr_scale": 1.0},
    ]
    optimizer = make_optimizer(groups, OptimSettings(optimizer=name))
    set_lr(optimizer, 0.1)
    near.grad, far.grad = torch.ones(3), torch.ones(3)
    optimizer.step()
    assert near.tolist() == pytest.approx([0.95] * 3)
    assert far.tolist() == pytest.approx([0.9] * 3)
    with pytest.raises(UsageError, match="no parameter is trainable"):
        make_optimizer([], OptimSettings(optimizer=name))


def test_adams_weight_decay_is_part_of_the_gradient():
    """What sets it apart from AdamW: a decayed weight without a gradient moves as far as lr."""
    moved = {}
    for name in ("adam", "adamw"):
        weight = nn.Parameter(torch.full((1,), 2.0))
        group = {"params": [weight], "names": ["w"], "weight_decay": 0.1, "lr_scale": 1.0}
        optimizer = make_optimizer([group], OptimSettings(optimizer=name, betas=(0.9, 0.999)))
        set_lr(optimizer, 0.01)
        weight.grad = torch.zeros(1)
        optimizer.step()
        moved[name] = 2.0 - weight.item()
    assert moved == pytest.approx({"adam": 0.01, "adamw": 2.0 * 0.01 * 0.1}, rel=1e-3)


def test_a_schedule_may_move_between_epochs_only():
    optim = OptimSettings(lr=1.0, warmup_epochs=0, per_epoch=True)
    rates = [lr_at_step(s, optim, batch_size=1, steps=8, steps_per_epoch=2) for s in range(8)]
    wanted = [(1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in (0, 0, 1, 1, 2, 2, 3, 3)]
    assert rates == pytest.approx(wanted)
    flat = OptimSettings(lr=0.5, min_lr=0.5, warmup_epochs=0)
    rates = [lr_at_step(s, flat, batch_size=1, steps=8, steps_per_epoch=2) for s in range(8)]
    assert set(rates) == {0.5}


def test_ema_by_hand():
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 8.0)
    ema = Ema(layer.named_parameters(), decay=0.5)
    for value in (4.0, 2.0):
        nn.init.constant_(layer.weight, value)
        ema.update()
    assert ema.values["weight"].item() == 4.0  # ((8 + 4) / 2 + 2) / 2
    ema.load({"weight": torch.tensor([[1.0]])})
    ema.update()
    assert ema.values["weight"].item() == 1.5


def test_flops_are_those_of_the_shapes(toy):
    from masquerade.core.draws import Draws
    from masquerade.core.step import StepContext

    batch = next(toy.FakeLoader(64).batches(0))
    method = toy.Toy()
    flops = forward_flops(method, batch, Draws(0, batch.ids), StepContext())
    assert flops == 2 * 2 * 12 * 12  # two layers, 2 per multiply-add, one sample
    assert peak_flops(torch.device("cpu"), "bf16") is None


def test_attention_flops_are_counted():
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    encoder = ViTEncoder(patch_values=12, grid=(2, 2), dim=8, depth=1, heads=2)
    from masquerade.core.tokens import Tokens

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        encoder.encode(Tokens(torch.zeros(1, 4, 12), grid=(2, 2)))
    n, d = 5, 8
    block = 2 * (n * d * 3 * d + n * d * d + 2 * n * d * 4 * d) + 2 * (2 * n * n * d)
    assert counter.get_total_flops() == 2 * 4 * 12 * 8 + block


def test_compiled_blocks_are_the_repeated_ones():
    encoder = ViTEncoder(patch_values=12, grid=(2, 2), dim=8, depth=3, heads=2)
    assert repeated_blocks(nn.ModuleDict({"encoder": encoder})) == list(encoder.blocks)
    names = list(encoder.state_dict())
    assert compile_blocks(encoder) == 3
    assert list(encoder.state_dict()) == names
    assert wants_compile("auto", torch.device("cuda"))
    assert not wants_compile("auto", torch.device("cpu"))
    assert wants_compile(True, torch.device("cpu"))


@pytest.mark.parametrize("name", ["cuda:99", "abacus"])
def test_unusable_device_is_one_sentence(name):
    with pytest.raises(UsageError, match=f"device '{name}' cannot be used here"):
        pick_device(name)


def test_settings_are_frozen_and_checked():
    assert OptimSettings(lr="none").lr is None
    assert OptimSettings(lr=0.5).learning_rate(9) == 0.5
    assert math.isclose(OptimSettings(blr=0.1).learning_rate(512), 0.2)
    for bad in ({"lr": 0}, {"betas": (0.9, 1.0)}, {"lr": float("nan")}):
        with pytest.raises(ValueError, match="validation error"):
            OptimSettings(**bad)
    with pytest.raises(ValueError, match="10 is no multiple of accumulate 3"):
        TrainSettings(batch_size=10, accumulate=3)
