"""Training that begins with trained weights: those of a plain network in one with adapters."""

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from ...core.errors import WeightsError
from ...core.fit import compare
from ...core.lora import LoRALinear
from ...methods.weights import load_method
from .config import Vec2FaceConfig

if TYPE_CHECKING:
    from .method import Vec2Face

# what does not change what the weights mean; all other settings of the network must agree
_FREE = {"lora_rank", "lora_alpha", "pose", "dropout", "position_std", "unused"}
# parts that either side may lack: they begin anew, or stay behind
_OPTIONAL = ("net.pose.", "net.unused.", "discriminator.")


def load_start(method: "Vec2Face", path: Path) -> None:
    """Fill a method with trained weights: network, base image, embedding frame and centres.

    Adapters, pose net and discriminator keep their own start where the weights have none.

    Args:
        method: what is filled, in place.
        path: a weights file or run folder of vec2face.

    Raises:
        WeightsError: no weights there, or of another method, network or shape.
    """
    base = load_method(path, expect=method.slug)
    _check_settings(base.config, method.config, path)
    adapted = {
        f"{name}.{part}": f"{name}.base.{part}"
        for name, layer in method.named_modules()
        if isinstance(layer, LoRALinear)
        for part in ("weight", "bias")
    }
    method.frame.resize(len(base.frame.centres))  # type: ignore[union-attr, arg-type]
    own = method.state_dict()
    state = {adapted.get(name, name): value for name, value in base.state_dict().items()}
    state = {k: v for k, v in state.items() if k in own or not k.startswith(_OPTIONAL)}
    anew = {k: v for k, v in own.items() if k.startswith(_OPTIONAL) or _is_adapter(method, k)}
    report = compare(method, {**anew, **state})
    if not report.fits:
        raise WeightsError(
            f"{path} does not fit the settings:\n{report}", "name weights of the same network"
        )
    method.load_state_dict({**anew, **state})


def _is_adapter(module: nn.Module, name: str) -> bool:
    owner, _, part = name.rpartition(".")
    return part in ("A", "B") and isinstance(module.get_submodule(owner), LoRALinear)


def _check_settings(found: Vec2FaceConfig, wanted: Vec2FaceConfig, path: Path) -> None:
    """Shapes do not tell heads or groups, so the settings are compared, too."""
    for name in Vec2FaceConfig.model_fields.keys() - _FREE:
        if getattr(found, name) != getattr(wanted, name):
            raise WeightsError(
                f"{path} holds a network with {name} {getattr(found, name)}, the settings say "
                f"{getattr(wanted, name)}",
                f"add --set method.{name}={getattr(found, name)}, or name other weights",
            )
