"""1:N search, template verification and search on disk: time and memory beside the usual way.

    python tests/performance/face_search.py [--gallery 100000] [--probes 10000] [--pairs 5000000]
        [--disk 1000000] [--memory-mib 512] [--index flat] [--threads 1] [--folder DIR]

Each way runs in a process of its own, which tells its wall time, the processor's time, and by how
much its peak of resident memory exceeds that after its imports. The results of the ways are
compared before anything is printed. A section with the size 0 is left out.

The usual ways: scikit-learn's brute-force neighbours; and the template verification of published
evaluation code: `loadtxt`, products of 100,000 pairs at once, `roc_curve` of all scores.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

K, WIDTH, TEMPLATES, SEED = 10, 512, 20_000, 0
FARS = [10.0**-digit for digit in range(1, 6)]
MIB = 2**20


@dataclass(frozen=True)
class Run:
    """What a way gave, and what it cost."""

    result: Any
    wall_s: float
    processor_s: float
    memory_mib: float

    def told(self) -> str:
        return (
            f"{self.wall_s:7.1f} s, processor {self.processor_s:7.1f} s, "
            f"peak memory + {self.memory_mib:6.0f} MiB"
        )


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(way: Callable[..., Any], threads: int, arguments: tuple, pipe: Any) -> None:
    import faiss
    import torch
    from threadpoolctl import threadpool_limits

    for name in ("sklearn.metrics", "sklearn.neighbors", "pyarrow.parquet", "pyarrow.compute",
                 "pandas", "masquerade.benchmarks.template_verification"):  # fmt: skip
        import_module(name)  # before the memory is measured

    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    with threadpool_limits(threads):
        before, start, spent = peak_mib(), time.perf_counter(), time.process_time()
        result = way(*arguments)
        wall, own = time.perf_counter() - start, time.process_time() - spent
    pipe.send(Run(result, wall, own, peak_mib() - before))


def measured(way: Callable[..., Any], threads: int, *arguments: Any) -> Run:
    """What a way gives and costs in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(way, threads, arguments, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    finally:
        process.join()


def rows_of(n: int, seed: int, people: int) -> np.ndarray:
    """(n, 512) float32: people's centres with as much noise again."""
    random = np.random.default_rng(seed)
    rows = random.standard_normal((n, WIDTH), dtype=np.float32)
    rows += centres(people)[random.integers(0, people, n)]
    return rows


@cache
def centres(people: int) -> np.ndarray:
    """(people, 512) float32."""
    return np.random.default_rng(SEED).standard_normal((people, WIDTH), dtype=np.float32)


def search_ours(folder: Path) -> np.ndarray:
    from masquerade.core.search import search
    from masquerade.core.vectors import ArrayVectors

    return search(ArrayVectors(np.load(folder / "g.npy")), np.load(folder / "q.npy"), K).rows


def search_sklearn(folder: Path, metric: str) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    gallery, probes = (np.load(folder / name) for name in ("g.npy", "q.npy"))
    if metric == "euclidean":  # of unit rows: the same order, and scikit-learn's fastest path
        gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
        probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    found = NearestNeighbors(n_neighbors=K, algorithm="brute", metric=metric).fit(gallery)
    return found.kneighbors(probes, return_distance=False)


def compare_search(folder: Path, n_gallery: int, n_probes: int, threads: int) -> None:
    np.save(folder / "g.npy", rows_of(n_gallery, 1, n_gallery // 10))
    np.save(folder / "q.npy", rows_of(n_probes, 2, n_gallery // 10))
    print(f"1:N search: {n_probes:,} probes, gallery {n_gallery:,} × {WIDTH}, {K} neighbours")
    ours = measured(search_ours, threads, folder)
    flops = 2 * n_gallery * n_probes * WIDTH
    print(f"  ours, exact       {ours.told()}, {flops / ours.processor_s / 1e9:.0f} GFLOP/s")
    for metric in ("cosine", "euclidean"):
        plain = measured(search_sklearn, threads, folder, metric)
        same = (plain.result == ours.result).all(axis=1).mean()
        print(
            f"  sklearn {metric:9} {plain.told()}; ratio {plain.wall_s / ours.wall_s:.2f} "
            f"by the clock, {plain.processor_s / ours.processor_s:.2f} by the processor; "
            f"same lists {same:.2%}"
        )


def write_templates(folder: Path, n_pairs: int) -> None:
    random = np.random.default_rng(SEED)
    person = random.integers(0, TEMPLATES // 6, TEMPLATES)
    centres = random.standard_normal((TEMPLATES // 6, WIDTH), dtype=np.float32)
    unit = centres[person] + 2 * random.standard_normal((TEMPLATES, WIDTH), dtype=np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    np.save(folder / "t.npy", unit)
    with (folder / "x_template_pair_label.txt").open("w") as file:
        for start in range(0, n_pairs, 1 << 18):
            first, second = random.integers(0, TEMPLATES, (2, min(1 << 18, n_pairs - start)))
            twin = random.random(len(first)) < 0.01  # about as rare as in IJB
            second[twin] = np.argsort(person, kind="stable")[
                np.searchsorted(np.sort(person), person[first[twin]])
            ]
            same = (person[first] == person[second]).astype(int)
            lines = zip(first.tolist(), second.tolist(), same.tolist(), strict=True)
            file.writelines(f"{a} {b} {s}\n" for a, b, s in lines)


def templates_ours(folder: Path) -> list[float]:
    from masquerade.benchmarks.template_verification import Spool
    from masquerade.core.metrics.streamed_roc import streamed_rates
    from masquerade.modalities.image.faces.template_lists import TemplateLists

    none, no_score = np.empty(0, np.int64), np.empty(0)
    lists = TemplateLists(
        "x", folder, (), None, none, none, none, no_score,
        tuple(map(str, range(TEMPLATES))), {"pairs": (folder / "x_template_pair_label.txt",)},
    )  # fmt: skip
    with tempfile.TemporaryDirectory(dir=folder) as place:
        spool = Spool(Path(place) / "scores")
        spool.fill(lists.pairs(), np.load(folder / "t.npy"))
        return [point.tar for point in streamed_rates(spool.scores, FARS).points]


def templates_plain(folder: Path) -> list[float]:
    from sklearn.metrics import roc_curve

    table = np.loadtxt(folder / "x_template_pair_label.txt", dtype=str)
    first, second, same = (table[:, column].astype(int) for column in range(3))
    unit, score = np.load(folder / "t.npy"), np.zeros(len(first))
    for start in range(0, len(first), 100_000):
        part = slice(start, start + 100_000)
        score[part] = np.sum(unit[first[part]] * unit[second[part]], -1)
    fpr, tpr, _ = roc_curve(same, score, drop_intermediate=False)
    fpr, tpr = fpr[::-1], tpr[::-1]  # of equally near points the last: the larger TAR
    return [float(tpr[np.argmin(np.abs(fpr - far))]) for far in FARS]


def compare_templates(folder: Path, n_pairs: int, threads: int) -> None:
    print(f"template verification: {TEMPLATES:,} templates of width {WIDTH}")
    for n in (n_pairs // 5, n_pairs):
        write_templates(folder, n)
        ours, plain = (measured(way, threads, folder) for way in (templates_ours, templates_plain))
        worst = max(abs(a - b) for a, b in zip(ours.result, plain.result, strict=True))
        print(
            f"  {n:,} pairs\n    ours   {ours.told()}\n    usual  {plain.told()}; ratio "
            f"{plain.wall_s / ours.wall_s:.2f} by the clock, "
            f"{plain.processor_s / ours.processor_s:.2f} by the processor; "
            f"TARs differ by at most {worst:.1e}"
        )


def search_disk(path: Path, n_queries: int, memory: int, index: str) -> tuple[float, float | None]:
    """The share of queries whose own row comes first, and an index's recall on all of them."""
    from masquerade.core.embeddings import Embeddings
    from masquerade.core.search import search
    from masquerade.core.search_indexes import IndexSettings, agreement, build

    file = Embeddings(path)
    step = len(file) // n_queries
    asked = np.arange(0, step * n_queries, step)
    queries = file.take(asked) + 0.1
    chosen = IndexSettings(kind=index).resolved(*file.shape[:1], n_queries, WIDTH, memory)  # type: ignore[arg-type]
    proposer = build(file, "cosine", chosen, memory)
    half = memory if proposer is None else memory // 2
    found = search(file, queries, K, index=proposer, memory_bytes=half)
    right = float((found.rows[:, 0] == asked).mean())
    if proposer is None:
        return right, None
    return right, float(agreement(file, queries, found, memory_bytes=half).mean() / K)


def measure_disk(
    folder: Path, n_rows: int, n_queries: int, memory_mib: int, index: str, threads: int
) -> None:
    from masquerade.core.embedding_writer import Part, write_embeddings

    def parts() -> Iterator[Part]:
        for start in range(0, n_rows, 1 << 15):
            n = min(1 << 15, n_rows - start)
            keys = [f"p/{row}" for row in range(start, start + n)]
            yield Part(keys, None, rows_of(n, start + 3, 20_000))

    path, start = folder / "disk.parquet", time.perf_counter()
    write_embeddings(path, parts(), {})
    size = path.stat().st_size
    print(
        f"on disk: {n_rows:,} × {WIDTH} in {size / MIB:,.0f} MiB (written in "
        f"{time.perf_counter() - start:.0f} s), {n_queries} queries, {index}"
    )
    for mib in sorted({memory_mib // 4, memory_mib}) if index == "flat" else [memory_mib]:
        run = measured(search_disk, threads, path, n_queries, mib * MIB, index)
        right, recall = run.result
        found = "" if recall is None else f", recall at {K} {recall:.3f}"
        print(f"  allowed {mib:5} MiB: {run.told()}; own row first {right:.1%}{found}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("gallery", 100_000), ("probes", 10_000), ("pairs", 5_000_000),
                          ("disk", 1_000_000), ("queries", 100), ("memory-mib", 512),
                          ("threads", 1)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--index", default="flat", choices=("flat", "ivf", "hnsw", "ivfpq"))
    parser.add_argument("--folder", help="where the files are written for the time being")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        folder = Path(place)
        if given.gallery:
            compare_search(folder, given.gallery, given.probes, given.threads)
        if given.pairs:
            compare_templates(folder, given.pairs, given.threads)
        if given.disk:
            measure_disk(
                folder, given.disk, given.queries, given.memory_mib, given.index, given.threads
            )


if __name__ == "__main__":
    main()
