"""A folder of people for the demo, and demos of tiny lengths."""

from pathlib import Path

import pytest

from masquerade.generators.call import synthesize
from masquerade.generators.engine.dataset import SynthesizedSet
from masquerade.generators.export.folders import export_folders
from masquerade.leaderboards.demo.settings import DemoSettings

TINY = DemoSettings(
    "tiny", identities=8, images=3, other_identities=8, other_images=3, draws=2, recogniser_steps=2,
    recogniser_batch=8, people=8, pictures=3, data="digits", mae_steps=2, scores=("knn",), crops=4,
)  # fmt: skip


@pytest.fixture(scope="session")
def people_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people with three pictures each, whom the detector finds: synthesized ones."""
    folder = tmp_path_factory.mktemp("people")
    synthesize("vec2face", 8, 3, folder / "set", workers=1, seed=9)
    export_folders(SynthesizedSet(folder / "set"), folder / "people")
    return folder / "people"
