"""What `--set` changes of `masquerade synthesize vec2face`."""

from typing import Literal

from pydantic import Field, model_validator

from ...core.config import Config
from .attrop_losses import AttrOpSettings
from .perturbation import Perturbation
from .separation import SeparationSettings


class Vec2FaceSynthesis(Config):
    """How a data set is made; the defaults are HSFace's with the released sampler's τ.

    Attributes:
        sampler: where identities come from. "pca": a Gaussian with mean and covariance of real
            class centres; "gaussian": independent normal values of one deviation.
        centres: a file of raw class centres (.npy, or the .parquet of `masquerade embed`); empty =
            those that the weights carry.
        std: the deviation of the sampler "gaussian".
        vectors: a file of raw vectors (as `centres`) that are the identities themselves, in its
            order, instead of sampled ones.
        separation: how far apart identities must be.
        perturbation: how much the pictures of one identity differ.
        pose: head poses, for weights with a pose net: a file .npy of points (P, 5, 2) in pixels of
            the template, or aligned faces (as `--data`) that show them; empty = no condition.
        identity_attrop: the quality pass over identity vectors, or none.
        image_attrop: attributes of every picture, or none.
        embedder: the extractor of AttrOP and of the audit; empty = that of the weights.
        quality: an extractor with gradients whose feature norm is AttrOP's quality in its own units
            (MagFace weights are trained for that; `masquerade embed` prints the quartiles of the
            norms on real faces, of which the upper one is a target to reach).
        precision: of the network that draws the pictures; AttrOP computes in float32.
        compile: whether that network is compiled (worth it on a GPU).
    """

    sampler: Literal["pca", "gaussian"] = "pca"
    centres: str = ""
    std: float = Field(default=1.0, gt=0)
    vectors: str = ""
    separation: SeparationSettings = SeparationSettings()
    perturbation: Perturbation = Perturbation()
    pose: str = ""
    identity_attrop: AttrOpSettings | None = None
    image_attrop: AttrOpSettings | None = None
    embedder: str = ""
    quality: str = ""
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False

    @model_validator(mode="after")
    def _sound(self) -> "Vec2FaceSynthesis":
        for name in ("identity_attrop", "image_attrop"):
            asked: AttrOpSettings | None = getattr(self, name)
            if asked is not None and asked.gate == "batch":
                raise ValueError(
                    f"{name}.gate 'batch' would make a picture depend on the ones beside it, "
                    "expected 'sample'"
                )
        if self.vectors and self.centres:
            raise ValueError("vectors are the identities themselves, centres are for sampling them")
        return self
