"""Pre-training from resolved settings: method, loader, run folder and trainer put together."""

from pathlib import Path
from typing import Any

import torch

from ..core.draws import Draws
from ..core.hashing import sha256_json
from ..core.method import Method
from ..core.modality import Modality, Source
from ..core.step import StepContext
from ..core.tokens import Batch
from ..core.training.distributed import World
from ..core.training.loader import Loader
from ..core.training.outcome import Outcome
from ..core.training.row_shards import RowShards
from ..core.training.run_folder import RunFolder
from ..core.training.settings import RUNTIME
from ..core.training.trainer import Picture, Trainer
from ..modalities.registry import modality
from .recipes import Resolved
from .registry import method as method_class

# the data's name may change between calls (a relative path), its keys may not
_RUNTIME = RUNTIME | {"run.data"}


def pretrain(
    resolved: Resolved,
    source: Source,
    out: Path,
    *,
    world: World = World(),  # noqa: B008 - a frozen value
    strict: bool = False,
    progress: bool = True,
) -> Outcome:
    """Train a method into the run folder `out`, or go on with the run that is there.

    Args:
        resolved: the settings.
        source: the training data.
        out: the run folder.
        world: which process of the run this is.
        strict: stop at a damaged file instead of leaving it out.
        progress: whether a person wants to see a progress line.

    Raises:
        UsageError: `out` holds something else, or the settings or the method do not fit the data.
        DataError: too many damaged files, or the method cannot learn from what they hold.
        MasqueradeError: the loss was not finite too often, or the system refuses to write.
    """
    settings = resolved.settings
    train = settings.train
    cls = method_class(resolved.slug)
    adapter = modality(cls.modality)(settings.data)
    loader = Loader(
        source, adapter, batch_size=train.batch_size, seed=train.seed, workers=train.workers,
        strict=strict, rank=world.rank, world=world.size, device=world.device,
        last_batch=train.last_batch,
    )  # fmt: skip
    train.total_steps(loader.steps_per_epoch)  # the data is large enough: before anything is made
    torch.manual_seed(train.seed)
    method = cls(settings.method)
    method.check_source(source)
    method.build_for(source, world)
    RowShards(method, world).check(settings.optim, train)
    with RunFolder(out, run_config(resolved, source), main=world.main, runtime=_RUNTIME) as run:
        fresh = not (out / "latest").exists()
        if type(method).fit is not Method.fit and (fresh or method.refits):
            method.to(world.device).fit(loader.once())
        trainer = Trainer(
            method, loader, run, settings.optim, train,
            world=world, picture=picture_of(adapter), progress=progress,
        )  # fmt: skip
        return trainer.run()


def run_config(resolved: Resolved, source: Source) -> dict[str, Any]:
    """What `config.toml` of a run holds: the method, which data it was, and the settings."""
    return {
        "run": {
            "method": resolved.slug, "data": source.name, "samples": len(source),
            # keys, not contents: reading all of a large source before the first step costs hours
            "keys_sha256": sha256_json(list(source.keys)),
        },
        **resolved.settings.to_dict(),
    }  # fmt: skip


def picture_of(adapter: Modality) -> Picture:
    """A function that draws input | masked | reconstruction of a few samples of a batch."""

    def draw(method: Method, batch: Batch, draws: Draws, step: StepContext, path: Path) -> None:
        output = method(batch, draws, step)
        if output.mask is not None:
            tokens = method.reconstruction(batch, output)
            adapter.draw(batch, tokens, output.mask.as_bool(), path)

    return draw
