"""A results folder, written atomically: records, predictions, pictures.

`records/<id>.json`, `predictions/<hash>.parquet`, `pictures/<id>/<name>`.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .atomic_io import write_bytes, write_file, write_text
from .errors import ValidationError
from .frames import content_hash, read_frame, write_frame
from .records import Record, is_id, parse_record

if TYPE_CHECKING:
    from pandas import DataFrame

RECORDS, PREDICTIONS, PICTURES = "records", "predictions", "pictures"
_MEND = "re-run the evaluation that made it, or fetch the file again"


def write_record(
    record: Record, results: Path, predictions: "DataFrame | None" = None
) -> tuple[Path, Record]:
    """Store a record and the predictions that it was computed from.

    Where the claim is stored already, the new provenance joins it as a confirmation.

    Args:
        record: what to store.
        results: the results folder; made when missing.
        predictions: their content must have the hash that the claim names.

    Returns:
        The record's file, and the record as it stands there.

    Raises:
        ValidationError: the predictions are not those of the claim, or the stored file is damaged.
        MasqueradeError: the system refuses to write.
    """
    record = parse_record(record.to_json(), "the record to write")
    if predictions is not None:
        _store_predictions(record, predictions, results)
    path = results / RECORDS / f"{record.id}.json"
    with _locked(results):
        if path.exists():
            record = read_record(path).confirmed_by(record)
        write_text(path, record.to_json())
    return path, record


def read_record(path: Path) -> Record:
    """The record in a file named by its id.

    Raises:
        ValidationError: missing, not a record, edited, or under another name; names file, field,
            found and expected.
    """
    path = Path(path)
    if not is_id(path.stem) or path.suffix != ".json":
        raise ValidationError(
            f"{path}: found the name '{path.name}', expected <64 hexadecimal digits>.json",
            "records keep the name that they were written under",
        )
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValidationError(f"{path}: expected a record file, found {error}", _MEND) from error
    return parse_record(text, str(path), name=path.stem)


def read_records(results: Path) -> list[Record]:
    """All records of a results folder, in the order of their ids.

    Raises:
        ValidationError: one of them does not hold.
    """
    return [read_record(path) for path in record_files(results)]


def record_files(results: Path) -> list[Path]:
    """The files of a results folder that stand where records do, in the order of their names."""
    folder = results / RECORDS
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    return [folder / name for name in names if name.endswith(".json")]


def read_predictions(record: Record, results: Path) -> "DataFrame":
    """The stored predictions of a record.

    Raises:
        ValidationError: the claim names none, or the file is missing or has another content.
    """
    expected = record.claim.predictions
    if expected is None:
        raise ValidationError(f"record {record.id}: predictions: found none", _MEND)
    path = results / PREDICTIONS / f"{expected}.parquet"
    frame = read_frame(path)
    found = content_hash(frame)
    if found != expected:
        raise ValidationError(f"{path}: content: found {found}, expected {expected}", _MEND)
    return frame


def write_pictures(record: Record, results: Path, pictures: Mapping[str, bytes]) -> list[Path]:
    """Store pictures of a record, such as curves; they can be drawn again from its predictions.

    Args:
        record: whose they are.
        results: the results folder.
        pictures: file name → content.

    Returns:
        The files.

    Raises:
        MasqueradeError: the system refuses to write.
    """
    folder = results / PICTURES / record.id
    for name, content in pictures.items():
        write_bytes(folder / name, content)
    return [folder / name for name in pictures]


def _store_predictions(record: Record, frame: "DataFrame", results: Path) -> None:
    found = content_hash(frame)
    if found != record.claim.predictions:
        raise ValidationError(
            f"predictions: found {found}, expected {record.claim.predictions} (the claim's)"
        )
    write_file(results / PREDICTIONS / f"{found}.parquet", lambda path: write_frame(frame, path))


@contextmanager
def _locked(results: Path) -> Iterator[None]:
    """Let one process at a time read, merge and write; a killed one frees the lock."""
    lock = results / RECORDS / ".lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
