"""Two processes add at once and one is killed: the store stays valid and nothing is lost."""

import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from masquerade.core.record_store import read_records
from masquerade.leaderboards import bundles
from masquerade.leaderboards.bundles import add_file, write_bundle
from masquerade.leaderboards.checking import check_results

from .simulated import class_rows, simulate, store

N = 12
fork = multiprocessing.get_context("fork")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two bundles of twelve records, six of which both hold (each by its own machine)."""
    files = []
    for machine, first in (("a", 0), ("b", N // 2)):
        folder = tmp_path_factory.mktemp(machine)
        made = [
            simulate("knn", f"m{i}", class_rows(0.7, n=40, seed=i), machine=machine)
            for i in range(first, first + N)
        ]
        store(folder, *made)
        write_bundle(folder, folder / "x.bundle")
        files.append(folder / "x.bundle")
    return files[0], files[1]


def _add(file: Path, results: Path) -> None:
    add_file(file, results)


def _add_slowly(file: Path, results: Path, stored_some: Event) -> None:
    write, count = bundles.write_record, 0

    def slow(*given: object) -> object:
        nonlocal count
        count += 1
        if count == N // 2:
            stored_some.set()
            time.sleep(60)  # it is killed here
        return write(*given)  # type: ignore[arg-type]

    bundles.write_record = slow  # type: ignore[assignment]
    add_file(file, results)


def test_two_processes_at_once_lose_nothing(two: tuple[Path, Path], tmp_path: Path) -> None:
    jobs = [fork.Process(target=_add, args=(file, tmp_path)) for file in two]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(120)
        assert job.exitcode == 0
    report = check_results(tmp_path)
    assert report.holds
    machines = {
        r.claim.subject.name: {p.hardware["processor"] for p in r.provenance}
        for r in read_records(tmp_path)
    }
    assert len(machines) == N + N // 2
    both = {f"m{i}" for i in range(N // 2, N)}
    assert {name for name, own in machines.items() if own == {"a", "b"}} == both


def test_a_killed_one_leaves_whole_records_and_the_other_goes_on(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    stored_some = fork.Event()
    slow = fork.Process(target=_add_slowly, args=(two[0], tmp_path, stored_some))
    slow.start()
    assert stored_some.wait(60)
    other = fork.Process(target=_add, args=(two[1], tmp_path))
    other.start()
    assert slow.pid is not None
    os.kill(slow.pid, signal.SIGKILL)
    slow.join(60)
    assert slow.exitcode == -signal.SIGKILL
    other.join(120)
    assert other.exitcode == 0
    assert check_results(tmp_path).holds
    assert len(read_records(tmp_path)) >= N
    add_file(two[0], tmp_path)  # the killed command again
    assert check_results(tmp_path).holds
    assert len(read_records(tmp_path)) == N + N // 2
