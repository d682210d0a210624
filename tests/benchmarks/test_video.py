"""Videos through the shared protocols: views, top-5, PSNR; packs of arrays need no decoder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from masquerade.benchmarks import finetune, knn, probe, reconstruction_psnr, retrieval
from masquerade.benchmarks.baselines import baselines_of
from masquerade.benchmarks.galleries import open_galleries
from masquerade.benchmarks.opening import modality_of, open_data, open_subject
from masquerade.benchmarks.protocol import TaskData
from masquerade.benchmarks.reconstruction import reconstruct
from masquerade.benchmarks.subjects import Extraction, ModelSubject
from masquerade.core.config import build
from masquerade.core.errors import UsageError, WeightsError
from masquerade.core.modality import Sample, Source
from masquerade.core.training.loader import Loader
from masquerade.methods.recipes import finetune as table
from masquerade.methods.video.videomae import VideoMAE
from masquerade.modalities.packing import write_pack
from masquerade.modalities.video import Video

N_CLASSES, FRAMES, SIDE = 6, 6, 12
COLOURS = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [200, 200, 60], [60, 200, 200],
                    [200, 60, 200]])  # fmt: skip


class Clips(Source):
    """Noise around a colour per class, as decoded frames."""

    modality = "video"

    def __init__(self, n: int, seed: int) -> None:
        self.name, self.keys = "colours", [f"{i:03d}" for i in range(n)]
        self.labels = np.arange(n) % N_CLASSES
        self.classes = tuple(f"c{i}" for i in range(N_CLASSES))
        self._seed = seed

    def read(self, index: int) -> Sample:
        random = np.random.default_rng((self._seed, index))
        noise = random.integers(-50, 50, (FRAMES, SIDE, SIDE, 3))
        pixels = (COLOURS[self.labels[index]] + noise).clip(0, 255).astype(np.uint8)
        return Sample(self.keys[index], pixels, int(self.labels[index]))

    def fingerprint(self) -> str:
        raise NotImplementedError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    for name, n, seed in (("train", 48, 0), ("test", 30, 1)):
        settings = {"modality": "video"}
        write_pack(Clips(n, seed), lambda s: s.content, root / name, settings=settings)
    return root


@pytest.fixture(scope="module")
def data(folder: Path) -> TaskData:
    return open_data(str(folder))


def tiny(**changes: object) -> ModelSubject:
    config = VideoMAE.Config(
        image_size=8, frames=4, patch_size=4, dim=16, depth=1, heads=2, decoder_dim=8,
        decoder_depth=1, decoder_heads=2, masking={"kind": "tube", "ratio": 0.5},
    )  # fmt: skip
    torch.manual_seed(0)
    adapter = Video(Video.Config(size=8, frames=4, stride=1, **changes))
    return ModelSubject("tiny", VideoMAE(config), adapter, Extraction(batch_size=7))


def test_packs_of_videos_are_the_two_splits(data: TaskData) -> None:
    assert (len(data.train), len(data.test)) == (48, 30)
    assert modality_of(data) == "video"


def test_probe_knn_and_retrieval_take_videos_and_their_baselines(
    data: TaskData, folder: Path
) -> None:
    subject = tiny()
    record = probe.run(subject, data, probe.Settings(seeds=1)).record
    assert record.main.value > 0.9
    assert record.claim.metrics["top_5_accuracy"].value >= record.main.value
    assert knn.run(subject, data, knn.Settings()).record.main.value > 0.9
    task, _ = open_galleries(str(folder), {}, subject.extraction)
    assert modality_of(task) == "video"
    assert retrieval.run(subject, task, retrieval.Settings()).record.main.value > 0.8
    others = baselines_of(knn, subject)  # type: ignore[arg-type]
    assert [other.kind for other in others] == ["chance", "random", "raw", "pca"]
    for other in others:
        value = knn.run(other, data, knn.Settings()).record.main.value
        assert value == pytest.approx(1 / 6) if other.kind == "chance" else value > 0.9


def test_raw_videos_are_prepared_small_and_whole() -> None:
    raw = open_subject("raw", modality="video", preprocessing={"frames": 4})
    assert (raw.modality.slug, raw.modality.config.size) == ("video", 32)


def test_features_of_several_views_are_their_mean(data: TaskData) -> None:
    views, source = tiny(test_clips=3, test_crops=2), data.test
    batch = next(iter(Loader(source, views.modality, batch_size=5, seed=0, train=False).once()))
    assert batch["video"].shape == (5, 6, 3, 4, 8, 8)
    each = [
        tiny().encode(type(batch)({"video": batch["video"][:, v : v + 1]}, ids=batch.ids))
        for v in range(6)
    ]
    wanted = torch.stack(each).mean(0).detach().numpy()
    np.testing.assert_allclose(views.features(source).values[:5], wanted, rtol=1e-4, atol=1e-5)


PLAIN = {
    "batch_size": 16, "blr": 0.05, "warmup_epochs": 1, "drop_path": 0.0, "mixup": 0.0,
    "cutmix": 0.0, "random_erasing": 0.0, "randaugment": {"magnitude": 0}, "layer_decay": 0.9,
}  # fmt: skip
VIEWS = {"augment": "crop_flip", "views": 2, "test_clips": 3, "test_crops": 2}


def test_fine_tuning_on_views_learns_and_says_top_1_and_top_5(data: TaskData) -> None:
    settings = finetune.Settings.model_validate({**PLAIN, "epochs": 10, "data": VIEWS})
    record = finetune.run(tiny(), data, settings).record
    assert record.main.value > 0.8  # chance 1/6
    assert record.claim.metrics["top_5_accuracy"].value >= record.main.value
    assert record.claim.settings["data"] == VIEWS


def test_scores_are_the_mean_softmax_over_views(data: TaskData) -> None:
    settings = finetune.Settings.model_validate({**PLAIN, "data": VIEWS})
    classifier = finetune.Classifier(tiny(), N_CLASSES, settings)
    torch.nn.init.normal_(classifier.model.head.weight)
    loader = Loader(data.test, classifier.modality, batch_size=4, seed=0, train=False)
    batch = next(iter(loader.once()))
    scores = classifier.scores(batch)
    logits = classifier.logits(batch).view(4, 6, N_CLASSES)
    by_hand = logits.exp() / logits.exp().sum(-1, keepdim=True)
    torch.testing.assert_close(scores, by_hand.mean(1))
    assert not torch.allclose(scores, logits.mean(1).softmax(1))  # not the softmax of the mean


def test_every_augmentation_of_the_recipe_runs_on_clips(data: TaskData) -> None:
    asked = {**table("videomae"), "epochs": 0.4, "batch_size": 16, "clip_norm": 1.0, "dropout": 0.1}
    settings = build(finetune.Settings, asked)
    first = finetune.fine_tuned(tiny(), data, settings, seed=0).model
    again = finetune.fine_tuned(tiny(), data, settings, seed=0).model
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )


def test_fine_tuning_data_settings_are_checked(data: TaskData) -> None:
    wrong = finetune.Settings.model_validate({**PLAIN, "data": {"crops": 3}})
    with pytest.raises(UsageError, match=r"unknown setting 'data\.crops'"):
        finetune.fine_tuned(tiny(), data, wrong, 0)
    cls = finetune.Settings.model_validate({**PLAIN, "pooling": "cls"})
    with pytest.raises(UsageError, match="has no class token"):
        finetune.fine_tuned(tiny(), data, cls, 0)


# PSNR ------------------------------------------------------------------------------------------


def test_psnr_is_that_of_the_hidden_pixels_of_each_sample(data: TaskData) -> None:
    subject = tiny()
    result = reconstruction_psnr.run(subject, data, reconstruction_psnr.Settings(seeds=2))
    rows, claim = result.predictions, result.record.claim
    assert sorted(set(rows["seed"])) == [0, 1]
    assert len(rows) == 60
    # by hand, the first sample under the first mask
    loader = Loader(data.test, subject.modality, batch_size=1, seed=0, train=False)
    found = reconstruct(subject.method, next(iter(loader.once())), seed=0)
    std, mean = (torch.tensor(v).repeat(32) for v in ((0.229, 0.224, 0.225), (0.485, 0.456, 0.406)))
    made, true = (
        (x * std + mean).clamp(0, 1)[found.hidden] for x in (found.tokens.values, found.truth)
    )
    assert rows["error"][0] == pytest.approx(float((made - true).square().mean()), rel=1e-4)
    per_row = -10 * np.log10(rows["error"])
    assert claim.metrics["psnr"].value == pytest.approx(per_row.mean())
    assert claim.metrics["psnr"].unit == "dB"
    assert claim.metrics["psnr"].n == 30
    low, high = claim.metrics["psnr"].interval
    assert low < claim.metrics["psnr"].value < high
    gain = claim.metrics["psnr"].value - claim.metrics["mean_psnr"].value
    assert claim.metrics["gain"].value == pytest.approx(gain)
    assert claim.facts["own_statistics"] is True
    assert reconstruction_psnr.score(rows) == claim.metrics


def test_perfect_predictions_end_at_a_hundred_decibels() -> None:
    assert reconstruction_psnr._decibels(np.array([0.0, 0.01])).tolist() == [100.0, 20.0]


def test_what_predicts_no_pixels_is_refused(data: TaskData) -> None:
    settings = reconstruction_psnr.Settings()
    with pytest.raises(UsageError, match="'raw' predicts no pixels"):
        reconstruction_psnr.run(open_subject("raw", like=tiny()), data, settings)
    subject = tiny()
    subject.method.decoder = None
    with pytest.raises(WeightsError, match="without its decoder"):
        reconstruction_psnr.run(subject, data, settings)


def test_psnr_takes_images_too() -> None:
    photos = open_data("digits")
    subject = open_subject("random:mae@mae-tiny", preprocessing={"size": 32})
    result = reconstruction_psnr.run(subject, photos, reconstruction_psnr.Settings())
    assert result.record.main.n == 360
