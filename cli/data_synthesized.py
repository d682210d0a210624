"""`masquerade data export`, and what `inspect` and `verify` say of a synthesized set."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from .output import emit_json, note

_SHOWN = 20  # problems named on the screen; --json names all


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--to", "shape", required=True, type=click.Choice(["folders", "recordio"]),
              help="A folder per identity, or InsightFace's train.rec.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new folder.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def export(folder: Path, shape: str, out: Path, as_json: bool) -> None:
    """Write the synthesized set in DIR as folders of pictures or as RecordIO.

    The pictures' files stay as they are, byte for byte.

    \b
    Example:
      masquerade data export faces --to recordio --out faces-rec
    """
    from ..generators.engine.dataset import SynthesizedSet
    from ..generators.export.folders import export_folders
    from ..generators.export.recordio import export_recordio

    write = {"folders": export_folders, "recordio": export_recordio}[shape]
    dataset = SynthesizedSet(folder)
    write(dataset, out)
    if as_json:
        emit_json({"out": str(out), "shape": shape, "images": len(dataset)})
    else:
        click.echo(str(out))


def synthesized(name_or_path: str) -> Path | None:
    """The folder, where DATA is one that `masquerade synthesize` writes."""
    from ..generators.engine.dataset import is_synthesized

    path = Path(name_or_path)
    return path if is_synthesized(path) else None


def inspect_synthesized(folder: Path, as_json: bool) -> None:
    """Print what a synthesized set is made of and what its audit found."""
    from ..core.config import flatten
    from ..generators.engine.dataset import SynthesizedSet

    dataset = SynthesizedSet(folder)
    plan, audit = dataset.plan, dataset.audit
    facts = {
        "name": str(folder),
        "kind": "synthesized",
        "samples": plan.images,
        "identities": plan.identities,
        "images_per_identity": plan.images_per_identity,
        "generator": plan.generator,
        "generator_hash": plan.generator_hash,
        "plan": dataset.plan_hash,
        "hash": dataset.hash,
        "seed": plan.seed,
        "shards": len(dataset.shards),
        "repeated": audit["duplicates"]["repeated"],
        "prepared": plan.prepared_facts,
        "findings": audit["findings"],
    }
    if as_json:
        emit_json(facts)
        return
    rows = flatten(facts)
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        click.echo(f"{name:<{width}}  {value}")


def verify_synthesized(folder: Path, as_json: bool) -> None:
    """Check every byte of a synthesized set.

    Raises:
        DataError: there is damage; it is named before.
    """
    from ..core.errors import DataError
    from ..generators.engine.plan import read_plan
    from ..generators.engine.verification import verify_dataset

    problems = verify_dataset(folder, _seen())
    samples = read_plan(folder).images
    if as_json:
        emit_json({
            "name": str(folder),
            "samples": samples,
            "damaged": [{"key": p.file, "reason": p.what, "mend": p.mend} for p in problems],
        })  # fmt: skip
    else:
        click.echo(f"{samples} samples, {len(problems)} problems")
    for problem in problems[:_SHOWN]:
        note(f"damaged: {problem}")
    if problems:
        raise DataError(
            f"{len(problems)} files or pictures of {folder} are not as they were made",
            "do what stands behind each of them",
        )


def _seen() -> Callable[[int, int], None]:
    """A count of shards on stderr, silent where that is no terminal."""

    def show(done: int, total: int) -> None:
        click.echo(f"\r{done} of {total} shards", nl=done == total, err=True)

    return show if sys.stderr.isatty() else lambda done, total: None
