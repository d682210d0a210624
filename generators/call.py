"""The public call `masquerade.synthesize`: by names and paths, as on the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.config import merge, nested, parse_override

if TYPE_CHECKING:
    from .engine.pictures import Suffix
    from .engine.synthesis import Engine, Outcome, Request


def request_of(
    generator: str,
    identities: int,
    images_per_identity: int,
    out: str | Path,
    *,
    weights: str | Path | None = None,
    engine: "Engine" = "local",
    workers: int | None = None,
    seed: int = 0,
    set: Sequence[str] = (),
    paper_shuffle: bool = False,
    format: "Suffix" = "jpg",
    quality: int | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    images_per_shard: int | None = None,
    threads: int = 1,
) -> "Request":
    """What `synthesize` is asked for; see there.

    Raises:
        UsageError: a text of `set` is no setting.
    """
    from .engine.synthesis import Request

    settings: dict[str, Any] = {}
    shuffle = ("perturbation.paper_shuffle=true",) if paper_shuffle else ()
    for text in (*set, *shuffle):
        settings = merge(settings, nested(*parse_override(text)))
    return Request(
        generator, Path(out), identities, images_per_identity,
        None if weights is None else Path(weights), settings, seed, format, quality, batch_size,
        images_per_shard, threads, device, engine, workers,
    )  # fmt: skip


def synthesize(
    generator: str,
    identities: int,
    images_per_identity: int,
    out: str | Path,
    **options: Any,  # noqa: ANN401 - those of `request_of`
) -> "Outcome":
    """Synthesize a labelled data set into a folder, or go on with one.

    Args:
        generator: its slug, or module:Class.
        identities: how many.
        images_per_identity: pictures of each.
        out: the folder.
        options: `weights` (a file or run folder; else the shipped ones), `engine` ("local" or
            "ray"), `workers`, `seed`, `set` (changed settings, "key.path=value" each),
            `paper_shuffle`, `format` ("jpg", "png", "webp"), `quality`, `device`, `batch_size`,
            `images_per_shard`, `threads`.

    Returns:
        What came of it.

    Raises:
        UsageError: a name or setting is unknown, or `out` holds another plan's data set.
        DataError: what the generator needs is missing or damaged.
        WeightsError: the weights do not load.
    """
    from .engine.synthesis import synthesize as make

    return make(request_of(generator, identities, images_per_identity, out, **options))
