"""Which benchmarks have curves, what these are read from, and who draws them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..core.errors import MasqueradeError
from ..core.records import Record
from .plots import Plot, named
from .plots_rates import rates_of_counts, rates_of_pairs, rates_plots
from .plots_searches import lists_plots, lists_ranked, people_plots, people_searched
from .plots_separability import separability_of, separability_plots
from .plots_series import Curve
from .recomputing import FORM_ERRORS


class _Kind(NamedTuple):
    """How one benchmark's curves are read from a record, and drawn."""

    read: Callable[[Record, Path], Any]
    drawn: Callable[[Sequence[Curve]], tuple[Plot, ...]]


_KINDS: Mapping[str, _Kind] = {
    "verification": _Kind(rates_of_pairs, rates_plots),
    "template-verification": _Kind(rates_of_counts, rates_plots),
    "identification": _Kind(people_searched, people_plots),
    "retrieval": _Kind(lists_ranked, lists_plots),
    "face-dataset": _Kind(separability_of, separability_plots),
}
BENCHMARKS = tuple(_KINDS)


def read_curve(record: Record, results: Path) -> Curve | None:
    """What a record gives to be drawn.

    Args:
        record: of any benchmark.
        results: the results folder, where predictions are.

    Returns:
        None of a benchmark without curves, and where the predictions are not there or do not hold:
        the check lists those.
    """
    claim = record.claim
    if claim.benchmark.name not in BENCHMARKS:
        return None
    try:
        data = _KINDS[claim.benchmark.name].read(record, results)
    except (MasqueradeError, *FORM_ERRORS):
        return None
    return None if data is None else Curve(claim.benchmark.name, named(claim.subject.name), data)


def curve_plots(curves: Sequence[Curve]) -> tuple[Plot, ...]:
    """The plots of some curves of one benchmark, at most `SERIES`, in one another's frame."""
    return _KINDS[curves[0].benchmark].drawn(curves) if curves else ()
