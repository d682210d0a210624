"""Cross-modal retrieval: is a window's sound found by its pictures, and its pictures by its sound?

Windows are cut from the last 35 % of each recording; 5 % lie between it and what `part=train` is
made of. The headline seeks *within one recording*: candidates are the windows of that recording
alone, since across few recordings it is enough to recognise which one it is. The same search over
all windows stands beside it. Embeddings of either stream see nothing of the other; ranking is
exact.

A window without video or without sound is left out and counted.
"""

# N windows, D width.

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.config import Config
from ..core.errors import DataError, UsageError
from ..core.metrics.intervals import proportion_interval
from ..core.records import Metric
from ..core.search import search
from ..core.vectors import ArrayVectors
from .protocol import Identity, Result, Stopwatch, make_result
from .subjects import ModelSubject

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..core.modality import Source
    from .subjects import Extraction, Subject

SLUG = "cross-modal-retrieval"
VERSION = "1.0.0"
SUMMARY = "a window's sound by its pictures and back, within one recording (FAISS)"
MAIN_METRIC = "within_recall_at_1"
BASELINES = ("chance", "random")
IDENTITY = Identity(
    SLUG, VERSION, MAIN_METRIC,
    (
        "benchmarks/cross_modal_retrieval.py", "modalities/audio_visual/windows.py",
        "core/search.py", "core/vectors.py",
    ),
)  # fmt: skip
RANKS = (1, 5, 10)
_CHANCE_WIDTH = 64
_DIRECTIONS = ("video to audio", "audio to video")


class Settings(Config):
    """How recordings are cut.

    Attributes:
        window: frames of a window.
        step: frames from one window to the next; smaller than `window`, they overlap.
        part: of each recording's time.
    """

    window: int = Field(default=64, ge=2)
    step: int = Field(default=64, ge=1)
    part: Literal["test", "train"] = "test"


@dataclass(frozen=True)
class RecordingsData:
    """Recordings, or windows of them.

    Attributes:
        name: how a user calls them.
        gallery: the recordings.
    """

    name: str
    gallery: "Source"

    def hash(self) -> str:
        """The sha256 of all of them."""
        return self.gallery.fingerprint()

    def windows(self, settings: Settings) -> "Source":
        """The windows; an embedded set's own, whatever the settings say.

        Raises:
            DataError: a recording is no video file, or none is long enough.
        """
        from ..modalities.audio_visual.windows import WindowSource

        if isinstance(self.gallery, WindowSource):
            return self.gallery
        return WindowSource.of(
            self.gallery, settings.part, window=settings.window, step=settings.step
        )


def open_data(
    text: str, own: Mapping[str, Any], extraction: "Extraction"
) -> tuple[RecordingsData, Mapping[str, Any]]:
    """The recordings that a user names; of a data set of the catalogue, its test split.

    Raises:
        DataError: there are no such recordings.
    """
    del extraction
    from ..modalities.catalogue import CATALOGUE, resolve_data

    name = f"{text}:{CATALOGUE[text].splits[1]}" if text in CATALOGUE else text
    return RecordingsData(text.rpartition("/")[2], resolve_data(name, "audio-visual")), own


def run(subject: "Subject", data: RecordingsData, settings: Settings) -> Result:
    """Score a subject; see the module's text.

    Raises:
        UsageError: the subject embeds no streams by themselves.
        DataError: no recording has two windows with video and sound.
        ValidationError: an embedding is not finite.
    """
    import pandas as pd

    clock = Stopwatch()
    windows = data.windows(settings)
    video, audio, rows = _embedded(subject, windows)
    labels = np.asarray(windows.labels)[rows]
    tables = []
    for scope, groups in (("within", labels), ("across", np.zeros_like(labels))):
        for group in np.unique(groups):
            at = np.flatnonzero(groups == group)
            if len(at) < 2:
                continue
            for direction, queries, gallery in zip(
                _DIRECTIONS, (video, audio), (audio, video), strict=True
            ):
                tables.append(
                    pd.DataFrame({
                        "scope": scope, "direction": direction,
                        "key": [windows.keys[i] for i in rows[at]],
                        "recording": [windows.classes[i] for i in labels[at]],
                        "rank": _ranks(queries[at], gallery[at]), "candidates": len(at),
                    })
                )  # fmt: skip
    if not any((table["scope"] == "within").any() for table in tables):
        raise DataError(
            f"{data.name}: no recording has two windows of {settings.window} frames with sound",
            "set a smaller window",
        )
    predictions = pd.concat(tables, ignore_index=True)
    facts = {"windows": len(rows), "left_out": len(windows) - len(rows)}
    return make_result(
        IDENTITY, subject, data, settings,
        seeds=[0], metrics=score(predictions), predictions=predictions, clock=clock, facts=facts,
    )  # fmt: skip


def score(predictions: "DataFrame") -> Mapping[str, Metric]:
    """Shares of queries whose pair is among the first k, both directions together and apart.

    `*_chance_recall_at_1` is what a random order would reach. Intervals are over windows, and speak
    of these recordings only.
    """
    metrics: dict[str, Metric] = {}
    for scope, rows in predictions.groupby("scope", sort=True):
        ranks = rows["rank"].to_numpy()
        for k in RANKS:
            metrics[f"{scope}_recall_at_{k}"] = _both(rows, ranks <= k)
        metrics[f"{scope}_chance_recall_at_1"] = Metric(
            value=float((1 / rows["candidates"]).mean()), unit="fraction", direction="higher",
            n=int(rows["key"].nunique()),
        )  # fmt: skip
        for direction, some in rows.groupby("direction", sort=True):
            name = f"{scope}_{str(direction).replace(' ', '_')}_recall_at_1"
            metrics[name] = _both(some, some["rank"].to_numpy() <= 1)
    return metrics


def _both(rows: "DataFrame", hits: NDArray[np.bool_]) -> Metric:
    """The mean over windows of a window's share of right directions."""
    each = rows.assign(hit=hits.astype(np.float64)).groupby("key", sort=True)["hit"].mean()
    values = each.to_numpy()
    interval, method = proportion_interval(values)
    return Metric(
        value=float(values.mean()), unit="fraction", direction="higher", n=len(values),
        interval=interval, interval_method=method,
    )  # fmt: skip


def _ranks(queries: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N,) the place of row i of the gallery in the list of query i, from 1."""
    found = search(ArrayVectors(gallery), queries, k=len(gallery))
    return np.argmax(found.rows == np.arange(len(queries))[:, None], axis=1) + 1


def _embedded(
    subject: "Subject", windows: "Source"
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """(N, D) of video and of sound, and which windows these are."""
    if subject.kind == "chance":
        draw = np.random.default_rng(0).standard_normal
        shape = (len(windows), _CHANCE_WIDTH)
        return (
            draw(shape).astype(np.float32), draw(shape).astype(np.float32),
            np.arange(len(windows)),
        )  # fmt: skip
    if not isinstance(subject, ModelSubject) or not hasattr(subject.method, "embeddings"):
        raise UsageError(
            f"the subject '{subject.name}' does not embed video and sound by themselves",
            "name a run or weights of an audio-visual method, random:hicmae or chance",
        )
    parts = list(_batches(subject, windows))
    if not parts:
        raise DataError(f"{windows.name}: no window could be read", "look at the warnings above")
    video, audio, rows = (np.concatenate(each) for each in zip(*parts, strict=True))
    return video, audio, rows


def _batches(
    subject: ModelSubject, windows: "Source"
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]]:
    import torch

    from ..core.hashing import sample_id
    from ..core.training.loader import Loader
    from ..modalities.audio_visual.spectrograms import present

    how = subject.extraction
    loader = Loader(
        windows, subject.modality, batch_size=how.batch_size, seed=0, workers=how.workers,
        train=False, device=how.device,
    )  # fmt: skip
    row_of = {sample_id(key): row for row, key in enumerate(windows.keys)}
    with torch.inference_mode():
        for batch in loader.once():
            has_video, has_audio = (has.view(len(batch), -1).all(1) for has in present(batch))
            kept = (has_video & has_audio).cpu().numpy()
            video, audio = subject.method.embeddings(batch)  # type: ignore[operator]
            rows = np.array([row_of[each] for each in batch.ids.tolist()], dtype=np.int64)
            yield (
                video.float().cpu().numpy()[kept], audio.float().cpu().numpy()[kept], rows[kept],
            )  # fmt: skip
