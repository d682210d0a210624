"""A labelled data set as what is scored: its pictures are given, no features are asked of it."""

# N pictures.

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.errors import DataError, UsageError
from .subjects import Extraction, Kind, Subject

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.modality import Source
    from ..core.tokens import Batch


class DataSetSubject(Subject):
    """A labelled set of aligned faces.

    Args:
        source: the pictures; an identity is a class.
        extraction: how features are computed by whoever judges the set.
        content_hash: of the set; None = of all keys, labels and bytes.
        facts: what is known of it beside the pictures, such as its generator.
        training_data: what its generator learned from, as declared.

    Attributes:
        source: the pictures.
        facts: with the numbers of images and identities.

    Raises:
        DataError: the source has no labels, or a picture cannot be read.
    """

    kind: ClassVar[Kind] = "data set"

    def __init__(
        self,
        source: "Source",
        extraction: Extraction,
        *,
        content_hash: str | None = None,
        facts: Mapping[str, Any] | None = None,
        training_data: tuple[str, ...] = (),
    ) -> None:
        from ..modalities.image.faces.templates import ARCFACE_112
        from ..modalities.image.faces.training_sets import labels_of
        from .face_subjects import chips

        identities = len(np.unique(labels_of(source)))
        content = content_hash or source.fingerprint()
        name = Path(source.name).name
        super().__init__(name, content, chips(ARCFACE_112), extraction, training_data)
        self.source = source
        self.facts = {"images": len(source), "identities": identities, **(facts or {})}

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """None: the pictures are what they are."""
        return {}

    def encode(self, batch: "Batch") -> "Tensor":  # noqa: ARG002
        """Nothing.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"{self.name} is a data set and gives no features",
            "score it with `masquerade evaluate face-utility` or `face-dataset`",
        )

    def cut_to(self, other: "DataSetSubject") -> "DataSetSubject":
        """As many pictures of it as another set has, of at most as many identities.

        Raises:
            DataError: it has fewer.
        """
        from ..modalities.image.faces.training_sets import cut

        wanted = other.facts
        name = f"{self.name} cut to {other.name}"
        part = cut(self.source, wanted["identities"], wanted["images"], name)
        return DataSetSubject(
            part, self.extraction,
            facts={"part_of": self.hash}, training_data=self.training_data,
        )  # fmt: skip

    def together_with(self, other: "DataSetSubject") -> "DataSetSubject":
        """Both sets as one; an identity of each stays an identity of its own.

        Raises:
            DataError: they declare different templates.
        """
        from ..modalities.image.faces.training_sets import Together

        together = Together((self.source, other.source), f"{self.name} + {other.name}")
        return DataSetSubject(
            together, self.extraction,
            facts={"made_of": [self.hash, other.hash]},
            training_data=tuple(sorted({*self.training_data, *other.training_data})),
        )  # fmt: skip


def open_data_set(text: str, extraction: Extraction) -> DataSetSubject:
    """The data set that a user names: a synthesized one, or any source with labels.

    Raises:
        DataError: there is nothing, it has no labels, or a synthesized set is not finished.
    """
    from ..generators.engine.dataset import SynthesizedSet, is_synthesized
    from ..modalities.catalogue import resolve_data

    folder = Path(text)
    if not is_synthesized(folder):
        return DataSetSubject(resolve_data(text, "image"), extraction)
    found = SynthesizedSet(folder)
    plan = found.plan
    facts = {"generator": plan.generator, "generator_hash": plan.generator_hash, "synthetic": True}
    try:
        facts["audit"] = found.audit["id"]
    except DataError:
        facts["audit"] = None  # said, not refused: whoever ranks sets refuses those without
    said = plan.generator_facts.get("training_data")
    learned = tuple(map(str, said)) if isinstance(said, list) else ()
    return DataSetSubject(
        found.source(), extraction,
        content_hash=found.hash, facts=facts, training_data=learned,
    )  # fmt: skip
