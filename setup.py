"""Packaging of masquerade-suite: the repository root is the package `masquerade`."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
FOLDERS = (
    "core", "modalities", "methods", "generators", "benchmarks", "leaderboards", "cli",
)  # fmt: skip
VERSION = re.search(r'__version__ = "(.+?)"', (ROOT / "__init__.py").read_text("utf-8"))[1]

BASE = (
    "torch>=2.6 numpy>=1.26 scipy>=1.11 scikit-learn>=1.4 scikit-image>=0.22 pandas>=2.1 pyarrow "
    "pillow>=10 click>=8.4 rich>=13 pydantic>=2.6 safetensors>=0.4.3 jinja2>=3.1 matplotlib>=3.8 "
    "networkx>=3.2 faiss-cpu>=1.8 kornia>=0.7.3 webdataset>=0.2.86 scikit-posthocs>=0.9 psutil "
    "tomli>=2;python_version<'3.11' tomli-w>=1"
).split()
EXTRAS = {
    "video": ["decord;platform_machine=='x86_64'", "av>=15", "scikit-video==1.1.11"],
    "audio": ["librosa>=0.10", "soundfile", "av>=15"],
    "pointcloud": ["open3d>=0.18", "libusb-package", "h5py", "pyvista"],
    "faces": [
        "insightface>=0.7.3", "onnx>=1.13", "onnxruntime", "dlib-bin", "face_recognition_models",
    ],
    "graph": ["torch-geometric>=2.5", "rdkit"],
    "ray": ["ray>=2.9"],
    "dev": [
        "pytest>=8", "pytest-cov>=5", "hypothesis>=6.100", "ruff>=0.6", "mypy>=1.11",
        "import-linter>=2", "playwright", "opencv-python-headless",
    ],
    "gpu": ["faiss-gpu", "pytorch3d"],
}  # fmt: skip
EXTRAS["all"] = sorted({p for name, e in EXTRAS.items() if name != "gpu" for p in e})


class BuildPackage(build_py):
    """Leaves this file out of the package whose folder it lies in."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        found = super().find_package_modules(package, package_dir)
        return [module for module in found if module[1] != "setup"]


setup(
    name="masquerade-suite",
    version=VERSION,
    description="Masked modelling, synthetic data sets, exact scores and boards on one core.",
    long_description=(ROOT / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    package_dir={"masquerade": ""},
    packages=["masquerade"]
    + [
        f"masquerade.{p}"
        for folder in FOLDERS
        for p in [folder, *(f"{folder}.{q}" for q in find_packages(str(ROOT / folder)))]
    ],
    package_data={
        "masquerade": [
            "py.typed",
            "recipes/*.toml",
            "modalities/image/faces/weights/*",
            "generators/vec2face/weights/*",
            "leaderboards/templates/*",
            "leaderboards/*.toml",
            "leaderboards/boards/*.toml",
            "leaderboards/references/*.toml",
            "benchmarks/*.toml",
        ]
    },
    install_requires=BASE,
    extras_require=EXTRAS,
    cmdclass={"build_py": BuildPackage},
    entry_points={"console_scripts": ["masquerade=masquerade.cli.main:run"]},
)
