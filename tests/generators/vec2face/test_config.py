"""Settings that cannot be are refused by name."""

import pytest

from masquerade.core.config import build
from masquerade.core.errors import UsageError
from masquerade.generators.vec2face.config import GENERATION_ROWS, TRAINING_ROWS, Vec2FaceConfig


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dim": 100}, "dim 100 does not divide into 12 heads"),
        ({"decoder_heads": 7}, "dim 768 does not divide into 7 decoder_heads"),
        ({"channels": (48, 64)}, r"channels \[48\] do not divide into 32 norm_groups"),
        ({"unused": ("cls_token",)}, r"unused \['cls_token'\] are no official keys"),
        ({"late_upsampling": True}, "did you mean 'net.late_upsample'"),
    ],
)
def test_impossible_settings_are_refused_by_name(values, message) -> None:
    with pytest.raises(UsageError, match=message):
        build(Vec2FaceConfig, values, "net")


def test_the_light_decoders_last_width_is_free_of_groups() -> None:
    settings = {"channels": (5, 64), "late_upsample": True}
    assert build(Vec2FaceConfig, settings).image_size == 14


def test_settings_survive_their_plain_form() -> None:
    config = Vec2FaceConfig(unused=("center_token.bias",), channels=(32, 64, 64))
    assert build(Vec2FaceConfig, config.to_dict()) == config


def test_published_rates() -> None:
    """Card section 3."""
    training, generation = TRAINING_ROWS, GENERATION_ROWS
    assert (training.r_min, training.r_max, training.mean, training.std) == (0.5, 1, 0.75, 0.25)
    assert (generation.r_min, generation.r_max) == (0.1, 1)
    assert (generation.mean, generation.std) == (0.15, 0.25)
