"""Published fine-tuned weights scored by their own head, over views; nothing is trained."""

from pathlib import Path

import numpy as np
import pytest
import torch

from masquerade.benchmarks import own_head
from masquerade.benchmarks.baselines import run_with_baselines
from masquerade.benchmarks.item_scores import item_scores
from masquerade.benchmarks.own_head import LabelledData
from masquerade.benchmarks.subjects import Extraction
from masquerade.core.classifier import ViTClassifier
from masquerade.core.errors import DataError, UsageError, WeightsError
from masquerade.core.hashing import sha256_json
from masquerade.core.keymap import to_official
from masquerade.core.modality import Sample, Source
from masquerade.core.training.loader import Loader
from masquerade.methods.video.videomae import VideoMAE
from masquerade.methods.weights import import_official, load_classifier

HOW = Extraction(batch_size=5)
VIEWS = {"stride": 1, "test_clips": 2, "test_crops": 3}
SIZES = {"image_size": 8, "frames": 4, "heads": 2, "masking": {"kind": "tube", "ratio": 0.5}}
WIDTHS = {"patch_size": 4, "dim": 16, "depth": 1, "decoder_dim": 8, "decoder_heads": 2}
METHOD = VideoMAE(VideoMAE.Config(**SIZES, **WIDTHS))
N_CLASSES = 7


class Clips(Source):
    """Noise as decoded frames, labelled 0 … 6."""

    modality = "video"

    def __init__(self, classes: int = N_CLASSES) -> None:
        self.name, self.keys = "noise", [f"{i:03d}" for i in range(28)]
        self.labels = np.arange(28) % classes
        self.classes = tuple(f"c{i}" for i in range(classes))

    def read(self, index: int) -> Sample:
        frames = np.random.default_rng(index).integers(0, 256, (9, 12, 20, 3), np.uint8)
        return Sample(self.keys[index], frames, int(self.labels[index]))

    def fingerprint(self) -> str:
        return sha256_json(list(self.classes))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A distilled container as it is published, imported."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    model = ViTClassifier(VideoMAE(METHOD.config, decoder=False).encoder, N_CLASSES)
    torch.nn.init.normal_(model.head.weight)
    state = VideoMAE.wrapped(to_official(model.state_dict(), VideoMAE.KEYMAP))["model"]
    torch.save({"module": state}, folder / "distilled.pth")
    imported = import_official("videomae", folder / "distilled.pth", overrides=SIZES)
    imported.save(folder / "distilled.safetensors")
    return folder / "distilled.safetensors"


def test_scores_are_the_heads_mean_softmax_over_clips_and_crops(weights: Path) -> None:
    subject, data = own_head.open_subject(str(weights), VIEWS, HOW), LabelledData("n", Clips())
    result = own_head.run(subject, data, own_head.Settings())
    model = import_official("videomae", weights.with_suffix(".pth"), overrides=SIZES).module.eval()
    places = []
    loader = Loader(Clips(), subject.modality, batch_size=1, seed=0, train=False)
    for batch in loader.once():
        assert batch["video"].shape[1] == 6
        scores = model(METHOD.tokenize(batch)).softmax(1).mean(0)
        places.append(int((scores > scores[batch.labels[0]]).sum()) + 1)
    assert result.predictions["rank"].tolist() == places
    metrics = result.record.claim.metrics
    assert metrics["accuracy"].value == pytest.approx(np.mean(np.array(places) == 1))
    assert metrics["top_5_accuracy"].value == pytest.approx(np.mean(np.array(places) <= 5))
    assert result.record.claim.subject.preprocessing["test_crops"] == 3
    assert "accuracy" in item_scores(own_head, result.predictions)  # type: ignore[arg-type]
    assert own_head.score(result.predictions) == metrics


def test_labels_beyond_the_head_are_refused(weights: Path) -> None:
    subject, data = own_head.open_subject(str(weights), {}, HOW), LabelledData("n", Clips(9))
    with pytest.raises(DataError, match="n has class number 8, the head .* has 7 outputs"):
        own_head.run(subject, data, own_head.Settings())


def test_what_is_no_classifier_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no weights file 'nowhere'"):
        own_head.open_subject("nowhere", {}, HOW)
    state = to_official(METHOD.state_dict(), VideoMAE.KEYMAP)
    torch.save({"model": state}, tmp_path / "pretrained.pth")
    given = {**SIZES, "decoder_heads": 2}
    imported = import_official("videomae", tmp_path / "pretrained.pth", overrides=given)
    imported.save(tmp_path / "pretrained.safetensors")
    with pytest.raises(WeightsError, match="holds no classifier; name fine-tuned weights"):
        own_head.open_subject(str(tmp_path / "pretrained.safetensors"), {}, HOW)


def test_the_same_weights_have_the_same_hash(weights: Path) -> None:
    loaded = load_classifier(weights)
    first = own_head.open_subject(str(weights), {}, HOW)
    assert own_head.ClassifierSubject("x", loaded, {}, HOW).hash == first.hash
    with torch.no_grad():
        loaded.model.head.bias[0] += 1
    assert own_head.ClassifierSubject("x", loaded, {}, HOW).hash != first.hash


def test_chance_stands_beside_it_and_looks_at_nothing(weights: Path) -> None:
    subject, data = own_head.open_subject(str(weights), {}, HOW), LabelledData("n", Clips())
    _, chance = run_with_baselines(own_head, subject, data, own_head.Settings())  # type: ignore[arg-type]
    assert chance.record.claim.subject.kind == "chance"
    labels = Clips().labels
    assert labels is not None
    assert chance.record.main.value == pytest.approx((labels == 0).mean())
