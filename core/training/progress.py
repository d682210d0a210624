"""The progress line: step, loss, throughput, waiting for data, time left, MFU."""

import sys
import time
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


@dataclass(frozen=True)
class Speed:
    """How fast training was since the last look.

    Attributes:
        samples_per_s: over all processes.
        wait: the share of time spent waiting for data, 0…1.
        mfu: model FLOPs utilisation, or None where the device's peak is not known.
    """

    samples_per_s: float
    wait: float
    mfu: float | None = None

    def __str__(self) -> str:
        mfu = "" if self.mfu is None else f" · MFU {self.mfu:.0%}"
        return f"{self.samples_per_s:,.0f} samples/s · data wait {self.wait:.0%}{mfu}"


class Speedometer:
    """Measures `Speed` between calls of `read`.

    Args:
        flops_per_sample: of a training step, for MFU.
        peak: FLOP/s of all devices together, or None.
    """

    def __init__(self, flops_per_sample: float = 0.0, peak: float | None = None) -> None:
        self._flops, self._peak = flops_per_sample, peak
        self._since, self._samples, self._waited = time.perf_counter(), 0, 0.0

    def add(self, samples: int, waited_s: float) -> None:
        """Count one step."""
        self._samples += samples
        self._waited += waited_s

    def age_s(self) -> float:
        """Seconds since the last `read`."""
        return time.perf_counter() - self._since

    def read(self) -> Speed:
        """The speed since the last call, and start again."""
        seconds = max(self.age_s(), 1e-9)
        rate = self._samples / seconds
        mfu = rate * self._flops / self._peak if self._peak and self._flops else None
        speed = Speed(rate, min(1.0, self._waited / seconds), mfu)
        self._since, self._samples, self._waited = time.perf_counter(), 0, 0.0
        return speed


def announce(text: str) -> None:
    """Say what begins now, on stderr; nothing where that is no terminal."""
    if sys.stderr.isatty():
        Console(stderr=True).print(text, markup=False, highlight=False)


class ProgressLine:
    """A live line on stderr; nothing where stderr is no terminal, or `shown` is False.

    Args:
        total: steps of the run.
        done: steps done before.
        shown: whether a person wants it.
    """

    def __init__(self, total: int, done: int, *, shown: bool = True) -> None:
        self._bar = Progress(
            TextColumn("{task.fields[text]}"), BarColumn(), TaskProgressColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[speed]}"),
            console=Console(stderr=True), disable=not (shown and sys.stderr.isatty()),
        )  # fmt: skip
        self._task = self._bar.add_task("", total=total, completed=done, text="…", speed="")

    def __enter__(self) -> "ProgressLine":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, step: int, loss: float | None) -> None:
        """Show that `step` steps are done."""
        shown = "not finite" if loss is None else f"{loss:.4f}"
        self._bar.update(self._task, completed=step, text=f"step {step} · loss {shown}")

    def show_speed(self, speed: Speed) -> None:
        """Show how fast it goes."""
        self._bar.update(self._task, speed=str(speed))
