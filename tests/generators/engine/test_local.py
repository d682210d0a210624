"""Worker processes: the same bytes, failures told, killed ones replaced; encoding overlaps."""

import multiprocessing
import os
import signal
import threading
import time

import psutil
import pytest

from masquerade.core.errors import DataError, MasqueradeError, MissingExtra, WeightsError
from masquerade.generators.engine import local, shards
from masquerade.generators.engine.folder import present
from masquerade.generators.engine.local import Failure
from masquerade.generators.engine.synthesis import Watch, synthesize
from masquerade.generators.engine.worker import Job, Worker


def test_worker_processes_make_the_bytes_of_one_even_when_one_is_killed(
    request_for, snapshot, tmp_path
):
    killed = []
    limit = time.monotonic() + 60

    def is_worker(process):
        try:
            return "spawn_main" in " ".join(process.cmdline())
        except psutil.Error:  # it has just ended
            return False

    def kill_one(done, total):
        workers = [process for process in psutil.Process().children() if is_worker(process)]
        if done and workers and not killed and time.monotonic() < limit:
            os.kill(workers[0].pid, signal.SIGKILL)
            killed.append(workers[0].pid)

    more = {"generator": "stripes:Stripes", "settings": {"pause_s": 0.1}}
    straight, out = tmp_path / "straight", tmp_path / "set"
    synthesize(request_for(straight, **more))
    outcome = synthesize(request_for(out, **more, workers=2), Watch(pictures=kill_one))
    assert killed
    assert (outcome.made, outcome.signal) == (6, 0)
    assert snapshot(out) == snapshot(straight)


def test_failing_worker_is_told_as_one_sentence(request_for, tmp_path):
    out = tmp_path / "set"
    more = {"generator": "stripes:Stripes", "settings": {"fail_at": 5}}
    with pytest.raises(MasqueradeError, match="a worker failed: unexpected ValueError: no ident"):
        synthesize(request_for(out, **more, workers=2))
    assert not list((out / "shards").glob(".*.tmp"))
    assert "000002.tar" not in present(out)


def test_failure_of_workers_that_all_end_between_two_looks_is_told(
    request_for, tmp_path, monkeypatch
):
    """Seen on a busy machine as "the workers ended before all shards were there"."""
    working = local._Team.working

    def late(team):
        for _, process, _ in team._members:
            process.join(60)
        return working(team)

    monkeypatch.setattr(local._Team, "working", late)
    more = {"generator": "stripes:Stripes", "settings": {"fail_at": 5}}
    with pytest.raises(MasqueradeError, match="a worker failed: unexpected ValueError: no ident"):
        synthesize(request_for(tmp_path / "set", **more, workers=2))


@pytest.mark.parametrize(
    "error", [DataError("a", "b"), WeightsError("a", "b"), MasqueradeError("a", "")]
)
def test_failure_keeps_type_and_text(error):
    back = Failure.of(error).error()
    assert (type(back), str(back), back.exit_code) == (type(error), str(error), error.exit_code)


def test_failure_of_a_missing_extra_keeps_its_sentence():
    error = MissingExtra("ray", "ray")
    assert str(Failure.of(error).error()) == str(error)


def test_workers_that_keep_dying_end_the_run(request_for, finished, monkeypatch):
    def die(job, pipe):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(local, "_main", die)
    fork = multiprocessing.get_context("fork")  # else the workers would not see the patch
    monkeypatch.setattr(local.multiprocessing, "get_context", lambda method: fork)
    (finished / "shards" / "000001.tar").unlink()
    (finished / "shards" / "000002.tar").unlink()
    with pytest.raises(MasqueradeError, match=r"4 workers in a row were killed .* code -9"):
        synthesize(request_for(finished, workers=2))


def test_encoding_overlaps_rendering(ovals, request_for, tmp_path, monkeypatch):
    """The first batch is encoded while the second is rendered: each waits for the other."""
    rendering, encoding = threading.Event(), threading.Event()
    render, encode = ovals.Ovals.render, shards.encode
    calls = []

    def slow_render(self, plan, identities, numbers):
        calls.append("render")
        if len(calls) == 2:
            rendering.set()
            assert encoding.wait(10), "no encoding while a batch is rendered"
        return render(self, plan, identities, numbers)

    def slow_encode(image, how):
        encoding.set()
        assert rendering.wait(10), "no rendering while a picture is encoded"
        return encode(image, how)

    monkeypatch.setattr(ovals.Ovals, "render", slow_render)
    monkeypatch.setattr(shards, "encode", slow_encode)
    synthesize(request_for(tmp_path / "set", 2, 4))
    assert calls == ["render", "render"]


def test_finished_set_is_not_touched_and_a_lost_shard_is_made_again(
    request_for, finished, snapshot
):
    before = snapshot(finished)
    times = {p: p.stat().st_mtime_ns for p in finished.rglob("*.*") if p.is_file()}
    times.pop(finished / ".lock")
    assert synthesize(request_for(finished)).made == 0
    assert all(p.stat().st_mtime_ns == t for p, t in times.items())
    (finished / "shards" / "000004.tar").unlink()
    (finished / "manifest.parquet").unlink()
    assert synthesize(request_for(finished)).made == 1
    assert snapshot(finished) == before


def test_progress_counts_up_to_all_pictures(request_for, tmp_path):
    seen, audited, prepared = [], [], []
    watch = Watch(
        pictures=lambda *a: seen.append(a), audited=lambda *a: audited.append(a),
        prepared=lambda *a: prepared.append(a),
    )  # fmt: skip
    synthesize(request_for(tmp_path / "set"), watch)
    assert seen == [(done, 48) for done in range(4, 49, 4)]
    assert audited[-1] == (6, 6)
    assert prepared == [(12, 12)]


def test_worker_refuses_a_folder_without_plan_and_other_weights(finished, ovals, tmp_path):
    with pytest.raises(DataError, match="holds no synthesized set"):
        Worker(Job(tmp_path, ovals.NAME))
    own = tmp_path / "own"
    own.write_bytes(b"ovals other")
    with pytest.raises(WeightsError, match="give the same --weights again"):
        Worker(Job(finished, ovals.NAME, own))


def test_threads_are_as_the_plan_says_inside_a_unit_and_as_before_after(
    ovals, request_for, tmp_path, monkeypatch
):
    import torch

    seen = []
    render = ovals.Ovals.render

    def spy(self, *arguments):
        seen.append((torch.get_num_threads(), torch.backends.cudnn.deterministic))
        return render(self, *arguments)

    monkeypatch.setattr(ovals.Ovals, "render", spy)
    before = torch.get_num_threads(), torch.backends.cudnn.deterministic
    synthesize(request_for(tmp_path / "set", 2, 4, threads=2))
    assert set(seen) == {(2, True)}
    assert (torch.get_num_threads(), torch.backends.cudnn.deterministic) == before
    assert len(present(tmp_path / "set")) == 1
