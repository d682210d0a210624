"""The trainer: one straight loop with exact resume.

    torchrun --nproc-per-node 8 -m masquerade.cli.main pretrain mae --data DIR --out RUN

runs the same loop in eight processes. Everything random is a function of (seed, step, rank) or of
(seed, epoch, sample id), and everything that a step depends on is in the checkpoint, so a run
that is killed and started again computes what an undisturbed one computes.
"""

import hashlib
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from math import hypot, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from ..draws import Draws
from ..errors import MasqueradeError, UsageError
from ..method import Method, StepOutput
from ..step import StepContext
from ..tokens import Batch
from .compiling import compile_blocks, wants_compile
from .distributed import World
from .ema import Ema
from .flops import forward_flops, peak_flops
from .optim import layer_scale_groups, make_optimizer, set_lr
from .outcome import Outcome
from .progress import ProgressLine, Speedometer
from .row_shards import RowShards
from .run_folder import RunFolder
from .schedule import lr_at_step
from .settings import OptimSettings, TrainSettings
from .signals import STOP_SIGNALS, StopRequest, stop_requests
from .state import TrainingState

if TYPE_CHECKING:
    from .loader import Loader

Picture = Callable[[Method, Batch, Draws, StepContext, Path], None]
_SPEED_EVERY_S = 5.0
_PICTURE_ROWS = 8


@dataclass(frozen=True)
class _Step:
    """What one optimizer step gave, as host numbers."""

    loss: float
    parts: dict[str, float]
    norm: float
    lr: float
    stop: int
    late: bool

    @property
    def finite(self) -> bool:
        return isfinite(self.loss) and isfinite(self.norm)


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of torch's generator at a step: dropout is then the same after a resume."""
    digest = hashlib.blake2b(f"{seed}/{step}/{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def micro_batches(batch: Batch, count: int) -> list[Batch]:
    """The batch in `count` slices of (nearly) equal length, without empty ones."""
    edges = [len(batch) * i // count for i in range(count + 1)]
    return [batch.rows(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True) if b > a]


class Trainer:
    """Trains a method on a loader's batches into a run folder.

    Args:
        method: on the CPU or already on the world's device; its weights are changed in place.
        loader: gives this process's rows of every global batch.
        run: the open run folder.
        optim: how weights change.
        train: how the run goes.
        world: which process this is, and its device.
        picture: draws the first few samples of a batch; called every `train.picture_every` steps.
        progress: whether a person wants to see a progress line.

    Raises:
        UsageError: the settings do not fit the method or the number of processes.
    """

    def __init__(
        self,
        method: Method,
        loader: "Loader",
        run: RunFolder,
        optim: OptimSettings,
        train: TrainSettings,
        *,
        world: World = World(),  # noqa: B008 - a frozen value
        picture: Picture | None = None,
        progress: bool = True,
    ) -> None:
        self.method = method.to(world.device)
        self.loader, self.run_folder, self.world = loader, run, world
        self.optim, self.train = optim, train
        self.picture, self.shown = picture, progress and world.main
        self.total = train.total_steps(loader.steps_per_epoch)
        if train.batch_size < world.size * train.accumulate:
            raise UsageError(
                f"train.batch_size {train.batch_size} gives less than one sample to each of "
                f"{train.accumulate} micro-batches in {world.size} processes",
                "raise train.batch_size or lower train.accumulate",
            )
        self._shards = RowShards(self.method, world)
        self._groups()
        named = (pair for pair in self.method.named_parameters() if pair[1].requires_grad)
        self.ema = None if train.ema_decay is None else Ema(named, train.ema_decay)
        self.state = TrainingState(
            self.method, self.optimizer, self.ema,
            shards=self._shards, store=run.checkpoints(train.keep), world=world,
        )  # fmt: skip
        self.skipped = self.in_a_row = 0
        self._model: nn.Module = self.method
        self._saved_at = time.monotonic()

    def run(self) -> Outcome:
        """Train up to the last step, from the latest checkpoint where there is one.

        Raises:
            MasqueradeError: the loss was not finite too often, or the system refuses to write.
        """
        start = step = self._resume()
        last: _Step | None = None
        if start == self.total:
            return Outcome(step, self.total, start, None, self.skipped)
        self._prepare()
        with (
            stop_requests() as request,
            ProgressLine(self.total, start, shown=self.shown) as line,
            closing(self._batches(start)) as batches,
        ):
            speed: Speedometer | None = None
            for batch, waited_s in batches:
                context = self._context(step)
                if speed is None:
                    speed = self._speedometer(batch, context)
                last = self._step(batch, context, request)
                step += 1
                self._record(step, batch, context, last)
                speed.add(self.train.batch_size, waited_s)
                self._show(line, speed, step, last)
                stopping = last.stop or step == self.total
                if self._due(step, last) or stopping:
                    self._save(step)
                if stopping:
                    break
        self.world.wait()
        self._model = self.method  # lets the DDP wrapper go
        loss = last.loss if last is not None and last.finite else None
        return Outcome(step, self.total, start, loss, self.skipped, last.stop if last else 0)

    # one step ----------------------------------------------------------------------------------

    def _step(self, batch: Batch, context: StepContext, request: StopRequest) -> _Step:
        """Forward, backward and update on one global batch; a non-finite one changes nothing."""
        lr = lr_at_step(
            context.step, self.optim, batch_size=self.train.batch_size, steps=self.total,
            steps_per_epoch=self.loader.steps_per_epoch,
        )  # fmt: skip
        set_lr(self.optimizer, lr, peak=self.optim.learning_rate(self.train.batch_size))
        torch.manual_seed(step_seed(self.train.seed, context.step, self.world.rank))
        sums, names = self._accumulate(batch, context)
        norm, shared_out = self._norm(), self._shards.settle()
        asked = [float(request.signal == number) for number in STOP_SIGNALS]
        asked.append(float(self.world.main and self._late()))
        flags = torch.tensor(asked, dtype=sums.dtype, device=sums.device)
        sums = self.world.sum(torch.cat([flags, shared_out[None], sums]))
        # the step's only host sync: loss, parts and gradient norm in one read. What is not finite
        # is so on every rank, since the loss was summed and the gradients were averaged or summed.
        host = torch.cat([sums, norm[None]]).tolist()
        (*asked, late), host = host[: len(asked)], host[len(asked) :]
        squares, rows, loss, *parts, norm_value = host
        if self._shards.named:
            norm_value = hypot(norm_value, squares**0.5)
        given = {name: value / rows for name, value in zip(names, parts, strict=True)}
        signals = (number for number, count in zip(STOP_SIGNALS, asked, strict=True) if count)
        done = _Step(loss / rows, given, norm_value, lr, next(signals, 0), late > 0)
        if done.finite:
            self.optimizer.step()
            if self.ema is not None:
                self.ema.update()
            self.method.after_step(context)
        self.optimizer.zero_grad(set_to_none=True)
        return done

    def _accumulate(self, batch: Batch, context: StepContext) -> tuple[Tensor, list[str]]:
        """Backward over all micro-batches.

        Returns:
            (2 + parts,) float64: the rows, and the sums over rows of loss and parts, of this
            process; and the parts' names.
        """
        micro = micro_batches(batch, self.train.accumulate)
        rows = torch.tensor(float(len(batch)), dtype=torch.float64, device=self.world.device)
        # ranks may hold unequal numbers of rows where samples were damaged; DDP then averages
        # gradients over ranks, so each loss is weighted by its share of all rows
        share = self.world.size / self.world.sum(rows.clone())
        sums: Tensor | None = None
        names: list[str] = []
        for number, part in enumerate(micro):
            draws = self._draws(part, context)
            with self._synced(number == len(micro) - 1), self._autocast():
                output: StepOutput = self._model(part, draws, context)
                loss = output.loss.float()
                if output.adversary_loss is not None:  # disjoint parameters: one backward for both
                    loss = loss + output.adversary_loss.float()
                (loss * (share * len(part)).float()).backward()
            names = list(output.parts)
            values = [output.loss, *output.parts.values()]
            weighted = torch.stack([v.detach().double() for v in values]) * len(part)
            sums = weighted if sums is None else sums + weighted
        assert sums is not None  # noqa: S101 - a batch has rows
        return torch.cat([rows[None], sums]), names

    def _norm(self) -> Tensor:
        """The norm before clipping of what is clipped, a float64 scalar on the device."""
        norms = []
        for player in self._clipped:
            parameters = [p for p in player if p.grad is not None]
            norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
            if self.optim.clip_norm is not None:
                clip_grads_with_norm_(parameters, self.optim.clip_norm, norm)
            norms.append(norm.double())
        return torch.stack(norms).norm()

    def _draws(self, batch: Batch, context: StepContext) -> Draws:
        return Draws(self.train.seed, batch.ids, context.epoch, stream="method")

    def _context(self, step: int) -> StepContext:
        return StepContext(step / self.total, self.loader.epoch_of(step), step)

    def _autocast(self) -> AbstractContextManager[Any]:
        enabled = self.train.precision == "bf16"
        return torch.autocast(self.world.device.type, torch.bfloat16, enabled=enabled)

    def _synced(self, last: bool) -> AbstractContextManager[Any]:
        """Gradients travel between processes with the last micro-batch only."""
        if last or not isinstance(self._model, DistributedDataParallel):
            return nullcontext()
        return self._model.no_sync()

    # before, between and after -----------------------------------------------------------------

    def _groups(self) -> None:
        layer_id = getattr(self.method, "layer_id", None)
        if self.optim.layer_decay is not None and layer_id is None:
            raise UsageError(
                f"the method '{self.method.slug}' does not tell its layers",
                "leave optim.layer_decay unset",
            )
        decay = self.optim.layer_decay
        groups = []
        players = self._players()
        self._clipped = [[p for _, p in named] for _, named in players]  # an adversary apart
        shared_out = [(True, self._shards.named)] if self._shards.named else []
        for scheduled, named in [*players, *shared_out]:
            for group in layer_scale_groups(
                named,
                weight_decay=self.optim.weight_decay,
                layer_decay=1.0 if decay is None else decay,
                layer_id=None if decay is None else layer_id,
                no_decay=self.method.NO_DECAY,
                decay_all=self.optim.decay_all,
            ):
                groups.append({**group, "scheduled": scheduled})
        self.optimizer = make_optimizer(groups, self.optim)

    def _players(self) -> list[tuple[bool, list[tuple[str, nn.Parameter]]]]:
        """The method's parameters, and the adversary's apart: whether scheduled, and which."""
        prefix = f"{self.method.ADVERSARY}."
        named = [pair for pair in self.method.named_parameters() if pair[0] not in self._shards]
        own = [pair for pair in named if not pair[0].startswith(prefix)]
        other = [pair for pair in named if pair[0].startswith(prefix)]
        return [(True, own), (False, other)] if other else [(True, own)]

    def _prepare(self) -> None:
        self.method.train()
        if wants_compile(self.train.compile, self.world.device):
            compile_blocks(self.method)
        if self.world.size > 1:
            # buffers are broadcast at each forward: rank 0's are in the checkpoint
            self._shards.keep_from(self.method)
            self._model = DistributedDataParallel(self.method)

    def _batches(self, start: int) -> Generator[tuple[Batch, float], None, None]:
        """The batches from step `start` on, on the device, with the seconds waited for each."""
        batches = iter(self.loader.batches(start))
        while True:
            before = time.perf_counter()
            batch = next(batches)
            yield batch.to(self.world.device), time.perf_counter() - before

    def _speedometer(self, batch: Batch, context: StepContext) -> Speedometer:
        peak = peak_flops(self.world.device, self.train.precision)
        if peak is None or not self.shown or self._shards.spread:
            return Speedometer()
        flops = 3.0 * forward_flops(self.method, batch, self._draws(batch, context), context)
        return Speedometer(flops, peak * self.world.size)

    def _show(self, line: ProgressLine, speed: Speedometer, step: int, done: _Step) -> None:
        line.update(step, done.loss if done.finite else None)
        if self.world.main and (speed.age_s() > _SPEED_EVERY_S or step == self.total):
            now = speed.read()
            line.show_speed(now)
            values = {"samples_per_s": now.samples_per_s, "wait": now.wait, "mfu": now.mfu}
            self.run_folder.timing.write({"step": step, **values})

    def _record(self, step: int, batch: Batch, context: StepContext, done: _Step) -> None:
        """Write the step's line, count what was not finite, draw the picture when it is time."""
        self.in_a_row = 0 if done.finite else self.in_a_row + 1
        self.skipped += not done.finite
        bad_ids = None if done.finite else self.world.gather(batch.ids.tolist())
        if self.world.main:
            self.run_folder.metrics.write({
                "step": step, "epoch": context.epoch, "loss": _json_number(done.loss),
                "parts": {k: _json_number(v) for k, v in done.parts.items()},
                "grad_norm": _json_number(done.norm), "lr": done.lr, "skipped": not done.finite,
            })  # fmt: skip
            if bad_ids is not None:
                self.run_folder.bad_batches.write({
                    "step": step, "epoch": context.epoch, "loss": str(done.loss),
                    "grad_norm": str(done.norm), "ids": bad_ids,
                })  # fmt: skip
            every = self.train.picture_every
            if every is not None and (step % every == 0 or step == self.total):
                self._draw(step, batch, context)
        if self.in_a_row >= self.train.max_skipped:
            raise MasqueradeError(
                f"loss or gradient was not finite in {self.in_a_row} steps in a row, up to step "
                f"{step} (sample ids in {self.run_folder.path / 'bad_batches.jsonl'})",
                "lower optim.lr, set optim.clip_norm, or look at those samples",
            )

    def _draw(self, step: int, batch: Batch, context: StepContext) -> None:
        if self.picture is None or self._shards.spread:  # a pass that one process cannot do alone
            return
        few = batch.rows(0, _PICTURE_ROWS)
        self.method.eval()
        with torch.no_grad(), self._autocast():
            path = self.run_folder.picture_path(step)
            self.picture(self.method, few, self._draws(few, context), context, path)
        self.method.train()

    # checkpoints -------------------------------------------------------------------------------

    def _late(self) -> bool:
        return time.monotonic() - self._saved_at >= self.train.checkpoint_every_s

    def _due(self, step: int, done: _Step) -> bool:
        every = self.train.checkpoint_every_steps
        return done.late or (every is not None and step % every == 0)

    def _save(self, step: int) -> None:
        """Write a checkpoint (rank 0)."""
        self._saved_at = time.monotonic()
        facts = {"skipped": self.skipped, "in_a_row": self.in_a_row}
        offsets = self.run_folder.offsets() if self.world.main else {}
        self.state.save(step, {**facts, "offsets": offsets})

    def _resume(self) -> int:
        """Restore the latest checkpoint; the number of steps it holds."""
        self.world.wait()  # rank 0 has settled the folder
        saved = self.state.restore()
        # without one, the lines are of a process that died before its first checkpoint
        if self.world.main:
            self.run_folder.cut({} if saved is None else saved.facts["offsets"])
        if saved is None:
            return 0
        self.skipped, self.in_a_row = saved.facts["skipped"], saved.facts["in_a_row"]
        return saved.step


def _json_number(value: float) -> float | None:
    """The value, or None where JSON has no word for it."""
    return value if isfinite(value) else None
