"""Embeddings on disk as what is scored, as what names the samples, and how they get there."""

# N samples, D width.

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core.embedding_writer import Part, write_embeddings
from ..core.embeddings import Embeddings
from ..core.errors import DataError
from ..core.hashing import sha256_json
from ..core.modality import Sample, Source
from .features import Features
from .subjects import Extraction, Kind, Subject

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.modality import Modality
    from ..core.tokens import Batch

_ROWS = 1 << 15  # samples embedded before they are written


@dataclass(frozen=True, eq=False)
class Written:
    """What a file of embeddings holds.

    Attributes:
        subject_hash: of what made it.
        width: D.
        norms: (N,) float64, of each row.
    """

    subject_hash: str
    width: int
    norms: NDArray[np.float64]

    @property
    def norm_quartiles(self) -> tuple[float, float, float]:
        """The quartiles of the norms."""
        low, middle, high = (float(value) for value in np.percentile(self.norms, (25, 50, 75)))
        return low, middle, high


def embed_to_file(subject: Subject, source: Source, out: Path) -> Written:
    """Write what a subject makes of a source, some thousand samples in memory at a time.

    Args:
        subject: fitted, where it learns from the data.
        source: the samples; damaged ones are named and left out.
        out: the Parquet file.

    Raises:
        DataError: no sample can be read.
        ValidationError: a feature is not finite; names the sample.
        MasqueradeError: the system refuses to write.
    """
    norms: list[NDArray[np.float64]] = []
    width = 0

    def parts() -> Iterator[Part]:
        nonlocal width
        for start in range(0, len(source), _ROWS):
            whole = len(source) <= _ROWS
            some = source if whole else Slice(source, start, min(start + _ROWS, len(source)))
            found = subject.features(some)
            width = found.values.shape[1]
            norms.append(np.linalg.norm(found.values.astype(np.float64), axis=1))
            yield Part(found.keys, found.labels, found.values)

    write_embeddings(out, parts(), {
        "subject": subject.name, "subject_hash": subject.hash, "kind": subject.kind,
        "training_data": list(subject.training_data), "preprocessing": dict(subject.preprocessing),
        "data": Path(source.name).name, "classes": list(source.classes),
    })  # fmt: skip
    return Written(subject.hash, width, np.concatenate(norms))


class Slice(Source):
    """Some successive samples of another source.

    Args:
        source: the other one.
        first: its first sample here.
        last: its first sample that is not here.
    """

    def __init__(self, source: Source, first: int, last: int) -> None:
        self.source, self.name, self._first = source, source.name, first
        self.keys, self.classes = source.keys[first:last], source.classes
        self.labels = None if source.labels is None else source.labels[first:last]
        # where aligned faces say which template they have
        self.root = getattr(source, "root", None)
        self.template = getattr(source, "template", None)

    def read(self, index: int) -> Sample:
        """The other source's sample.

        Raises:
            DataError: its file is damaged; names the file.
        """
        return self.source.read(self._first + index)

    def fingerprint(self) -> str:
        """The sha256 of the whole source and which part this is."""
        text = f"{self.source.fingerprint()}\0{self._first}\0{len(self.keys)}"
        return hashlib.sha256(text.encode()).hexdigest()


class EmbeddingSource(Source):
    """The samples that a file of embeddings names: their keys and whose they are, no content.

    Args:
        embeddings: the file.

    Raises:
        DataError: it does not say whose its rows are.
    """

    def __init__(self, embeddings: Embeddings) -> None:
        self.embeddings, self.name = embeddings, str(embeddings.path)
        self.labels, self.classes = embeddings.identities()

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def keys(self) -> list[str]:  # type: ignore[override]
        """All names; of a large file a large list."""
        return [key for _, keys in self.embeddings.key_blocks() for key in keys]

    def read(self, index: int) -> Sample:
        """Nothing: there is no content.

        Raises:
            DataError: always.
        """
        raise DataError(
            f"{self.name} holds embeddings, nothing that sample {index} could be embedded from",
            "score it as --subject, or name the pictures themselves with --data",
        )

    def fingerprint(self) -> str:
        """The sha256 of all keys and identities: the same for every model's embeddings of them."""
        digest = hashlib.sha256()
        labels: Any = self.labels
        for start, keys in self.embeddings.key_blocks():
            for key, label in zip(keys, labels[start : start + len(keys)], strict=True):
                digest.update(f"{key}\0{self.classes[label]}\n".encode())
        return digest.hexdigest()


class EmbeddingSubject(Subject):
    """Embeddings that a model made before; only the samples in their files are known.

    Args:
        files: one or more, all made by one model.
        modality: of the input that they were made of.
        extraction: unused, as the others have.

    Raises:
        DataError: the files are of different widths or models, or a row is not finite.
    """

    kind: ClassVar[Kind] = "model"
    baselines: ClassVar[tuple[str, ...] | None] = ("chance",)

    def __init__(
        self, files: tuple[Embeddings, ...], modality: "Modality", extraction: Extraction
    ) -> None:
        first = files[0]
        for other in files[1:]:
            one, two = first.facts.get("subject_hash"), other.facts.get("subject_hash")
            if other.width != first.width or one != two:
                raise DataError(
                    f"{other.path} has width {other.width} and is of the model {two}, expected "
                    f"width {first.width} and the model {one} as in {first.path}",
                    "embed all samples with one model",
                )
        hashes = [each.content_hash() for each in files]
        super().__init__(
            str(first.facts.get("subject", first.path.stem)),
            hashes[0] if len(files) == 1 else sha256_json(hashes),
            modality, extraction, tuple(first.facts.get("training_data", ())),
        )  # fmt: skip
        self.files = files

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What the files say that was done to the input, and by which weights."""
        facts = self.files[0].facts
        said = [key for key in ("preprocessing", "subject_hash") if key in facts]
        return {"embeddings": "as stored"} | {key: facts[key] for key in said}

    def encode(self, batch: "Batch") -> "Tensor":
        """Nothing: there is no model.

        Raises:
            DataError: always.
        """
        raise DataError(
            f"{self.files[0].path} holds embeddings, no model that could embed "
            f"{len(batch)} samples",
            "name the model itself as --subject",
        )

    def stored(self, source: Source) -> Embeddings | None:
        """The file that a source names the samples of; None where it is another's."""
        if not isinstance(source, EmbeddingSource):
            return None
        path = source.embeddings.path
        return next((own for own in self.files if own.path.samefile(path)), None)

    def features(self, source: Source) -> Features:
        """The stored embeddings of a source's samples, looked up by their keys.

        Raises:
            DataError: no file has all of them.
            ValidationError: one is not finite; names it.
        """
        keys = tuple(source.keys)
        rows, found = self._found(keys)
        return Features(found.take(rows), source.labels, keys, tuple(source.classes))

    def _found(self, keys: tuple[str, ...]) -> tuple[NDArray[np.int64], Embeddings]:
        for own in self.files[:-1]:
            try:
                return own.rows_of(keys), own
            except DataError:
                continue  # perhaps the next file has them; the last one's message is shown
        return self.files[-1].rows_of(keys), self.files[-1]


def open_embeddings(text: str, modality: "Modality", extraction: Extraction) -> EmbeddingSubject:
    """The embeddings in one .parquet file, or in several of one model, separated by commas.

    Raises:
        DataError: a file is missing, no table of embeddings, or of another model.
    """
    files = tuple(Embeddings(Path(part)) for part in text.split(","))
    return EmbeddingSubject(files, modality, extraction)
