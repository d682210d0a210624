"""Weights that the authors of the methods publish: where they lie, and what is known of them.

The official MAE pages give the first six digits of an md5 and no sha256, and the pages of the
visualization weights give none at all: what cannot be checked says so.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UsageError, WeightsError, nearest
from ..core.hashing import sha256_file

_MAE = "https://dl.fbaipublicfiles.com/mae"


@dataclass(frozen=True)
class Published:
    """One published file.

    Attributes:
        method: the slug that `weights import` wants.
        url: where its authors publish it.
        holds: which part of the model.
        md5_start: the first digits of its md5, as published; empty where none are.
        licence: of the weights.
        settings: what `weights import --set` must be told, because the file does not say it.
    """

    method: str
    url: str
    holds: str
    md5_start: str
    licence: str = "CC-BY-NC-4.0"
    settings: str = ""


_ENCODER = "encoder (features; no decoder)"
_WHOLE = "encoder and decoder (pictures; trained on pixels that are not normalized)"
_CLASSIFIER = "fine-tuned ImageNet-1k classifier"
_RAW = "--set method.norm_pix=false"

PUBLISHED = {
    "mae-vit-b": Published("mae", f"{_MAE}/pretrain/mae_pretrain_vit_base.pth", _ENCODER, "8cad7c"),
    "mae-vit-l": Published(
        "mae", f"{_MAE}/pretrain/mae_pretrain_vit_large.pth", _ENCODER, "b8b06e"
    ),
    "mae-vit-h": Published("mae", f"{_MAE}/pretrain/mae_pretrain_vit_huge.pth", _ENCODER, "9bdbb0"),
    "mae-vit-b-visualize": Published(
        "mae", f"{_MAE}/visualize/mae_visualize_vit_base.pth", _WHOLE, "", settings=_RAW
    ),
    "mae-vit-l-visualize": Published(
        "mae", f"{_MAE}/visualize/mae_visualize_vit_large.pth", _WHOLE, "", settings=_RAW
    ),
    "mae-vit-b-finetuned": Published(
        "mae", f"{_MAE}/finetune/mae_finetuned_vit_base.pth", _CLASSIFIER, "1b25e9"
    ),
    "mae-vit-l-finetuned": Published(
        "mae", f"{_MAE}/finetune/mae_finetuned_vit_large.pth", _CLASSIFIER, "51f550"
    ),
    "mae-vit-h-finetuned": Published(
        "mae", f"{_MAE}/finetune/mae_finetuned_vit_huge.pth", _CLASSIFIER, "2541f2"
    ),
}


def published(name: str) -> Published:
    """The entry called `name`.

    Raises:
        UsageError: there is none; names the nearest.
    """
    if name not in PUBLISHED:
        raise UsageError(f"no published weights '{name}'", nearest(name, PUBLISHED))
    return PUBLISHED[name]


def check_published(path: Path, name: str, sha256: str | None) -> str:
    """The sha256 of a downloaded file that is what its authors published.

    Args:
        path: the file.
        name: its entry.
        sha256: what the user knows of it; None where nothing.

    Raises:
        WeightsError: it is another file; names expected and got.
    """
    found = sha256_file(path)
    if sha256 is not None and found != sha256.lower():
        raise WeightsError(f"{path}: expected sha256 {sha256}, got {found}", "download it again")
    start = published(name).md5_start
    if start:
        md5 = _md5_file(path)
        if not md5.startswith(start):
            raise WeightsError(
                f"{path}: expected an md5 that starts with {start}, got {md5}", "download it again"
            )
    return found


def _md5_file(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)  # all that is published; recognises, not protects
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
