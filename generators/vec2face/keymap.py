"""Official names and containers of Vec2Face weights, and the settings that weights fix."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ...core.keymap import Key
from .config import UNUSED_KEYS, unused_name

Shapes = Mapping[str, tuple[int, ...]]

# the entries of an official file that hold weights → what is put before their names
WRAPPERS = {"model_vec2face": "", "pose_model": "pose_model.", "model_disc": "disc."}

NET_KEYMAP = (
    Key("latent_prior_proj_f.*", "project.*"),
    Key("feature_token.*", "expand.*"),
    Key("token_emb.position_embeddings.weight", "positions"),
    Key("token_emb.LayerNorm.*", "embed_norm.*"),
    Key("blocks.*", "blocks.*"),
    Key("norm.*", "norm.*"),
    Key("decoder_embed.*", "decoder_embed.*"),
    Key("decoder_pos_embed_learned", "decoder_positions"),
    Key("decoder_blocks.*", "decoder_blocks.*"),
    Key("decoder_norm.*", "decoder_norm.*"),
    Key("im_decoder_proj.*", "to_map.*"),
    Key("im_decoder.*", "image_decoder.*"),
    *(Key(f"pose_model.conv{i + 1}.*", f"pose.convs.{i}.*") for i in range(4)),
    Key("pose_model.linear.*", "pose.linear.*"),
    *(Key(name, f"unused.{unused_name(name)}") for name in UNUSED_KEYS),
)

_STAGES = 8  # more than any discriminator of 112 × 112 pictures can have
DISCRIMINATOR_KEYMAP = (
    Key("disc.layers.0.0.convs.*", "embed.convs.*"),
    *(
        Key(f"disc.layers.{i + 1}.{official}.*", f"stages.{i}.{ours}.*")
        for i in range(_STAGES)
        for official, ours in (
            ("0", "down"),
            ("2", "norm"),
            ("3.block.groupnorm", "inner_norm"),
            ("3.block.project", "inner"),
        )
    ),
    Key("disc.to_logits.0.*", "mix.*"),
    Key("disc.to_logits.2.*", "head.*"),
)


def _under(rows: Iterable[Key], prefix: str) -> tuple[Key, ...]:
    return tuple(Key(row.official, f"{prefix}{row.ours}") for row in rows)


# of a method with the parts `net` and `discriminator`
KEYMAP = _under(NET_KEYMAP, "net.") + _under(DISCRIMINATOR_KEYMAP, "discriminator.")

# heads are not to be read from weights: those of the published widths (decoder: 16 in all)
_HEADS = {768: 12, 1024: 16, 1280: 16}
_DECODER_HEADS = 16


def container_of(names: Iterable[str]) -> str:
    """Which published container official names belong to.

    "plus" holds adapters or the pose net (Vec2Face+), "generator" neither. A training file's
    discriminator may lie beside either.
    """
    plus = any(name.startswith("pose_model.") or name.endswith(".qkv.A") for name in names)
    return "plus" if plus else "generator"


def derive(shapes: Shapes) -> dict[str, Any]:
    """The settings of `Vec2FaceConfig` that the shapes of official weights fix.

    Heads are given for the published widths only; α of the adapters is not to be read either.
    """
    found: dict[str, Any] = {
        "depth": _count(shapes, "blocks."),
        "decoder_depth": _count(shapes, "decoder_blocks."),
        "n_res_blocks": _count(shapes, "im_decoder.up.0.block."),
        "unused": tuple(name for name in UNUSED_KEYS if name in shapes),
        "pose": any(name.startswith("pose_model.") for name in shapes),
    }
    if "latent_prior_proj_f.weight" in shapes:
        dim, found["rep_dim"] = shapes["latent_prior_proj_f.weight"]
        found["dim"] = dim
        if dim in _HEADS:
            found |= {"heads": _HEADS[dim], "decoder_heads": _DECODER_HEADS}
    if "blocks.0.mlp.fc1.weight" in shapes:
        hidden, dim = shapes["blocks.0.mlp.fc1.weight"]
        found["mlp_ratio"] = hidden / dim
    if "im_decoder_proj.weight" in shapes:
        found["z_channels"] = shapes["im_decoder_proj.weight"][0]
    levels = range(_count(shapes, "im_decoder.up.") or 0)
    first = [f"im_decoder.up.{i}.block.0.conv1.weight" for i in levels]
    if first and all(name in shapes for name in first):
        found["channels"] = tuple(shapes[name][0] for name in first)
    if "blocks.0.attn.qkv.A" in shapes:
        found["lora_rank"] = shapes["blocks.0.attn.qkv.A"][0]
    return {key: value for key, value in found.items() if value is not None}


def derive_discriminator(shapes: Shapes) -> tuple[int, ...] | None:
    """The widths of the discriminator in official weights; None where they hold none."""
    parts = [s for name, s in shapes.items() if _is(name, "disc.layers.0.0.convs.")]
    if not parts:
        return None
    stages = range(1, _count(shapes, "disc.layers.") or 1)
    return (
        sum(shape[0] for shape in parts),
        *(shapes[f"disc.layers.{i}.0.weight"][0] for i in stages),
    )


def _is(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and name.endswith(".weight")


def _count(shapes: Shapes, prefix: str) -> int | None:
    """How many numbered entries lie under `prefix`; None where there is none."""
    numbers = {name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)}
    return len(numbers) or None


def unwrap(state: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """An official file's "part/parameter" names without the parts, and which parts are foreign.

    Example:
        >>> unwrap({"pose_model/linear.bias": 1, "ema/norm.bias": 2})
        ({'pose_model.linear.bias': 1}, ("left out: the part 'ema', 1 in all",))
    """
    found: dict[str, Any] = {}
    foreign: Counter[str] = Counter()
    for name, value in state.items():
        part, slash, rest = name.partition("/")
        if slash and part not in WRAPPERS:
            foreign[part] += 1
        else:
            found[WRAPPERS[part] + rest if slash else name] = value
    return found, tuple(f"left out: the part '{k}', {n} in all" for k, n in foreign.items())


def wrap(state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """An official file's content of one state: its entries by `WRAPPERS`, prefixes taken off."""
    content: dict[str, dict[str, Any]] = {}
    prefixes = {prefix: wrapper for wrapper, prefix in WRAPPERS.items() if prefix}
    for name, value in state.items():
        prefix = next((p for p in prefixes if name.startswith(p)), "")
        content.setdefault(prefixes.get(prefix, "model_vec2face"), {})[name[len(prefix) :]] = value
    return content
