"""Optional packages: found by path without an import, named with their extra where absent."""

import sys
from pathlib import Path

import pytest

from masquerade.core import extras
from masquerade.core.errors import DataError, MissingExtra


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of one data file, which cannot be imported."""
    folder = tmp_path / "cannot_be_imported_xyz"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('needs pkg_resources')")
    (folder / "models" / "net.dat").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(extras.OPTIONAL, folder.name, ("its-distribution", "faces"))
    return folder.name


def test_file_is_found_without_importing_its_package(package: str) -> None:
    assert extras.path_inside(package, "models/net.dat").read_bytes() == b"weights"
    assert package not in sys.modules


def test_file_that_a_package_lacks_names_path_and_mend(package: str) -> None:
    with pytest.raises(DataError, match=r"cannot_be_imported_xyz.other\.dat is missing") as caught:
        extras.path_inside(package, "other.dat")
    assert caught.value.remedy == "pip install --force-reinstall its-distribution"


def test_absent_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.OPTIONAL, "no_such_module_xyz", ("no-such-dist", "faces"))
    with pytest.raises(MissingExtra, match=r"masquerade-suite\[faces\]"):
        extras.path_inside("no_such_module_xyz", "file")
