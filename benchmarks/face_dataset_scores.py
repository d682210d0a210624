"""The metrics of a set of faces, from its stored rows alone (`face_dataset_rows`)."""

# N pictures, K identities, S samples.

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.metrics.exceedance import exceedance
from ..core.metrics.faces import auc, d_prime
from ..core.metrics.frechet import Frechet
from ..core.metrics.intervals import proportion_interval
from ..core.metrics.subsampling import subsample_interval
from ..core.metrics.variation import Variation
from ..core.metrics.verification import eer, roc
from ..core.records import Metric

if TYPE_CHECKING:
    from pandas import DataFrame

Direction = Literal["higher", "lower"]
_UNITS = {
    "pixels": "grey levels", "brightness": "grey levels", "contrast": "grey levels",
    "sharpness": "grey levels", "yaw": "ratio", "pitch": "ratio", "roll": "degrees",
    "vector": "vector units",
}  # fmt: skip
_RANGES = {"fraction": (0.0, 1.0), "cosine": (-1.0, 1.0)}  # all else is 0 or more


@dataclass(frozen=True, eq=False)
class _Rows:
    """The stored rows, by figure."""

    frame: "DataFrame"

    @cached_property
    def _figures(self) -> dict[str, "DataFrame"]:
        return {str(name): own for name, own in self.frame.groupby("figure", sort=False)}

    @cached_property
    def constants(self) -> dict[str, float]:
        own = self._figures["constant"]
        return dict(zip(own["item"], own["value"], strict=True))

    def has(self, figure: str) -> bool:
        return figure in self._figures

    def names(self, figure: str) -> list[str]:
        """What stands behind "figure/"."""
        start = f"{figure}/"
        return [name.removeprefix(start) for name in self._figures if name.startswith(start)]

    def values(self, figure: str) -> NDArray[np.float64]:
        return self._figures[figure]["value"].to_numpy(np.float64)

    def groups(self, figure: str) -> NDArray[np.int64]:
        return self._figures[figure]["group"].to_numpy(np.int64)

    def draws(self, figure: str) -> Iterator["_Draw"]:
        """The rows of each sample, in turn."""
        for _, own in self._figures[figure].groupby("draw"):
            yield _Draw(
                own["value"].to_numpy(np.float64), own["weight"].to_numpy(np.int64),
                own["item"].to_numpy(),
            )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Draw:
    """The rows of one figure in one sample."""

    values: NDArray[np.float64]
    weights: NDArray[np.int64]
    items: NDArray[np.object_]


def metrics_of(predictions: "DataFrame") -> dict[str, Metric]:
    """All metrics: of the whole set, then of the samples."""
    rows = _Rows(predictions)
    found = {**_separability(rows), **_duplicates(rows)}
    for name in rows.names("leakage"):
        found |= _leakage(rows, name)
    return {**found, **_of_samples(rows), **_distances(rows), **_variations(rows)}


def _separability(rows: _Rows) -> dict[str, Metric]:
    nearest = rows.values("nearest_earlier")
    return {
        name: Metric(
            value=float((nearest <= tau).mean()),
            unit="fraction",
            direction="higher",
            n=len(nearest),
        )  # fmt: skip
        for name, tau in _bounds(rows, "unique_share")
    }


def _bounds(rows: _Rows, name: str) -> Iterator[tuple[str, float]]:
    yield name, rows.constants["tau"]
    if "tau_at_far" in rows.constants:
        yield f"{name}_at_far", rows.constants["tau_at_far"]


def _duplicates(rows: _Rows) -> dict[str, Metric]:
    bits = rows.constants["near_bits"]
    near = {
        "near_duplicates": "nearest_hash", "near_duplicates_of_others": "nearest_hash_of_others"
    }  # fmt: skip
    groups = rows.groups("repeats")
    found = {"exact_duplicates": _share(rows.values("repeats"), groups, "lower")}
    for name, figure in near.items():
        found[name] = _share(rows.values(figure) <= bits, groups, "lower")
    for name in rows.names("copies"):
        found[f"copies/{name}"] = _share(rows.values(f"copies/{name}") <= bits, groups, "lower")
    return found


def _leakage(rows: _Rows, name: str) -> dict[str, Metric]:
    cosine, groups = rows.values(f"leakage/{name}"), rows.groups(f"leakage/{name}")
    found = {}
    if "leak_at_far" in rows.constants:
        found[f"leakage/{name}"] = _share(cosine >= rows.constants["leak_at_far"], groups, "lower")
    stranger = f"stranger/{name}"
    if rows.has(stranger):
        value, interval, method = exceedance(
            cosine, groups, rows.values(stranger), rows.groups(stranger)
        )
        found[f"nearer_than_strangers/{name}"] = Metric(
            value=value, unit="fraction", direction="lower", n=len(np.unique(groups)),
            n_of="groups", interval=interval, interval_method=method,
        )  # fmt: skip
    return found


def _share(hits: NDArray, groups: NDArray[np.int64], direction: Direction) -> Metric:
    values = hits.astype(np.float64)
    interval, method = proportion_interval(values, groups)
    return Metric(
        value=float(values.mean()), unit="fraction", direction=direction,
        n=len(np.unique(groups)), n_of="groups", interval=interval, interval_method=method,
    )  # fmt: skip


def _of_samples(rows: _Rows) -> dict[str, Metric]:
    found = {}
    for name, tau in _bounds(rows, "sample_unique_share"):
        parts = [float((d.values <= tau).mean()) for d in rows.draws("sample_nearest_earlier")]
        found[name] = _mean(rows, parts, "fraction", "higher")
    if not rows.has("genuine"):
        return found
    pairs = list(zip(rows.draws("genuine"), rows.draws("impostor"), strict=True))
    scored: dict[str, tuple[Callable[[NDArray, NDArray], float], str, Direction]] = {
        "d_prime": (d_prime, "deviations", "higher"), "auc": (auc, "fraction", "higher"),
        "eer": (_eer, "fraction", "lower"),
    }  # fmt: skip
    for name, (score, unit, direction) in scored.items():
        parts = [score(same.values, other.values) for same, other in pairs]
        found[name] = _mean(rows, parts, unit, direction)
    for name, draws in (
        ("same_identity_cosine", [same for same, _ in pairs]),
        ("consistency", list(rows.draws("consistency"))),
    ):
        found[name] = _mean(rows, [float(d.values.mean()) for d in draws], "cosine", "higher")
    return found


def _eer(genuine: NDArray[np.float64], impostor: NDArray[np.float64]) -> float:
    same = np.repeat([True, False], [len(genuine), len(impostor)])
    return eer(roc(np.concatenate([genuine, impostor]), same))


def _distances(rows: _Rows) -> dict[str, Metric]:
    parts = [_frechet(draw).distance for draw in rows.draws("frechet")]
    found = {"frechet_distance": _mean(rows, parts, "squared vector units", "lower", both=True)}
    for name in ("precision", "recall", "density", "coverage"):
        if rows.has(name):
            shares = [float(draw.values.mean()) for draw in rows.draws(name)]
            unit = "ratio" if name == "density" else "fraction"
            found[name] = _mean(rows, shares, unit, "higher", both=True)
    return found


def _frechet(draw: _Draw) -> Frechet:
    mean, first, second = (
        float(draw.values[draw.items == item][0]) for item in ("mean", "real trace", "own trace")
    )
    return Frechet(mean, first, second, draw.values[draw.items == "shared"])


def _variations(rows: _Rows) -> dict[str, Metric]:
    """`within/NAME` and `between/NAME`, where every sample says them."""
    found = {}
    for name in rows.names("inside"):
        both = zip(rows.draws(f"inside/{name}"), rows.draws(f"apart/{name}"), strict=True)
        spreads = [Variation(i.values, a.values, i.weights) for i, a in both]
        if any(len(s.n) < 2 or s.n.max() < 2 for s in spreads):
            continue
        for part in ("within", "between"):
            values = [float(getattr(spread, part)) for spread in spreads]
            found[f"{part}/{name}"] = _mean(rows, values, _UNITS[name], "higher")
    return found


def _mean(
    rows: _Rows, parts: list[float], unit: str, direction: Direction, *, both: bool = False
) -> Metric:
    """The mean of samples; its interval counts the real people's share, too, where `both`."""
    share = rows.constants["share_of_both" if both else "share"]
    interval = subsample_interval(parts, share)
    if interval is not None:
        least, most = _RANGES.get(unit, (0.0, np.inf))
        interval = max(interval[0], least), min(interval[1], most)
    return Metric(
        value=float(np.mean(parts)), unit=unit, direction=direction,
        n=int(rows.constants["identities"]), n_of="groups", interval=interval,
        interval_method=None if interval is None else "jackknife", parts=tuple(parts),
    )  # fmt: skip
