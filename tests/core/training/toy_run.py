"""A toy method and a fake loader, trained by a command line: what the process tests start.

python toy_run.py RUN_FOLDER SETTINGS_JSON [--world]
"""

import json
import sys
import time
from pathlib import Path

import torch
from torch import nn

from masquerade.core.config import Config
from masquerade.core.draws import Draws
from masquerade.core.method import Method, StepOutput
from masquerade.core.tokens import Batch, Tokens
from masquerade.core.training.distributed import joined
from masquerade.core.training.run_folder import RunFolder
from masquerade.core.training.settings import OptimSettings, TrainSettings
from masquerade.core.training.trainer import Trainer

N_SAMPLES, WIDTH = 192, 12


class FakeLoader:
    """The interface of Loader over numbers that are a function of (seed, epoch, sample id)."""

    def __init__(self, batch_size, seed=0, *, rank=0, world=1, pause_s=0.0, poison=()):
        self.batch_size, self.seed, self.rank, self.world = batch_size, seed, rank, world
        self.pause_s, self.poison = pause_s, set(poison)
        self.steps_per_epoch = N_SAMPLES // batch_size
        self.damaged, self.wait_s = [], 0.0

    def epoch_of(self, step):
        return step // self.steps_per_epoch

    def batches(self, start_step):
        step = start_step
        while True:
            time.sleep(self.pause_s)
            epoch, place = divmod(step, self.steps_per_epoch)
            order = Draws(self.seed, torch.zeros(1, dtype=torch.int64), epoch).permutation(
                N_SAMPLES
            )
            ids = order[0, place * self.batch_size : (place + 1) * self.batch_size]
            ids = ids[self.rank :: self.world]
            values = Draws(self.seed, ids, epoch, "data").normal(WIDTH)
            if step in self.poison:
                values[0] = float("nan")
            yield Batch({"image": values}, ids)
            step += 1


class Toy(Method):
    """Restores vectors whose half is zeroed; has dropout, a frozen part, a tied buffer."""

    slug = "toy"
    modality = "image"

    class Config(Config):
        dropout: float = 0.1

    def __init__(self, config=None):
        super().__init__(config or self.Config())
        self.blocks = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.drop = nn.Dropout(self.config.dropout)
        self.frozen = nn.Parameter(torch.ones(WIDTH), requires_grad=False)
        self.register_buffer("updates", torch.zeros(()))

    def forward(self, batch, draws, step, *, mask=None):
        x = batch["image"]
        kept = draws.fork("mask").uniform(WIDTH) < 0.5
        y = self.drop(torch.tanh(self.blocks[0](x * kept)))
        loss = ((self.blocks[1](y) * self.frozen - x) ** 2).float().mean()
        return StepOutput(loss, parts={"double": 2 * loss})

    def features(self, batch):
        return batch["image"]

    def reconstruction(self, batch, output):
        return Tokens(batch["image"][:, None])

    def after_step(self, step):
        self.updates += 1


def train(folder, settings=None, *, world=None, picture=None, dropout=0.1, **loader):
    """Train the toy; the outcome and the method."""
    settings = {"optim": {}, "train": {}, **(settings or {})}
    optim = OptimSettings(**{"lr": 0.01, "warmup_steps": 5, **settings["optim"]})
    train = TrainSettings(
        **{"steps": 20, "batch_size": 64, "precision": "fp32", "device": "cpu", **settings["train"]}
    )
    torch.manual_seed(train.seed)
    method = Toy(Toy.Config(dropout=dropout))
    given = {} if world is None else {"rank": world.rank, "world": world.size}
    fake = FakeLoader(train.batch_size, train.seed, **given, **loader)
    config = {"optim": optim.to_dict(), "train": train.to_dict()}
    with RunFolder(Path(folder), config, main=world is None or world.main) as run:
        extra = {} if world is None else {"world": world}
        trainer = Trainer(method, fake, run, optim, train, picture=picture, **extra)
        return trainer.run(), method


def spy_gradients(into):
    """Let every AdamW step append the gradients that it sees, as one vector, to `into`."""
    original = torch.optim.AdamW.step

    def step(self, closure=None):
        grads = [p.grad.flatten() for g in self.param_groups for p in g["params"]]
        into.append(torch.cat(grads).clone())
        return original(self, closure)

    torch.optim.AdamW.step = step
    return original


if __name__ == "__main__":
    torch.set_num_threads(1)
    options = json.loads(sys.argv[2])
    gradients = []
    spy_gradients(gradients)
    loader = options.pop("loader", {})
    dropout = options.pop("dropout", 0.1)
    with joined("cpu") as here:
        outcome, method = train(sys.argv[1], options, world=here, dropout=dropout, **loader)
        if here.main and gradients:
            torch.save(gradients[0], Path(sys.argv[1]).with_suffix(".pt"))
    if outcome.signal:
        sys.stdout.write(f"stopped after {outcome.step}\n")
        sys.exit(128 + outcome.signal)
