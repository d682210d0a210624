"""The recognition side of Vec2Face's vectors: verification protocols, margin heads, alignment."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from vectors import golden_files  # noqa: E402


@pytest.mark.skip(reason="issue 4 builds the generator; verification protocols are issue 5")
@pytest.mark.parametrize("path", golden_files("vec2face_fr"))
def test_vec2face_fr_equals_official_code(path: Path) -> None:
    raise AssertionError("skipped until the verification protocols exist")
