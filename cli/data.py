"""`masquerade data`: list, inspect, verify, pack and get data sets."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .data_synthesized import export, inspect_synthesized, synthesized, verify_synthesized
from .output import emit_json, note, progress_bar, table

if TYPE_CHECKING:
    from ..core.modality import Source

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
_STRICT = click.option("--strict", is_flag=True, help="Stop at the first damaged file.")
_SHOWN = 20  # damaged files named on the screen; --json names all


@click.group()
def data() -> None:
    """List, inspect, verify, pack and get data sets.

    \b
    Example:
      masquerade data inspect photos
    """


data.add_command(export)


@data.command("list")
@_JSON
def list_command(as_json: bool) -> None:
    """The data sets of the catalogue: what they are, licence, size, how to get them.

    \b
    Example:
      masquerade data list --json
    """
    from ..modalities.catalogue import CATALOGUE

    columns = ("name", "modality", "what", "licence", "size", "splits", "how")
    rows = [
        {c: getattr(entry, c) for c in columns} | {"splits": list(entry.splits)}
        for entry in CATALOGUE.values()
    ]
    if as_json:
        emit_json({"datasets": rows})
        return
    shown = [row | {"splits": ", ".join(row["splits"])} for row in rows]
    click.echo(table(shown, [c for c in columns if c != "licence"]))


@data.command()
@click.argument("name_or_path", metavar="DATA")
@_JSON
def inspect(name_or_path: str, as_json: bool) -> None:
    """Samples, classes and content hash of a data set.

    \b
    Example:
      masquerade data inspect photos:test
    """
    from ..modalities.catalogue import resolve_data

    if (folder := synthesized(name_or_path)) is not None:
        inspect_synthesized(folder, as_json)
        return
    source = resolve_data(name_or_path)
    facts = _facts(source)
    if as_json:
        emit_json(facts)
        return
    lines = {name: facts[name] for name in ("name", "kind", "samples", "fingerprint")}
    lines |= {"first": ", ".join(facts["first"]), **facts["facts"]}
    width = max(map(len, lines))
    for name, value in lines.items():
        click.echo(f"{name:<{width}} {value}")
    if facts["classes"]:
        rows = [{"class": c, "samples": n} for c, n in facts["classes"].items()]
        click.echo(table(rows, ["class", "samples"]))
    else:
        click.echo("no labels of samples")


def _facts(source: "Source") -> dict[str, Any]:
    counts = Counter([] if source.labels is None else source.labels.tolist())
    return {
        "name": source.name,
        "kind": type(source).__name__.removesuffix("Source").lower(),
        "samples": len(source),
        "classes": {name: counts[i] for i, name in enumerate(source.classes)},
        "first": list(source.keys[:3]),
        "facts": dict(source.facts()),
        "fingerprint": source.fingerprint(),
    }


@data.command()
@click.argument("name_or_path", metavar="DATA")
@_JSON
def verify(name_or_path: str, as_json: bool) -> None:
    """Decode every file (of a pack: check every sample's checksum) and name the damaged ones.

    The exit code is 3 where there are any.

    \b
    Example:
      masquerade data verify photos
    """
    from ..core.errors import DataError
    from ..modalities.catalogue import resolve_data
    from ..modalities.packs import damaged_files

    if (folder := synthesized(name_or_path)) is not None:
        verify_synthesized(folder, as_json)
        return
    source = resolve_data(name_or_path)
    damaged = damaged_files(source, progress_bar("verify"))
    if as_json:
        emit_json({
            "name": source.name,
            "samples": len(source),
            "damaged": [{"key": key, "reason": reason} for key, reason in damaged],
        })  # fmt: skip
    else:
        click.echo(f"{len(source)} samples, {len(damaged)} damaged")
    if damaged:
        _name_damaged(damaged)
        raise DataError(
            f"{len(damaged)} of {len(source)} samples of {source.name} are damaged",
            "replace or remove them",
        )


@data.group()
def prepare() -> None:
    """Prepare data once, so that training reads it fast.

    \b
    Example:
      masquerade data prepare pack photos --out packs/photos
    """


@prepare.command()
@click.argument("name_or_path", metavar="DATA")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new folder.")
@click.option("--size", type=click.IntRange(1, 65535),
              help="Scale larger pictures down to this short side (none: full size).")  # fmt: skip
@_STRICT
@_JSON
def pack(name_or_path: str, out: Path, size: int | None, strict: bool, as_json: bool) -> None:
    """Pack a source into memory-mapped arrays, decoded and resized once.

    A damaged file is named and left out, or stops the command with --strict.

    \b
    Example:
      masquerade data prepare pack pictures/train --out train.pack --size 256
    """
    from ..modalities.catalogue import resolve_data
    from ..modalities.packs import pack_source

    source = resolve_data(name_or_path)
    damaged = pack_source(source, out, size, strict=strict, progress=progress_bar("pack"))
    _name_damaged(damaged)
    facts = {"out": str(out), "samples": len(source) - len(damaged), "damaged": len(damaged)}
    if as_json:
        emit_json(facts)
    else:
        click.echo(f"packed {facts['samples']} samples into {out}, left out {len(damaged)}")


@prepare.command("faces")
@click.argument("name_or_path", metavar="DATA")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new folder.")
@click.option("--template", default="arcface-112", show_default=True,
              help="The crop: arcface-112 or dlib-150.")  # fmt: skip
@click.option("--detector", default="mtcnn", show_default=True,
              help="mtcnn, dlib-hog or insightface:MODEL (an ONNX file or a pack).")  # fmt: skip
@click.option("--smallest", default=24, show_default=True, type=click.IntRange(1),
              help="Reject faces whose box has a side of fewer pixels.")  # fmt: skip
@_STRICT
@_JSON
def faces(
    name_or_path: str, out: Path, template: str, detector: str, smallest: int, strict: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Find the main face of every picture and align it by five landmarks.

    Writes DIR/<identity>/<name>.png, rejects.tsv (pictures without a good face, damaged files)
    and faces.json. Broken off, the same command goes on where it stopped. A damaged file is
    named there and left out, or stops the command with --strict.

    \b
    Example:
      masquerade data prepare faces people --out people112 --template arcface-112
    """
    from ..modalities.catalogue import resolve_data
    from ..modalities.image.faces.detectors import open_detector
    from ..modalities.image.faces.prepare import REJECTS, PrepareSettings, prepare_faces
    from ..modalities.image.faces.templates import template as named

    crop = named(template)
    done = prepare_faces(
        resolve_data(name_or_path, "image"), out, crop, open_detector(detector),
        PrepareSettings(smallest_px=smallest), strict=strict, progress=progress_bar("faces"),
    )  # fmt: skip
    if as_json:
        emit_json({
            "out": str(out),
            "template": template,
            "faces": done.n_faces,
            "identities": done.n_identities,
            "rejects": [{"key": key, "reason": reason} for key, reason in done.rejects],
            "hash": done.hash,
        })  # fmt: skip
    else:
        click.echo(
            f"aligned {done.n_faces} faces of {done.n_identities} identities into {out} "
            f"({template})"
        )
    if done.rejects:
        counts = ", ".join(f"{n} {reason}" for reason, n in sorted(done.reasons.items()))
        note(f"rejected {len(done.rejects)}: {counts}; each is named in {out / REJECTS}")


@data.command()
@click.argument("name")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A folder.")
@_JSON
def get(name: str, out: Path, as_json: bool) -> None:
    """Download a data set of the catalogue, check its sha256 and unpack it.

    Broken off, the same command goes on where it stopped.

    \b
    Example:
      masquerade data get imagenette2-160 --out DIR
    """
    from ..core.download import fetch_archive
    from ..core.errors import UsageError
    from ..modalities.catalogue import entry

    found = entry(name)
    if found.download is None:
        raise UsageError(f"the data set '{name}' is embedded", f"use it as it is: --data {name}")
    folder = fetch_archive(
        found.download.url, out, found.name, found.download.sha256, _byte_progress()
    )
    if as_json:
        emit_json({"name": name, "folder": str(folder)})
    else:
        click.echo(str(folder))


def _name_damaged(damaged: list[tuple[str, str]]) -> None:
    for _, reason in damaged[:_SHOWN]:
        note(f"damaged: {reason}")
    if len(damaged) > _SHOWN:
        note(f"… and {len(damaged) - _SHOWN} more")


def _byte_progress() -> Callable[[int, int | None], None]:
    def show(done: int, total: int | None) -> None:
        of = "" if total is None else f" of {total / 2**20:.0f}"
        click.echo(f"\r{done / 2**20:.0f}{of} MiB", nl=False, err=True)

    return show if sys.stderr.isatty() else lambda done, total: None
