"""The public calls `masquerade.pretrain` and `masquerade.load`: by names and paths, as typed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.method import Method
    from ..core.training.outcome import Outcome


def pretrain(
    method: str,
    data: str,
    out: str | Path,
    *,
    recipe: str | None = None,
    set: Sequence[str] = (),
    device: str | None = None,
    workers: int | None = None,
    steps: int | None = None,
    strict: bool = False,
    quiet: bool = False,
) -> "Outcome | None":
    """Pre-train a method on data into a run folder, or go on with the run that is there.

    Args:
        method: its slug.
        data: a data set of the catalogue, or a path.
        out: the run folder.
        recipe: a shipped one, or a TOML file; None = the method's own.
        set: changed settings, "key.path=value" each.
        device: auto, cpu, cuda or cuda:N; None = the recipe's.
        workers: processes that load data.
        steps: optimizer steps of the whole run.
        strict: stop at a damaged file instead of leaving it out.
        quiet: no progress line.

    Returns:
        How it ended; None in those processes of `torchrun` that write nothing.

    Raises:
        UsageError: a name or setting is unknown, or `out` holds something else.
        DataError: there is no such data, or the method cannot learn from it.
        MasqueradeError: the loss was not finite too often, or the system refuses to write.
    """
    from .recipes import resolve

    given = {"train.device": device, "train.workers": workers, "train.steps": steps}
    options = [f"{key}={value}" for key, value in given.items() if value is not None]
    resolved = resolve(method, recipe, [*set, *options])

    from ..core.training.distributed import joined
    from ..modalities.catalogue import resolve_data
    from .pretraining import pretrain as train
    from .registry import method as method_class

    source = resolve_data(data, method_class(method).modality)
    with joined(resolved.settings.train.device) as world:
        outcome = train(resolved, source, Path(out), world=world, strict=strict, progress=not quiet)
        return outcome if world.main else None


def load(path: str | Path) -> "Method":
    """The model of a run folder or a weights file, in evaluation mode.

    Raises:
        WeightsError: no weights are there, or they do not fit.
    """
    from .weights import load_method

    return load_method(Path(path)).eval()
