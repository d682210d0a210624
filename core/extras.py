"""Optional packages: imported where they are needed, named with their mend where absent."""

import ctypes
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from .errors import DataError, MissingExtra

# import name → (distribution, extra), for every package that is not in the base install
OPTIONAL = {
    "decord": ("decord", "video"),
    "av": ("av", "video"),
    "skvideo": ("scikit-video", "video"),
    "librosa": ("librosa", "audio"),
    "soundfile": ("soundfile", "audio"),
    "open3d": ("open3d", "pointcloud"),
    "libusb_package": ("libusb-package", "pointcloud"),
    "h5py": ("h5py", "pointcloud"),
    "pyvista": ("pyvista", "pointcloud"),
    "insightface": ("insightface", "faces"),
    "onnx": ("onnx", "faces"),
    "onnxruntime": ("onnxruntime", "faces"),
    "dlib": ("dlib-bin", "faces"),
    "face_recognition_models": ("face_recognition_models", "faces"),
    "torch_geometric": ("torch-geometric", "graph"),
    "rdkit": ("rdkit", "graph"),
    "ray": ("ray", "ray"),
    "pytest": ("pytest", "dev"),
    "hypothesis": ("hypothesis", "dev"),
    "ruff": ("ruff", "dev"),
    "mypy": ("mypy", "dev"),
    "importlinter": ("import-linter", "dev"),
    "playwright": ("playwright", "dev"),
    "cv2": ("opencv-python-headless", "dev"),
    "pytorch3d": ("pytorch3d", "gpu"),
}


# read by path only: importing them needs what newer Pythons no longer carry
BY_PATH = frozenset({"skvideo", "face_recognition_models"})


def installed(name: str) -> bool:
    """Whether a package can be found, without importing it.

    Example:
        >>> installed("json"), installed("no_such_package")
        (True, False)
    """
    return find_spec(name) is not None


def require(name: str) -> ModuleType:
    """The optional module `name`, imported now.

    Args:
        name: its import name, a key of `OPTIONAL`.

    Raises:
        MissingExtra: it is not installed; names the extra that brings it.
    """
    if not installed(name):
        raise MissingExtra(*OPTIONAL[name])
    if name == "open3d":
        _load_libusb()
    return import_module(name)


def path_inside(name: str, file: str) -> Path:
    """A file of an optional package, found without importing the package.

    Args:
        name: the package's import name, a key of `OPTIONAL`.
        file: relative to the package's folder.

    Raises:
        MissingExtra: the package is not installed; names the extra that brings it.
        DataError: it lacks the file.
    """
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(*OPTIONAL[name])
    path = Path(spec.submodule_search_locations[0]) / file
    if not path.is_file():
        raise DataError(
            f"{path} is missing from the installed package",
            f"pip install --force-reinstall {OPTIONAL[name][0]}",
        )
    return path


def _load_libusb() -> None:
    # open3d's wheel links against libusb but does not carry it; one already loaded satisfies it
    library = require("libusb_package").get_library_path()
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
