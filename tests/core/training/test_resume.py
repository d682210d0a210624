"""Exact resume: a killed run that is started again equals an undisturbed one, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from masquerade.core.errors import DataError, UsageError, WeightsError
from masquerade.core.weights import read_weights

SCRIPT = Path(__file__).with_name("toy_run.py")
FILES = ("metrics.jsonl", "bad_batches.jsonl")


def same(run, other):
    for name in FILES:
        assert (run / name).read_bytes() == (other / name).read_bytes(), name
    for file in ("model.safetensors", "state.safetensors"):
        a, b = (read_weights(r / "latest" / file).state for r in (run, other))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) for k in a), file


def start(folder, options, **more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, str(SCRIPT), str(folder), json.dumps(options)]
    return subprocess.Popen(
        arguments,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def lines(folder):
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_lines(process, folder, count):
    limit = time.monotonic() + 60
    while lines(folder) < count and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.002)


@pytest.mark.slow
def test_run_killed_at_random_moments_equals_an_undisturbed_one(toy, tmp_path):
    options = {
        "train": {"steps": 60, "checkpoint_every_steps": 3, "ema_decay": 0.9, "accumulate": 2},
        "loader": {"pause_s": 0.01, "poison": [11, 12, 40]},
    }
    rng = random.Random(7)  # noqa: S311
    killed, clock = tmp_path / "killed", time.monotonic()
    kills = 0
    for share in (0.05, 0.3, 0.5, 0.8):
        process = start(killed, options)
        wait_for_lines(process, killed, int(60 * share) + rng.randrange(4))
        time.sleep(rng.random() * 0.03)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 3, "the run ended before it was killed"
    assert start(killed, options).wait() == 0
    straight = start(tmp_path / "straight", options)
    assert straight.wait() == 0, straight.stderr.read()
    same(killed, tmp_path / "straight")
    assert lines(killed) == 60
    assert not list(killed.rglob("*.tmp")), "what a killed process left is swept"
    assert len(list((killed / "checkpoints").iterdir())) == 2
    assert time.monotonic() - clock < 120


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_signal_finishes_the_step_saves_and_resumes(toy, tmp_path, number):
    options = {"train": {"steps": 40}, "loader": {"pause_s": 0.03}}
    run = tmp_path / "run"
    process = start(run, options)
    wait_for_lines(process, run, 5)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    done = json.loads((run / "latest/state.json").read_text())["step"]
    assert 5 <= done < 40
    assert out == f"stopped after {done}\n"
    assert lines(run) == done
    assert start(run, options).wait() == 0
    toy.train(tmp_path / "straight", {"train": {"steps": 40}})
    same(run, tmp_path / "straight")


@pytest.mark.parametrize("k", [1, 4, 7, 19])
def test_run_broken_off_at_any_step_resumes_bit_identically(toy, tmp_path, k):
    settings = {"train": {"checkpoint_every_steps": 4, "ema_decay": 0.5}}

    class Broken(Exception):
        pass

    def fail(method, batch, draws, step, path):
        if step.step == k - 1 and fail.armed:
            raise Broken

    for optimizer in ("adamw", "sgd", "lars"):
        fail.armed = True
        settings["optim"] = {"optimizer": optimizer}
        settings["train"]["picture_every"] = 1
        run, other = tmp_path / optimizer, tmp_path / f"{optimizer}-straight"
        with pytest.raises(Broken):
            toy.train(run, settings, picture=fail)
        fail.armed = False
        outcome, _ = toy.train(run, settings, picture=fail)
        assert outcome.started_at == (k - 1) // 4 * 4
        assert outcome.finished
        toy.train(other, settings)
        same(run, other)


def test_finished_run_does_nothing(toy, tmp_path):
    toy.train(tmp_path / "run")
    before = (tmp_path / "run/latest/state.safetensors").stat().st_mtime_ns
    outcome, _ = toy.train(tmp_path / "run")
    assert (outcome.started_at, outcome.step, outcome.loss) == (20, 20, None)
    assert (tmp_path / "run/latest/state.safetensors").stat().st_mtime_ns == before


def test_state_of_the_method_and_frozen_parameters_survive(toy, tmp_path):
    _, method = toy.train(tmp_path / "run")
    state = read_weights(tmp_path / "run").state
    assert state["updates"].item() == 20
    assert torch.equal(state["frozen"], torch.ones(12))
    names = read_weights(tmp_path / "run/latest/state.safetensors").state
    assert not [name for name in names if "frozen" in name]
    assert torch.equal(state["blocks.0.weight"], method.blocks[0].weight)


def test_resume_with_other_settings_names_the_first_differing_key(toy, tmp_path):
    toy.train(tmp_path / "run")
    with pytest.raises(UsageError, match=r"started with optim\.lr = 0\.01, now it is 0\.02"):
        toy.train(tmp_path / "run", {"optim": {"lr": 0.02}})
    with pytest.raises(UsageError, match=r"optim\.clip_norm = unset, now it is 1\.0"):
        toy.train(tmp_path / "run", {"optim": {"clip_norm": 1.0}})
    toy.train(tmp_path / "run", {"train": {"workers": 3, "keep": 5}})  # these change no number


def test_damaged_checkpoint_is_one_sentence(toy, tmp_path):
    toy.train(tmp_path / "run")
    state = tmp_path / "run/latest/state.safetensors"
    state.write_bytes(state.read_bytes()[:-7])
    with pytest.raises(WeightsError, match=r"step-20 is damaged"):
        toy.train(tmp_path / "run")


def test_shortened_metrics_are_refused(toy, tmp_path):
    toy.train(tmp_path / "run", {"train": {"steps": 8}})
    metrics = tmp_path / "run/metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:50])
    link = tmp_path / "run/latest"
    state = link / "state.json"
    state.write_text(state.read_text().replace('"step":8', '"step":7'))
    with pytest.raises(DataError, match=r"metrics\.jsonl has 50 bytes"):
        toy.train(tmp_path / "run", {"train": {"steps": 8}})
