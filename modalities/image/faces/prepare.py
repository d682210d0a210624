"""Aligned face pictures from any source of images, made once, resumable, with a list of rejects.

An output folder holds `<identity>/<name>.png` (lossless), `rejects.tsv` (key, reason) and, written
last, `faces.json`. While it is being made, the hidden folder `.preparing` holds the request and
the journal; a killed run goes on after the journal's last whole line and ends with the same bytes.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image as Pillow
from pydantic import Field

from ....core.atomic_io import canonical_json, write_bytes, write_text
from ....core.config import Config
from ....core.errors import DataError, UsageError
from ....core.hashing import sha256_bytes, sha256_json
from ....core.modality import Sample, Source
from ..decoding import Picture
from .aligned import FACES, FORMAT, PREPARING
from .alignment import align
from .detectors import Detector, main_face
from .journal import Entry, Journal
from .templates import Template

REJECTS = "rejects.tsv"
_REQUEST, _JOURNAL = "request.json", "done.jsonl"
_AGAIN = "remove the folder and prepare it again"


class PrepareSettings(Config):
    """Which faces are good enough.

    Attributes:
        smallest_px: a picture or a face's box with a shorter side is rejected: enlarged, it
            would be blur.
    """

    smallest_px: int = Field(24, ge=1)


@dataclass(frozen=True)
class Prepared:
    """What became of a source.

    Attributes:
        out: the folder.
        n_faces: pictures written.
        n_identities: their folders; 0 for a source without classes.
        rejects: (key, reason) of the pictures left out.
        hash: sha256 over the names and bytes of all pictures written.
    """

    out: Path
    n_faces: int
    n_identities: int
    rejects: tuple[tuple[str, str], ...]
    hash: str

    @property
    def reasons(self) -> dict[str, int]:
        """How many pictures were left out for each kind of reason."""
        return _by_reason(self.rejects)


def prepare_faces(
    source: Source,
    out: Path,
    template: Template,
    detector: Detector,
    settings: PrepareSettings = PrepareSettings(),  # noqa: B008 - frozen
    *,
    strict: bool = False,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Prepared:
    """Align the main face of every picture of a source into the folder `out`.

    Args:
        source: images; its classes are the identities.
        out: a new folder, or one that the same request began (it goes on) or ended (its answer
            is given again).
        template: the crop.
        detector: finds the landmarks.
        settings: which faces are good enough.
        strict: stop at the first damaged file instead of rejecting it.
        progress: wraps the range of indices (a progress bar).

    Raises:
        UsageError: `out` was made of another source, template, detector or settings, holds
            something else, or lies inside the source.
        DataError: no picture shows a face, or one is damaged and `strict`.
        MasqueradeError: the system refuses to write.
    """
    _check_outside(source, out)
    request = {
        "format": FORMAT,
        "template": template.name,
        "detector": {"name": detector.name, "hash": detector.hash},
        "settings": settings.to_dict(),
        "source": {"samples": len(source), "fingerprint": source.fingerprint()},
    }
    names = _names(source)
    ended = _begin(out, request)
    if ended is not None:
        return _prepared(out, ended, _read_rejects(out))
    with Journal(out / PREPARING / _JOURNAL, source.keys) as journal:
        done = len(journal.entries)
        for i in progress(range(len(source))):
            if i < done:
                continue
            try:
                png = face_png(source.read(i), template, detector, settings)
            except Rejected as rejected:
                journal.add(_reject(source.keys[i], str(rejected)))
            except DataError as error:
                if strict:
                    raise
                journal.add(_reject(source.keys[i], f"damaged: {error.message}"))
            else:
                write_bytes(out / names[i], png)
                digest = sha256_bytes(png)
                journal.add(Entry(key=source.keys[i], name=names[i], sha256=digest, reason=""))
    return _finish(out, request, journal.entries)


class Rejected(Exception):  # noqa: N818 - an outcome, no failure of the run
    """A sound picture that gives no face."""


def face_png(
    sample: Sample, template: Template, detector: Detector, settings: PrepareSettings
) -> bytes:
    """The PNG of a picture's main face, aligned.

    Raises:
        Rejected: it has none that is good enough.
        DataError: the picture is damaged.
    """
    pixels = Picture(sample.content, sample.key).pixels()
    height, width = pixels.shape[:2]
    least = settings.smallest_px
    if min(height, width) < least:
        raise Rejected(f"too small: the picture has {width}×{height} pixels, smallest {least}")
    faces = detector.detect(pixels)
    if not faces:
        raise Rejected("no face")
    face = main_face(faces, width, height)
    if face.side < least:
        raise Rejected(f"too small: the face has {face.side:.0f} pixels, smallest {least}")
    buffer = BytesIO()
    try:
        Pillow.fromarray(align(pixels, face.points, template)).save(buffer, "PNG")
    except DataError as error:
        raise Rejected(f"no alignment: {error.message}") from error
    return buffer.getvalue()


def _reject(key: str, reason: str) -> Entry:
    return Entry(key=key, name="", sha256="", reason=" ".join(reason.split()))


def _check_outside(source: Source, out: Path) -> None:
    folder = Path(source.name)
    if folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"{out} lies inside the source {folder}, which would then hold its own faces",
            "choose another --out",
        )


def _names(source: Source) -> list[str]:
    """Where each picture goes, relative to the output folder: its identity's folder, its key.

    Raises:
        DataError: a name would leave the folder or be hidden, or two pictures would share one.
    """
    names = []
    for i, key in enumerate(source.keys):
        identity = "" if source.labels is None else f"{source.classes[int(source.labels[i])]}/"
        inner = f"{identity}{key.removeprefix(identity)}"
        if not all(part and not part.startswith(".") and "\0" not in part
                   for part in inner.split("/")):  # fmt: skip
            raise DataError(
                f"{source.name}: the sample {key!r} of class {identity[:-1]!r} cannot name a file",
                "rename it",
            )
        names.append(f"{inner}.png")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise DataError(f"{source.name}: {times} samples would become {name}", "rename them")
    return names


def _begin(out: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """Make or take up the folder; the facts of an ended preparation of the same request."""
    if (out / FACES).is_file():
        facts = _read_json(out / FACES)
        _check_same(out, request, facts)
        shutil.rmtree(out / PREPARING, ignore_errors=True)  # killed between the last two steps
        return facts
    begun = out / PREPARING / _REQUEST
    if begun.is_file():
        _check_same(out, request, _read_json(begun))
    elif out.exists() and (not out.is_dir() or any(p.name != PREPARING for p in out.iterdir())):
        raise UsageError(
            f"{out} exists and holds no prepared faces", "choose another --out, or remove it first"
        )
    else:
        write_text(begun, canonical_json(request))
    return None


def _check_same(out: Path, request: dict[str, Any], found: dict[str, Any]) -> None:
    for key, wanted in request.items():
        if found.get(key) != wanted:
            raise UsageError(
                f"{out} was prepared with another {key}: it has {canonical_json(found.get(key))}, "
                f"this request {canonical_json(wanted)}",
                "choose another --out, or remove it first",
            )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no table")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is damaged: {error}", "remove the folder, prepare again"
        ) from error
    return content


def _finish(out: Path, request: dict[str, Any], entries: list[Entry]) -> Prepared:
    faces = [entry for entry in entries if entry["name"]]
    rejects = [(entry["key"], entry["reason"]) for entry in entries if not entry["name"]]
    if not faces:
        shutil.rmtree(out)
        raise DataError(
            f"none of the {len(rejects)} pictures gave a face (the first, {rejects[0][0]}: "
            f"{rejects[0][1]})",
            "check the source, or choose another --detector",
        )
    for stray in out.rglob(".*.tmp"):  # of a run that was killed while it wrote
        stray.unlink()
    identities = {PurePosixPath(entry["name"]).parts[0] for entry in faces if "/" in entry["name"]}
    facts = request | {
        "faces": len(faces),
        "identities": len(identities),
        "rejected": _by_reason(rejects),
        "hash": sha256_json([[entry["name"], entry["sha256"]] for entry in faces]),
    }
    lines = ["key\treason", *("\t".join(reject) for reject in rejects)]
    write_text(out / REJECTS, "\n".join(lines) + "\n")
    write_text(out / FACES, json.dumps(facts, indent=2, sort_keys=True) + "\n")
    shutil.rmtree(out / PREPARING)
    return _prepared(out, facts, rejects)


def _by_reason(rejects: Iterable[tuple[str, str]]) -> dict[str, int]:
    return dict(Counter(reason.partition(":")[0] for _, reason in rejects))


def _read_rejects(out: Path) -> list[tuple[str, str]]:
    try:
        lines = (out / REJECTS).read_text("utf-8").splitlines()[1:]
    except (OSError, ValueError) as error:
        raise DataError(f"{out / REJECTS} is damaged: {error}", _AGAIN) from error
    return [(key, reason) for key, _, reason in (line.partition("\t") for line in lines)]


def _prepared(out: Path, facts: dict[str, Any], rejects: list[tuple[str, str]]) -> Prepared:
    try:
        return Prepared(
            out, int(facts["faces"]), int(facts["identities"]), tuple(rejects), str(facts["hash"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{out / FACES} is damaged: {error!r}", _AGAIN) from error
