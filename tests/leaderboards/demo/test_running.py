"""The whole loop at tiny lengths: every step once, on real and on synthesized faces."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from masquerade.core.extras import OPTIONAL
from masquerade.core.record_store import read_records
from masquerade.core.training.outcome import Outcome
from masquerade.leaderboards.checking import check_results
from masquerade.leaderboards.demo.people import SHARED
from masquerade.leaderboards.demo.running import Demo, clock, run_demo
from masquerade.leaderboards.demo.screen import Screen

from .conftest import TINY

KINDS = {
    "face-dataset": {"data set"},
    "verification": {"model", "chance", "raw", "random"},
    "retrieval": {"model", "chance", "raw", "pca"},
    "knn": {"model", "chance", "random", "raw", "pca"},
}


@pytest.fixture(scope="module", autouse=True)
def plain_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No optional package and no faces beside the clone; protocols count as registered."""
    with pytest.MonkeyPatch.context() as patch:
        for name, (_, extra) in OPTIONAL.items():
            if extra != "dev":
                patch.setitem(sys.modules, name, None)
        patch.setenv(SHARED, str(tmp_path_factory.mktemp("none")))
        # tests/benchmarks/test_registered.py looks at that
        patch.setattr("masquerade.leaderboards.agreement.registered_hash", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, people_folder: Path, told: list[str]) -> Demo:
    """Interrupted before its fifth step, then run to the end."""
    out = tmp_path_factory.mktemp("demo") / "out"

    def interrupt(line: str) -> None:
        if line.startswith("5/9"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_demo(out, faces=people_folder, settings=TINY, screen=Screen(interrupt))
    return run_demo(out, faces=people_folder, settings=TINY, screen=Screen(told.append))


def test_steps_are_numbered_and_finished_ones_are_not_repeated(demo: Demo, told: list[str]) -> None:
    numbered = [line.split()[0] for line in told if not line.startswith(" ")]
    assert numbered == [f"{number}/9" for number in range(1, 10)]
    assert [step.before for step in demo.steps] == [True] * 4 + [False] * 5
    assert sum("done before" in line for line in told) == 4
    assert all(step.seconds > 0 for step in demo.steps)


def test_every_benchmark_has_its_record_and_baselines(demo: Demo) -> None:
    found: dict[str, set[str]] = {}
    for record in read_records(demo.results):
        found.setdefault(record.claim.benchmark.name, set()).add(record.claim.subject.kind)
    assert found == KINDS
    assert {record.id for record in demo.records} == {r.id for r in read_records(demo.results)}
    assert check_results(demo.results).holds


def test_recogniser_learned_from_the_made_set_and_is_tried_on_the_people(demo: Demo) -> None:
    own = next(r for r in demo.records if r.claim.benchmark.name == "verification")
    assert own.claim.subject.training_data == ("synthesized-8x3",)
    assert own.claim.benchmark.data == "real-people"
    assert own.claim.facts["interval_over"] == "identities"
    assert own.main.n == 8


def test_page_holds_the_boards_and_the_pictures(demo: Demo) -> None:
    page = demo.page.read_text("utf-8")
    for name in ("recogniser-2-steps", "synthesized-8x3", "mae-tiny-2-steps", "real-people"):
        assert name in page
    assert page.count("data:image/webp") == 5  # best and worst of two sets, the reconstruction
    assert {path.name for path in (demo.out / "boards").glob("*.md")} == {
        "face-synthesis.md", "face-verification.md", "representation.md", "retrieval.md",
    }  # fmt: skip


def test_each_number_is_judged_once_and_two_steps_of_training_are_not_enough(demo: Demo) -> None:
    judged = {verdict.name: verdict for verdict in demo.verdicts}
    assert len(judged) == len(demo.verdicts) == 14
    assert judged["largest cosine"].holds
    assert judged["largest cosine"].high == 0.4
    assert judged["copies"].holds
    assert judged["refused records"].value == 0
    assert not judged["reconstruction loss"].holds
    assert not demo.as_expected
    assert demo.peak_bytes > 100e6
    assert 0 < demo.cpu_s


def test_without_faces_synthesized_identities_stand_in_and_it_is_said(demo: Demo) -> None:
    lines: list[str] = []
    made = run_demo(demo.out, settings=TINY, screen=Screen(lines.append))
    assert made.real_faces is None
    assert "5/9 verify on pairs of held-out synthesized identities" in lines
    assert any("no pictures of real people here" in line for line in lines)
    own = next(r for r in made.records if r.claim.benchmark.name == "verification")
    assert own.claim.benchmark.data == "held-out-synthesized-8x3"
    before = {step.title: step.before for step in made.steps}
    assert before["train a recogniser on the set, 2 steps"]  # not trained again
    meant = next(v.meaning for v in made.verdicts if v.name == "verification accuracy")
    assert "pairs of held-out synthesized faces" in meant


def test_step_whose_record_or_run_is_gone_is_done_again(demo: Demo, people_folder: Path) -> None:
    shutil.rmtree(demo.out / "tiny" / "mae-tiny-2-steps")
    gone = next(r for r in demo.records if r.claim.benchmark.name == "retrieval")
    (demo.results / "records" / f"{gone.id}.json").unlink()
    again = run_demo(demo.out, faces=people_folder, settings=TINY)
    before = [True, True, True, True, True, False, False, True, False]
    assert [step.before for step in again.steps] == before
    assert {r.id for r in again.records} == {r.id for r in demo.records}


def test_training_told_to_stop_stops_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = Outcome(step=1, total=2, started_at=0, loss=1.0, skipped=0, signal=15)
    monkeypatch.setattr("masquerade.methods.call.pretrain", lambda *_, **__: stopped)
    with pytest.raises(KeyboardInterrupt):
        run_demo(tmp_path / "out", settings=replace(TINY, faces=False))


def test_clock_reads_as_people_say_it() -> None:
    assert [clock(0.04), clock(59.94), clock(60), clock(3725)] == [
        "0.0 s", "59.9 s", "1 min 00 s", "62 min 05 s",
    ]  # fmt: skip
