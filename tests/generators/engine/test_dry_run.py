"""The dry run: right counts, nothing written, memory that does not grow with the plan."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from masquerade.generators.engine.synthesis import estimate, synthesize

GROWTH_KB = 2_000

RSS = """
import resource, sys
from masquerade.cli.main import call
assert call(sys.argv[1:]) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_estimate_counts_units_and_comes_near_the_true_size(request_for, tmp_path):
    request = request_for(tmp_path / "set", 60, 5, images_per_shard=50, batch_size=20)
    cost = estimate(request)
    assert not request.out.exists()
    assert (cost.identities, cost.images, cost.shards, cost.sampled) == (60, 300, 6, 20)
    synthesize(request)
    true = sum(p.stat().st_size for p in (request.out / "shards").glob("*.tar"))
    assert true * 0.93 <= cost.n_bytes <= true * 1.07
    assert cost.render_s == pytest.approx(300 / cost.images_per_s)


def test_workers_share_the_time_but_not_more_than_there_are_shards(request_for, tmp_path):
    one = request_for(tmp_path / "set", 4, 2, workers=5, settings={"pause_s": 0.01})
    assert estimate(one).workers == 1
    two = request_for(tmp_path / "set", 8, 2, workers=5, settings={"pause_s": 0.01})
    assert estimate(two).workers == 2


def test_plan_of_one_picture_has_an_estimate(request_for, tmp_path):
    cost = estimate(request_for(tmp_path / "set", 1, 1))
    assert (cost.images, cost.shards, cost.sampled) == (1, 1, 1)
    assert cost.prepare_s is None


def test_memory_of_a_dry_run_is_the_same_for_ten_times_the_pictures(tmp_path):
    """Measured: 383 MiB for 10,000, 100,000 and 1,000,000; a process each, peak of its life."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    peaks = []
    for identities in (2_000, 20_000):
        words = [
            "synthesize", "stripes:Stripes", "--identities", str(identities), "--dry-run",
            "--images-per-identity", "5", "--out", str(tmp_path / "set"), "--json",
        ]  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", RSS, *words], env=environment, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        peaks.append(int(done.stdout.split()[-1]))
        assert f'"images": {identities * 5}' in done.stdout
    assert abs(peaks[1] - peaks[0]) < GROWTH_KB
    assert not (tmp_path / "set").exists()
