"""How often each interval holds a known truth, by method and regime: the table of the docs.

Run by hand in the repository:
`python -m tests.performance.interval_coverage [--draws 1000] [--resamples N] [--only TEXT …]`.
Every world of `tests/core/metrics/worlds.py` is drawn so many times. A line says which methods were
given, how often the interval held the truth, lay below and above it, and its width. Marked are
those below 93 %, and those above 97 % that are hardly ever exact.
"""

import argparse
import time

from masquerade.core.metrics import intervals
from tests.core.metrics.worlds import Coverage, coverage, every_world

LEAST, MOST, HARDLY = 0.93, 0.97, 0.01
ROUNDED = 1e-9  # shares of draws are not exact in binary


def mark(found: Coverage) -> str:
    if found.held < LEAST - ROUNDED:
        return "BELOW"
    wide = found.methods.get("exact", 0.0) > HARDLY
    return "above" if found.held > MOST + ROUNDED and not wide else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=intervals.N_RESAMPLES)
    parser.add_argument("--only", nargs="+", default=[""], help="worlds whose name holds one")
    given = parser.parse_args()
    intervals.N_RESAMPLES = given.resamples
    start, marked, n_worlds = time.process_time(), [], 0
    for world in every_world():
        if not any(text in world.name for text in given.only):
            continue
        found = coverage(world, given.draws)
        methods = ", ".join(f"{name} {share:.0%}" for name, share in found.methods.items())
        n_worlds += 1
        marked += [mark(found)] if mark(found) else []
        print(
            f"{world.name:48} {methods:30} held {found.held:6.1%}  below {found.below:5.1%}  "
            f"above {found.above:5.1%}  width {found.width:.4f} {mark(found)}",
            flush=True,
        )
    print(f"{n_worlds} worlds, {marked.count('BELOW')} below {LEAST:.0%}, "
          f"{marked.count('above')} not exact and above {MOST:.0%}; "
          f"{time.process_time() - start:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
