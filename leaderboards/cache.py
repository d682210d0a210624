"""What need not be done twice: which predictions were recomputed, and ranks of unchanged columns.

`results/cache/boards.json` may be deleted at any time. `leaderboard check` never reads it. What it
says of a record holds only while the predictions' file is the same, down to the time when this
system last changed its entry: nobody can send a cache along with a folder.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..benchmarks.protocol import code_of
from ..core.atomic_io import canonical_json, write_text
from ..core.errors import MasqueradeError
from ..core.hashing import sha256_json
from ..core.record_store import PREDICTIONS
from .agreement import known
from .contradictions import Filed

FILE = Path("cache") / "boards.json"
_FORMAT = "masquerade-boards/1"
_CODE = (
    "leaderboards/recomputing.py", "leaderboards/ranking.py", "benchmarks/item_scores.py",
    "core/metrics/rank_sets.py", "core/frames.py",
)  # fmt: skip


class Cache:
    """The remembered outcomes of one results folder, for the code that is installed.

    Args:
        results: the folder.
        records: ids of its records; what is remembered of others is forgotten.
    """

    def __init__(self, results: Path, records: Iterable[str]) -> None:
        self._path, self._results = results / FILE, results
        self._code = sha256_json([code_of(name) for name in _CODE])
        found = self._read()
        there = set(records)
        self._verified = {k: v for k, v in found["verified"].items() if k in there}
        self._boards: dict[str, dict[str, Any]] = found["boards"]
        self._states: dict[str, Any] = {}
        self._board, self._old, self._new = "", {}, {}  # type: str, dict[str, Any], dict[str, Any]

    def verified(self, filed: Filed) -> bool:
        """Whether this record was recomputed from the predictions that lie there now."""
        state = self._states[filed.id] = self._state(filed)
        return state is not None and self._verified.get(filed.id) == state

    def verify(self, filed: Filed) -> None:
        """Remember that it was."""
        self._verified[filed.id] = self._states[filed.id]

    def begin(self, board: str) -> None:
        """Look at a board's ranks from now on."""
        self._board, self._old, self._new = board, self._boards.get(board, {}), {}

    def key(self, column: Iterable[str], records: Iterable[Iterable[str]]) -> str:
        """What a column's ranks are remembered by: the column, and files behind its cells.

        Args:
            column: what it is of.
            records: of each cell.
        """
        cells = [[[name, self._states.get(name)] for name in own] for own in records]
        return sha256_json([list(column), cells])

    def ranks(self, key: str) -> list[list[Any]] | None:
        """What was remembered of a column."""
        found: list[list[Any]] | None = self._old.get(key)
        if found is not None:
            self._new[key] = found
        return found

    def rank(self, key: str, ranks: list[list[Any]]) -> None:
        """Remember a column's ranks."""
        self._new[key] = ranks

    def save(self) -> None:
        """Write what is still of use."""
        self._boards[self._board] = self._new
        body = {"format": _FORMAT, "code": self._code, "verified": self._verified}
        text = canonical_json({**body, "boards": self._boards}) + "\n"
        if self._path.is_file() and self._path.read_bytes() == text.encode():
            return
        try:
            write_text(self._path, text)
        except MasqueradeError:
            return  # a folder that cannot be written costs time at the next call, nothing else

    def _state(self, filed: Filed) -> list[Any] | None:
        """What tells whether the predictions and their protocol are still the same."""
        path = self._results / PREDICTIONS / f"{filed.claim.predictions}.parquet"
        try:
            facts = path.stat()
        except OSError:
            return None
        file = [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]
        return [*file, known(filed.claim.benchmark.name).installed]

    def _read(self) -> dict[str, Any]:
        nothing: dict[str, Any] = {"verified": {}, "boards": {}}
        try:
            found = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return nothing
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            return nothing
        verified, boards = found.get("verified"), found.get("boards")
        if not isinstance(verified, dict) or not isinstance(boards, dict):
            return nothing
        if not all(isinstance(board, dict) for board in boards.values()):
            return nothing
        return found if found.get("code") == self._code else nothing
