"""The pairs of faces that verification is run on: opened from what a user names, aligned once."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.config import Config, build
from ..core.errors import DataError, UsageError
from ..core.hashing import sha256_json
from ..core.metrics.pair_intervals import connected_groups
from .subjects import Extraction

if TYPE_CHECKING:
    from ..modalities.image.faces.detectors import Detector, Face
    from ..modalities.image.faces.pair_alignment import AlignedPairs
    from ..modalities.image.faces.pairs import FacePairs

IDENTITIES, GROUPS = "identities", "connected groups of pictures"
LISTS = (".bin", ".xz", ".txt", ".tsv")  # last suffixes of files that list pairs


class PairSettings(Config):
    """The `data.` settings of pairs.

    Attributes:
        root: the folder of the pictures that a list names; None = the list's own.
        template: that the pictures are aligned to; None = what their folder declares, or of a
            pair file arcface-112; where nothing is known, the faces are found and aligned.
        detector: finds them.
        seed: of the impostor pairs drawn from a folder per person.
    """

    root: str | None = None
    template: str | None = None
    detector: str = "mtcnn"
    seed: int = 0


class PairTask:
    """Pairs of faces, aligned once to each template that the subjects of a run read.

    Args:
        pairs: the list.
        detector: finds the faces of pictures that are not aligned.
        extraction: where it computes, and who watches.

    Raises:
        DataError: the list has genuine or impostor pairs only.
    """

    def __init__(
        self,
        pairs: "FacePairs",
        detector: str = "mtcnn",
        extraction: Extraction = Extraction(),  # noqa: B008 - it is frozen
    ) -> None:
        pairs.check_both_kinds()
        self.pairs, self._named, self._extraction = pairs, detector, extraction
        self._aligned: dict[str, AlignedPairs] = {}

    @property
    def name(self) -> str:
        """How a user calls it."""
        return self.pairs.name

    @property
    def alignment(self) -> dict[str, str]:
        """How the pictures are aligned: the template that they came with, or the detector."""
        if self.pairs.template is not None:
            return {"template": self.pairs.template}
        return {"detector": self._detector.name, "detector_hash": self._detector.hash}

    def hash(self) -> str:
        """The sha256 of pairs, pictures and detector.

        Raises:
            DataError: a picture cannot be read.
        """
        return self._hash

    def aligned(self, template: str) -> "AlignedPairs":
        """The pairs over aligned pictures, of this template unless they came with another.

        Raises:
            DataError: no pair has both pictures.
        """
        from ..modalities.image.faces.pair_alignment import aligned_pairs

        wanted = self.pairs.template or template
        if wanted not in self._aligned:
            self._aligned[wanted] = aligned_pairs(
                self.pairs, wanted, lambda: self._detector,
                self._extraction.watch(f"faces, {wanted}"),
            )  # fmt: skip
        return self._aligned[wanted]

    def groups(self) -> tuple[NDArray[np.int64], str]:
        """Whose each picture of the list's source is, as numbers (K,), and what the numbers mean.

        Where the list names nobody, pictures joined by genuine pairs are one group.
        """
        pairs = self.pairs
        if pairs.identities is not None:
            return np.unique(pairs.identities, return_inverse=True)[1], IDENTITIES
        same = pairs.same
        return connected_groups(len(pairs.source), pairs.first[same], pairs.second[same]), GROUPS

    @cached_property
    def _hash(self) -> str:
        return sha256_json({"pairs": self.pairs.hash(), "alignment": self.alignment})

    @cached_property
    def _detector(self) -> "Detector":
        from ..modalities.image.faces.detectors import open_detector

        return _Remembering(open_detector(self._named, self._extraction.device))


class _Remembering:
    """A detector that looks at no picture twice: two templates need one search only."""

    def __init__(self, detector: "Detector") -> None:
        self.name, self.hash, self._detector = detector.name, detector.hash, detector
        self._found: dict[bytes, list[Face]] = {}

    def detect(self, picture: NDArray[np.uint8]) -> "list[Face]":
        """The faces of an (H, W, 3) RGB picture, best score first."""
        key = hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).digest()
        if key not in self._found:
            self._found[key] = self._detector.detect(picture)
        return self._found[key]


def open_pairs(
    text: str,
    own: Mapping[str, Any],
    extraction: Extraction = Extraction(),  # noqa: B008 - it is frozen
) -> tuple[PairTask, dict[str, Any]]:
    """The pairs that a user names, and the `data.` settings that are not theirs.

    Args:
        text: a pair file (.bin, .bin.xz), LFW's pairs.txt, a table (.tsv), or any source with a
            folder per person.
        own: the `data.` settings; those of `PairSettings` are taken, the others given back.
        extraction: where faces are found, and who watches.

    Raises:
        UsageError: a setting is wrong, or the pictures' folder declares another template.
        DataError: there is nothing of that kind, it is damaged, or it has one kind of pair only.
    """
    mine = {key: value for key, value in own.items() if key in PairSettings.model_fields}
    settings = build(PairSettings, mine, "data")
    rest = {key: value for key, value in own.items() if key not in mine}
    return PairTask(_open(text, settings), settings.detector, extraction), rest


def _open(text: str, settings: PairSettings) -> "FacePairs":
    from ..modalities.catalogue import CATALOGUE, resolve_data
    from ..modalities.image.faces.aligned import declared_template
    from ..modalities.image.faces.pair_files import read_pair_file
    from ..modalities.image.faces.pair_lists import read_lfw_pairs, read_pair_table
    from ..modalities.image.faces.pair_sets import set_pairs
    from ..modalities.image.faces.templates import ARCFACE_112

    path = Path(text)
    kind = "".join(path.suffixes[-2:]) if path.suffix == ".xz" else path.suffix
    if kind in (".bin", ".bin.xz"):
        return read_pair_file(path, _agreed(settings.template, None, text) or ARCFACE_112)
    if kind in (".txt", ".tsv"):
        root = Path(settings.root) if settings.root else path.parent
        if not root.is_dir():
            raise DataError(f"no folder {root}", "check --set data.root=FOLDER")
        template = _agreed(settings.template, _declared_inside(root), str(root))
        return (read_lfw_pairs if kind == ".txt" else read_pair_table)(path, root, template)
    if text in CATALOGUE:
        raise UsageError(
            f"the data set '{text}' holds no faces",
            "name a pair file (.bin), LFW's pairs.txt, a table (.tsv) or a folder per person "
            "with --data",
        )
    source = resolve_data(text, "image")
    template = _agreed(settings.template, declared_template(source), text)
    return set_pairs(source, path.name, template, settings.seed)


def _declared_inside(root: Path) -> str | None:
    from ..modalities.image.faces.aligned import template_of

    return template_of(root) or template_of(root.parent)


def _agreed(said: str | None, declared: str | None, where: str) -> str | None:
    from ..modalities.image.faces.templates import template

    if said is not None:
        template(said)
    if said and declared and said != declared:
        raise UsageError(
            f"{where} holds faces of the template '{declared}', data.template says '{said}'",
            "leave out data.template",
        )
    return declared or said
