"""What a set of faces is compared with: real people, training and evaluation sets; the judge."""

# N pictures, D width.

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError, UsageError
from ..core.hashing import sha256_json
from .data_set_subjects import DataSetSubject, open_data_set
from .judged_faces import JudgedFaces
from .pair_data import LISTS, PairSettings, PairTask, open_pairs

if TYPE_CHECKING:
    from ..modalities.image.faces.embedders import Embedder
    from .subjects import Extraction

JUDGE = "pca-lda"
TRAIN = "train"  # the training set's name in metrics


@dataclass(frozen=True, eq=False)
class Gallery:
    """Real people whom pictures may resemble too much.

    Attributes:
        name: in metrics.
        faces: their pictures.
        hash: of the set.
    """

    name: str
    faces: JudgedFaces
    hash: str


class FaceSetTask:
    """Real people, a training set, evaluation sets and a judge; each set is looked at once.

    Args:
        reference: real people whom the generator has not seen.
        train: the set that the generator learned from, or None.
        tests: sets that are scored on elsewhere and must not be leaked, by name.
        judge: the face net.
        template: of sets that do not declare one, or None.
    """

    def __init__(
        self,
        reference: DataSetSubject,
        train: DataSetSubject | None,
        tests: Mapping[str, DataSetSubject | PairTask],
        judge: "Embedder",
        template: str | None = None,
    ) -> None:
        self.reference, self.train, self.tests, self.judge = reference, train, tests, judge
        self._said = template
        self._judged: dict[str, JudgedFaces] = {}

    @property
    def name(self) -> str:
        """How a user calls it."""
        train = "" if self.train is None else f", {TRAIN} {self.train.name}"
        tests = "".join(f", test {name}" for name in self.tests)
        return self.reference.name + train + tests

    def hash(self) -> str:
        """The sha256 of all sets and of the judge.

        Raises:
            DataError: a picture cannot be read.
        """
        return self._hash

    @cached_property
    def _hash(self) -> str:
        return sha256_json({
            "reference": self.reference.hash,
            "train": None if self.train is None else self.train.hash,
            "tests": {name: _hash_of(test) for name, test in self.tests.items()},
            "judge": self.judge.hash,
        })  # fmt: skip

    def template_of(self, subject: DataSetSubject) -> str:
        """The template of a set's pictures.

        Raises:
            UsageError: nobody says it, or it is not the one of the real sets.
        """
        from .face_subjects import picture_template

        name = picture_template(subject.source, self._said)
        for other in (self.reference, self.train):
            if other is not None and picture_template(other.source, self._said) != name:
                raise UsageError(
                    f"{subject.name} holds faces of the template '{name}', {other.name} of "
                    f"'{picture_template(other.source, self._said)}'",
                    f"prepare both with `masquerade data prepare faces --template {name}`: other "
                    "crops look different to every judge",
                )
        return name

    def judged(self, subject: DataSetSubject) -> JudgedFaces:
        """A set as the judge sees it.

        Raises:
            UsageError: its template is not known, or not that of the real sets.
            DataError: no picture can be read, or one has a zero vector.
            ValidationError: a vector is not finite.
        """
        if subject.hash not in self._judged:
            self._judged[subject.hash] = JudgedFaces(
                subject.name, subject.source, template=self.template_of(subject), judge=self.judge,
                extraction=subject.extraction,
            )  # fmt: skip
        return self._judged[subject.hash]

    @property
    def learned(self) -> DataSetSubject:
        """Real people of whom mean vector and thresholds are taken: the training set, if any."""
        return self.reference if self.train is None else self.train

    @cached_property
    def mean(self) -> NDArray[np.float32]:
        """(D,) the mean vector of their pictures."""
        mean: NDArray[np.float32] = self.judged(self.learned).vectors.mean(axis=0)
        return mean

    def galleries(self, subject: DataSetSubject) -> list[Gallery]:
        """The training set and the evaluation sets, those of pairs in the scored set's template."""
        found = []
        if self.train is not None:
            found.append(Gallery(TRAIN, self.judged(self.train), self.train.hash))
        for name, test in self.tests.items():
            if isinstance(test, PairTask):
                found.append(Gallery(name, self._paired(test, subject), test.hash()))
            else:
                found.append(Gallery(name, self.judged(test), test.hash))
        return found

    def _paired(self, test: PairTask, subject: DataSetSubject) -> JudgedFaces:
        name = self.template_of(subject)
        key = f"{test.hash()} {name}"
        if key not in self._judged:
            source = test.aligned(name).source
            own, _ = test.groups()
            group = dict(zip(test.pairs.source.keys, own.tolist(), strict=True))
            owners = np.array([group[key] for key in source.keys], dtype=np.int64)
            template = str(getattr(source, "template", None) or name)
            self._judged[key] = JudgedFaces(
                test.name, source, template=template, judge=self.judge,
                extraction=subject.extraction, owners=owners,
            )  # fmt: skip
        return self._judged[key]


def open_task(
    text: str,
    own: Mapping[str, Any],
    extraction: "Extraction",
    *,
    train: str | None = None,
    test: str | None = None,
    judge: str | None = None,
) -> tuple[FaceSetTask, dict[str, Any]]:
    """The real people, sets and judge that a user names, and the `data.` settings left over.

    Args:
        text: real people: a prepared folder or a part of one.
        own: the `data.` settings: "template" of sets that declare none; those of pairs, where
            an evaluation set is a list of pairs.
        extraction: how features are computed.
        train: what the generator learned from.
        test: evaluation sets, separated by commas: folders, or lists of pairs.
        judge: a face net; see `open_embedder`.

    Raises:
        UsageError: no folder of faces is named, no such judge, or a setting is wrong.
        DataError: there is no such data, or it does not say whose the faces are.
    """
    from ..modalities.catalogue import CATALOGUE
    from ..modalities.image.faces.embedders import open_embedder

    if text in CATALOGUE:
        raise UsageError(
            f"no real faces to compare with: the data set '{text}' holds none",
            "name people whom the generator has not seen with --data, such as FACES#held-out",
        )
    net = open_embedder(judge or JUDGE, extraction.device)
    mine = {key: value for key, value in own.items() if key in PairSettings.model_fields}
    tests: dict[str, DataSetSubject | PairTask] = {}
    for one in (test or "").split(","):
        if not one.strip():
            continue
        name = Path(one.strip()).name
        if name in tests or name == TRAIN:
            raise UsageError(f"two sets are called '{name}'", "rename one of them")
        tests[name] = _test_set(one.strip(), mine, extraction)
    learned = None if train is None else open_data_set(train, extraction)
    task = FaceSetTask(
        open_data_set(text, extraction), learned, tests, net, template=own.get("template")
    )
    lists = any(isinstance(test, PairTask) for test in tests.values())
    taken = PairSettings.model_fields if lists else {"template"}
    return task, {key: value for key, value in own.items() if key not in taken}


def _test_set(
    text: str, own: Mapping[str, Any], extraction: "Extraction"
) -> DataSetSubject | PairTask:
    if Path(text).suffix in LISTS:
        return open_pairs(text, own, extraction)[0]
    return open_data_set(text, extraction)


def _hash_of(test: DataSetSubject | PairTask) -> str:
    return test.hash() if isinstance(test, PairTask) else test.hash


def open_face_set(text: str, own: Mapping[str, Any], extraction: "Extraction") -> DataSetSubject:
    """The set that a user wants scored; of a synthesized one every byte is checked first.

    Raises:
        UsageError: a `data.` setting that nothing takes is given.
        DataError: there is no such set, it does not say whose faces it holds, or a synthesized
            set is unfinished or damaged; says what `data verify` says.
    """
    from ..generators.engine.dataset import SynthesizedSet, is_synthesized
    from ..generators.engine.verification import verify_dataset

    if own:
        name = next(iter(own))
        raise UsageError(f"unknown setting 'data.{name}'", "known: 'data.template'")
    folder = Path(text)
    if not is_synthesized(folder):
        return open_data_set(text, extraction)
    problems = verify_dataset(folder)
    if problems:
        more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
        raise DataError(f"{folder}: {problems[0].file} {problems[0].what}{more}", problems[0].mend)
    subject = open_data_set(text, extraction)
    subject.facts = {**subject.facts, "extractor": SynthesizedSet(folder).extractor}
    return subject
