"""Images in arrays: `.npz` files and embedded sets."""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ...core.modality import Sample, Source
from ..fingerprints import fingerprint
from ..npz import member_names, open_zip, read_member

_SPLITS = ("train", "val", "test")
_KEY_DIGITS = 6


@dataclass(frozen=True)
class Arrays:
    """What an array source holds.

    Attributes:
        images: (N, H, W) or (N, H, W, C) uint8; of videos N arrays (frames, H, W, 3), of point
            clouds N arrays (points, 3) float32.
        keys: N names, sorted.
        labels: (N,) int64 or None.
        classes: class names.
    """

    images: Sequence[NDArray[Any]] | NDArray[Any]
    keys: list[str]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]


class ArraySource(Source):
    """Images of an array that is loaded once a process, at first use.

    Args:
        name: how a user calls it.
        load: gives the arrays; picklable, so that a worker can load them for itself.
        modality: that they are of.
    """

    def __init__(self, name: str, load: Callable[[], Arrays], modality: str = "image") -> None:
        self.name, self._load, self.modality = name, load, modality
        self._images: Sequence[NDArray[Any]] | NDArray[Any] | None = None
        arrays = load()
        self._images = arrays.images
        self.keys, self.labels, self.classes = arrays.keys, arrays.labels, arrays.classes

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_images": None}

    def read(self, index: int) -> Sample:
        """One image (or what else the arrays hold) as an array."""
        if self._images is None:
            self._images = self._load().images
        label = None if self.labels is None else int(self.labels[index])
        return Sample(self.keys[index], self._images[index], label)

    def fingerprint(self) -> str:
        """The sha256 of all keys, labels and pixels."""
        return fingerprint(self)


def open_npz(path: Path, split: str | None) -> ArraySource:
    """The images of an .npz file.

    Read are `images` (or x, data) with `labels` (or y), and per split `x_train` with `y_train`,
    `train_images` with `train_labels`; also `classes` (names) and `keys` (names of the samples).

    Args:
        path: the file.
        split: the part after '#' (`file.npz#test`); None = the only one.

    Raises:
        DataError: damaged, holds pickled objects or no images, or the split must be named.
    """
    name = f"{path}#{split}" if split else str(path)
    return ArraySource(name, partial(_load_npz, path, split))


def _load_npz(path: Path, split: str | None) -> Arrays:
    with open_zip(path) as archive:
        members = member_names(archive)
        image_name, label_name = _choose(path, members, split)
        images = _pixels(path, image_name, read_member(path, archive, image_name))
        n = len(images)
        labels = None
        if label_name is not None:
            labels = _label_values(path, label_name, read_member(path, archive, label_name), n)
        classes = _names(path, archive, members, "classes") if labels is not None else []
        keys = _names(path, archive, members, f"{split}_keys" if split else "keys")
    prefix = f"{split}/" if split else ""
    keys = keys or [f"{prefix}{i:0{_KEY_DIGITS}d}" for i in range(n)]
    if len(set(keys)) != n:
        raise DataError(f"{path}: {len(set(keys))} different keys for {n} images", "mend 'keys'")
    order = np.argsort(np.array(keys))
    if labels is not None:
        classes = classes or [str(i) for i in range(int(labels.max()) + 1)]
        if int(labels.max()) >= len(classes):
            raise DataError(
                f"{path}: label {int(labels.max())} in {label_name!r} but {len(classes)} classes",
                "mend the labels or 'classes'",
            )
        labels = labels[order]
    return Arrays(images[order], [keys[i] for i in order], labels, tuple(classes))


def _choose(path: Path, members: list[str], split: str | None) -> tuple[str, str | None]:
    """The names of the image and the label array."""
    pairs: dict[str | None, tuple[str, str]] = {}
    for s in _SPLITS:
        for image, label in ((f"x_{s}", f"y_{s}"), (f"{s}_images", f"{s}_labels")):
            if image in members:
                pairs.setdefault(s, (image, label))
    for image, label in (("images", "labels"), ("x", "y"), ("data", "labels")):
        if image in members:
            pairs.setdefault(None, (image, label))
    splits = [s for s in pairs if s is not None]
    if split is None and None not in pairs and len(splits) == 1:
        split = splits[0]
    if split not in pairs:
        if not pairs:
            raise DataError(
                f"no images in {path}: it holds {', '.join(sorted(members)) or 'nothing'}",
                "expected arrays 'images' and 'labels', or 'x_train', 'y_train', 'x_test', …",
            )
        wanted = f"no split {split!r} in {path}" if split else f"{path} holds several splits"
        choices = ", ".join(f"{path.name}#{s}" if s else path.name for s in pairs)
        raise DataError(wanted, f"choose one: {choices}")
    image, label = pairs[split]
    return image, label if label in members else None


def _pixels(path: Path, name: str, array: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Images (N, H, W[, C]) as uint8 from the shapes and types people store."""
    if array.ndim == 4 and array.shape[-1] not in (1, 3, 4) and array.shape[1] in (1, 3, 4):
        array = np.moveaxis(array, 1, -1)
    bad_shape = array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] not in (1, 3, 4))
    if bad_shape or 0 in array.shape:
        raise DataError(
            f"{path}: the array {name!r} has the shape {array.shape}",
            "expected (N, height, width) or (N, height, width, 1|3|4), N at least 1",
        )
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if np.issubdtype(array.dtype, np.floating) and 0 <= array.min() and array.max() <= 1:
        return np.rint(array.astype(np.float32) * 255).astype(np.uint8)
    raise DataError(
        f"{path}: the array {name!r} holds {array.dtype} from {array.min()} to {array.max()}",
        "expected uint8, uint16, or floats from 0 to 1",
    )


def _label_values(path: Path, name: str, array: NDArray[np.generic], n: int) -> NDArray[np.int64]:
    flat = array.reshape(-1)
    if len(flat) != n or not np.issubdtype(flat.dtype, np.integer) or flat.min() < 0:
        raise DataError(
            f"{path}: the array {name!r} has {len(flat)} values of {flat.dtype} for {n} images",
            "expected one whole number from 0 per image",
        )
    return flat.astype(np.int64)


def _names(path: Path, archive: zipfile.ZipFile, members: list[str], name: str) -> list[str]:
    if name not in members:
        return []
    return [str(v) for v in read_member(path, archive, name).reshape(-1)]
