"""Export to folders: an image source of the same pictures and classes."""

import pytest

from masquerade.core.errors import UsageError
from masquerade.generators.engine.dataset import SynthesizedSet
from masquerade.generators.export.folders import export_folders
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
    with pytest.raises(UsageError, match="exists already"):
        export_folders(dataset, tmp_path / "faces")
