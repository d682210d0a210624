"""Templates that a subject makes of a template list: opened from what a user names, pooled once."""

# K pictures, T templates, D width.

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..core.config import Config, build
from ..core.errors import DataError, UsageError
from ..core.hashing import sha256_json
from ..core.metrics.templates import Pooling, unit_templates
from ..core.vectors import ArrayVectors
from .galleries import Labelled, drawn_vectors

if TYPE_CHECKING:
    from ..modalities.image.faces.template_lists import TemplateLists
    from ..modalities.image.faces.template_pictures import ListedPictures
    from .subjects import Subject

_PICTURES = 1 << 14  # embedded before they are pooled
Task = TypeVar("Task", bound="TemplateTask")


class TemplateSettings(Config):
    """The `data.` settings of template lists.

    Attributes:
        root: the folder of the pictures; None = the usual place.
        template: that pictures without landmarks are aligned to; None = what their folder says.
        gallery: which 1:N gallery, by a part of its file's name; None = all of them.
    """

    root: str | None = None
    template: str | None = None
    gallery: str | None = None


class TemplateTask:
    """The templates of a list.

    Args:
        lists: what was read.
        settings: of the user.
    """

    def __init__(self, lists: "TemplateLists", settings: TemplateSettings) -> None:
        self.lists, self.settings = lists, settings

    @property
    def name(self) -> str:
        """How a user calls it."""
        return Path(self.lists.name).name

    def hash(self) -> str:
        """The sha256 of the lists; see `TemplateLists`."""
        return self.lists.hash()

    def pictures(self, template: str) -> "ListedPictures":
        """The pictures, aligned to this template where the lists give landmarks.

        Raises:
            UsageError: the pictures' folder declares another template than the user says.
        """
        from ..modalities.image.faces.aligned import template_of
        from ..modalities.image.faces.template_pictures import ListedPictures

        lists = self.lists
        said = template
        if lists.points is None:
            declared = template_of(lists.root)
            said = declared or self.settings.template or template
            if declared and self.settings.template not in (None, declared):
                raise UsageError(
                    f"{lists.root} holds faces of the template '{declared}', data.template says "
                    f"'{self.settings.template}'",
                    "leave out data.template",
                )
        return ListedPictures(lists.name, lists.root, lists.images, lists.points, said)

    def templates(self, subject: "Subject") -> NDArray[np.float32]:
        """What a subject makes of the templates: (T, D), of unit length.

        A picture's embedding is f(x) + f(mirrored x), raw; see `Pooling` for the rest. Some
        thousand pictures are in memory at once.

        Raises:
            DataError: a picture cannot be read.
            ValidationError: an embedding is not finite, or a template is zero; names it.
        """
        lists = self.lists
        pooling = Pooling.of(
            lists.picture, lists.template, lists.media, lists.score,
            (len(lists.templates), len(lists.images)),
        )  # fmt: skip
        sums = pooling.pooled(self._embedded(subject))
        return unit_templates(sums, lists.templates)

    def _embedded(
        self, subject: "Subject"
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating]]]:
        """Numbers and embeddings of the pictures, block by block."""
        from .embedding_files import Slice
        from .face_subjects import flip_sum, template_read_by

        source = self.pictures(template_read_by(subject))
        subject = subject.fit(source)
        for start in range(0, len(source), _PICTURES):
            part = Slice(source, start, min(start + _PICTURES, len(source)))
            numbers = np.arange(start, start + len(part))
            if subject.kind == "chance":
                yield numbers, drawn_vectors(part.keys)
            else:
                yield numbers, flip_sum(subject, part)


class TemplateSearch(TemplateTask):
    """Templates of a gallery and of probes, as 1:N lists name them."""

    def hash(self) -> str:
        """The sha256 of the lists and of which gallery is searched."""
        return sha256_json({"lists": super().hash(), "gallery": self.settings.gallery})

    def labelled(self, subject: "Subject") -> tuple[Labelled, Labelled]:
        """The templates of gallery and probes.

        Raises:
            DataError: a list or a picture is missing or damaged.
            ValidationError: an embedding is not finite, or a template is zero; names it.
        """
        vectors = self.templates(subject)
        return self._of("gallery", vectors, self.settings.gallery), self._of("probes", vectors)

    def _of(
        self,
        role: Literal["gallery", "probes"],
        vectors: NDArray[np.float32],
        part: str | None = None,
    ) -> Labelled:
        rows, subjects = self.lists.people(role, part)
        names, labels = np.unique(subjects, return_inverse=True)
        keys = np.array(self.lists.templates, dtype=object)[rows]
        return Labelled(
            ArrayVectors(vectors[rows]), labels.astype(np.int64), tuple(names.tolist()),
            lambda wanted: keys[wanted].tolist(),
        )  # fmt: skip


def open_templates(
    text: str, own: Mapping[str, Any], kind: type[Task]
) -> tuple[Task, dict[str, Any]]:
    """The templates that a user names, and the `data.` settings that are not theirs.

    Args:
        text: a folder of template lists.
        own: the `data.` settings.
        kind: for pairs or for searches.

    Raises:
        UsageError: a setting is wrong.
        DataError: there are no such lists, or they are damaged.
    """
    from ..modalities.image.faces.template_lists import read_template_lists

    mine = {key: value for key, value in own.items() if key in TemplateSettings.model_fields}
    settings = build(TemplateSettings, mine, "data")
    if not Path(text).is_dir():
        raise DataError(f"no folder {text}", "name a folder of template lists with --data")
    root = Path(settings.root) if settings.root else None
    if root is not None and not root.is_dir():
        raise DataError(f"no folder {root}", "check --set data.root=FOLDER")
    rest = {key: value for key, value in own.items() if key not in mine}
    return kind(read_template_lists(Path(text), root), settings), rest
