"""ArcFace: it learns, resumes exactly, shares its classes out, and opens as an extractor."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from masquerade.benchmarks.opening import open_subject
from masquerade.cli.main import call
from masquerade.core.draws import Draws
from masquerade.core.errors import UsageError
from masquerade.core.iresnet import IResNet
from masquerade.core.step import StepContext
from masquerade.core.tokens import Batch
from masquerade.core.training.flops import forward_flops
from masquerade.core.weights import read_weights
from masquerade.generators.engine.synthesis import Request, synthesize
from masquerade.generators.vec2face.method import Vec2Face
from masquerade.methods.image.arcface import ArcFace
from masquerade.methods.recipes import resolve
from masquerade.methods.weights import load_method
from masquerade.modalities.catalogue import resolve_data
from masquerade.modalities.image.faces.embedders import open_embedder

TOYS = Path(__file__).parents[2] / "generators"
sys.path.insert(0, str(TOYS / "engine"))  # worker processes of the synthesis import the toy
sys.path.insert(0, str(TOYS / "vec2face"))
from vec2face_toy import SETTINGS  # noqa: E402

IDENTITIES, IMAGES, WIDTH = 9, 4, 16
TINY = {"layers": (1, 1, 1, 1), "widths": (4, 4, 8, 8), "dim": WIDTH}
SMALL = [
    "--recipe", "arcface-small", "--device", "cpu", "--quiet",
    "--set", "layers=[1,1,1,1]", "--set", "widths=[4,4,8,8]", "--set", f"dim={WIDTH}",
    "--set", "train.batch_size=12", "--set", "optim.warmup_steps=3",
    "--set", "train.precision=fp32",
]  # fmt: skip
EXACT = [
    "--set", "margin.kind=adaface", "--set", "sample_rate=0.6",
    "--set", "train.checkpoint_every_steps=4", "--set", "train.keep=9", "--steps", "12",
]  # fmt: skip
FILES = ("metrics.jsonl", "latest/model.safetensors", "latest/state.safetensors")


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    """A synthesized set of ovals of 112 pixels, an identity a colour and a shape."""
    folder = tmp_path_factory.mktemp("faces") / "set"
    settings = {"size": 112, "shift": 14.0}
    layout = {"images_per_shard": 12, "batch_size": 12, "workers": 1, "device": "cpu"}
    synthesize(Request("ovals:Ovals", folder, IDENTITIES, IMAGES, settings=settings, **layout))
    return folder


def command(data: Path, run: Path, *more: str) -> list[str]:
    return ["pretrain", "arcface", "--data", str(data), "--out", str(run), *SMALL, *more]


@pytest.fixture(scope="module")
def run(faces, tmp_path_factory) -> Path:
    """A finished run that has learned the ovals."""
    folder = tmp_path_factory.mktemp("runs") / "ovals"
    assert call(command(faces, folder, "--steps", "40", "--set", "dropout=0.0")) == 0
    return folder


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same(one: Path, other: Path) -> None:
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


# learning -----------------------------------------------------------------------------------------


def test_a_synthesized_sets_labels_are_its_identities(faces) -> None:
    source = resolve_data(str(faces), "image")
    assert len(source) == IDENTITIES * IMAGES
    assert source.classes == tuple(str(i) for i in range(IDENTITIES))
    assert [int(key.split("_")[0]) for key in source.keys] == source.labels.tolist()
    assert np.bincount(source.labels).tolist() == [IMAGES] * IDENTITIES


def test_it_learns_the_identities_of_a_synthesized_set(run) -> None:
    """Chance is 1/9; the loss of the first steps is that of nine random directions."""
    lines = metrics(run)
    first, last = lines[:5], lines[-10:]
    assert np.mean([m["loss"] for m in last]) < 0.5 * np.mean([m["loss"] for m in first])
    assert np.mean([m["parts"]["accuracy"] for m in last]) > 0.5
    assert np.mean([m["parts"]["cosine"] for m in last]) > 0.3


def test_published_recipe_is_the_cards() -> None:
    settings = resolve("arcface").settings
    method, optim, train, data = settings.method, settings.optim, settings.train, settings.data
    assert (method.layers, method.se, method.dim, method.dropout) == ((3, 4, 14, 3), True, 512, 0.4)
    assert (method.margin.kind, method.margin.scale, method.margin.m) == ("arcface", 64.0, 0.5)
    assert method.augment.to_dict() == {"crop": 0.3, "low_res": 0.3, "light": 0.3, "erase": 0.5}
    assert (optim.optimizer, optim.learning_rate(train.batch_size)) == ("sgd", 0.1)
    assert (optim.momentum, optim.weight_decay, optim.clip_norm) == (0.9, 5e-4, 5.0)
    assert (train.epochs, train.batch_size) == (26, 4 * 128)
    assert (data.size, data.augment, data.mean) == (112, "flip", (0.5, 0.5, 0.5))


def test_published_rate_falls_at_the_start_of_epochs_12_20_and_24() -> None:
    from masquerade.core.training.schedule import lr_at_step

    settings = resolve("arcface").settings
    rates = [
        lr_at_step(10 * (epoch - 1) + step, settings.optim, batch_size=512, steps=260,
                   steps_per_epoch=10)
        for epoch in range(1, 27) for step in (0, 9)
    ]  # fmt: skip
    wanted = [0.1] * 22 + [0.01] * 16 + [1e-3] * 8 + [1e-4] * 6
    assert rates == pytest.approx(wanted)


def test_class_weights_are_not_clipped_and_norms_are_not_decayed(faces, tmp_path) -> None:
    """One step by hand: the net's gradient is cut to the bound, the class weights' is not."""
    more = ["--steps", "1", "--set", "optim.warmup_steps=0", "--set", "optim.lr=1.0",
            "--set", "optim.clip_norm=1e-6", "--set", "optim.weight_decay=0.5"]  # fmt: skip
    assert call(command(faces, tmp_path / "run", *more)) == 0
    state = read_weights(tmp_path / "run").state
    torch.manual_seed(0)
    fresh = ArcFace(resolve("arcface", "arcface-small", SMALL[6:12:2]).settings.method)
    moved = {k: (state[f"net.{k}"] - v).abs().max() for k, v in fresh.net.named_parameters()}
    assert moved["bn1.weight"] < 1e-5
    assert moved["conv1.weight"] > 0.01  # decay alone: half of it
    head = torch.tensor(ArcFace(fresh.config, n_classes=IDENTITIES).head.weight.detach().numpy())
    assert (state["head.weight"] - head).norm() > 0.5


# exact resume -------------------------------------------------------------------------------------


def test_killed_run_equals_an_undisturbed_one(faces, tmp_path) -> None:
    """SIGKILL in the middle: AdaFace's statistics, sampled classes, dropout and momentum go on."""
    rng = random.Random(3)  # noqa: S311
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    words = [sys.executable, "-m", "masquerade.cli.main", *command(faces, killed, *EXACT)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    goal, limit = 5 + rng.randrange(4), time.monotonic() + 300  # a busy machine
    while process.poll() is None and time.monotonic() < limit:
        lines = killed / "metrics.jsonl"
        if lines.exists() and lines.read_bytes().count(b"\n") >= goal:
            break
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL, process.stderr.read()
    assert json.loads((killed / "latest/state.json").read_text())["step"] in (4, 8)
    assert call(command(faces, killed, *EXACT)) == 0
    assert call(command(faces, straight, *EXACT)) == 0
    same(killed, straight)
    state = read_weights(straight).state
    assert not torch.equal(state["head.statistics"], torch.tensor([20.0, 100.0]))


@pytest.fixture(scope="module")
def together(faces, tmp_path_factory) -> Path:
    """A run of two processes, each with some of the classes."""
    folder = tmp_path_factory.mktemp("two") / "run"
    in_two_processes(command(faces, folder, *EXACT))
    return folder


def in_two_processes(words: list[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
              "--master-addr", "127.0.0.1", "--master-port", str(port)]  # fmt: skip
    done = subprocess.run(
        [*launch, "-m", "masquerade.cli.main", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_checkpoint_of_two_processes_holds_all_classes(together) -> None:
    model, state = (read_weights(together / "latest" / f"{n}.safetensors").state
                    for n in ("model", "state"))  # fmt: skip
    velocity = state["optimizer/head.weight/momentum_buffer"]
    assert model["head.weight"].shape == velocity.shape == (IDENTITIES, WIDTH)
    assert (velocity != 0).any(1).all()
    assert len(metrics(together)) == 12
    assert load_method(together).head.n_rows == IDENTITIES


def back_to_step_4(folder: Path, copy: Path) -> Path:
    shutil.copytree(folder, copy, symlinks=True)
    (copy / "latest").unlink()
    (copy / "latest").symlink_to("checkpoints/step-4")
    shutil.rmtree(copy / "checkpoints/step-8")
    shutil.rmtree(copy / "checkpoints/step-12")
    return copy


def test_two_processes_resume_bit_identically(faces, together, tmp_path) -> None:
    again = back_to_step_4(together, tmp_path / "again")
    in_two_processes(command(faces, again, *EXACT))
    same(again, together)


def test_one_process_goes_on_with_a_run_of_two(faces, together, tmp_path) -> None:
    """Batch norm sees other batches, so equal only roughly; the class weights are all there."""
    alone = back_to_step_4(together, tmp_path / "alone")
    assert call(command(faces, alone, *EXACT)) == 0
    assert [m["loss"] for m in metrics(alone)[:4]] == [m["loss"] for m in metrics(together)[:4]]
    assert metrics(alone)[4]["loss"] == pytest.approx(metrics(together)[4]["loss"], rel=0.3)


# use ----------------------------------------------------------------------------------------------


def test_a_run_is_an_extractor_of_its_template(run, faces, tmp_path) -> None:
    net = open_embedder(str(run))
    assert (net.name, net.width, net.template) == ("ovals", WIDTH, "arcface-112")
    images = torch.rand(2, 3, 112, 112) * 2 - 1
    method = load_method(run, expect="arcface").eval()
    wanted = method.features(Batch({"image": images}, torch.arange(2)))
    torch.testing.assert_close(net.embed(images, "arcface-112"), wanted)
    assert [tap.shape[-1] for tap in net.taps(images, "arcface-112")] == [56, 28, 14]
    file = run / "latest" / "model.safetensors"
    assert open_embedder(str(file)).hash == net.hash
    out = tmp_path / "features.parquet"
    words = ["embed", str(run), "--data", str(faces), "--out", str(out)]
    assert call([*words, "--set", "data.template=arcface-112"]) == 0
    assert open_subject(str(run)).hash == net.hash
    for path in (run, file):
        assert open_subject(str(path)).training_data == net.training_data == ("set",)


def test_a_run_is_scored_beside_its_untrained_net(run, faces, tmp_path, capsys) -> None:
    words = ["evaluate", "knn", "--train", str(faces), "--test", str(faces), "--json",
             "--set", "data.template=arcface-112", "--results", str(tmp_path)]  # fmt: skip
    assert call([*words, "--subject", str(run)]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert rows[0]["subject"] == "ovals"
    assert open_subject("random:arcface@arcface-small").kind == "random"


def test_a_run_is_an_extractor_for_vec2face(run) -> None:
    file = str(run / "latest" / "model.safetensors")
    method = Vec2Face(Vec2Face.Config(**{**SETTINGS, "embedder": file, "rep_dim": WIDTH}))
    images = torch.rand(2, 3, 112, 112) * 2 - 1
    assert method.embed(images).shape == (2, WIDTH)
    other = Vec2Face(Vec2Face.Config(**{**SETTINGS, "embedder": file}))
    with pytest.raises(UsageError, match="gives vectors of 16 values, method.rep_dim is 128"):
        other.embedder()


def test_export_gives_the_bare_net_and_import_takes_it(run, tmp_path) -> None:
    path = tmp_path / "net.pth"
    assert call(["weights", "export", str(run), "--out", str(path)]) == 0
    net = IResNet(load_method(run).config)
    net.load_state_dict(torch.load(path, weights_only=True))
    back = tmp_path / "back.safetensors"
    assert call(["weights", "import", "iresnet", str(path), "--out", str(back)]) == 0
    images = torch.rand(2, 3, 112, 112) * 2 - 1
    found, wanted = (open_embedder(str(p)).embed(images, "arcface-112") for p in (back, run))
    assert torch.equal(found, wanted)


def test_flops_are_counted_without_learning_anything() -> None:
    torch.manual_seed(0)
    model = ArcFace(ArcFace.Config(**TINY), n_classes=3).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    batch = Batch(
        {"image": torch.rand(4, 3, 112, 112)}, torch.arange(4), torch.tensor([0, 1, 2, 0])
    )
    assert forward_flops(model, batch, Draws(0, batch.ids), StepContext()) > 1e6
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


# mistakes -----------------------------------------------------------------------------------------


def folder_of(path: Path, people: int, side: int = 112, *, flat: bool = False) -> Path:
    for person in range(people):
        place = path if flat else path / f"p{person}"
        place.mkdir(parents=True, exist_ok=True)
        for k in range(6):
            Pillow.new("RGB", (side, side), (40 * person, 9 * k, 0)).save(
                place / f"{person}{k}.png"
            )
    return path


@pytest.mark.parametrize(
    ("data", "more", "code", "message"),
    [
        ({"people": 3, "flat": True}, [], 2, "does not say whose faces it holds"),
        ({"people": 3, "side": 96}, [], 3, "96×96 pixels, expected an aligned face"),
        ({"people": 1}, ["--set", "train.batch_size=4"], 2, "1 identity, expected at least 2"),
        ({"people": 3}, ["--set", "sample_rate=0"], 2, "setting 'method.sample_rate'"),
        ({"people": 3}, ["--set", "sample_rate=0.5", "--set", "optim.optimizer=adamw"],
         2, "sampled classes need optim.optimizer 'sgd', got 'adamw'"),
        ({"people": 3}, ["--set", "layers=20"], 2, "expected one of the depths 18, 34, 50, 100"),
        ({"people": 3}, ["--set", "margin.kind=sphereface"], 2, "'method.margin"),
        ({"people": 3}, ["--set", "augment.crop=2"], 2, "setting 'method.augment.crop'"),
        ({"people": 3}, ["--set", "optim.drop_epochs=[0]"], 2, "setting 'optim.drop_epochs"),
    ],
)  # fmt: skip
def test_mistake_is_one_sentence_and_writes_nothing(
    tmp_path, capsys, *, data, more, code, message
) -> None:
    out = tmp_path / "run"
    assert call(command(folder_of(tmp_path / "data", **data), out, *more)) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not out.exists()


def test_a_batch_of_one_face_is_refused(tmp_path, capsys) -> None:
    data = folder_of(tmp_path / "data", 3)
    assert call(command(data, tmp_path / "run", "--set", "train.batch_size=1")) == 2
    assert "batch norm needs at least two" in capsys.readouterr().err


def test_nothing_is_reconstructed(run, tmp_path, capsys) -> None:
    picture = folder_of(tmp_path / "data", 1) / "p0" / "00.png"
    words = ["reconstruct", str(run), "--data", str(picture), "--out", str(tmp_path / "x.png")]
    assert call(words) == 2
    assert capsys.readouterr().err.startswith(f"error: '{run}' reconstructs nothing; ")
