"""Whether pre-training pays on real images: paired seeds, against every baseline.

    python tests/performance/mae_transfer.py --data photos --set train.steps=1500 [--seeds 5]
        [--pooling mean mean_std]

Pre-trains the recipe `mae-tiny` once per seed, scores kNN, linear probe and few-shot of its
frozen features, and of the same network untrained with the same seed, of raw pixels and of their
PCA; prints the mean of each and the paired differences with their 95 % intervals (t over seeds).
Pooling changes no training, so one run is scored under each that is asked for.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from masquerade.benchmarks.comparison import compare
from masquerade.benchmarks.opening import open_data, open_subject
from masquerade.benchmarks.registry import benchmark
from masquerade.core.config import build
from masquerade.methods.pretraining import pretrain
from masquerade.methods.recipes import resolve

# (benchmark, settings, metric); one inner split of the probe: the seeds here are pre-trainings
SCORES = (
    ("knn", {}, "accuracy"),
    ("probe", {"seeds": 1}, "accuracy"),
    ("few-shot", {"shots": [10]}, "accuracy_10_shot"),
)
OTHERS = ("random", "raw", "pca")


def score(subject, data, wanted: list[str]) -> dict:
    """Benchmark → record."""
    found = {}
    for slug, settings, _ in SCORES:
        if slug not in wanted:
            continue
        protocol = benchmark(slug)
        found[slug] = protocol.run(subject, data, build(protocol.Settings, settings)).record
    return found


def last_losses(run: Path, n: int = 50) -> float:
    """The mean training loss of the last steps."""
    lines = (run / "metrics.jsonl").read_text().splitlines()[-n:]
    return sum(json.loads(line)["loss"] for line in lines) / len(lines)


def one_seed(seed: int, options: argparse.Namespace, folder: Path, fixed: dict) -> dict:
    """Pooling → subject → benchmark → record, for one seed; `fixed` keeps what no seed moves."""
    data = open_data(options.data)
    settings = [*options.set, f"train.seed={seed}", "train.device=cpu"]
    run = folder / f"seed-{seed}"
    start = time.perf_counter()
    done = pretrain(resolve("mae", options.recipe, settings), data.train, run, progress=False)
    if not done.finished:
        raise SystemExit(f"stopped after step {done.step}; the same command with --out goes on")
    trained_s = time.perf_counter() - start
    subject = open_subject(str(run))
    for name in ("raw", "pca"):
        if name not in fixed:
            fixed[name] = score(open_subject(name, like=subject), data, options.only)
    print(f"seed {seed}: {trained_s:.0f} s, last training loss {last_losses(run):.3f}")
    found = {}
    for pooling in options.pooling:
        config = subject.method.config.model_copy(update={"pooling": pooling})
        subject.method.config = config
        untrained = open_subject("random:mae", like=subject, seed=seed)
        found[pooling] = {
            "mae": score(subject, data, options.only),
            "random": score(untrained, data, options.only),
            **fixed,
        }
        print(f"  {pooling}", end="")
        for slug, _, metric in SCORES:
            if slug in options.only:
                values = [
                    f"{s} {r[slug].claim.metrics[metric].value:.3f}"
                    for s, r in found[pooling].items()
                ]
                print(f"; {slug}", *values, end="")
        print(flush=True)
    return found


def report(found: list[dict]) -> None:
    """Means, and paired differences with intervals."""
    for slug, _, metric in SCORES:
        if slug not in found[0]["mae"]:
            continue
        print(f"\n{slug} {metric}, {len(found)} paired seeds")
        for name in ("mae", *OTHERS):
            values = [f[name][slug].claim.metrics[metric].value for f in found]
            print(f"  {name:8s} mean {sum(values) / len(values):.3f}", end="")
            if name == "mae":
                print()
                continue
            pairs = [[f[who][slug] for f in found] for who in ("mae", name)]
            difference = compare(*pairs, metric)
            low, high = difference.interval or (float("nan"), float("nan"))
            print(f"   mae - {name}: {difference.value:+.3f} [{low:+.3f}, {high:+.3f}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="photos")
    parser.add_argument("--recipe", default="mae-tiny")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[slug for slug, _, _ in SCORES])
    parser.add_argument("--pooling", nargs="+", default=["mean", "mean_std"])
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--out", type=Path, help="keep the runs here (a killed study goes on)")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        seeds = range(options.first_seed, options.first_seed + options.seeds)
        fixed: dict = {}
        found = [one_seed(seed, options, options.out or Path(folder), fixed) for seed in seeds]
    for pooling in options.pooling:
        print(f"\npooling: {pooling}")
        report([by_pooling[pooling] for by_pooling in found])


if __name__ == "__main__":
    main()
