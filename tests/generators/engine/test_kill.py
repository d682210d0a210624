"""SIGKILL at random moments, any number of processes: the same bytes as one undisturbed run."""

import os
import random
import signal
import time

import pytest

from masquerade.generators.engine.folder import Claims, present
from masquerade.generators.engine.synthesis import synthesize

SHARDS = 20  # of 12 pictures, in batches of 5, 5 and 2
WORDS = [
    "synthesize", "ovals:Ovals", "--identities", 60, "--images-per-identity", 4,
    "--images-per-shard", 12, "--batch-size", 5, "--device", "cpu", "--set", "pause_s=0.01",
]  # fmt: skip
PATIENCE_S = 60


@pytest.fixture
def straight(request_for, tmp_path, snapshot):
    """All bytes of an undisturbed run in this process."""
    more = {"images_per_shard": 12, "batch_size": 5, "settings": {"pause_s": 0.01}}
    synthesize(request_for(tmp_path / "straight", 60, 4, **more))
    return snapshot(tmp_path / "straight")


def wait_for_shards(folder, count, processes):
    limit = time.monotonic() + PATIENCE_S
    while len(present(folder)) < count and any(p.is_alive() for p in processes):
        assert time.monotonic() < limit
        time.sleep(0.002)


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # not yet in a group of its own
        process.kill()
    process.join(PATIENCE_S)
    return process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize(("processes", "kills"), [(1, 4), (2, 3), (3, 3)])
def test_any_split_killed_at_random_equals_an_undisturbed_run(
    start, straight, snapshot, tmp_path, processes, kills
):
    rng = random.Random(processes)
    out = tmp_path / "killed"
    words = [*WORDS, "--out", out, "--workers", 1]
    killed, seen = 0, set()
    for number in range(kills):
        running = [start(words, errors=tmp_path / f"{number}-{i}") for i in range(processes)]
        wait_for_shards(out, len(present(out)) + rng.randrange(1, 5), running)
        time.sleep(rng.random() * 0.05)
        killed += sum(kill(process) for process in running)
        assert seen <= present(out), "what was finished stays"
        seen = present(out)
    assert killed >= processes * (kills - 1), "the processes ended before they were killed"
    running = [start(words) for _ in range(processes)]
    for process in running:
        process.join(PATIENCE_S)
    assert [process.exitcode for process in running] == [0] * processes
    assert snapshot(out) == straight
    assert len(present(out)) == SHARDS


def test_workers_end_with_their_killed_main_process_and_the_rest_is_made(
    start, request_for, snapshot, tmp_path
):
    out = tmp_path / "killed"
    words = [WORDS[0], "stripes:Stripes", *WORDS[2:-1], "pause_s=0.02", "--out", out]
    main = start([*words, "--workers", 2])
    wait_for_shards(out, 3, [main])
    os.kill(main.pid, signal.SIGKILL)  # its workers are not told
    main.join(PATIENCE_S)
    time.sleep(0.3)
    before = present(out)
    time.sleep(0.3)
    assert present(out) == before
    assert 3 <= len(before) < SHARDS
    claims = Claims(out)
    assert all(claims.take(number) for number in range(SHARDS)), "nobody holds a unit any more"
    claims.close()
    again = start([*words, "--workers", 1])
    again.join(PATIENCE_S)
    assert again.exitcode == 0
    more = {"images_per_shard": 12, "batch_size": 5, "settings": {"pause_s": 0.02}}
    synthesize(request_for(tmp_path / "straight", 60, 4, generator="stripes:Stripes", **more))
    assert snapshot(out) == snapshot(tmp_path / "straight")


@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGINT, 2)]
)
def test_stop_signal_leaves_whole_shards_and_says_how_to_go_on(start, tmp_path, number, workers):
    out, errors = tmp_path / "set", tmp_path / "errors"
    words = [WORDS[0], "stripes:Stripes", *WORDS[2:]]
    process = start([*words, "--out", out, "--workers", workers], errors=errors)
    wait_for_shards(out, 2, [process])
    os.killpg(process.pid, number)  # as a terminal does it
    process.join(PATIENCE_S)
    assert process.exitcode == 128 + number
    assert "the same command goes on from there" in errors.read_text()
    assert "Traceback" not in errors.read_text()
    assert 2 <= len(present(out)) < SHARDS
    assert not list((out / "shards").glob(".*")), "nothing half-written is left"


def test_claim_of_a_killed_process_is_free_again(start, finished):
    import multiprocessing

    import commands

    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    holder = context.Process(target=commands.hold, args=(finished, 3, theirs))
    holder.start()
    assert ours.recv() is True
    claims = Claims(finished)
    assert claims.take(2)
    assert not claims.take(3)
    holder.kill()
    holder.join(PATIENCE_S)
    assert claims.take(3)
    claims.close()


def test_files_limited_in_size_are_refused_in_one_sentence_and_resumable(
    refused_by_a_full_disk, straight, snapshot, tmp_path
):
    """A shard is 40 kB here; the system refuses the bytes after the first 20 kB."""
    refused_by_a_full_disk(WORDS, tmp_path / "set", file_bytes=20_000)
    assert snapshot(tmp_path / "set") == straight
