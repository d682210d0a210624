"""The engine `ray`: the same bytes by Ray tasks, one worker killed in mid-run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from masquerade.core import extras
from masquerade.core.errors import MissingExtra
from masquerade.generators.engine.folder import present
from masquerade.generators.engine.synthesis import synthesize

WORDS = ["synthesize", "stripes:Stripes", "--identities", "60", "--images-per-identity", "4",
         "--images-per-shard", "12", "--batch-size", "5", "--device", "cpu",
         "--engine", "ray", "--workers", "2", "--set", "pause_s=0.1"]  # fmt: skip


def test_missing_ray_is_one_line_that_names_the_extra(request_for, tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "installed", lambda name: False)
    with pytest.raises(MissingExtra, match=r"pip install 'masquerade-suite\[ray\]'"):
        synthesize(request_for(tmp_path / "set", 2, 2, engine="ray"))


def ray_workers(main):
    """The processes that run tasks, by the title that Ray gives them."""
    found = []
    for process in psutil.Process(main.pid).children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE and "_make" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.slow
def test_ray_tasks_make_the_same_bytes_though_a_worker_is_killed(request_for, snapshot, tmp_path):
    """A local cluster, two tasks at once; 15 s, of which most is Ray's start."""
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    out, killed = tmp_path / "set", 0
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    main = subprocess.Popen(
        [sys.executable, "-m", "masquerade.cli.main", *WORDS, "--out", str(out)], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    limit = time.monotonic() + 120
    while main.poll() is None and not killed:
        assert time.monotonic() < limit
        workers = ray_workers(main) if len(present(out)) >= 3 else []
        if workers:
            os.kill(workers[0].pid, signal.SIGKILL)
            killed += 1
        time.sleep(0.02)
    printed, told = main.communicate(timeout=120)
    assert main.returncode == 0, told
    assert killed == 1
    more = {"images_per_shard": 12, "batch_size": 5, "settings": {"pause_s": 0.1}}
    straight = request_for(tmp_path / "straight", 60, 4, generator="stripes:Stripes", **more)
    synthesize(straight)
    assert snapshot(out) == snapshot(tmp_path / "straight")
    assert printed.strip() == str(out)
