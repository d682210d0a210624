"""Feature extractors: what every frozen face net offers, and how one is opened by name.

An extractor declares the template that it reads; pictures of another one are converted by the
fixed similarity between the two, and refused where there is none.
"""

# B images, S side of their template, D width of the embedding.

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ....core.errors import UsageError, WeightsError, nearest
from ....core.weights import FORMAT, find_weights, read_own_weights
from .templates import convert

NAMES = ("face-api", "pca-lda", "dlib")
FACE_NETS = ("iresnet", "arcface", "pca-lda")  # as the headers of weights files name them
# nets that share weights or a teacher: what pleases one of a row by accident pleases all
KIN = (frozenset({"face-api", "dlib"}),)  # face-api is dlib's net, quantized
_FORMS = (
    f"{', '.join(NAMES)}, onnx:FILE, insightface:PACK, or a weights file or run of "
    f"{' or '.join(FACE_NETS)}"
)


@dataclass(frozen=True)
class View:
    """What an extractor makes of pictures in one pass.

    Attributes:
        vectors: (B, D) float32 raw embeddings.
        taps: feature maps (B, C, H, W) at three depths, shallow first; [] where there are none.
    """

    vectors: Tensor
    taps: list[Tensor]


class Embedder(nn.Module, ABC):
    """Base of all extractors: frozen, always in evaluation mode.

    Args:
        name: how people call it.
        content_hash: the sha256 of its weights.
        width: D.
        template: the template that it reads.
        differentiable: whether gradients reach the pictures.
        training_data: the data sets that it was trained on, as declared.
    """

    def __init__(
        self,
        name: str,
        content_hash: str,
        width: int,
        template: str,
        *,
        differentiable: bool,
        training_data: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.name = name
        self.hash = content_hash
        self.width = width
        self.template = template
        self.differentiable = differentiable
        self.training_data = training_data

    @abstractmethod
    def chips_to_vectors(self, chips: Tensor) -> Tensor:
        """(B, D) of pictures (B, 3, S, S) of the extractor's own template."""

    def embed(self, images: Tensor, template: str) -> Tensor:
        """The raw embeddings (B, D) float32, norms kept.

        Args:
            images: (B, 3, S, S) RGB in [-1, 1].
            template: the template that the pictures are of.

        Raises:
            UsageError: the pictures are of another size or template, or gradients are asked of
                an extractor that gives none.
        """
        return self.chips_to_vectors(self._chips(images, template)).float()

    def view(self, images: Tensor, template: str) -> View:
        """Embeddings and feature maps of one pass; an extractor may have no maps.

        Args:
            images: (B, 3, S, S) RGB in [-1, 1].
            template: the template that the pictures are of.

        Raises:
            UsageError: as for `embed`.
        """
        return View(self.embed(images, template), [])

    def taps(self, images: Tensor, template: str) -> list[Tensor]:
        """The feature maps of `view`.

        Raises:
            UsageError: this extractor has none.
        """
        found = self.view(images, template).taps
        if not found:
            raise UsageError(
                f"the extractor '{self.name}' shows no feature maps",
                "name one that does: face-api, or weights of 'iresnet' or 'arcface'",
            )
        return found

    def forward(self, images: Tensor, template: str) -> Tensor:
        """As `embed`."""
        return self.embed(images, template)

    def _chips(self, images: Tensor, source: str) -> Tensor:
        """(B, 3, S, S) float32 pictures of the extractor's own template."""
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise UsageError(
                f"the extractor '{self.name}' reads RGB pictures (B, 3, S, S) as floats in "
                f"[-1, 1], got {images.dtype} of shape {tuple(images.shape)}"
            )
        if images.requires_grad and torch.is_grad_enabled() and not self.differentiable:
            raise UsageError(
                f"the extractor '{self.name}' gives no gradients",
                "use face-api or weights of 'iresnet' or 'arcface', or detach the pictures",
            )
        return convert(images.float(), source, self.template)

    def freeze(self) -> "Embedder":
        """Itself: no parameter learns from here on. Call it last when building."""
        for parameter in self.parameters():
            parameter.requires_grad_(False)  # noqa: FBT003 - torch's own signature
        return self.eval()

    def train(self, mode: bool = True) -> "Embedder":  # noqa: ARG002, FBT001, FBT002
        """Itself in evaluation mode, whatever is asked: an outer module's `train()` passes here."""
        return super().train(mode=False)


def kinship(judge: Embedder, name: str, content_hash: str | None) -> Literal["same", "kin"] | None:
    """What an extractor is to another one, of which a name and perhaps a hash are known.

    Args:
        judge: the extractor.
        name: of the other one.
        content_hash: the sha256 of the other one's weights; None where only the name is known.

    Returns:
        "same" net, "kin" by the table `KIN`, or None: nothing in common that is known.
    """
    if content_hash == judge.hash or (content_hash is None and name == judge.name):
        return "same"
    return "kin" if any({judge.name, name} <= row for row in KIN) else None


def open_embedder(text: str, device: str = "cpu") -> Embedder:
    """The extractor that a user names.

    Args:
        text: "face-api" or "pca-lda" (shipped), "dlib", "onnx:FILE", "insightface:PACK" (a model
            pack's folder or name), or a weights file or run folder of a face net (`FACE_NETS`).
        device: where it computes.

    Raises:
        UsageError: no such extractor; lists what there is.
        WeightsError: the weights do not load, or are of something else.
        MissingExtra: an optional package is absent.
    """
    name, _, rest = text.partition(":")
    if text == "face-api":
        from .face_api import FaceApi

        found: Embedder = FaceApi()
    elif text == "pca-lda":
        from .judge import Judge

        found = Judge.shipped()
    elif text == "dlib":
        from .dlib_net import DlibNet

        found = DlibNet()
    elif name == "onnx" and rest:
        from .onnx_net import OnnxNet

        found = OnnxNet(Path(rest), device)
    elif name == "insightface" and rest:
        from .model_packs import find_recogniser
        from .onnx_net import OnnxNet

        found = OnnxNet(find_recogniser(rest), device, f"insightface:{Path(rest).name}")
    elif Path(text).exists():
        found = _of_file(Path(text))
    else:
        raise UsageError(f"no face extractor '{text}': expected {_FORMS}", nearest(text, NAMES))
    return found.freeze().to(device)


def face_net_of(path: Path) -> str | None:
    """Which face net a weights file or run folder holds; None for anything else.

    Only the header is read.
    """
    try:
        with safe_open(find_weights(path), framework="pt") as file:
            header = file.metadata() or {}
    except (SafetensorError, WeightsError, OSError):
        return None  # whoever loads it as something else says what is wrong with it
    known = header.get("format") == FORMAT and header.get("method") in FACE_NETS
    return header["method"] if known else None


def _of_file(path: Path) -> Embedder:
    file = read_own_weights(path, "iresnet")
    if file.header.get("method") in ("iresnet", "arcface"):
        from .iresnet import IResNetEmbedder

        return IResNetEmbedder.of_file(file, path.resolve().name if path.is_dir() else path.stem)
    if file.header.get("method") == "pca-lda":
        from .judge import Judge

        return Judge.of_file(file)
    raise WeightsError(
        f"{file.path} holds weights of '{file.header.get('method')}', expected those of "
        f"{' or '.join(FACE_NETS)}",
        "name weights of a face net",
    )
