"""What works on this machine: each package tried in a process of its own, with its mend.

A package that crashes at import (two OpenMP runtimes, a missing system library) takes its own
process down and nothing else, so the report is always whole.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from .extras import BY_PATH, OPTIONAL, installed

DISTRIBUTION = "masquerade-suite"
# import name → distribution, in the order of DESIGN §9's base row
BASE = {
    "torch": "torch",
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "PIL": "pillow",
    "click": "click",
    "rich": "rich",
    "pydantic": "pydantic",
    "safetensors": "safetensors",
    "jinja2": "jinja2",
    "matplotlib": "matplotlib",
    "networkx": "networkx",
    "faiss": "faiss-cpu",
    "kornia": "kornia",
    "webdataset": "webdataset",
    "scikit_posthocs": "scikit-posthocs",
    "psutil": "psutil",
    "tomli_w": "tomli-w",
}
_IMPORT_LIMIT_S = 120

_OPENMP = """
import {first}
import {second}
import numpy as np, faiss, torch
rows = np.random.default_rng(0).standard_normal((4000, 64)).astype("float32")
index = faiss.IndexFlatL2(64); index.add(rows)
own = index.search(rows[:500], 1)[1][:, 0]
product = torch.from_numpy(rows) @ torch.from_numpy(rows).T
assert (own == np.arange(500)).all() and bool(torch.isfinite(product).all())
print("exact search and matmul agree")
"""
_TORCH = """
import os, torch
names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
device = f"CUDA {torch.version.cuda}: {', '.join(names)}" if names else "no CUDA device"
print(f"{torch.get_num_threads()} threads on {os.cpu_count()} cores, {device}")
"""
_DECODERS = """
import io
from PIL import Image
grey = Image.linear_gradient("L").convert("RGB")
done = []
for kind in ("JPEG", "PNG", "WEBP", "GIF"):
    buffer = io.BytesIO(); grey.save(buffer, kind); buffer.seek(0)
    picture = Image.open(buffer)
    if kind == "JPEG":
        picture.draft("RGB", (128, 128))
        assert picture.size == (128, 128), "JPEG is not decoded at reduced scale"
    mean = picture.convert("L").resize((1, 1), Image.BOX).getpixel((0, 0))
    assert abs(mean - 127) < 4, f"{kind} comes back changed"
    done.append(kind)
print("decodes " + ", ".join(done))
"""


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: what was tried.
        group: "base", "machine" or the extra that brings it.
        state: "ok", "missing" (an optional package) or "broken".
        detail: the version, or what went wrong.
        mend: one line that mends it; empty where it is ok.
    """

    name: str
    group: str
    state: Literal["ok", "missing", "broken"]
    detail: str
    mend: str = ""

    @property
    def fatal(self) -> bool:
        """Whether the suite itself cannot work because of it."""
        return self.state == "broken" and self.group in ("base", "machine")


def attempt(code: str) -> tuple[bool, str]:
    """Run Python code in a fresh process: did it end well, and its last line."""
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and our own code
            [sys.executable, "-c", code], capture_output=True, text=True,
            timeout=_IMPORT_LIMIT_S, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False, f"did not answer in {_IMPORT_LIMIT_S} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    ended = f"ended by signal {-done.returncode}" if done.returncode < 0 else "no message"
    return done.returncode == 0, lines[-1] if lines else ended


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "version unknown"


def check_base(name: str, distribution: str) -> Check:
    """Whether a base package imports."""
    mend = f"pip install --upgrade --force-reinstall {distribution}"
    works, said = attempt(f"import {name}")
    if works:
        return Check(distribution, "base", "ok", _version(distribution))
    return Check(distribution, "base", "broken", said, mend)


def check_optional(name: str) -> Check:
    """Whether an optional package is there, and imports where we import it."""
    distribution, extra = OPTIONAL[name]
    mend = f"pip install '{DISTRIBUTION}[{extra}]'"
    if not installed(name):
        return Check(distribution, extra, "missing", "not installed", mend)
    if name in BY_PATH or extra == "dev":
        return Check(distribution, extra, "ok", _version(distribution))
    works, said = attempt(f"from {__package__}.extras import require; require({name!r})")
    state: Literal["ok", "broken"] = "ok" if works else "broken"
    return Check(distribution, extra, state, _version(distribution) if works else said,
                 "" if works else f"pip install --force-reinstall {distribution}")  # fmt: skip


def check_code(name: str, code: str, mend: str) -> Check:
    """Whether Python code ends well in a process of its own; it prints what it found."""
    works, said = attempt(code)
    return Check(name, "machine", "ok" if works else "broken", said, "" if works else mend)


def _check_python() -> Check:
    fine = sys.version_info >= (3, 10)
    return Check(
        "python", "machine", "ok" if fine else "broken",
        f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "" if fine else "install Python 3.10 or newer",
    )  # fmt: skip


def _check_space(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free / 2**30
    fine = free > 1 and os.access(folder, os.W_OK)
    return Check(
        "disk", "machine", "ok" if fine else "broken", f"{free:.1f} GiB free in {folder}",
        "" if fine else "work in a writable folder with more than 1 GiB free",
    )  # fmt: skip


def checks(folder: Path, more: Sequence[Callable[[], Check]] = ()) -> Iterator[Check]:
    """Every check, in the order of the report: the machine, the base packages, the extras.

    Args:
        folder: where the user works (its free space is reported).
        more: further ones, reported last.
    """
    yield _check_python()
    yield _check_space(folder)
    reinstall = "pip install --upgrade --force-reinstall torch faiss-cpu"
    jobs = [
        lambda: check_code("torch", _TORCH, "pip install --upgrade torch"),
        lambda: check_code(
            "torch, then faiss", _OPENMP.format(first="torch", second="faiss"), reinstall
        ),
        lambda: check_code(
            "faiss, then torch", _OPENMP.format(first="faiss", second="torch"), reinstall
        ),
        lambda: check_code(
            "picture decoders", _DECODERS, "pip install --force-reinstall pillow (the wheel)"
        ),
        *[lambda n=name, d=dist: check_base(n, d) for name, dist in BASE.items()],
        *[lambda n=name: check_optional(n) for name in OPTIONAL],
        *more,
    ]
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        yield from pool.map(lambda job: job(), jobs)
