"""The discriminator's plan."""

import torch

from masquerade.generators.vec2face.discriminator import Discriminator


def test_official_dims_give_eleven_by_eleven_logits() -> None:
    with torch.device("meta"):
        logits = Discriminator()(torch.zeros(1, 3, 112, 112))
    assert logits.shape == (1, 1, 11, 11)  # card section 2


def test_first_layer_has_three_kernels_side_by_side() -> None:
    convs = Discriminator((64, 128)).embed.convs
    assert [tuple(c.weight.shape) for c in convs] == [(32, 3, 3, 3), (16, 3, 7, 7), (16, 3, 15, 15)]


def test_stage_equals_its_definition() -> None:
    torch.manual_seed(0)
    stage, x = Discriminator((8, 16)).stages[0], torch.randn(2, 8, 6, 6)
    leaky = torch.nn.LeakyReLU(0.1)
    h = torch.nn.functional.group_norm(leaky(stage.down(x)), 8, stage.norm.weight, stage.norm.bias)
    inner = torch.nn.functional.group_norm(h, 8, stage.inner_norm.weight, stage.inner_norm.bias)
    torch.testing.assert_close(stage(x), h + stage.inner(leaky(inner)))
    assert stage(x).shape == (2, 16, 3, 3)
