"""Time, processor time and peak memory of this process and those that it starts."""

import os
import resource
import sys
import threading
import time
from types import TracebackType

_EVERY_S = 0.2


class Meter:
    """Measures while its `with` block runs.

    Memory is what all processes hold together (what they share counts in each), sampled, and at
    least what this one ever held.
    """

    def __init__(self) -> None:
        self._start, self._cpu, self._peak = time.perf_counter(), _cpu_s(), 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Meter":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.perf_counter() - self._start

    @property
    def cpu_s(self) -> float:
        """Processor seconds since then, those of ended child processes included."""
        return _cpu_s() - self._cpu

    @property
    def peak_bytes(self) -> int:
        """The most memory seen."""
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return max(self._peak, own if sys.platform == "darwin" else own << 10)

    def _sample(self) -> None:
        import psutil

        process = psutil.Process()
        while not self._stop.wait(_EVERY_S):
            held = 0
            for one in (process, *process.children(recursive=True)):
                try:
                    held += one.memory_info().rss
                except psutil.Error:  # it has ended meanwhile
                    continue
            self._peak = max(self._peak, held)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
