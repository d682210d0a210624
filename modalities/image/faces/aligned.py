"""Sources of aligned faces: a source of images together with the template of its pictures."""

# B pictures, S side of the template.

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....core.errors import DataError, UsageError
from ....core.modality import Source
from ..decoding import Picture
from .templates import TEMPLATES, Template
from .templates import template as named

FACES = "faces.json"
PREPARING = ".preparing"
FORMAT = "masquerade-faces/1"


def template_of(folder: Path) -> str | None:
    """The template that a folder of prepared faces declares; None where it declares none.

    Raises:
        DataError: the preparation was broken off, or its faces.json is damaged.
    """
    facts = facts_of(folder)
    return None if facts is None else str(facts["template"])


def declared_template(source: Source) -> str | None:
    """The template that a source, its files' folder, or the folder around that one declares.

    So a part of a prepared folder (`FACES#fit`, or one identity's folder) has the whole's. A source
    that aligns its pictures itself has a `template`. None where nothing is declared.

    Raises:
        DataError: as `template_of`.
    """
    known: str | None = getattr(source, "template", None)
    if known is not None:
        return known
    root = getattr(source, "root", None)
    folders = (Path(root), Path(root).parent) if root is not None else ()
    return next((found for folder in folders if (found := template_of(folder))), None)


def facts_of(folder: Path) -> dict[str, Any] | None:
    """What faces.json says (template, detector, source, counts, hash); None where there is none.

    Raises:
        DataError: the preparation was broken off, or the file is damaged.
    """
    path = Path(folder) / FACES
    if not path.is_file():
        if (path.parent / PREPARING).is_dir():
            raise DataError(
                f"the preparation of {folder} was broken off",
                "run the same `masquerade data prepare faces` command again; it goes on",
            )
        return None
    try:
        facts = json.loads(path.read_text("utf-8"))
        if facts["format"] != FORMAT or not isinstance(facts["template"], str):
            raise ValueError(f"format {facts['format']!r}, template {facts['template']!r}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path} does not describe prepared faces ({FORMAT}): {error}", "prepare them again"
        ) from error
    return facts


@dataclass(frozen=True)
class AlignedFaces:
    """Pictures of faces that all have one template.

    Attributes:
        source: the pictures; its classes are identities.
        template: their crop.
    """

    source: Source
    template: Template

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """The (S, S, 3) RGB picture at `index`.

        Raises:
            DataError: it is damaged, or not of the template's size; names the file.
        """
        sample = self.source.read(index)
        picture = Picture(sample.content, sample.key)
        side = self.template.size
        if picture.size != (side, side):
            raise DataError(
                f"{picture.name} has {picture.size[0]}×{picture.size[1]} pixels, the template "
                f"'{self.template.name}' {side}×{side}",
                f"align it with `masquerade data prepare faces --template {self.template.name}`",
            )
        return picture.pixels()

    def tensor(self, indices: Sequence[int]) -> Tensor:
        """Pictures as nets take them: (B, 3, S, S) float32 in [-1, 1], (value / 255 − 0.5) / 0.5.

        Raises:
            DataError: as for `pixels`.
        """
        stacked = torch.from_numpy(np.stack([self.pixels(i) for i in indices]))
        return stacked.permute(0, 3, 1, 2).float().div(127.5).sub(1.0).contiguous()


def open_aligned(data: str, template: str | None = None) -> AlignedFaces:
    """The aligned faces that a name or path means, with their template.

    Args:
        data: as for `--data`: a folder that `masquerade data prepare faces` made, or any other
            source of aligned pictures.
        template: what the user says it is; needed where no faces.json says it.

    Raises:
        UsageError: the template is unknown, not said, or another than faces.json says.
        DataError: nothing there, or the first picture is not of the template's size.
    """
    from ...catalogue import resolve_data

    source = resolve_data(data, "image")
    declared = declared_template(source)
    if template is not None:
        named(template)
    if declared and template and declared != template:
        raise UsageError(
            f"{data} holds faces of the template '{declared}', asked for was '{template}'",
            f"prepare the pictures again with --template {template}, or ask for '{declared}'",
        )
    name = declared or template
    if name is None:
        raise UsageError(
            f"{data} does not say which template its faces have (it has no {FACES})",
            f"say it with --template {' or '.join(TEMPLATES)}, or prepare the pictures with "
            "`masquerade data prepare faces`",
        )
    faces = AlignedFaces(source, named(name))
    faces.pixels(0)
    return faces
