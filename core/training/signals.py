"""Ctrl-C and SIGTERM as a request that the training loop sees between two steps."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether, and by which signal, the process was asked to stop.

    Attributes:
        signal: the signal's number, 0 before one came.
    """

    def __init__(self) -> None:
        self.signal = 0


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Catch SIGINT and SIGTERM inside the block; a second SIGINT interrupts at once.

    Outside the main thread Python has no signal handlers, and nothing is caught.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    owner = os.getpid()

    def note(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked worker inherits the handler: it ends as usual
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if request.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.signal = number

    former = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
