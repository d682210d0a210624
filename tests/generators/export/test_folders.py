"""Export to folders: an image source of the same pictures and classes."""

import json

import pytest

from masquerade.core.errors import UsageError
from masquerade.generators.engine.dataset import SynthesizedSet
from masquerade.generators.export.folders import export_folders
from masquerade.modalities.image.faces.aligned import declared_template, template_of
from masquerade.modalities.image.faces.checking import check_template
from masquerade.modalities.image.folders import open_folder


def test_folders_hold_the_same_files_by_identity(finished, tmp_path):
    dataset = SynthesizedSet(finished)
    export_folders(dataset, tmp_path / "faces")
    source = open_folder(tmp_path / "faces")
    assert source.classes == tuple(f"{i:07d}" for i in range(12))
    assert len(source) == 48
    for index, row in enumerate(dataset.rows()):
        sample = source.read(index)
        assert (sample.label, sample.content.data) == (row.identity, dataset.read(row))
    assert not (tmp_path / "faces" / "faces.json").exists()  # ovals are of no template
    with pytest.raises(UsageError, match="exists already"):
        export_folders(dataset, tmp_path / "faces")


def test_folders_of_faces_say_their_template(finished, tmp_path):
    dataset = SynthesizedSet(finished)
    facts = {"template": "arcface-112", "size": 112}
    dataset.plan = dataset.plan.model_copy(update={"generator_facts": facts})
    export_folders(dataset, tmp_path / "faces")
    assert template_of(tmp_path / "faces") == "arcface-112"
    source = open_folder(tmp_path / "faces" / "0000003")
    assert declared_template(source) == "arcface-112"
    check_template(source, "arcface-112")
    said = json.loads((tmp_path / "faces" / "faces.json").read_text())
    assert (said["faces"], said["identities"], said["synthetic"]) == (48, 12, True)
    assert (said["generator"], said["dataset"]) == ("ovals:Ovals", dataset.hash)
