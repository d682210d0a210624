"""Fine-tuning: learns, repeats itself exactly, leaves the subject alone, decays by layer."""

import pytest
import torch

from masquerade.benchmarks import finetune
from masquerade.benchmarks.opening import open_subject
from masquerade.benchmarks.protocol import TaskData
from masquerade.benchmarks.subjects import ModelSubject
from masquerade.core.errors import UsageError

PLAIN = {
    "batch_size": 20, "blr": 0.05, "warmup_epochs": 1, "drop_path": 0.0,
    "mixup": 0.0, "cutmix": 0.0, "random_erasing": 0.0, "randaugment": {"magnitude": 0},
}  # fmt: skip


def settings(**more: object) -> finetune.Settings:
    return finetune.Settings.model_validate(PLAIN | more)


def test_fine_tuning_beats_the_start_and_leaves_the_subject_alone(
    subject: ModelSubject, data: TaskData
) -> None:
    before = subject.hash, {k: v.clone() for k, v in subject.method.state_dict().items()}
    result = finetune.run(subject, data, settings(epochs=8))
    assert result.record.main.value > 0.8  # chance 0.33
    assert subject.hash == before[0]
    assert all(torch.equal(before[1][k], v) for k, v in subject.method.state_dict().items())


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    subject: ModelSubject, data: TaskData
) -> None:
    full = finetune.Settings(epochs=2, batch_size=20)  # with every augmentation and drop path

    def weights(seed: int) -> torch.Tensor:
        torch.rand(seed + 1)  # the global generator's state must not matter
        model = finetune.fine_tuned(subject, data, full, seed).model
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    first = weights(0)
    assert torch.equal(first, weights(0))
    assert not torch.equal(first, weights(1))


def test_optimizer_groups_scale_by_layer(subject: ModelSubject) -> None:
    classifier = finetune.Classifier(subject, 3, settings(epochs=1))
    groups = finetune._optimizer(classifier.model, settings(epochs=1, layer_decay=0.5)).param_groups
    scales = {name: (g["lr_scale"], g["weight_decay"]) for g in groups for name in g["names"]}
    # depth 1: embedding layer 0, block 0 layer 1, head layer 2
    assert scales["encoder.embed.weight"] == (0.25, 0.05)
    assert scales["encoder.positions"] == (0.25, 0.0)
    assert scales["encoder.blocks.0.mlp.fc1.weight"] == (0.5, 0.05)
    assert scales["head.weight"] == (1.0, 0.05)
    assert scales["head.bias"] == (1.0, 0.0)


def test_recipe_tables_are_settings() -> None:
    from masquerade.core.config import build
    from masquerade.methods.recipes import finetune as table

    base = build(finetune.Settings, table("mae"))
    assert base == finetune.Settings()  # the defaults are ViT-B's (card, section 5)
    large = build(finetune.Settings, table("mae", "mae-vit-l"))
    assert (large.epochs, large.blr, large.layer_decay, large.drop_path) == (50, 1e-3, 0.75, 0.2)


def test_what_has_no_trunk_is_refused(subject: ModelSubject, data: TaskData) -> None:
    with pytest.raises(UsageError, match="'raw' has no trunk to fine-tune"):
        finetune.run(open_subject("raw", like=subject), data, settings(epochs=1))


def test_chance_needs_no_training(subject: ModelSubject, data: TaskData) -> None:
    result = finetune.run(open_subject("chance", like=subject), data, settings(epochs=1))
    assert result.record.main.value == pytest.approx(1 / 3)
