"""Classification by a model's own head: published fine-tuned and distilled weights, as they are.

Nothing is trained. Output i of the head stands for class i of the data, in the order of folders'
names or of a list's whole numbers. Chance gives all classes one score: it guesses the first.
Of a sample with several views (clips × crops of a video) the softmax is averaged over them:
`--set data.test_clips=5 --set data.test_crops=3`.
"""

# N samples, V views of each, C classes.

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.config import Config, build
from ..core.errors import DataError, UsageError
from ..core.records import Metric
from .classification import accuracy_metrics, scored_rows
from .finetune import mean_of_views
from .protocol import Identity, Result, Stopwatch, make_result
from .subjects import Extraction, Kind, Subject, module_hash, n_parameters

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor

    from ..core.modality import Source
    from ..core.tokens import Batch, Tokens
    from ..methods.weights import LoadedClassifier

SLUG = "classification"
VERSION = "1.0.0"
SUMMARY = "top-1 and top-5 of a fine-tuned classifier's own head, mean over views"
MAIN_METRIC = "accuracy"
BASELINES = ("chance",)
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC,
    ("benchmarks/own_head.py", "benchmarks/finetune.py", "core/classifier.py"),
)  # fmt: skip


class Settings(Config):
    """There is nothing to choose: views are settings of the data."""


@dataclass(frozen=True)
class LabelledData:
    """What a classifier is scored on.

    Attributes:
        name: how a user calls it.
        test: labelled samples.
    """

    name: str
    test: "Source"

    def hash(self) -> str:
        """The source's fingerprint."""
        return self.test.fingerprint()


class ClassifierSubject(Subject):
    """A classifier; its features are its scores.

    Args:
        name: the file's.
        loaded: the classifier and its method.
        own: settings of the data that replace the method's.
        extraction: how scores are computed.
    """

    kind: ClassVar[Kind] = "model"

    def __init__(
        self, name: str, loaded: "LoadedClassifier", own: Mapping[str, Any], extraction: Extraction
    ) -> None:
        from ..modalities.registry import modality

        cls, config = type(loaded.method), loaded.method.config
        adapter = modality(cls.modality)
        asked = {**cls.data_defaults(config), **own}
        prepared = adapter(build(adapter.Config, asked, "data"))
        super().__init__(name, module_hash(cls.slug, config, loaded.model), prepared, extraction)
        self.model = loaded.model.eval().to(extraction.device)
        self.facts = {"method": cls.slug, "parameters": n_parameters(loaded.model)}
        self._tokenize: Callable[[Batch], Tokens] = loaded.method.tokenize  # type: ignore[assignment]

    def encode(self, batch: "Batch") -> "Tensor":
        """(N, C) scores: the logits, or the mean of several views' softmax."""
        return mean_of_views(self.model(self._tokenize(batch)), len(batch))


def open_subject(text: str, own: Mapping[str, Any], extraction: Extraction) -> ClassifierSubject:
    """The classifier in a weights file.

    Raises:
        UsageError: there is no such file.
        WeightsError: it holds no classifier.
    """
    from ..methods.weights import load_classifier

    if not Path(text).is_file():
        raise UsageError(
            f"no weights file '{text}'",
            f"'{SLUG}' scores a classifier that `masquerade weights import` wrote",
        )
    return ClassifierSubject(Path(text).stem, load_classifier(Path(text)), own, extraction)


def open_data(
    text: str, own: Mapping[str, Any], _extraction: Extraction
) -> tuple[LabelledData, Mapping[str, Any]]:
    """The labelled samples that a user names; all settings are the subject's.

    Raises:
        DataError: there is no such data.
    """
    from ..modalities.catalogue import resolve_data

    called = Path(text).name if Path(text).exists() else text
    return LabelledData(called, resolve_data(text)), own


def run(subject: Subject, data: LabelledData, settings: Settings) -> Result:
    """Score a classifier; see the module's text.

    Raises:
        DataError: no labels, or a label beyond the head's outputs.
        ValidationError: a score is not finite; names the sample.
    """
    clock = Stopwatch()
    scored = subject.features(data.test)
    last = int(scored.classes_of.max())
    if isinstance(subject, ClassifierSubject):
        scores = scored.values.astype(np.float64)
    else:
        scores = np.zeros((len(scored.keys), last + 1))
    n_outputs = scores.shape[1]
    if last >= n_outputs:
        raise DataError(
            f"{data.name} has class number {last}, the head of '{subject.name}' has "
            f"{n_outputs} outputs from 0",
            "name the data that the classifier was fine-tuned on",
        )
    predictions = scored_rows(scored, scores, seed=0)
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=[0], metrics=score(predictions), predictions=predictions, clock=clock,
        facts={"outputs": n_outputs},
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """Accuracy over samples; see `accuracy_metrics`."""
    return accuracy_metrics(predictions)
