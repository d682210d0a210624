"""The frozen nets that a data set's settings name: the extractor of AttrOP and audit, the quality.

Each is opened once. The plan of a set keeps the hashes of those that its pictures were made with.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from ...core.atomic_io import canonical_json, write_text
from ...core.errors import DataError, UsageError
from ...modalities.image.faces.embedders import Embedder, open_embedder
from .attrop import AttrOP
from .attrop_losses import AttrOpSettings
from .estimators import FeatureNorm
from .settings import Vec2FaceSynthesis

if TYPE_CHECKING:
    from .method import Vec2Face

NETS = "nets.json"  # the hashes of the nets that AttrOP of pictures works with
_PUBLISHED = 27.0  # q* for norms of MagFace, where gate and weight of the quality are 1
_LARGEST_GATE = 0.1  # of the target: published is 1 of 27

Which = Literal["identity_attrop", "image_attrop"]


class FrozenNets:
    """Opens what settings name.

    Args:
        method: whose vectors and pictures the nets see.
        device: where they compute.
    """

    def __init__(self, method: "Vec2Face", device: str) -> None:
        self._method = method
        self._opened = lru_cache(maxsize=4)(lambda name: _open(name, device))
        self._planned = lru_cache(maxsize=2)(self._checked)

    def embedder(self, settings: Vec2FaceSynthesis) -> Embedder:
        """The extractor of AttrOP and audit.

        Raises:
            UsageError: neither the settings nor the weights name one, or it is of another width.
        """
        name = settings.embedder or self._method.config.embedder
        if not name:
            raise UsageError(
                "these weights do not say which face extractor their vectors are of",
                "name it: --set embedder=FILE (imported with `masquerade weights import iresnet`)",
            )
        found: Embedder = self._opened(name)
        if found.width != self._method.config.rep_dim:
            raise UsageError(
                f"the extractor '{name}' gives vectors of {found.width} values, the weights take "
                f"{self._method.config.rep_dim}",
                "name the extractor that the weights were trained with",
            )
        return found

    def attrop(self, settings: Vec2FaceSynthesis, name: Which) -> AttrOP:
        """AttrOP of the settings called `name`.

        Raises:
            UsageError: a target needs a net that is not named or gives no gradients, or the gate
                of the quality is wide beside its target.
        """
        wanted: AttrOpSettings = getattr(settings, name)
        if wanted.pose_target is not None:
            raise UsageError(
                f"{name}.pose_target {wanted.pose_target} needs a differentiable head-pose net, "
                "and no such weights can be named here",
                "leave it out, or call AttrOP from Python with a `Yaw` estimator of your net",
            )
        if wanted.quality_target is None:
            raise UsageError(f"{name} has no target", f"give --set {name}.quality_target=VALUE")
        if not settings.quality:
            raise UsageError(
                f"{name}.quality_target {wanted.quality_target} needs a quality net, and none is "
                "named",
                "name MagFace weights (imported with `masquerade weights import iresnet`), or "
                "another net and a target in its units: --set quality=NAME",
            )
        embedder, quality = self.embedder(settings), self._opened(settings.quality)
        for net in (embedder, quality):
            if not net.differentiable:
                raise UsageError(
                    f"the extractor '{net.name}' gives no gradients, which {name} needs",
                    "use face-api or a weights file of iresnet",
                )
        _refuse_wide_gate(wanted.quality_gate, wanted.quality_target, name, quality.name)
        frame, template = self._method.frame, self._method.template
        return AttrOP(
            wanted, lambda images: frame(embedder.embed(images, template)),
            FeatureNorm(lambda images: quality.embed(images, template)),
        )  # fmt: skip

    def write(self, settings: Vec2FaceSynthesis, folder: Path) -> None:
        """Write the hashes of the nets of `image_attrop` into a folder, as nets.json."""
        write_text(folder / NETS, canonical_json(self._hashes(settings)))

    def planned_attrop(self, settings: Vec2FaceSynthesis, folder: Path) -> AttrOP:
        """AttrOP of pictures, by the very nets whose hashes were written into `folder`.

        Raises:
            DataError: another net lies at a name that the settings give.
            UsageError: as `attrop`.
        """
        return self._planned(settings, folder)

    def _checked(self, settings: Vec2FaceSynthesis, folder: Path) -> AttrOP:
        planned, now = json.loads((folder / NETS).read_text("utf-8")), self._hashes(settings)
        for role, content_hash in now.items():
            if planned.get(role) != content_hash:
                raise DataError(
                    f"the {role} net that the settings name has the sha256 {content_hash[:16]}…, "
                    f"the plan was made with {str(planned.get(role))[:16]}…",
                    "restore the former file, or make the data set again in another folder",
                )
        return self.attrop(settings, "image_attrop")

    def _hashes(self, settings: Vec2FaceSynthesis) -> dict[str, str]:
        return {
            "embedder": self.embedder(settings).hash,
            "quality": self._opened(settings.quality).hash,
        }


def _open(name: str, device: str) -> Embedder:
    # a worker opens them while it renders, where new tensors could have no gradients
    with torch.inference_mode(mode=False):
        return open_embedder(name, device)


def _refuse_wide_gate(gate: float, target: float, name: Which, net: str) -> None:
    """Refuse a gate that qualities far below the target would pass.

    The defaults are for MagFace's norms; those of another net may be twenty times smaller, and
    then every picture would count as good.

    Raises:
        UsageError: the gate is more than a tenth of the target.
    """
    if gate <= _LARGEST_GATE * target:
        return
    raise UsageError(
        f"{name}.quality_gate {gate:g} would let a quality of {target - gate:.3g} pass for the "
        f"target {target:g}",
        f"gate and weight are in units of the norm of '{net}'; the published proportions are "
        f"--set {name}.quality_gate={target / _PUBLISHED:.2g} "
        f"--set {name}.quality_weight={_PUBLISHED / target:.2g}"
        if target > 0
        else f"give a positive {name}.quality_target",
    )
