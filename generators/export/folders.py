"""A folder per identity, the pictures' files unchanged: what any image reader takes."""

import json
from pathlib import Path
from typing import Any

from ...core.atomic_io import new_folder
from ...core.errors import UsageError
from ...modalities.image.faces.aligned import FACES, FORMAT
from ...modalities.image.faces.templates import TEMPLATES
from ..engine.dataset import SynthesizedSet


def export_folders(dataset: SynthesizedSet, out: Path) -> None:
    """Write `out`/<identity>/<identity>_<number>.<suffix>; `out` appears whole or not at all.

    Where the generator says which face template its pictures have, faces.json says it to readers.

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
        if (facts := _faces(dataset)) is not None:
            (folder / FACES).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", "utf-8")


def _faces(dataset: SynthesizedSet) -> dict[str, Any] | None:
    """The content of faces.json; None for pictures of no known template."""
    plan = dataset.plan
    name = plan.generator_facts.get("template")
    if not isinstance(name, str) or name not in TEMPLATES:
        return None
    return {
        "format": FORMAT, "template": name, "faces": plan.images, "identities": plan.identities,
        "synthetic": True, "generator": plan.generator, "generator_hash": plan.generator_hash,
        "dataset": dataset.hash,
    }  # fmt: skip


def refuse_existing(out: Path) -> None:
    """Refuse to replace what is there."""
    if out.exists():
        raise UsageError(f"{out} exists already", "choose another --out, or remove it first")
