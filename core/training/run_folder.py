"""A run folder: settings, environment, metrics, pictures and checkpoints of one training run.

Only one process writes it (a lock that the system drops when the process dies), and only a run
of the same settings resumes in it.
"""

import fcntl
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import tomli_w

from ..atomic_io import explained, write_text
from ..config import flatten, tomllib
from ..errors import DataError, UsageError
from ..provenance import commit, hardware, versions
from ..weights import facts_of
from .checkpoint import CheckpointStore
from .jsonl import JsonLines
from .settings import RUNTIME

_PACKAGE = Path(__file__).resolve().parents[2]
_LOCK = ".lock"
_CONFIG = "config.toml"
_RUN = "run"  # its table of what was trained on what


class RunFolder:
    """An open run folder; use it in a `with` block, which holds its lock.

    Args:
        path: the folder; created when absent.
        config: the fully resolved settings, nested plain values.
        main: False for the processes of a run that only read (ranks above 0).
        runtime: dotted keys that may differ when a run is resumed.

    Attributes:
        metrics: one line per step, deterministic.
        timing: speed, not compared.
        bad_batches: the sample ids of steps whose loss was not finite.

    Raises:
        UsageError: the folder holds something else, a run of other settings, or is in use.
        MasqueradeError: the system refuses to write.
    """

    metrics: JsonLines
    timing: JsonLines
    bad_batches: JsonLines

    def __init__(
        self,
        path: Path,
        config: Mapping[str, Any],
        *,
        main: bool = True,
        runtime: Iterable[str] = RUNTIME,
    ) -> None:
        self.path = Path(path)
        self.config = _storable(config)
        self.main = main
        self._runtime = frozenset(runtime)

    def __enter__(self) -> "RunFolder":
        if not self.main:
            return self
        _refuse_other_content(self.path)
        with explained(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / _LOCK).open("a+")
        try:
            self._acquire()
            self._settle()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.main:
            for file in (self.metrics, self.timing, self.bad_batches):
                file.close()
            self._lock.close()

    def checkpoints(self, keep: int) -> CheckpointStore:
        """The folder's checkpoints."""
        return CheckpointStore(self.path, keep)

    def picture_path(self, step: int) -> Path:
        """Where the reconstruction picture of a step goes."""
        folder = self.path / "pictures"
        with explained(folder):
            folder.mkdir(exist_ok=True)
        return folder / f"step-{step:07d}.png"

    def offsets(self) -> dict[str, int]:
        """Durable sizes of the deterministic files, to be stored in a checkpoint."""
        files = {"metrics": self.metrics, "bad_batches": self.bad_batches}
        for file in files.values():
            file.sync()
        return {name: file.size() for name, file in files.items()}

    def cut(self, offsets: Mapping[str, int]) -> None:
        """Bring the deterministic files back to what they were at a checkpoint."""
        self.metrics.cut(offsets.get("metrics", 0))
        self.bad_batches.cut(offsets.get("bad_batches", 0))

    def _acquire(self) -> None:
        # POSIX locks belong to the process: worker processes that outlive a killed one do not
        # inherit them, as they would with flock
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"another process is writing the run {self.path}",
                "wait until it ends, or choose another folder with --out",
            ) from error

    def _settle(self) -> None:
        """Compare or write the settings, sweep, open the files."""
        stored = self.path / _CONFIG
        if stored.exists():
            self._compare(stored)
        else:
            write_text(stored, tomli_w.dumps(self.config))
        self._note_environment()
        self.checkpoints(1).sweep()
        self.metrics = JsonLines(self.path / "metrics.jsonl")
        self.timing = JsonLines(self.path / "timing.jsonl")
        self.bad_batches = JsonLines(self.path / "bad_batches.jsonl")

    def _compare(self, stored: Path) -> None:
        old, new = flatten(_read(stored)), flatten(self.config)
        for key in sorted(old.keys() | new.keys()):
            if key not in self._runtime and old.get(key) != new.get(key):
                raise UsageError(
                    f"the run {self.path} was started with {key} = {_shown(old.get(key))}, "
                    f"now it is {_shown(new.get(key))}",
                    "repeat the first command to resume it, or choose another folder with --out",
                )

    def _note_environment(self) -> None:
        """Add this session to environment.json."""
        import json

        path = self.path / "environment.json"
        sessions = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        sessions.append({
            "started_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "command": sys.argv,
            "commit": commit(_PACKAGE),
            "hardware": hardware(),
            "versions": versions(),
        })  # fmt: skip
        write_text(path, json.dumps(sessions, indent=2))


def settings_of(path: Path) -> dict[str, Any]:
    """The settings of a run folder, or of the run that a checkpoint's file lies in; else {}.

    Raises:
        DataError: they are damaged.
    """
    for folder in (Path(path), *Path(path).resolve().parents[:3]):
        stored = folder / _CONFIG
        if stored.is_file():
            settings = _read(stored)
            return settings if _RUN in settings else {}  # another program's file
    return {}


def training_data_of(path: Path) -> tuple[str, ...]:
    """The data that weights were trained on, as declared: names, without their folders.

    Args:
        path: a weights file, whose header may say it, or a run folder or one of its checkpoints,
            whose settings do; () where nothing is said.

    Raises:
        DataError: the run's settings are damaged.
        WeightsError: no weights are there.
    """
    said = facts_of(path).get("training_data", "").split()
    name = settings_of(path).get(_RUN, {}).get("data")
    return tuple(said) or ((Path(name).name,) if name else ())


def _read(stored: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(stored.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{stored} is damaged: {error}", "choose another folder") from error


def _refuse_other_content(path: Path) -> None:
    """A folder that holds files but no run is somebody's own."""
    if path.is_file():
        raise UsageError(f"{path} is a file, expected a folder", "choose another one with --out")
    if not path.is_dir() or (path / _CONFIG).exists():
        return
    own = {_LOCK}
    other = sorted(p.name for p in path.iterdir() if p.name not in own and p.suffix != ".tmp")
    if other:
        raise UsageError(
            f"the folder {path} holds other files ({other[0]}, …) and no run",
            "choose an empty or a new folder with --out",
        )


def _storable(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as TOML can hold them: without None (TOML has no null), tuples as lists."""
    kept: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            kept[key] = _storable(value)
        elif isinstance(value, list | tuple):
            kept[key] = list(value)
        elif value is not None:
            kept[key] = value
    return kept


def _shown(value: object) -> str:
    return "unset" if value is None else repr(value)
