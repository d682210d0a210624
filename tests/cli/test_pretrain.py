"""`masquerade pretrain` and `config show` as a user types them."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from masquerade.cli.main import call

SMALL = [
    "--recipe", "mae-tiny", "--device", "cpu",
    "--set", "method.image_size=8", "--set", "method.dim=16", "--set", "method.depth=1",
    "--set", "method.decoder_dim=16", "--set", "method.decoder_depth=1",
    "--set", "train.batch_size=16", "--set", "optim.warmup_steps=3",
]  # fmt: skip


@pytest.fixture
def images(tmp_path):
    """48 real-format images of 10×12 pixels in an .npz file."""
    rng = np.random.default_rng(0)
    path = tmp_path / "images.npz"
    shades = rng.integers(0, 255, (48, 1, 1, 3)) + rng.integers(-20, 20, (48, 10, 12, 3))
    np.savez(path, images=shades.clip(0, 255).astype(np.uint8), labels=np.arange(48) % 3)
    return path


def command(images, run, *more):
    return ["pretrain", "mae", "--data", str(images), "--out", str(run), *SMALL, *more]


def losses(run):
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_run_trains_then_says_that_it_is_finished(images, tmp_path, capsys):
    run = tmp_path / "run"
    assert call(command(images, run, "--steps", "30", "--set", "train.picture_every=30")) == 0
    said = capsys.readouterr()
    assert said.out == f"{run}\n"
    assert "30 steps done, loss" in said.err
    assert len(losses(run)) == 30
    assert np.mean(losses(run)[-5:]) < np.mean(losses(run)[:5])
    assert (run / "pictures/step-0000030.png").stat().st_size > 0
    assert (run / "latest/model.safetensors").is_file()
    assert call(command(images, run, "--steps", "30", "--set", "train.picture_every=30")) == 0
    assert "is finished already: 30 steps" in capsys.readouterr().err


def test_json_is_one_object_on_stdout(images, tmp_path, capsys):
    assert call(command(images, tmp_path / "run", "--steps", "3", "--json", "--quiet")) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["step"], found["finished"], found["skipped"]) == (3, True, 0)
    assert found["loss"] == losses(tmp_path / "run")[-1]


def test_other_settings_are_refused_and_other_workers_are_not(images, tmp_path, capsys):
    run = tmp_path / "run"
    assert call(command(images, run, "--steps", "3")) == 0
    assert call(command(images, run, "--steps", "4")) == 2
    assert "started with train.steps = 3, now it is 4" in capsys.readouterr().err
    assert call(command(images, run, "--steps", "3", "--workers", "1")) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["pretrain", "maee", "--data", "photos", "--out", "{run}"], 2, "did you mean 'mae'?"),
        (["pretrain", "mae", "--data", "{run}/no", "--out", "{run}"], 3, "does not exist"),
        (["pretrain", "mae", "--data", "fotos", "--out", "{run}"], 3, "did you mean 'photos'?"),
        (["pretrain", "mae", "--data", "{images}", "--out", "{run}", "--set", "optim.lrr=1"],
         2, "did you mean 'optim.lr'?"),
        (["pretrain", "mae", "--data", "{images}", "--out", "{run}", "--device", "cuda:77"],
         2, "device 'cuda:77' cannot be used here"),
        (["pretrain", "mae", "--data", "{images}", "--out", "{run}", "--device", "cpu"],
         2, "48 samples, fewer than a batch of 4096"),
    ],
)  # fmt: skip
def test_mistake_is_one_sentence_and_writes_nothing(
    images, tmp_path, capsys, *, arguments, code, message
):
    run = tmp_path / "run"
    assert call([a.format(run=run, images=images) for a in arguments]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not run.exists()


def test_config_show_tells_each_source(capsys):
    assert call(["config", "show", "mae", "--recipe", "mae-tiny", "--set", "optim.lr=0.5"]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert rows["optim.lr"] == ["0.5", "--set"]
    assert rows["method.dim"] == ["96", "recipe", "mae-tiny"]
    assert rows["train.seed"] == ["0", "default"]
    assert call(["config", "show", "mae", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["optim.blr"] == {"value": 1.5e-4, "source": "recipe mae"}


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "1"])
def test_killed_pretraining_equals_an_undisturbed_one(images, tmp_path, workers):
    """Real images, augmentation, masks, loader workers: SIGKILL twice, then to the end."""
    rng = random.Random(int(workers))  # noqa: S311
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    more = ["--steps", "80", "--workers", workers, "--set", "train.checkpoint_every_steps=4",
            "--set", "data.augment=crop_flip"]  # fmt: skip

    def start(run):
        words = [sys.executable, "-m", "masquerade.cli.main", *command(images, run, *more)]
        return subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)

    killed = tmp_path / "killed"
    for share in (0.1, 0.5):
        process = start(killed)
        metrics, goal = killed / "metrics.jsonl", int(80 * share) + rng.randrange(8)
        limit = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < limit:
            if metrics.exists() and metrics.read_bytes().count(b"\n") >= goal:
                break
            time.sleep(0.001)
        process.kill()
        assert process.wait() == -signal.SIGKILL, process.stderr.read()
    assert start(killed).wait() == 0
    # the other number of workers: neither it nor the kills may change a bit
    more[3] = str(1 - int(workers))
    assert start(tmp_path / "straight").wait() == 0
    for name in ("metrics.jsonl", "latest/model.safetensors", "latest/state.safetensors"):
        assert (killed / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name
