"""Records and predictions in one file, to give them to others; checked before they enter a store.

A bundle is an uncompressed zip of `records/<id>.json`, `predictions/<hash>.parquet` and
`bundle.json` (format, and the sha256 of every member). The same records give the same bytes.
Reading: nothing is unpacked by a name from the file, so nothing can leave the folder; members are
stored, so that none can be larger than the file; the file has a size cap; hashes are compared.
"""

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from struct import error as struct_error
from typing import Any

from ..core.atomic_io import canonical_json, write_bytes, write_file
from ..core.errors import UsageError, ValidationError
from ..core.frames import read_frame
from ..core.hashing import sha256_bytes, sha256_file
from ..core.record_store import PREDICTIONS, RECORDS, read_predictions, read_record, write_record
from ..core.records import MAX_BYTES as MAX_RECORD_BYTES
from ..core.records import Record, is_id, parse_record
from .checking import TOP, Level, Report, check_results, read_filed
from .standings import Problem

FORMAT = "masquerade-bundle/1"
LIST = "bundle.json"
MAX_BYTES = 4 << 30
_MEMBERS = 1_000_000
_ZIP = b"PK\x03\x04"  # how a zip begins; its list of members is at its end
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FETCH = "fetch the file again, or ask its maker for another"
_DAMAGED = (
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct_error,
)


def write_bundle(results: Path, out: Path, ids: Sequence[str] = ()) -> int:
    """Write records of a results folder, with their predictions, as one file.

    Args:
        results: the folder.
        out: the file.
        ids: of the records, or their beginnings; all when empty.

    Returns:
        How many records it holds.

    Raises:
        UsageError: there is no such folder or record.
        ValidationError: a record or its predictions do not hold, or the bundle would be too large.
        MasqueradeError: the system refuses to write.
    """
    records = _chosen(results, ids)
    files: dict[str, Path] = {}
    for record in records:
        files[f"{RECORDS}/{record.id}.json"] = results / RECORDS / f"{record.id}.json"
        if record.claim.predictions is not None:
            read_predictions(record, results)  # what does not hold is not passed on
            name = f"{record.claim.predictions}.parquet"
            files[f"{PREDICTIONS}/{name}"] = results / PREDICTIONS / name
    n_bytes = sum(path.stat().st_size for path in files.values())
    if n_bytes > MAX_BYTES:
        raise ValidationError(
            f"{out}: size: found {n_bytes:,} bytes, expected at most {MAX_BYTES:,}",
            "make several bundles: name some records by the beginnings of their ids",
        )
    write_file(out, lambda path: _write(path, files))
    return len(records)


def add_file(path: Path, results: Path, *, level: Level = TOP) -> tuple[list[Record], Report]:
    """Take the records of a bundle, or of one record's file, into a results folder.

    Everything is checked in a folder aside first: where one record does not hold, none enters.
    What contradicts records that are there already does enter: `check` then names both.

    Args:
        path: the file; the predictions of a record's file are sought beside it.
        results: the folder; made when missing.
        level: of the check.

    Returns:
        The records as they stand in the folder then, and the report of the check.

    Raises:
        UsageError: there is no such file.
        ValidationError: the file is damaged, or a record does not hold; names file, field, found
            and expected.
        MasqueradeError: the system refuses to write.
    """
    if path.is_dir():
        raise UsageError(
            f"{path} is a folder, expected a bundle or a record's file",
            f"`masquerade leaderboard bundle --results {path} --out FILE` makes one file of it",
        )
    if not path.is_file():
        raise UsageError(f"there is no file {path}", "name a bundle or a record's file")
    with _unpacked(path) as aside:
        report = _from(path, check_results(aside, level), aside)
        refused = [problem for problem in report.problems if problem.severity == "refused"]
        if refused:
            more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
            raise ValidationError(f"{refused[0]}{more}", "nothing was added")
        stored = []
        for checked in report.checked:
            record = checked.filed.record
            frame = None
            source = aside / PREDICTIONS / f"{record.claim.predictions}.parquet"
            if source.is_file():
                frame = read_frame(source)
            # predictions first, then the record that names them: a killed command leaves
            # whole records only, and the same command again adds the others
            stored.append(write_record(record, results, frame)[1])
    return stored, report


def _from(path: Path, report: Report, aside: Path) -> Report:
    """The report with the file that was given instead of the folder that it was unpacked to."""

    def told(problems: Sequence[Problem]) -> tuple[Problem, ...]:
        return tuple(
            replace(problem, file=problem.file.replace(f"{aside}/", f"{path}: "))
            for problem in problems
        )

    checked = tuple(replace(each, problems=told(each.problems)) for each in report.checked)
    return replace(report, checked=checked, unreadable=told(report.unreadable))


def _chosen(results: Path, ids: Sequence[str]) -> list[Record]:
    filed, unreadable = read_filed(results)
    if unreadable and not ids:
        raise ValidationError(str(unreadable[0]), "see `masquerade leaderboard check`")
    if not filed:
        raise UsageError(f"there is no record in {results}", "`masquerade evaluate` makes one")
    if not ids:
        return [each.record for each in filed]
    found: dict[str, Record] = {}
    for start in ids:
        own = [each for each in filed if each.id.startswith(start)]
        if len(own) != 1:
            raise UsageError(
                f"{len(own)} records of {results} begin with '{start}', expected one",
                "`masquerade leaderboard show --format csv --tidy` names the ids",
            )
        found[own[0].id] = own[0].record
    return [found[name] for name in sorted(found)]


def _write(out: Path, files: Mapping[str, Path]) -> None:
    hashes = {name: sha256_file(path) for name, path in files.items()}
    listed = canonical_json({"format": FORMAT, "sha256": hashes}) + "\n"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=True) as bundle:
        bundle.writestr(_member(LIST), listed)
        for name in sorted(files):
            with (
                files[name].open("rb") as source,
                bundle.open(_member(name), "w", force_zip64=True) as to,
            ):
                while block := source.read(1 << 20):
                    to.write(block)


def _member(name: str) -> zipfile.ZipInfo:
    """The same header on every machine and day."""
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system, info.external_attr = 3, 0o644 << 16
    return info


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """A results folder with what the file holds, each member compared with its hash."""
    with tempfile.TemporaryDirectory(prefix="masquerade-") as folder:
        aside = Path(folder)
        (aside / RECORDS).mkdir()
        if zipfile.is_zipfile(path):
            _unpack(path, aside)
        elif _begins_like_a_bundle(path):
            raise ValidationError(
                f"{path}: content: found the beginning of a bundle without its end, expected all "
                "of it", _FETCH,
            )  # fmt: skip
        else:
            _copy(path, aside)
        yield aside


def _begins_like_a_bundle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def _copy(path: Path, aside: Path) -> None:
    """One record's file, and its predictions where they lie beside it as in a results folder."""
    if path.stat().st_size > MAX_RECORD_BYTES:
        raise ValidationError(
            f"{path}: size: found {path.stat().st_size:,} bytes, expected a bundle or a record "
            f"of at most {MAX_RECORD_BYTES:,}",
            _FETCH,
        )
    try:
        record = parse_record(path.read_bytes().decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ValidationError(f"{path}: content: found {error}, expected a bundle or a record",
                              _FETCH) from error  # fmt: skip
    if is_id(path.stem):
        read_record(path)  # a record's file that has an id for its name has its own
    write_bytes(aside / RECORDS / f"{record.id}.json", path.read_bytes())
    name = f"{record.claim.predictions}.parquet"
    for beside in (path.parent.parent / PREDICTIONS / name, path.parent / name):
        if beside.is_file():
            write_bytes(aside / PREDICTIONS / name, beside.read_bytes())
            return


def _unpack(path: Path, aside: Path) -> None:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValidationError(
            f"{path}: size: found {size:,} bytes, expected at most {MAX_BYTES:,}", _FETCH
        )
    try:
        with zipfile.ZipFile(path) as bundle:
            _check_members(bundle, path, size)
            hashes = _listed(bundle, path)
            for info in bundle.infolist():
                if info.filename == LIST:
                    continue
                data = bundle.read(info)
                if sha256_bytes(data) != hashes[info.filename]:
                    raise ValidationError(
                        f"{path}: {info.filename}: sha256: found {sha256_bytes(data)}, expected "
                        f"{hashes[info.filename]}", _FETCH,
                    )  # fmt: skip
                write_bytes(aside / info.filename, data)
    except (zipfile.BadZipFile, *_DAMAGED) as error:
        raise ValidationError(
            f"{path}: content: found {error}, expected a bundle", _FETCH
        ) from error


def _check_members(bundle: zipfile.ZipFile, path: Path, size: int) -> None:
    infos = bundle.infolist()
    names = [info.filename for info in infos]
    if len(infos) > _MEMBERS or len(set(names)) < len(names):
        raise ValidationError(f"{path}: members: found too many, or a name twice", _FETCH)
    for info in infos:
        if info.filename != LIST and not _is_own_name(info.filename):
            raise ValidationError(
                f"{path}: member: found the name {info.filename[:100]!r}, expected "
                f"{RECORDS}/<id>.json or {PREDICTIONS}/<hash>.parquet", _FETCH,
            )  # fmt: skip
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise ValidationError(
                f"{path}: {info.filename}: found a compressed or encrypted member, expected a "
                "stored one", _FETCH,
            )  # fmt: skip
    total = sum(info.file_size for info in infos)
    if total > size:
        raise ValidationError(
            f"{path}: members: found {total:,} bytes in them, expected at most the file's {size:,}",
            _FETCH,
        )


def _is_own_name(name: str) -> bool:
    folder, _, file = name.partition("/")
    stem, _, suffix = file.partition(".")
    return is_id(stem) and (folder, suffix) in ((RECORDS, "json"), (PREDICTIONS, "parquet"))


def _listed(bundle: zipfile.ZipFile, path: Path) -> Mapping[str, str]:
    """Member → sha256, of all members."""
    names = {info.filename for info in bundle.infolist()} - {LIST}
    try:
        found: Any = json.loads(bundle.read(LIST))
    except (KeyError, ValueError, RecursionError) as error:
        raise ValidationError(f"{path}: {LIST}: found {error}, expected its list of members",
                              _FETCH) from error  # fmt: skip
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        said = found.get("format") if isinstance(found, dict) else type(found).__name__
        raise ValidationError(f"{path}: {LIST}: format: found {said!r}, expected {FORMAT!r}",
                              "a newer masquerade may have written it: update")  # fmt: skip
    hashes = found.get("sha256")
    if not isinstance(hashes, dict) or hashes.keys() != names:
        listed = set(hashes) if isinstance(hashes, dict) else set()
        odd = sorted(listed ^ names)[:1]
        raise ValidationError(
            f"{path}: {LIST}: sha256: found another list than the members ({odd}), expected each "
            "member once", _FETCH,
        )  # fmt: skip
    return hashes
