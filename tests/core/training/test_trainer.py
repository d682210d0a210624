"""The loop itself: equal results however a batch is split, skipped steps, pictures, numbers."""

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from masquerade.core.errors import MasqueradeError, UsageError
from masquerade.core.training.trainer import micro_batches, step_seed

SCRIPT = Path(__file__).with_name("toy_run.py")


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def first_gradients(toy, folder, settings, **more):
    seen = []
    original = toy.spy_gradients(seen)
    try:
        toy.train(folder, settings, dropout=0.0, **more)
    finally:
        torch.optim.AdamW.step = original
    return seen[0]


def agree(run, other):
    losses, others = ([m["loss"] for m in metrics(r)] for r in (run, other))
    assert len(losses) == 20
    assert losses == pytest.approx(others, rel=1e-5)
    # each step has another batch: equal losses cannot come from standing still
    assert len(set(losses)) == 20


def test_accumulation_of_4x16_equals_one_batch_of_64(toy, tmp_path):
    one = first_gradients(toy, tmp_path / "one", {})
    four = first_gradients(toy, tmp_path / "four", {"train": {"accumulate": 4}})
    assert one.abs().max() > 1e-3
    assert torch.allclose(one, four, rtol=0, atol=1e-6)
    agree(tmp_path / "one", tmp_path / "four")


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_equal_one_with_the_same_global_batch(toy, tmp_path, accumulate):
    one = first_gradients(toy, tmp_path / "one", {})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"dropout": 0.0, "train": {"accumulate": accumulate}}
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
            "--master-addr", "127.0.0.1", "--master-port", str(port),
            str(SCRIPT), str(tmp_path / "two"), json.dumps(options),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    two = torch.load(tmp_path / "two.pt", weights_only=True)
    assert torch.allclose(one, two, rtol=0, atol=1e-6)
    agree(tmp_path / "one", tmp_path / "two")


def test_non_finite_loss_skips_the_step_and_keeps_its_ids(toy, tmp_path):
    outcome, method = toy.train(tmp_path / "run", poison=[4, 9])
    lines = metrics(tmp_path / "run")
    assert [m["step"] for m in lines if m["skipped"]] == [5, 10]
    assert [lines[4]["loss"], lines[4]["parts"]] == [None, {"double": None}]
    assert outcome.skipped == 2
    assert method.updates.item() == 18  # a skipped step changes nothing, the teacher included
    assert all(torch.isfinite(p).all() for p in method.parameters())
    bad = [json.loads(line) for line in (tmp_path / "run/bad_batches.jsonl").read_text().split()]
    batch = next(toy.FakeLoader(64).batches(4))
    assert bad[0]["ids"] == batch.ids.tolist()
    assert (bad[0]["step"], bad[0]["loss"]) == (5, "nan")


def test_weights_and_moments_do_not_move_in_a_skipped_step(toy, tmp_path):
    from masquerade.core.weights import read_weights

    settings = {"train": {"steps": 8, "checkpoint_every_steps": 1, "keep": 9}}
    toy.train(tmp_path / "run", settings, poison=[5])
    for name in ("model.safetensors", "state.safetensors"):
        after = [
            read_weights(tmp_path / f"run/checkpoints/step-{n}" / name).state for n in (5, 6, 7)
        ]
        assert all(torch.equal(after[0][k], after[1][k]) for k in after[0]), name
        assert any(not torch.equal(after[1][k], after[2][k]) for k in after[0]), name


def test_run_stops_after_n_non_finite_steps_in_a_row(toy, tmp_path):
    settings = {"train": {"max_skipped": 3}}
    with pytest.raises(MasqueradeError, match=r"not finite in 3 steps in a row, up to step 13"):
        toy.train(tmp_path / "run", settings, poison=[3, 4, 10, 11, 12])
    assert len(metrics(tmp_path / "run")) == 13


def test_first_step_has_lr_zero_and_the_peak_comes_after_warmup(toy, tmp_path):
    toy.train(tmp_path / "run")
    rates = [m["lr"] for m in metrics(tmp_path / "run")]
    assert rates[:6] == pytest.approx([0, 0.002, 0.004, 0.006, 0.008, 0.01])
    assert rates[-1] == pytest.approx(0.01 * 0.5 * (1 + math.cos(math.pi * 14 / 15)))


def test_parts_are_logged_as_means_over_the_batch(toy, tmp_path):
    toy.train(tmp_path / "run", {"train": {"accumulate": 4}})
    for line in metrics(tmp_path / "run"):
        assert line["parts"]["double"] == pytest.approx(2 * line["loss"], rel=1e-6)


def test_clipping_bounds_the_gradient_and_logs_the_norm_before(toy, tmp_path):
    free = first_gradients(toy, tmp_path / "free", {})
    cut = first_gradients(toy, tmp_path / "cut", {"optim": {"clip_norm": 0.01}})
    assert cut.norm().item() == pytest.approx(0.01, rel=1e-3)
    assert torch.allclose(cut / cut.norm(), free / free.norm(), atol=1e-5)
    assert metrics(tmp_path / "cut")[0]["grad_norm"] == pytest.approx(free.norm().item(), rel=1e-5)


def test_ema_is_the_average_of_the_weights(toy, tmp_path):
    settings = {"train": {"steps": 6, "ema_decay": 0.9, "checkpoint_every_steps": 1, "keep": 9}}
    toy.train(tmp_path / "run", settings)
    from masquerade.core.weights import read_weights

    folders = [tmp_path / f"run/checkpoints/step-{n}" for n in range(1, 7)]
    weights = [read_weights(f / "model.safetensors").state["blocks.0.weight"] for f in folders]
    average = weights[0]  # the first step's lr is 0: it equals the start
    for weight in weights[1:]:
        average = 0.9 * average + 0.1 * weight
    stored = read_weights(folders[-1] / "state.safetensors").state["ema/blocks.0.weight"]
    assert torch.allclose(stored, average, atol=1e-6)
    assert (stored - weights[-1]).abs().max() > 1e-5


def test_bf16_runs_stay_near_float32(toy, tmp_path):
    toy.train(tmp_path / "plain", dropout=0.0)
    toy.train(tmp_path / "half", {"train": {"precision": "bf16"}}, dropout=0.0)
    plain, half = (metrics(tmp_path / n)[-1]["loss"] for n in ("plain", "half"))
    assert half == pytest.approx(plain, rel=0.02)
    assert half != plain


def test_pictures_come_every_k_steps_and_do_not_disturb(toy, tmp_path):
    drawn = []

    def picture(method, batch, draws, step, path):
        assert not method.training
        torch.rand(3)
        drawn.append((len(batch), path.name))

    toy.train(tmp_path / "run", {"train": {"picture_every": 8}}, picture=picture)
    toy.train(tmp_path / "other")
    assert drawn == [(8, "step-0000008.png"), (8, "step-0000016.png"), (8, "step-0000020.png")]
    same = [(tmp_path / n / "metrics.jsonl").read_bytes() for n in ("run", "other")]
    assert same[0] == same[1]


def test_loss_falls(toy, tmp_path):
    toy.train(tmp_path / "run", {"train": {"steps": 60}}, dropout=0.0)
    losses = [m["loss"] for m in metrics(tmp_path / "run")]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_too_small_batch_is_refused(toy, tmp_path):
    with pytest.raises(UsageError, match=r"batch_size 64 gives less than one sample"):
        from masquerade.core.training.distributed import World

        toy.train(tmp_path / "run", {"train": {"accumulate": 64}}, world=World(size=2))


def test_layer_decay_without_layers_is_refused(toy, tmp_path):
    with pytest.raises(UsageError, match="'toy' does not tell its layers"):
        toy.train(tmp_path / "run", {"optim": {"layer_decay": 0.5}})


def test_micro_batches_partition_the_rows(toy):
    batch = next(toy.FakeLoader(64).batches(0)).rows(0, 7)
    parts = micro_batches(batch, 4)
    assert [len(p) for p in parts] == [1, 2, 2, 2]
    assert torch.cat([p.ids for p in parts]).equal(batch.ids)
    assert [len(p) for p in micro_batches(batch.rows(0, 2), 4)] == [1, 1]


def test_step_seeds_differ_by_seed_step_and_rank():
    seeds = {step_seed(a, b, c) for a in range(3) for b in range(3) for c in range(3)}
    assert len(seeds) == 27
    assert all(0 <= s < 2**63 for s in seeds)
