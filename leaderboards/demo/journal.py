"""What a demo folder has finished: `demo.json`, written whole after each step."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...core.atomic_io import canonical_json, write_text
from ...core.errors import DataError, UsageError

NAME = "demo.json"
FORMAT = "masquerade-demo/1"


@dataclass(frozen=True)
class Done:
    """A finished step.

    Attributes:
        seconds: that it took.
        cpu_s: of processors, all processes together.
        records: ids of its records, the scored subject's first.
        facts: what else it found; plain JSON.
        lines: what it told a person.
    """

    seconds: float
    cpu_s: float
    records: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()


class Journal:
    """The finished steps of a folder, by a key of all that decides them.

    Args:
        out: the folder; made when missing.

    Raises:
        UsageError: it is a file, or a folder of something else.
        DataError: its `demo.json` is damaged.
    """

    def __init__(self, out: Path) -> None:
        self.out = Path(out)
        if self.out.exists() and not self.out.is_dir():
            raise UsageError(
                f"{self.out} is a file, expected a folder", "choose another one with --out"
            )
        self._path = self.out / NAME
        self._done: dict[str, Done] = {}
        if self._path.is_file():
            self._done = _read(self._path)
        elif self.out.is_dir():
            _refuse_other_content(self.out)
        self._write()

    def get(self, key: str) -> Done | None:
        """The step, where it was finished."""
        return self._done.get(key)

    def add(self, key: str, done: Done) -> None:
        """Remember a step as finished.

        Raises:
            MasqueradeError: the system refuses to write.
        """
        self._done[key] = done
        self._write()

    def _write(self) -> None:
        steps = {key: asdict(done) for key, done in self._done.items()}
        write_text(self._path, canonical_json({"format": FORMAT, "steps": steps}))


def _refuse_other_content(out: Path) -> None:
    other = sorted(path.name for path in out.iterdir() if not path.name.endswith(".tmp"))
    if other:
        raise UsageError(
            f"the folder {out} holds other files ({other[0]}, …) and no demo",
            "choose an empty or a new folder with --out",
        )


def _read(path: Path) -> dict[str, Done]:
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, expected {FORMAT}")
        return {
            key: Done(
                float(step["seconds"]), float(step["cpu_s"]), tuple(step["records"]),
                dict(step["facts"]), tuple(step["lines"]),
            )
            for key, step in content["steps"].items()
        }  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is damaged: {error!r}", "remove the folder and run the demo again"
        ) from error
