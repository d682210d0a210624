"""Model packs of insightface: a folder of ONNX nets, one of them a recogniser. Nothing is fetched.

A pack's manifest.json (version 2) names the net of each task. Older packs have none: as the package
does, the net that reads squares of 112 pixels and gives one vector is taken for the recogniser.
"""

import json
from pathlib import Path
from typing import Any

from ....core.errors import WeightsError

PACKS = Path("~/.insightface/models")  # where the package keeps what its user has fetched
_MANIFEST = 2
_READS = {"mean": 127.5, "std": 127.5}  # pixel values, before the net: [-1, 1]
MEND = (
    "fetch a pack yourself, for example with `insightface-cli model.download buffalo_l` (its "
    "weights are for research only)"
)


def located(text: str, mend: str = MEND) -> Path:
    """The file or folder that a user names: a path, or the name of a pack.

    Args:
        text: what the user wrote.
        mend: what to do where there is none.

    Raises:
        WeightsError: there is none.
    """
    for path in (Path(text).expanduser(), PACKS.expanduser() / text):
        if path.exists():
            return path
    raise WeightsError(f"no insightface model '{text}' here or in {PACKS}", mend)


def find_recogniser(text: str) -> Path:
    """The recognition net of a pack.

    Args:
        text: the pack's folder or name, or an ONNX file.

    Raises:
        WeightsError: no such pack, a damaged file in it, not exactly one recogniser, or one that
            reads pixels in another range than [-1, 1].
        MissingExtra: onnx is absent.
    """
    from .onnx_net import is_recogniser

    place = located(text)
    if place.is_file():
        return place
    named = _named(place)
    if named is not None:
        return named
    found = [path for path in sorted(place.glob("*.onnx")) if is_recogniser(path)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in found) or "none of its ONNX files"
    raise WeightsError(
        f"{place} holds {len(found)} nets that make one vector of a face of 112 pixels ({names}), "
        "expected one",
        "name the file: onnx:FILE",
    )


def _named(pack: Path) -> Path | None:
    """The recogniser that the manifest names; None where there is no manifest of version 2."""
    path = pack / "manifest.json"
    try:
        manifest: Any = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        if manifest.get("manifest_version") != _MANIFEST:
            return None
        task = manifest["tasks"]["recognition"]
        file, reads = pack / task["file"], task.get("preprocessing", _READS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"{path} names no recogniser: {error!r}", "name it: onnx:FILE"
        ) from error
    if not file.resolve().is_relative_to(pack.resolve()) or reads != _READS:
        raise WeightsError(
            f"{path}: expected a recogniser inside the pack that reads {_READS}, got {task}",
            "name another pack",
        )
    return file
