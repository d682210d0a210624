"""A method with an adversary: two players in one step, equal to a plain loop of two optimizers."""

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from masquerade.core.draws import Draws
from masquerade.core.method import StepOutput
from masquerade.core.training.run_folder import RunFolder
from masquerade.core.training.schedule import lr_at_step
from masquerade.core.training.settings import OptimSettings, TrainSettings
from masquerade.core.training.trainer import Trainer

OPTIM = OptimSettings(
    lr=0.01, warmup_steps=5, clip_norm=0.3, weight_decay=0.01, decay_all=True, betas=(0.9, 0.99)
)
TRAIN = TrainSettings(steps=12, batch_size=64, precision="fp32", device="cpu")


def players(method, batch, draws):
    """The two losses; each one's gradient touches its own player alone."""
    x = batch["image"]
    kept = draws.fork("mask").uniform(x.shape[1]) < 0.5
    made = torch.tanh(method.blocks[0](x * kept))
    judge = method.discriminator
    fooled = -nn.functional.linear(made, judge.weight.detach(), judge.bias.detach()).mean()
    loss = ((made - x) ** 2).mean() + fooled
    against = 0.5 * (((judge(x) - 1) ** 2).mean() + (judge(made.detach()) ** 2).mean())
    return loss, against


@pytest.fixture
def adversarial(toy):
    class Adversarial(toy.Toy):
        ADVERSARY = "discriminator"

        def __init__(self):
            super().__init__()
            self.discriminator = nn.Linear(toy.WIDTH, 1)
            self.fitted = []

        def forward(self, batch, draws, step, *, mask=None):
            loss, against = players(self, batch, draws)
            return StepOutput(loss, adversary_loss=against)

    torch.manual_seed(3)
    return Adversarial()


def plain(method, toy):
    """The same training by hand; the final parameters."""
    own = [p for n, p in method.named_parameters() if not n.startswith("disc") and p.requires_grad]
    other = list(method.discriminator.parameters())
    first, second = (
        torch.optim.AdamW(p, lr=0.01, betas=(0.9, 0.99), weight_decay=0.01) for p in (own, other)
    )
    loader = toy.FakeLoader(64)
    for step, batch in zip(range(TRAIN.steps), loader.batches(0), strict=False):
        first.param_groups[0]["lr"] = lr_at_step(
            step, OPTIM, batch_size=64, steps=TRAIN.steps, steps_per_epoch=loader.steps_per_epoch
        )
        draws = Draws(0, batch.ids, loader.epoch_of(step), stream="method")
        loss, against = players(method, batch, draws)
        loss.backward()
        against.backward()
        norms = [clip_grad_norm_([p for p in x if p.grad is not None], 0.3) for x in (own, other)]
        assert min(norms) > 0
        first.step()
        second.step()
        first.zero_grad()
        second.zero_grad()
    return {n: p.detach().clone() for n, p in method.named_parameters()}


def test_adversary_is_trained_beside_the_method_as_by_two_optimizers(adversarial, toy, tmp_path):
    start = {k: v.clone() for k, v in adversarial.state_dict().items()}
    expected = plain(adversarial, toy)
    adversarial.load_state_dict(start)
    with RunFolder(tmp_path / "run", {"optim": OPTIM.to_dict(), "train": TRAIN.to_dict()}) as run:
        Trainer(adversarial, toy.FakeLoader(64), run, OPTIM, TRAIN, progress=False).run()
    for name, value in adversarial.named_parameters():
        assert torch.allclose(value, expected[name], rtol=1e-5, atol=1e-7), name
    moved = (adversarial.discriminator.weight - start["discriminator.weight"]).abs().max()
    assert moved > 0.02  # with the schedule's warm-up it would have come less far


def test_learning_rate_of_the_adversary_is_constant(adversarial, toy, tmp_path):
    seen = []
    original = torch.optim.AdamW.step
    torch.optim.AdamW.step = lambda self, closure=None: seen.append(
        sorted({(g["scheduled"], g["lr"]) for g in self.param_groups})
    )
    try:
        with RunFolder(tmp_path / "run", {}) as run:
            Trainer(adversarial, toy.FakeLoader(64), run, OPTIM, TRAIN, progress=False).run()
    finally:
        torch.optim.AdamW.step = original
    assert [dict(rates)[False] for rates in seen] == [0.01] * TRAIN.steps
    assert len({dict(rates)[True] for rates in seen}) > 5
