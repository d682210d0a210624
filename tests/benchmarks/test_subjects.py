"""Subjects: what a user types, baselines that match the scored model, honest hashes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from masquerade.benchmarks import finetune, knn, probe
from masquerade.benchmarks.baselines import alarms, baselines_of, run_with_baselines
from masquerade.benchmarks.opening import open_data, open_subject
from masquerade.benchmarks.protocol import TaskData
from masquerade.benchmarks.subjects import (
    ChanceSubject,
    Extraction,
    ModelSubject,
    PcaSubject,
    RawSubject,
    method_hash,
)
from masquerade.cli.main import call
from masquerade.core.errors import DataError, UsageError
from masquerade.core.tokens import Batch
from masquerade.core.weights import save_method
from masquerade.methods.image.mae import MAE


def test_raw_is_the_flattened_input(subject: ModelSubject, data: TaskData) -> None:
    raw = open_subject("raw", like=subject)
    first = subject.modality.prepare(data.test.read(0), None)["image"]
    assert np.array_equal(raw.features(data.test).values[0], first.flatten().numpy())


def test_raw_shrinks_large_pictures_by_area(subject: ModelSubject) -> None:
    raw = RawSubject(subject.modality, Extraction())
    images = torch.arange(64 * 48, dtype=torch.float32).reshape(1, 1, 64, 48)
    found = raw.encode(Batch({"image": images}, torch.zeros(1, dtype=torch.int64)))
    assert found.shape == (1, 32 * 24)
    assert found[0, 0] == (0 + 1 + 48 + 49) / 4  # the mean of the first 2 × 2 pixels


def test_pca_projects_on_the_train_splits_axes(subject: ModelSubject, data: TaskData) -> None:
    pca = PcaSubject(subject.modality, Extraction(), width=4)
    raw = RawSubject(subject.modality, Extraction())
    train, test = (raw.features(s).values.astype(float) for s in (data.train, data.test))
    _, _, axes = np.linalg.svd(train - train.mean(0), full_matrices=False)
    expected = (test - train.mean(0)) @ axes[:4].T
    found = pca.fit(data.train).features(data.test).values
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)  # signs are free
    with pytest.raises(UsageError, match="not fitted"):
        pca.features(data.test)


def test_pca_is_the_same_each_time(subject: ModelSubject, data: TaskData) -> None:
    values = [
        PcaSubject(subject.modality, Extraction()).fit(data.train).features(data.test).values
        for _ in range(2)
    ]
    assert np.array_equal(*values)


def test_chance_is_the_most_frequent_class(subject: ModelSubject, data: TaskData) -> None:
    chance = ChanceSubject(subject.modality, Extraction())
    for protocol in (knn, probe):
        result = protocol.run(chance, data, protocol.Settings())
        assert set(result.predictions["predicted"]) == {0}
        assert result.record.main.value == pytest.approx(1 / 3)


def test_random_baseline_has_the_scored_models_settings(subject: ModelSubject) -> None:
    twin = open_subject("random:mae", like=subject)
    assert isinstance(twin, ModelSubject)
    assert twin.method.config == subject.method.config
    assert twin.modality is subject.modality
    assert twin.kind == "random"
    # the conftest's model is untrained too, from the same seed
    assert twin.hash == subject.hash
    assert open_subject("random:mae", like=subject, seed=1).hash != subject.hash


def test_random_of_a_recipe_needs_no_model() -> None:
    subject = open_subject("random:mae@mae-tiny")
    assert isinstance(subject, ModelSubject)
    assert (subject.name, subject.method.config.dim) == ("random:mae@mae-tiny", 96)
    assert subject.preprocessing["size"] == 32
    assert subject.preprocessing["modality"] == "image"


def test_opening_a_subject_leaves_the_global_random_numbers_alone(subject: ModelSubject) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    open_subject("random:mae", like=subject)
    assert torch.equal(torch.rand(3), expected)


def test_hash_is_of_weights_and_settings(subject: ModelSubject) -> None:
    before = method_hash(subject.method)
    again = MAE(subject.method.config)
    again.load_state_dict(subject.method.state_dict())
    assert method_hash(again) == before
    with torch.no_grad():
        again.encoder.embed.bias[0] += 1e-6
    assert method_hash(again) != before
    other = MAE(subject.method.config.model_copy(update={"norm_pix": False}))
    other.load_state_dict(subject.method.state_dict())
    assert method_hash(other) != before


def test_a_weights_file_is_a_subject(subject: ModelSubject, data: TaskData, tmp_path: Path) -> None:
    from masquerade.core.weights import save_method

    path = tmp_path / "tiny.safetensors"
    save_method(subject.method, path)
    opened = open_subject(str(path), preprocessing={"eval_crop": 1.0})
    assert (opened.name, opened.kind, opened.hash) == ("tiny", "model", subject.hash)
    np.testing.assert_allclose(
        opened.features(data.test).values, subject.features(data.test).values, atol=1e-6
    )


@pytest.fixture
def run(npz: Path, tmp_path: Path) -> Path:
    """A run of one step on the pictures of the file."""
    small = [
        "method.image_size=8", "method.patch_size=4", "method.dim=16", "method.depth=1",
        "method.heads=2", "method.decoder_dim=8", "method.decoder_depth=1",
        "method.decoder_heads=2", "data.eval_crop=0.5", "train.steps=1", "train.batch_size=4",
    ]  # fmt: skip
    words = ["pretrain", "mae", "--data", f"{npz}#train", "--out", str(tmp_path / "run")]
    sets = [word for setting in small for word in ("--set", setting)]
    assert call([*words, "--recipe", "mae-tiny", "--device", "cpu", "--quiet", *sets]) == 0
    return tmp_path / "run"


def test_a_run_folder_brings_its_preprocessing_and_its_data(run: Path) -> None:
    for path in (run, run / "latest" / "model.safetensors"):
        opened = open_subject(str(path))
        assert opened.training_data == ("colours.npz#train",)
        assert opened.preprocessing["eval_crop"] == 0.5
    assert open_subject(str(run)).name == "run"


def test_what_weights_were_trained_on_may_stand_in_their_header(
    subject: ModelSubject, tmp_path: Path
) -> None:
    save_method(subject.method, tmp_path / "plain.safetensors")
    save_method(subject.method, tmp_path / "said.safetensors", training_data="photos digits")
    assert open_subject(str(tmp_path / "plain.safetensors")).training_data == ()
    assert open_subject(str(tmp_path / "said.safetensors")).training_data == ("photos", "digits")


def test_settings_beside_weights_that_are_no_runs_are_not_taken(
    subject: ModelSubject, tmp_path: Path
) -> None:
    save_method(subject.method, tmp_path / "w.safetensors")
    (tmp_path / "config.toml").write_text("[data]\nsize = 4\n")
    assert open_subject(str(tmp_path / "w.safetensors")).preprocessing["size"] == 8
    (tmp_path / "config.toml").write_text("[run\n")
    with pytest.raises(DataError, match=r"config\.toml is damaged"):
        open_subject(str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rw", "did you mean 'raw'"),
        ("face_api", "did you mean 'face-api'"),
        ("onnx:", "no subject 'onnx:': expected a run folder"),
        ("random:", "no subject 'random:'"),
        ("random:mea", "did you mean 'mae'"),
        ("random:mae@tiny", "unknown recipe 'tiny'"),
    ],
)
def test_unknown_subjects_list_what_there_is(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_subject(text)


def test_data_names_and_paths(npz: Path, tmp_path: Path) -> None:
    assert [len(s) for s in (open_data(str(npz)).train, open_data(str(npz)).test)] == [60, 36]
    named = open_data("given", train=f"{npz}#test", test=f"{npz}#train")
    assert [len(named.train), len(named.test)] == [36, 60]
    with pytest.raises(UsageError, match="one of --train and --test"):
        open_data("x", train=str(npz))
    with pytest.raises(UsageError, match="no folders 'train' and 'test'"):
        open_data(str(tmp_path))
    with pytest.raises(DataError, match="neither a data set nor a path"):
        open_data("photo")


def test_data_hash_is_of_the_content_of_both_splits(npz: Path) -> None:
    hashes = {
        open_data("x", train=f"{npz}#{a}", test=f"{npz}#{b}").hash()
        for a, b in (("train", "test"), ("test", "train"), ("train", "train"))
    }
    assert len(hashes) == 3
    assert open_data(str(npz)).hash() in hashes


def test_baseline_rows_are_automatic(subject: ModelSubject, data: TaskData) -> None:
    results = list(run_with_baselines(knn, subject, data, knn.Settings()))
    kinds = [r.record.claim.subject.kind for r in results]
    assert kinds == ["model", "chance", "random", "raw", "pca"]
    assert {r.record.claim.benchmark.data_hash for r in results} == {data.hash()}
    assert [s.kind for s in baselines_of(finetune, subject)] == ["chance", "random"]
    raw = open_subject("raw", like=subject)
    assert [s.kind for s in baselines_of(probe, raw)] == ["chance", "pca"]
    # the conftest's model is its own untrained twin: not above it, and said so
    assert "tiny is not above its baseline random:mae" in alarms([r.record for r in results])[0]


def test_a_subject_above_its_baselines_raises_no_alarm(
    subject: ModelSubject, data: TaskData
) -> None:
    records = [r.record for r in run_with_baselines(knn, subject, data, knn.Settings())]
    assert alarms([records[0], records[1]]) == []
    chance, raw = records[1], records[3]
    assert len(alarms([chance, raw])) == 1
    assert alarms([chance, records[0]]) == []  # what is no baseline raises none either
