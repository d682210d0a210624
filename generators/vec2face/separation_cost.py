"""What a separation will cost on this machine: measured rates and the count of its operations.

Each kept vector meets every later candidate once, so with acceptance spread evenly n kept of
r · n tried cost r · n² / 2 products of width d, each d multiplications and additions: time(n) =
r · n² · d / rate, and r · n draws. Rejected candidates leave early, so this is an upper bound.
"""

# n kept vectors, d width.

import time
from collections.abc import Callable
from dataclasses import dataclass

from ...core.errors import UsageError
from .sampling import GaussianSampler
from .separation import BLOCK, TILE

_BYTES = 4
_COPIES = 2  # vectors as drawn and as unit rows


@dataclass(frozen=True)
class Rates:
    """How fast this machine is at the two things that separation does.

    Attributes:
        flops_per_s: of products of the size used, largest values taken, with the threads in use.
        draw_s: seconds per candidate.
    """

    flops_per_s: float
    draw_s: float


@dataclass(frozen=True)
class Cost:
    """A prediction.

    Attributes:
        flops: multiplications and additions.
        seconds: of products and draws.
        n_bytes: memory of vectors and working tiles, beside the interpreter.
    """

    flops: float
    seconds: float
    n_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.flops / 1e12:.2f} TFLOP, about {self.seconds:.0f} s, "
            f"{self.n_bytes / 2**30:.2f} GiB"
        )


def _fastest(work: Callable[[], object], times: int) -> float:
    work()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def measure_rates(width: int, times: int = 3) -> Rates:
    """The rates at a vector width; takes about a second."""
    sampler = GaussianSampler(width=width)
    block, kept = sampler.draw(0, 0, BLOCK), sampler.draw(0, BLOCK, BLOCK + TILE)
    products = _fastest(lambda: (block @ kept.T).max(axis=1), times)
    draws = _fastest(lambda: sampler.draw(0, 0, BLOCK), times)
    return Rates(2 * BLOCK * TILE * width / products, draws / BLOCK)


def plan_cost(n: int, width: int, tried_ratio: float = 1.0, rates: Rates | None = None) -> Cost:
    """What `separate` of n vectors will cost.

    Args:
        n: vectors wanted.
        width: d.
        tried_ratio: candidates per vector kept, such as a smaller run's tried / n.
        rates: of the machine; None measures them now.

    Raises:
        UsageError: numbers out of range.

    Example:
        >>> plan_cost(300_000, 512, 1.0, Rates(flops_per_s=1e12, draw_s=0.0)).seconds
        46.08
    """
    if n < 1 or width < 1 or not tried_ratio >= 1:
        raise UsageError(
            f"cost of a separation: expected n, width and tried_ratio >= 1, "
            f"got {n}, {width} and {tried_ratio}"
        )
    rates = rates or measure_rates(width)
    flops = tried_ratio * n**2 * width
    tiles = BLOCK * (TILE + 3 * width) + BLOCK**2
    return Cost(
        flops=flops,
        seconds=flops / rates.flops_per_s + tried_ratio * n * rates.draw_s,
        n_bytes=_BYTES * (_COPIES * n * width + tiles),
    )


def product_bound_s(n: int, tried: int, width: int, rate: float) -> float:
    """The least seconds in which a machine of a bare product's rate can do the products.

    Args:
        n: kept.
        tried: candidates.
        width: d.
        rate: FLOP/s of one large float32 product.
    """
    return float(tried) * n * width / rate
