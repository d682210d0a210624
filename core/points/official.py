"""Official names of the trunk's parameters (Point-M2AE, I2P-MAE), and what their shapes fix."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..keymap import Key
from .config import MOST


def _unsqueezed(weight: Tensor) -> Tensor:
    return weight[..., None]


def _squeezed(weight: Tensor) -> Tensor:
    return weight[..., 0]


def convolution(official: str, ours: str) -> tuple[Key, Key]:
    """The rows of a 1×1 convolution that is a linear layer here."""
    weight = Key(f"{official}.weight", f"{ours}.weight", _squeezed, _unsqueezed)
    return weight, Key(f"{official}.bias", f"{ours}.bias")


_EMBED, _UP = "h_encoder.token_embed.*", "token_prop.*"
_UNIT = f"{_UP}.extraction.operation.*"
TRUNK_KEYS: tuple[Key, ...] = (
    *convolution(f"{_EMBED}.first_conv.0", "encoder.embeds.*.first1"),
    Key(f"{_EMBED}.first_conv.1.*", "encoder.embeds.*.first_norm.*"),
    *convolution(f"{_EMBED}.first_conv.3", "encoder.embeds.*.first2"),
    *convolution(f"{_EMBED}.second_conv.0", "encoder.embeds.*.second1"),
    Key(f"{_EMBED}.second_conv.1.*", "encoder.embeds.*.second_norm.*"),
    *convolution(f"{_EMBED}.second_conv.3", "encoder.embeds.*.second2"),
    Key("h_encoder.encoder_pos_embeds.*", "encoder.positions.*"),
    Key("h_encoder.encoder_blocks.*.blocks.*", "encoder.blocks.*.*"),
    Key("h_encoder.encoder_norms.*", "encoder.norms.*"),
    Key("mask_token", "decoder.mask_token"),
    Key("h_decoder.*.blocks.*", "decoder.blocks.*.*"),
    Key("decoder_pos_embeds.*", "decoder.positions.*"),
    *convolution(f"{_UP}.fuse.net.0", "decoder.up.*.fuse"),
    Key(f"{_UP}.fuse.net.1.*", "decoder.up.*.fuse_norm.*"),
    *convolution(f"{_UNIT}.net1.0", "decoder.up.*.units.*.first"),
    Key(f"{_UNIT}.net1.1.*", "decoder.up.*.units.*.first_norm.*"),
    *convolution(f"{_UNIT}.net2.0", "decoder.up.*.units.*.second"),
    Key(f"{_UNIT}.net2.1.*", "decoder.up.*.units.*.second_norm.*"),
    Key("decoder_norm.*", "decoder.norm.*"),
)
# the official rule spares every parameter whose name holds "token": of these those of more than
# one dimension, which are spared anyway otherwise
NO_DECAY: tuple[str, ...] = (
    "decoder.mask_token",
    *(
        f"encoder.embeds.{level}.{layer}.weight"
        for level in range(MOST)
        for layer in ("first1", "first2", "second1", "second2")
    ),
    *(f"decoder.up.{stage}.fuse.weight" for stage in range(MOST)),
    *(
        f"decoder.up.{stage}.units.{unit}.{layer}.weight"
        for stage in range(MOST)
        for unit in range(MOST)
        for layer in ("first", "second")
    ),
)
_WRAPPER = "base_model"


def unwrapped(
    state: Mapping[str, Tensor], foreign: str | None = None
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The state of a published file, and a sentence on what was left out.

    Args:
        state: names with `base_model/` (the entry of the file) and `module.` before them.
        foreign: what names of another net begin with.
    """
    named = {k.removeprefix(f"{_WRAPPER}/").removeprefix("module."): v for k, v in state.items()}
    if foreign is None:
        return named, ()
    own = {name: value for name, value in named.items() if not name.startswith(foreign)}
    left = len(named) - len(own)
    return own, (f"left out: {left} parameters of {foreign}*",) if left else ()


def wrapped(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What a published file holds of a state."""
    return {_WRAPPER: dict(state)}


def derived(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The settings that the shapes of official weights fix; heads for the published widths.

    Numbers and sizes of groups are not among them.
    """
    found: dict[str, Any] = {}
    dims = _each(shapes, "h_encoder.encoder_norms.{}.weight")
    if dims:
        found["dims"] = [shape[0] for shape in dims]
        found["depths"] = [
            _count(shapes, f"h_encoder.encoder_blocks.{level}.blocks.")
            for level in range(len(dims))
        ]
        found["heads"] = _HEADS.get(dims[-1][0])
        mlp = shapes.get("h_encoder.encoder_blocks.0.blocks.0.mlp.fc1.weight")
        found["mlp_ratio"] = None if mlp is None else mlp[0] / mlp[1]
    stages = _each(shapes, "decoder_pos_embeds.{}.2.bias")
    if stages:
        found["decoder_dims"] = [shape[0] for shape in stages]
        found["decoder_depths"] = [
            _count(shapes, f"h_decoder.{stage}.blocks.") for stage in range(len(stages))
        ]
        found["up_units"] = [
            _count(shapes, f"token_prop.{stage}.extraction.operation.")
            for stage in range(len(stages) - 1)
        ]
    return {key: value for key, value in found.items() if value is not None}


_HEADS = {384: 6}


def _each(shapes: Mapping[str, tuple[int, ...]], name: str) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    while name.format(len(found)) in shapes:
        found.append(shapes[name.format(len(found))])
    return found


def _count(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> int:
    return len({n.removeprefix(prefix).split(".")[0] for n in shapes if n.startswith(prefix)})
