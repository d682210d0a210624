"""Weights that the authors of the methods publish: where they lie, and what is known of them.

The official MAE pages give the first six digits of an md5 and no sha256, and the pages of the
visualization weights give none at all: what cannot be checked says so.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..core.download import download
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
        raise UsageError(
            f"no published weights '{name}'",
            f"{nearest(name, PUBLISHED)} (`masquerade weights get` lists them)",
        )
    return PUBLISHED[name]


@dataclass(frozen=True)
class Got:
    """A downloaded weights file.

    Attributes:
        name: its entry.
        path: where it lies now.
        sha256: of the file, to be pinned.
        checked: against what it was checked.
    """

    name: str
    path: Path
    sha256: str
    checked: str

    @property
    def next_command(self) -> str:
        """The command that imports it."""
        entry = published(self.name)
        words = ["masquerade weights import", entry.method, str(self.path), entry.settings]
        return " ".join([*filter(None, words), "--out", f"{self.name}.safetensors"])


def catalogue() -> list[dict[str, str | None]]:
    """One row per published file, for a table."""
    return [
        {
            "name": name,
            "method": entry.method,
            "md5": f"{entry.md5_start}…" if entry.md5_start else None,
            "licence": entry.licence,
            "holds": entry.holds,
            "url": entry.url,
        }
        for name, entry in PUBLISHED.items()
    ]


def get_published(
    name: str,
    out: Path | None = None,
    *,
    sha256: str | None = None,
    url: str | None = None,
    unverified: bool = False,
) -> Got:
    """Download a published file, check it, and put it in its place.

    Args:
        name: its entry.
        out: where to; the published file name when None.
        sha256: what the user knows of it.
        url: another address of the same file.
        unverified: accept a file of which neither md5 nor sha256 is known.

    Raises:
        UsageError: no such entry, or nothing is known that the file could be checked by.
        WeightsError: the file is another one; it is removed.
        MasqueradeError: the server or the disk refuses; what came is kept for the next try.
    """
    entry = published(name)
    if not (entry.md5_start or sha256 or unverified):
        raise UsageError(
            f"nothing is published by which '{name}' could be checked",
            "give its --sha256, or --unverified to take it as it comes",
        )
    path = out or Path(entry.url.rpartition("/")[2])
    if path.exists():
        raise UsageError(f"{path} exists", "remove it or choose another --out")
    arrived = download(url or entry.url, path.with_name(f"{path.name}.unchecked"), None)
    try:
        found, checked = _check(arrived, entry, sha256)
    except WeightsError:
        arrived.unlink()
        raise
    arrived.replace(path)
    return Got(name, path, found, checked)


def _check(path: Path, entry: Published, sha256: str | None) -> tuple[str, str]:
    """The file's sha256, and against what it was checked."""
    found = sha256_file(path)
    if sha256 is not None and found != sha256.lower():
        raise WeightsError(
            f"{entry.url}: expected sha256 {sha256}, got {found}", "check the hash, or try again"
        )
    if entry.md5_start:
        md5 = _md5_file(path)
        if not md5.startswith(entry.md5_start):
            raise WeightsError(
                f"{entry.url}: expected an md5 that starts with {entry.md5_start}, got {md5}",
                "another file lies there now; do not use it",
            )
    known = ["the sha256 given"] if sha256 else []
    known += [f"the published md5 start {entry.md5_start}"] if entry.md5_start else []
    return found, f"checked against {' and '.join(known)}" if known else "not checked by anything"


def _md5_file(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)  # all that is published; recognises, not protects
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
