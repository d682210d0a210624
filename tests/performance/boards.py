"""Seconds and memory of checking and building boards of 1,000 and 10,000 simulated records.

Run by hand: `python -m tests.performance.boards` in the repository. Records are made by the real
classes. "wide" ones have the twelve metrics of `retrieval` and no predictions: they show what
reading, checking (L0-L2) and arranging cost. "ranked" ones are of `knn` with stored predictions of
60 items, 250 subjects a data set: L3 recomputes all of them, and ranks compare every two subjects
over the same items. Seconds are of the processor, which other work on the machine does not change;
those by the clock stand behind them.
"""

import argparse
import gc
import resource
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import numpy as np

from masquerade.benchmarks.registry import benchmark
from masquerade.core.frames import write_frame
from masquerade.core.records import BenchmarkBlock, Claim, Metric, Record, SubjectBlock
from masquerade.leaderboards.building import build_boards
from masquerade.leaderboards.checking import Level, check_results
from masquerade.leaderboards.page import write_page
from masquerade.leaderboards.texts import csv_text, markdown
from tests.leaderboards.simulated import a_provenance, class_rows, digest, simulate

T = TypeVar("T")
SUBJECTS = 250  # on each data set
METRICS = (
    "map_at_1000", "ndcg_at_10", "mrr_at_10", "index_recall_at_10",
    *(f"{kind}_at_{k}" for kind in ("hit_rate", "recall") for k in (1, 5, 10, 100)),
)  # fmt: skip


def wide(count: int, results: Path) -> None:
    """Records of twelve metrics, rising over k as they must, without predictions."""
    protocol = benchmark("retrieval")
    settings, hashed = protocol.Settings().to_dict(), protocol.IDENTITY.hash()
    random = np.random.default_rng(0)
    for i in range(count):
        values = np.sort(random.uniform(0.1, 0.9, len(METRICS)))
        metrics = {
            name: Metric(
                value=float(v), unit="fraction", direction="higher", n=600, n_of="groups",
                interval=(float(v) - 0.05, float(v) + 0.05), interval_method="bootstrap",
            )
            for name, v in zip(METRICS, values, strict=True)
        }  # fmt: skip
        data = f"set{i // SUBJECTS}"
        claim = Claim(
            benchmark=BenchmarkBlock(
                name="retrieval", version=protocol.VERSION, protocol_hash=hashed, data=data,
                data_hash=digest(data),
            ),
            subject=SubjectBlock(
                name=f"model {i}", kind="model", content_hash=digest(f"model {i}"),
                preprocessing={"modality": "image", "size": 112}, facts={"parameters": 10_000 + i},
            ),
            settings=settings, seeds=(0,), metrics=metrics, main_metric="map_at_1000",
        )  # fmt: skip
        put(Record(claim=claim, provenance=(a_provenance(1 + i % 28),)), results)


def ranked(count: int, results: Path) -> None:
    """Records of kNN with stored predictions."""
    (results / "predictions").mkdir(parents=True)
    for i in range(count):
        skill = 0.5 + 0.4 * (i % SUBJECTS) / SUBJECTS
        record, frame = simulate(
            "knn", f"model {i}", class_rows(skill, n=60, seed=i), data=f"set{i // SUBJECTS}"
        )
        write_frame(frame, results / "predictions" / f"{record.claim.predictions}.parquet")
        put(record, results)


def put(record: Record, results: Path) -> None:
    """Write without the store's lock and comparison: making the folder is not what is timed."""
    path = results / "records" / f"{record.id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(record.to_json(), encoding="utf-8")


def timed(what: str, found: dict[str, float], step: Callable[[], T], times: int = 1) -> T:
    """Do a step, print its seconds, the least of so many times, and keep the processor's."""
    least = (float("inf"), float("inf"))
    for _ in range(times):
        results: list[T] = []  # the last one is let go first
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        results.append(step())
        least = min(least, (time.process_time() - cpu, time.perf_counter() - wall))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found[what], wall = least
    print(f"  {what:<34} {found[what]:8.2f} s  ({wall:.2f} s by the clock), "
          f"peak {peak:,.0f} MiB so far", flush=True)  # fmt: skip
    return results[0]


def measure(kind: str, count: int, make: Callable[[int, Path], None]) -> dict[str, float]:
    """All steps on one folder; those of seconds three times, which other work stretches least."""
    found: dict[str, float] = {}
    print(f"{count:,} {kind} records")
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        make(count, results)
        assert timed("check, L0-L2", found, lambda: check_results(results, 2), 3).problems == ()
        if kind == "ranked":
            assert timed("check, L3", found, lambda: check_results(results, 3)).problems == ()
            timed("build, first time (recomputes)", found, lambda: build_boards(results))
        level: Level = 3 if kind == "ranked" else 2
        boards = timed(
            "build of all boards", found, lambda: build_boards(results, level=level), 3
        )  # fmt: skip
        timed("Markdown and CSV", found, lambda: [(markdown(b), csv_text(b)) for b in boards], 3)
        path = timed("page", found, lambda: write_page(boards, results, results), 3)
        print(f"  {path.stat().st_size / 1e6:.2f} MB of page")
        rows = [row for board in boards for table in board.tables for row in table.rows]
        assert len(rows) == count
        assert kind != "ranked" or all(row.cells["knn-accuracy"].rank for row in rows)
    return found


def main() -> None:
    """Both kinds at two sizes, and how the processor's seconds grow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--kinds", nargs="+", default=["wide", "ranked"])
    asked = parser.parse_args()
    import_module("matplotlib.figure")  # a second that is not of the page
    makers = {"wide": wide, "ranked": ranked}
    for kind in asked.kinds:
        found = [measure(kind, count, makers[kind]) for count in asked.counts]
        for what in found[0]:
            grown = ", ".join(f"{run[what] / found[0][what]:.1f}" for run in found)
            print(f"  {what:<34} grows {grown} times for {asked.counts} records")


if __name__ == "__main__":
    main()
