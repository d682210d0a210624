"""What a weights file holds: read without running any code of it."""

from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from .hashing import sha256_file
from .weights import read_weights


@dataclass(frozen=True)
class WeightsReport:
    """What a weights file holds.

    Attributes:
        path: the file read (a run folder's latest checkpoint).
        kind: "safetensors" or "pytorch".
        sha256: of the file.
        n_bytes: its size.
        header: method, container, settings of our own files; empty for foreign ones.
        extras: what a foreign file holds beside the weights (optimizer, epoch, …).
        tensors: name → (shape, dtype).
    """

    path: Path
    kind: str
    sha256: str
    n_bytes: int
    header: dict[str, Any]
    extras: tuple[str, ...]
    tensors: dict[str, tuple[tuple[int, ...], str]]

    @property
    def n_parameters(self) -> int:
        """How many numbers all tensors hold."""
        return sum(prod(shape) for shape, _ in self.tensors.values())

    @property
    def dtypes(self) -> dict[str, int]:
        """How many tensors there are of each dtype."""
        return dict(Counter(dtype for _, dtype in self.tensors.values()))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "sha256": self.sha256,
            "bytes": self.n_bytes,
            "header": self.header,
            "extras": list(self.extras),
            "n_parameters": self.n_parameters,
            "dtypes": self.dtypes,
            "tensors": {k: {"shape": list(s), "dtype": d} for k, (s, d) in self.tensors.items()},
        }


def inspect_weights(path: Path) -> WeightsReport:
    """What a weights file, or the latest checkpoint of a run folder, holds.

    Raises:
        WeightsError: no such file, damaged, or it holds pickled code.
    """
    file = read_weights(path)
    with file.path.open("rb") as handle:
        kind = "safetensors" if handle.read(9)[8:9] == b"{" else "pytorch"
    return WeightsReport(
        path=file.path,
        kind=kind,
        sha256=sha256_file(file.path),
        n_bytes=file.path.stat().st_size,
        header=file.header,
        extras=file.extras,
        tensors={
            name: (tuple(value.shape), str(value.dtype).removeprefix("torch."))
            for name, value in file.state.items()
        },
    )
