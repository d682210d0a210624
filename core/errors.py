"""The one exception tree: each error says what, where, and the mend, and owns an exit code."""

import difflib
from collections.abc import Iterable


class MasqueradeError(Exception):
    """A failure that a user can act on.

    Args:
        message: what failed (which file, key, row), what was expected, what was found.
        remedy: what to do about it; printed after the message.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class UsageError(MasqueradeError):
    """The request itself is wrong (option, name, setting)."""

    exit_code = 2


class DataError(MasqueradeError):
    """A data source or one of its files is wrong."""

    exit_code = 3


class WeightsError(MasqueradeError):
    """A weights file is wrong, or does not fit the model."""

    exit_code = 4


class ValidationError(MasqueradeError):
    """A record or a stored result does not hold."""

    exit_code = 5


class MissingExtra(MasqueradeError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"the package '{package}' is not installed",
            f"pip install 'masquerade-suite[{extra}]' brings it",
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """A phrase with the nearest known names: "did you mean 'mae'?" or the known ones.

    Example:
        >>> nearest("mea", ["mae", "simmim"])
        "did you mean 'mae'?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names)}" if names else "none is known"
