"""`masquerade synthesize`: what it prints, its exit codes, and one sentence per mistake."""

import json
import re
from pathlib import Path

import pytest

from masquerade.cli.main import call
from masquerade.cli.synthesize import _size

TOYS = Path(__file__).parent.parent / "generators" / "engine"
PLAN = ["--identities", 6, "--images-per-identity", 3, "--workers", 1, "--device", "cpu"]


@pytest.fixture
def run(capsys, monkeypatch):
    """(exit code, stdout, stderr) of one command."""
    monkeypatch.syspath_prepend(TOYS)

    def run(*words):
        code = call(["synthesize", *map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def ovals_say(monkeypatch):
    """The toy generator has a sentence for the end of a run."""
    monkeypatch.syspath_prepend(TOYS)
    import ovals

    monkeypatch.setattr(
        ovals.Ovals, "closing", lambda self, dataset: [f"all {len(dataset)} are round"]
    )


def test_command_makes_a_set_and_the_same_again_changes_nothing(run, tmp_path):
    out = tmp_path / "set"
    code, printed, told = run("ovals:Ovals", *PLAN, "--out", out)
    assert (code, printed) == (0, f"{out}\n")
    assert told.startswith("18 pictures in 3 shards, 3 of them made now in ")
    code, printed, told = run("ovals:Ovals", *PLAN, "--out", out, "--json")
    facts = json.loads(printed)
    assert (code, facts["made"], facts["images"], facts["signal"]) == (0, 0, 18, 0)
    assert facts["audit"]["structure"]["identities"] == 6
    assert told == f"{out} is finished already: 18 pictures\n"


def test_settings_seed_and_format_reach_the_plan(run, tmp_path):
    out = tmp_path / "set"
    more = ["--set", "size=8", "--set", "shift=0.5", "--seed", 5, "--format", "webp",
            "--quality", 70, "--images-per-shard", 6, "--batch-size", 2]  # fmt: skip
    assert run("ovals:Ovals", *PLAN, "--out", out, *more)[0] == 0
    plan = json.loads((out / "plan.json").read_text())
    assert plan["settings"] == {"size": 8, "shift": 0.5, "pause_s": 0.0}
    assert (plan["seed"], plan["picture"]["format"], plan["picture"]["quality"]) == (5, "webp", 70)
    assert plan["layout"] == {"images_per_shard": 6, "batch_size": 2, "threads": 1}


def test_repeated_pictures_are_said(run, tmp_path):
    _, _, told = run("ovals:Same", *PLAN, "--out", tmp_path / "set")
    assert "12 pictures equal an earlier one, byte for byte" in told


def test_dry_run_prints_the_cost_and_writes_nothing(run, tmp_path):
    code, printed, _ = run("ovals:Ovals", *PLAN, "--out", tmp_path / "set", "--dry-run")
    assert code == 0
    assert "pictures     18\n" in printed
    assert "shards       3\n" in printed
    assert re.search(r"^size +about [1-9][\d.]* kB$", printed, re.MULTILINE)
    assert re.search(r"^rendering +about .* with 1 worker$", printed, re.MULTILINE)
    _, printed, _ = run("ovals:Ovals", *PLAN, "--out", tmp_path / "set", "--dry-run", "--json")
    assert json.loads(printed)["n_bytes"] > 10_000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("n_bytes", "shown"),
    [(512, "0.5 kB"), (51_200, "51.2 kB"), (2_500_000, "2.5 MB"), (7.5e10, "75.0 GB"),
     (1.2e12, "1.2 TB")],
)  # fmt: skip
def test_size_has_a_unit_that_fits(n_bytes, shown):
    assert _size(n_bytes) == shown


def test_generators_own_sentences_close_the_run(run, tmp_path, ovals_say):
    _, printed, told = run("ovals:Ovals", *PLAN, "--out", tmp_path / "set")
    assert told.splitlines()[-1] == "all 18 are round"
    assert printed == f"{tmp_path / 'set'}\n"
    _, printed, _ = run("ovals:Ovals", *PLAN, "--out", tmp_path / "set", "--json")
    assert json.loads(printed)["closing"] == ["all 18 are round"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["vec2fase", *PLAN], "error: unknown name 'vec2fase' among generators; did you mean"),
        (["ovals:Ovals", *PLAN, "--identities", 0], "error: --identities 0: expected 1 …"),
        (["ovals:Ovals", *PLAN, "--set", "shfit=1"], "error: unknown setting 'shfit'; did you"),
        (["ovals:Ovals", *PLAN, "--set", "shift"], "error: --set 'shift' is no setting"),
        (["ovals:Ovals", *PLAN, "--workers", 0], "error: invalid value for '--workers'"),
        (["ovals:Ovals", *PLAN, "--engine", "rey"], "error: invalid value for '--engine'"),
    ],
)
def test_mistake_is_one_sentence_with_exit_code_2(run, tmp_path, words, sentence):
    code, printed, told = run(*words, "--out", tmp_path / "set")
    assert (code, printed) == (2, "")
    assert told.startswith(sentence)
    assert len(told.strip().splitlines()) == 1
    assert not (tmp_path / "set").exists()


def test_weights_of_another_method_end_with_exit_code_4(run, tmp_path):
    (tmp_path / "mae.safetensors").write_bytes(b"mae")
    words = ["--out", tmp_path / "set", "--weights", tmp_path / "mae.safetensors"]
    code, _, told = run("ovals:Ovals", *PLAN, *words)
    assert code == 4
    assert "holds weights of another method" in told


def test_folder_of_another_plan_ends_with_exit_code_2(run, tmp_path):
    assert run("ovals:Ovals", *PLAN, "--out", tmp_path / "set")[0] == 0
    code, _, told = run("ovals:Ovals", *PLAN, "--out", tmp_path / "set", "--seed", 1)
    assert code == 2
    assert "holds the data set of another plan: seed is 0 there and 1 now" in told


def test_failure_on_the_way_says_that_the_same_command_goes_on(run, tmp_path, monkeypatch):
    monkeypatch.setenv("OVALS_FAULT", "nan")
    code, _, told = run("ovals:Broken", *PLAN, "--out", tmp_path / "set")
    note, error = told.strip().splitlines()
    assert code == 1
    assert note == "what is finished stays; the same command goes on from there"
    assert error.startswith("error: picture 0000000_0000: the fact 'shift' is nan")
