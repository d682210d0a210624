"""Face extractors as subjects: aligned pictures only, one template, the records' facts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from masquerade.benchmarks import finetune, knn
from masquerade.benchmarks.face_subjects import EmbedderSubject, chips
from masquerade.benchmarks.opening import open_data, open_subject
from masquerade.benchmarks.subjects import Extraction
from masquerade.cli.main import call
from masquerade.core.errors import DataError, UsageError
from masquerade.modalities.catalogue import resolve_data
from masquerade.modalities.image.faces.embedders import open_embedder
from masquerade.modalities.image.faces.iresnet import IResNet, IResNetConfig


def folder_of_faces(path: Path, side: int = 112, template: str | None = "arcface-112") -> Path:
    """Two identities with three noise pictures each, and faces.json where a template is said."""
    random = np.random.default_rng(0)
    for person in ("att_s02", "att_s03"):
        (path / person).mkdir(parents=True)
        base = random.integers(0, 256, (side, side, 3))
        for k in range(3):
            pixels = (base + random.integers(-20, 21, base.shape)).clip(0, 255).astype(np.uint8)
            Pillow.fromarray(pixels).save(path / person / f"{k}.png")
    if template:
        facts = {"format": "masquerade-faces/1", "template": template}
        (path / "faces.json").write_text(json.dumps(facts))
    return path


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_faces(tmp_path_factory.mktemp("prepared") / "faces")


def test_features_are_the_extractors_own_of_the_exact_pixels(faces: Path) -> None:
    subject = open_subject("face-api", Extraction(batch_size=4))
    assert isinstance(subject, EmbedderSubject)
    found = subject.features(resolve_data(str(faces)))
    pixels = np.array(Pillow.open(faces / "att_s02" / "1.png"))
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    expected = open_embedder("face-api").embed(image, "arcface-112")[0].numpy()
    row = found.keys.index("att_s02/1")
    np.testing.assert_allclose(found.values[row], expected, atol=1e-4)
    assert found.classes == ("att_s02", "att_s03")
    assert (subject.kind, subject.training_data) == ("model", ("dlib-faces-3M",))
    assert subject.preprocessing["extractor_template"] == "dlib-150"


def test_pictures_that_say_no_template_are_refused_until_the_user_does(tmp_path: Path) -> None:
    source = resolve_data(str(folder_of_faces(tmp_path / "plain", template=None)))
    with pytest.raises(UsageError, match="does not say which template"):
        open_subject("pca-lda").features(source)
    said = open_subject("pca-lda", preprocessing={"template": "arcface-112"})
    assert said.features(source).values.shape == (6, 64)


def test_declared_and_said_template_that_differ_are_an_error(faces: Path) -> None:
    subject = open_subject("pca-lda", preprocessing={"template": "dlib-150"})
    with pytest.raises(UsageError, match="'arcface-112', data.template says 'dlib-150'"):
        subject.features(resolve_data(str(faces)))
    with pytest.raises(UsageError, match="unknown face template 'arcface112'"):
        open_subject("pca-lda", preprocessing={"template": "arcface112"})


def test_pictures_of_another_size_are_refused_not_resized(tmp_path: Path) -> None:
    loose = resolve_data(str(folder_of_faces(tmp_path / "loose", side=128)))
    with pytest.raises(DataError, match="128×128 pixels, expected 112×112"):
        open_subject("face-api").features(loose)


def test_chips_are_the_pixels_in_minus_one_to_one(faces: Path) -> None:
    source = resolve_data(str(faces))
    tensor = chips("arcface-112").prepare(source.read(0), None)["image"]
    pixels = np.asarray(Pillow.open(faces / "att_s02" / "0.png")).transpose(2, 0, 1)
    np.testing.assert_allclose(tensor.numpy(), pixels / 127.5 - 1, atol=1e-6)


def test_a_weights_file_of_a_face_net_is_a_subject(faces: Path, tmp_path: Path) -> None:
    from masquerade.core.weights import save_module

    torch.manual_seed(0)
    config = IResNetConfig(layers=(1, 1, 1, 1), widths=(4, 4, 4, 8), dim=6)
    path = tmp_path / "small.safetensors"
    save_module(IResNet(config), path, method="iresnet", container="net", config=config.to_dict())
    subject = open_subject(str(path))
    assert (subject.name, subject.kind) == ("small", "model")
    assert subject.features(resolve_data(str(faces))).values.shape == (6, 6)


def test_neighbours_of_faces_stand_beside_their_baselines(faces: Path) -> None:
    from masquerade.benchmarks.baselines import run_with_baselines

    task = open_data("faces", train=str(faces), test=str(faces))
    subject = open_subject("pca-lda")
    results = list(run_with_baselines(knn, subject, task, knn.Settings(k=1)))
    kinds = [result.record.claim.subject.kind for result in results]
    assert kinds == ["model", "chance", "raw", "pca"]
    assert results[0].record.main.value == 1.0  # each picture is its own neighbour
    assert results[0].record.claim.subject.content_hash == subject.hash


def test_a_frozen_extractor_is_not_fine_tuned(faces: Path) -> None:
    task = open_data("faces", train=str(faces), test=str(faces))
    with pytest.raises(UsageError):
        finetune.run(open_subject("pca-lda"), task, finetune.Settings())


def test_embed_writes_a_row_per_face(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pandas as pd

    out = tmp_path / "f.parquet"
    assert call(["embed", "face-api", "--data", str(faces), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["samples"], said["width"]) == (6, 128)
    assert said["subject_hash"] == open_embedder("face-api").hash
    assert len(pd.read_parquet(out)) == 6
