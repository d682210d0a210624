"""Face extractors as subjects: frozen embeddings of aligned pictures of a known template."""

# B samples of a batch, K pictures, S side of the template, D width.

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core.config import build
from ..core.errors import DataError, UsageError, ValidationError
from ..modalities.image.adapter import Image
from ..modalities.image.decoding import Picture
from ..modalities.image.faces.aligned import declared_template
from ..modalities.image.faces.pictures import Mirrored
from ..modalities.image.faces.templates import ARCFACE_112, template
from .features import Features, extract
from .subjects import Extraction, Kind, Subject, n_parameters

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.modality import Source
    from ..core.tokens import Batch
    from ..modalities.image.faces.embedders import Embedder

_SETTING = "template"  # `data.template`, which no plain image has


class Chips(Image):
    """Aligned faces as extractors take them, in [-1, 1]; nothing is cropped or resized."""

    def _view(self, picture: Picture, draws: object) -> "Tensor":
        size = self.config.size
        if picture.size != (size, size):
            raise DataError(
                f"{picture.name} has {picture.size[0]}×{picture.size[1]} pixels, expected "
                f"{size}×{size}",
                "align it with `masquerade data prepare faces`",
            )
        return super()._view(picture, None)


def chips(name: str, settings: Mapping[str, Any] | None = None) -> Chips:
    """The adapter of a template's pictures.

    Args:
        name: the template.
        settings: of the image modality, where the user gives any.

    Raises:
        UsageError: the template or a setting is unknown.
    """
    half = (0.5, 0.5, 0.5)
    own = {"size": template(name).size, "augment": "none", "eval_crop": 1.0,
           "mean": half, "std": half}  # fmt: skip
    return Chips(build(Image.Config, {**own, **(settings or {})}, "data"))


class EmbedderSubject(Subject):
    """A frozen face extractor.

    Args:
        embedder: the extractor.
        extraction: how features are computed.
        settings: `data.` settings of the user; "template" says what the pictures are, where
            their folder does not.
    """

    kind: ClassVar[Kind] = "model"

    def __init__(
        self,
        embedder: "Embedder",
        extraction: Extraction,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        own = dict(settings or {})
        said = own.pop(_SETTING, None)
        # the baselines' adapter: it resizes pictures of any template, where `features` refuses to
        adapter = Image(chips(said or ARCFACE_112, own).config)
        super().__init__(embedder.name, embedder.hash, adapter, extraction, embedder.training_data)
        self.embedder = embedder
        size = n_parameters(embedder)  # none of those that run outside torch
        self.facts = {"method": embedder.name} | ({"parameters": size} if size else {})
        self._said: str | None = said
        self._own = own

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """The modality's settings but the size, and the template that the extractor reads."""
        own = {key: value for key, value in super().preprocessing.items() if key != "size"}
        return {**own, "extractor_template": self.embedder.template}

    def encode(self, batch: "Batch") -> "Tensor":
        """(B, D) raw embeddings of pictures of the template that the user said."""
        return self._encode(self._said or ARCFACE_112, batch)

    def _encode(self, name: str, batch: "Batch") -> "Tensor":
        return self.embedder.embed(batch["image"], name)

    def features(self, source: "Source") -> Features:
        """The raw embeddings of every readable picture.

        Raises:
            UsageError: the pictures' template is not known, or another than the user says.
            DataError: no picture can be read, or the first is not of the template's size.
            ValidationError: an embedding is not finite.
        """
        name = picture_template(source, self._said)
        adapter = chips(name, self._own)
        adapter.prepare(source.read(0), None)  # the loader would count all as damaged
        how = self.extraction
        return extract(
            partial(self._encode, name), source, adapter,
            batch_size=how.batch_size, workers=how.workers, device=how.device,
        )  # fmt: skip


def picture_template(source: "Source", said: str | None) -> str:
    """The template of a source's pictures: what it or its folder declares, or a user says.

    Raises:
        UsageError: neither says it, or the two differ.
        DataError: the folder's preparation was broken off.
    """
    declared = declared_template(source)
    if declared and said and declared != said:
        raise UsageError(
            f"{source.name} holds faces of the template '{declared}', data.template says '{said}'",
            "leave out data.template",
        )
    name = declared or said
    if name is None:
        raise UsageError(
            f"{source.name} does not say which template its faces have",
            "prepare it with `masquerade data prepare faces`, or, where the pictures are aligned "
            "already, say --set data.template=arcface-112",
        )
    return template(name).name


def template_read_by(subject: Subject) -> str:
    """The template that a subject reads; arcface-112 for those that take any picture."""
    return subject.embedder.template if isinstance(subject, EmbedderSubject) else ARCFACE_112


def flip_sum(subject: Subject, source: "Source") -> NDArray[np.float64]:
    """(K, D) the raw embeddings of the pictures plus those of their mirror images.

    Raises:
        DataError: no picture can be read.
        ValidationError: an embedding is not finite, or a picture has none; names it.
    """
    plain, mirrored = subject.features(source), subject.features(Mirrored(source))
    for found in (plain, mirrored):
        lost = sorted(set(source.keys) - set(found.keys))
        if lost:
            raise ValidationError(f"{subject.name} gives no embedding of {lost[0]}")
    return plain.values.astype(np.float64) + mirrored.values
