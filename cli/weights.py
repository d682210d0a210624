"""`masquerade weights`: weights files in, out, and what is in them."""

from dataclasses import asdict
from pathlib import Path

import click

from .output import emit_json, note, table

_FILE = click.Path(path_type=Path)


@click.group()
def weights() -> None:
    """Import, export, inspect and get weights files; no pickled code is ever run.

    \b
    Example:
      masquerade weights inspect mae.safetensors
    """


@weights.command("import")
@click.argument("method")
@click.argument("file", type=_FILE)
@click.option("--out", required=True, type=_FILE, help="The .safetensors file to write.")
@click.option("--set", "overrides", multiple=True, metavar="method.KEY=VALUE",
              help="A setting that weights do not show, such as method.heads=12.")  # fmt: skip
@click.option("--allow-partial", is_flag=True, help="Leave out what does not fit, and say it.")
def import_(
    method: str, file: Path, out: Path, overrides: tuple[str, ...], allow_partial: bool
) -> None:
    """Turn weights that a method's authors published into one of our files.

    \b
    Example:
      masquerade weights import mae mae_pretrain_vit_base.pth --out mae-b.safetensors
    """
    from ..core.config import section_overrides
    from ..methods.weights import import_official

    asked = section_overrides("method", overrides)
    imported = import_official(method, file, overrides=asked, allow_partial=allow_partial)
    imported.save(out)
    if str(imported.report):
        note(str(imported.report))
    note(f"{method} ({imported.container}) from {file}, sha256 {imported.source_sha256}")
    click.echo(out)


@weights.command()
@click.argument("file", type=_FILE)
@click.option("--out", required=True, type=_FILE, help="The .pth file to write.")
def export(file: Path, out: Path) -> None:
    """Write one of our files under the names that the method's authors use.

    \b
    Example:
      masquerade weights export runs/mae --out mae_official.pth
    """
    from ..methods.weights import export_official

    names = export_official(file, out)
    note(f"{len(names)} tensors under the official names")
    click.echo(out)


@weights.command()
@click.argument("file", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect(file: Path, as_json: bool) -> None:
    """Show names, shapes, types and hash of any .pth or .safetensors file.

    \b
    Example:
      masquerade weights inspect mae_pretrain_vit_base.pth
    """
    from ..core.weights_report import inspect_weights

    found = inspect_weights(file)
    if as_json:
        emit_json(found.to_dict())
        return
    rows = [
        {"name": name, "shape": "×".join(map(str, shape)) or "scalar", "dtype": dtype}
        for name, (shape, dtype) in found.tensors.items()
    ]
    click.echo(table(rows, ["name", "shape", "dtype"]))
    note(f"{found.path}: {found.kind}, {found.n_bytes} bytes, sha256 {found.sha256}")
    note(f"{len(found.tensors)} tensors, {found.n_parameters} parameters")
    if found.header:
        note(f"method {found.header.get('method')}, container {found.header.get('container')}")
    if found.extras:
        note(f"beside the weights: {', '.join(found.extras)}")


@weights.command()
@click.argument("name", required=False)
@click.option("--out", type=_FILE, help="The file to write.")
@click.option("--sha256", help="What you know the file's hash to be; checked where given.")
@click.option("--url", help="Another address of the same file (a mirror of yours).")
@click.option("--unverified", is_flag=True, help="Accept a file that nothing is published of.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def get(
    name: str | None,
    out: Path | None,
    sha256: str | None,
    url: str | None,
    unverified: bool,
    as_json: bool,
) -> None:
    """Download published weights, or list them where no name is given.

    The authors of MAE publish the first six digits of an md5, which is checked; the file's
    sha256 is printed, so that you can pin it.

    \b
    Example:
      masquerade weights get mae-vit-b --out mae_pretrain_vit_base.pth
    """
    from ..methods.published import catalogue, get_published

    if name is None:
        rows = catalogue()
        if as_json:
            emit_json({"weights": rows})
        else:
            click.echo(table(rows, ["name", "method", "md5", "licence", "holds", "url"]))
        return
    got = get_published(name, out, sha256=sha256, url=url, unverified=unverified)
    if as_json:
        emit_json({**asdict(got), "path": str(got.path)})
        return
    note(f"sha256 {got.sha256}, {got.checked}")
    note(f"next: {got.next_command}")
    click.echo(got.path)
