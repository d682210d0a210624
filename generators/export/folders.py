"""A folder per identity, the pictures' files unchanged: what any image reader takes."""

from pathlib import Path

from ...core.atomic_io import new_folder
from ...core.errors import UsageError
from ..engine.dataset import SynthesizedSet


def export_folders(dataset: SynthesizedSet, out: Path) -> None:
    """Write `out`/<identity>/<identity>_<number>.<suffix>; `out` appears whole or not at all.

    Raises:
        UsageError: `out` exists.
        DataError: a shard or the manifest is damaged.
        MasqueradeError: the system refuses to write.
    """
    refuse_existing(out)
    with new_folder(out) as folder:
        for row in dataset.rows():
            path = folder / f"{row.identity:07d}" / row.member
            if row.number == 0:
                path.parent.mkdir()
            path.write_bytes(dataset.read(row))


def refuse_existing(out: Path) -> None:
    """Refuse to replace what is there."""
    if out.exists():
        raise UsageError(f"{out} exists already", "choose another --out, or remove it first")
