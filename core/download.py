"""Fetching files: resumable (HTTP Range), checked by sha256, whole or not there."""

import http.client
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from .atomic_io import new_folder
from .errors import DataError, MasqueradeError, UsageError
from .hashing import sha256_file

_BLOCK = 1 << 18
_TIMEOUT_S = 30.0
_PARTIAL = 206
_BEYOND = 416  # the partial file is as long as the whole one


def download(
    url: str,
    path: Path,
    sha256: str | None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Path:
    """Fetch `url` to `path`; a broken download goes on where it stopped.

    The bytes lie in `NAME.part` until their hash is right; then the file is renamed.

    Args:
        url: http, https.
        path: where to; a file there that has the hash already is kept.
        sha256: expected; None where its authors publish none, and the caller checks otherwise.
        progress: called with (bytes done, bytes in all or None).

    Raises:
        UsageError: another file lies at `path`, or the scheme is not http(s).
        MasqueradeError: the server refuses, or the disk does; the part stays for the next try.
        DataError: the hash is wrong; the part is removed.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"cannot fetch {url}", "only http:// and https:// are known")
    if path.exists():
        if sha256 is not None and sha256_file(path) == sha256:
            return path
        raise UsageError(f"{path} exists and is another file", "remove it or choose another --out")
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, part, progress)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise MasqueradeError(
            f"cannot fetch {url} to {part}: {reason}",
            "run the same command again: it goes on where it stopped",
        ) from error
    found = sha256_file(part)
    if sha256 is not None and found != sha256:
        part.unlink()
        raise DataError(
            f"{url} has the sha256 {found}, expected {sha256}",
            "the file there is another one or was damaged on its way; try again later",
        )
    part.replace(path)
    return path


def _fetch(url: str, part: Path, progress: Callable[[int, int | None], None]) -> None:
    done = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "masquerade", **({"Range": f"bytes={done}-"} if done else {})}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - scheme is checked
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            if done and answer.status != _PARTIAL:
                done = 0  # the server does not know Range and sends all
            length = answer.headers.get("Content-Length")
            total = None if length is None else done + int(length)
            with part.open("ab" if done else "wb") as handle:
                done = _copy(answer, handle, done, total, progress)
            if total is not None and done != total:
                raise OSError(f"the connection ended after {done} of {total} bytes")
    except urllib.error.HTTPError as error:
        if not (error.code == _BEYOND and done):
            raise


def _copy(
    answer: http.client.HTTPResponse,
    handle: IO[bytes],
    done: int,
    total: int | None,
    progress: Callable[[int, int | None], None],
) -> int:
    while block := answer.read(_BLOCK):
        handle.write(block)
        done += len(block)
        progress(done, total)
    return done


def unpack_tar(archive: Path, folder: Path) -> Path:
    """Unpack a tar (also .tgz) into the new `folder`; only plain files, none outside of it.

    Raises:
        UsageError: `folder` exists.
        DataError: the archive is damaged, or a member would leave the folder.
    """
    if folder.exists():
        raise UsageError(f"{folder} exists already", "remove it or choose another --out")
    with new_folder(folder) as temporary:
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    _unpack_member(archive, tar, member, temporary)
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise DataError(f"{archive} is damaged: {error}", "fetch it again") from error
    return folder


def _unpack_member(
    archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path
) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name:
        raise DataError(
            f"{archive} holds the member {member.name!r}, which leaves its folder",
            "do not trust this archive",
        )
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        return  # folders come with their files; links and devices are left out
    target = folder.joinpath(*name.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as handle:
        while block := content.read(_BLOCK):
            handle.write(block)


def fetch_archive(
    url: str,
    out: Path,
    name: str,
    sha256: str,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Path:
    """Download a tar to `out` and unpack it to the new folder `out`/`name`.

    Raises:
        as `download` and `unpack_tar`.
    """
    folder = out / name
    if folder.exists():
        raise UsageError(f"{folder} exists already", "use it, remove it or choose another --out")
    archive = download(url, out / url.rpartition("/")[2], sha256, progress)
    return unpack_tar(archive, folder)
