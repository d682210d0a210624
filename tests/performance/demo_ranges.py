"""Where the numbers of a right demo lie: the demo run with several seeds.

    python tests/performance/demo_ranges.py --out DIR --seeds 3 --faces ../shared/data/faces

Per seed the normal demo on the real faces, the same without any, and the quick one, in one folder,
so that common steps run once: about six minutes of processor time. Broken off, the same command
goes on. Prints what each seed gave and cost, and the lines of `leaderboards/demo/ranges.py`: what
was seen, widened at either end by its own span, and at least by `SLACK` of its size.
"""

import argparse
import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from masquerade.leaderboards.demo.people import SHARED
from masquerade.leaderboards.demo.running import Demo, run_demo
from masquerade.leaderboards.demo.screen import Screen
from masquerade.leaderboards.demo.settings import SETTINGS, DemoSettings

SLACK = 0.1
# whose bounds follow from what they are
BOUNDED = {"largest cosine", "copies", "gain by training", "knn gain", "probe gain",
           "refused records"}  # fmt: skip
# that depend on the faces which the recogniser is tried on, or the set is scored beside
OF_FACES = {"auc of the set", "unique identities", "recall", "verification accuracy",
            "retrieval mAP"}  # fmt: skip
Seen = dict[tuple[str, str], dict[str, list[float]]]


def runs(out: Path, seed: int, faces: Path) -> "list[tuple[str, str, Demo]]":
    """The demos of a seed: length, whose faces, what it made."""
    screen = Screen(lambda line: print(line, flush=True))

    def run(name: str, whose: Path | None) -> Demo:
        settings: DemoSettings = replace(SETTINGS[name], seed=seed)  # type: ignore[index]
        return run_demo(out / f"seed-{seed}", faces=whose, settings=settings, screen=screen)

    return [
        ("normal", "real", run("normal", faces)), ("normal", "made", run("normal", None)),
        ("quick", "made", run("quick", None)),
    ]  # fmt: skip


def widened(name: str, values: list[float]) -> tuple[float, float]:
    """The range of a right result; shares stay between 0 and 1."""
    low, high = min(values), max(values)
    room = max(high - low, SLACK * max(abs(low), abs(high)))
    return max(low - room, 0.0), high + room if name.endswith("loss") else min(high + room, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--faces", type=Path, required=True)
    asked = parser.parse_args()
    os.environ[SHARED] = str(asked.out / "no-faces")  # without --faces there are none
    seen: Seen = defaultdict(lambda: defaultdict(list))
    for seed in range(asked.seeds):
        for name, whose, demo in runs(asked.out, seed, asked.faces.resolve()):
            for verdict in demo.verdicts:
                key = (name, whose if verdict.name in OF_FACES else "any")
                seen[key][verdict.name].append(verdict.value)
            cost = f"{demo.seconds:.0f} s, {demo.cpu_s:.0f} s of processors"
            print(f"seed {seed} {name} {whose}: {cost}, {demo.peak_bytes / 1e9:.2f} GB", flush=True)
    for key, numbers in sorted(seen.items()):
        print(f"\n    {key}: {{")
        for number, values in numbers.items():
            low, high = widened(number, values)
            range_ = "" if number in BOUNDED else f'"{number}": ({low:.3g}, {high:.3g}),'
            print(f"        {range_}  # {number} {' '.join(f'{value:.4f}' for value in values)}")
        print("    },")


if __name__ == "__main__":
    main()
