"""Who made a number: hardware, versions, wall time and commit. Imports no torch by itself."""

import os
import platform
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import JsonValue

from .records import Provenance

_PACKAGES = ("masquerade-suite", "numpy", "scipy", "scikit-learn", "torch", "faiss-cpu", "pandas")
_ROOT = Path(__file__).resolve().parent.parent


def provenance(wall_time_s: float, command: str = "") -> Provenance:
    """The provenance of a result that was made just now, in this process.

    Args:
        wall_time_s: of the whole evaluation.
        command: what was typed, or "" from the library.
    """
    return Provenance(
        created_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        hardware=hardware(),
        versions=versions(),
        wall_time_s=wall_time_s,
        commit=commit(_ROOT),
        command=command,
    )


def hardware() -> dict[str, JsonValue]:
    """Processor, cores, memory, and the GPU where torch is loaded and sees one."""
    import psutil

    facts: dict[str, JsonValue] = {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory_bytes": int(psutil.virtual_memory().total),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def versions() -> dict[str, JsonValue]:
    """The versions of Python and of the packages that numbers depend on."""
    found: dict[str, JsonValue] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # from a checkout, or an optional one: no version to state
    return found


def commit(root: Path) -> str | None:
    """The commit that a checkout stands at, read from its files; None where there is none."""
    git = root / ".git"
    try:
        head = (git / "HEAD").read_text("utf-8").strip()
        if not head.startswith("ref: "):
            return head
        reference = head.removeprefix("ref: ")
        if (git / reference).is_file():
            return (git / reference).read_text("utf-8").strip()
        packed = (git / "packed-refs").read_text("utf-8").splitlines()
    except OSError:
        return None
    return next((line.split()[0] for line in packed if line.endswith(f" {reference}")), None)


def _processor() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
