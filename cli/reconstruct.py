"""`masquerade reconstruct`: a model fills the gaps of a user's own picture."""

from pathlib import Path

import click

from .output import emit_json, note


@click.command()
@click.argument("weights", metavar="RUN_OR_WEIGHTS", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path),
              help="Your own file, or a data set: its first sample.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The picture to write.")
@click.option("--mask-ratio", type=click.FloatRange(0, 1, max_open=True),
              help="Share of hidden tokens; else as in training.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the mask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def reconstruct(
    weights: Path, data: Path, out: Path, mask_ratio: float | None, seed: int, as_json: bool
) -> None:
    """Draw input | masked | reconstruction of your own file.

    The whole centre square of a picture is shown. The error of the hidden tokens stands beside
    that of the mean predictor (each patch's own mean, or the mean colour).

    \b
    Example:
      masquerade reconstruct runs/mae --data cat.jpg --out cat.png
    """
    from ..benchmarks.reconstruction import reconstruct_file

    picture, found = reconstruct_file(weights, data, out, mask_ratio=mask_ratio, seed=seed)
    facts = found.to_dict()
    if as_json:
        emit_json({"picture": str(picture), **facts})
        return
    note(f"{facts['n_hidden']} of {facts['n_tokens']} tokens hidden, loss {found.loss:.4f}")
    note(
        f"error of the hidden tokens {found.error:.4f}, mean predictor {found.mean_error:.4f}: "
        f"{found.explained:.0%} of it explained"
    )
    click.echo(picture)
