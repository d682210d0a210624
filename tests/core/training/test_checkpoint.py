"""Checkpoints and run folders when writing fails, and when somebody else is there."""

import errno
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from masquerade.core.errors import DataError, MasqueradeError, UsageError
from masquerade.core.training.checkpoint import CheckpointStore
from masquerade.core.training.jsonl import JsonLines
from masquerade.core.training.run_folder import RunFolder

SCRIPT = Path(__file__).with_name("toy_run.py")


class Crash(BaseException):
    """The process dies here: nothing may catch it and go on."""


def model(path, value=1.0):
    torch.save(torch.tensor(value), path)


def saved(run, step, **more):
    store = CheckpointStore(run, **more)
    store.save(step, model, {"a": torch.full((3,), float(step))}, {"skipped": 0})
    return store


def test_latest_points_relatively_to_the_newest_whole_checkpoint(tmp_path):
    store = saved(tmp_path, 3)
    assert str((tmp_path / "latest").readlink()) == "checkpoints/step-3"
    shutil.move(tmp_path / "checkpoints", tmp_path / "moved/checkpoints")
    shutil.move(tmp_path / "latest", tmp_path / "moved/latest")
    moved = CheckpointStore(tmp_path / "moved").load()
    assert moved.step == 3
    assert moved.tensors["a"].tolist() == [3, 3, 3]
    assert store.load() is None


def test_only_the_last_k_stay(tmp_path):
    for step in (1, 2, 10, 9):
        store = saved(tmp_path, step, keep=2)
    names = {p.name for p in (tmp_path / "checkpoints").iterdir()}
    assert names == {"step-9", "step-10"}
    assert store.load().step == 9
    saved(tmp_path, 11, keep=4)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 3


# every call through which a save reaches the disk, in turn
CALLS = [
    ("masquerade.core.training.checkpoint.save_file", 0),
    *[("os.fsync", n) for n in range(6)],
    *[("pathlib.Path.replace", n) for n in range(3)],
    ("pathlib.Path.symlink_to", 0),
    ("pathlib.Path.write_text", 0),
    ("shutil.rmtree", 1),
    ("shutil.rmtree", 2),
]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), Crash()])
@pytest.mark.parametrize(("call", "number"), CALLS)
def test_failure_at_each_write_leaves_a_whole_checkpoint(
    tmp_path, monkeypatch, call, number, failure
):
    saved(tmp_path, 1, keep=1)
    module, _, name = call.rpartition(".")
    owner = Path if module == "pathlib.Path" else sys.modules[module]
    original, count = getattr(owner, name), []

    def failing(*args, **kwargs):
        count.append(1)
        if len(count) == number + 1:
            raise failure
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, failing)
    wanted = MasqueradeError if isinstance(failure, OSError) else Crash
    try:
        saved(tmp_path, 2, keep=1)
    except wanted as error:
        failed = True
        if isinstance(failure, OSError):
            assert "No space left on device" in str(error)
    else:
        failed = False
    monkeypatch.undo()
    assert failed or len(count) <= number, "the failure was swallowed"
    store = CheckpointStore(tmp_path)
    store.sweep()
    kept = store.load()
    assert kept.step in (1, 2)
    assert kept.tensors["a"].tolist() == [kept.step] * 3
    assert not list(tmp_path.rglob("*.tmp"))
    saved(tmp_path, 5, keep=1)
    assert store.load().step == 5


@pytest.mark.slow
def test_full_disk_is_one_sentence_and_the_run_can_go_on(tmp_path):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # a model file needs more

    command = [sys.executable, str(SCRIPT), str(tmp_path / "run")]
    options = '{"train": {"steps": 4, "checkpoint_every_steps": 2}}'
    full = subprocess.run(
        [*command, options], preexec_fn=small_files, capture_output=True, text=True, check=False
    )
    assert full.returncode != 0
    assert "MasqueradeError: cannot write" in full.stderr
    assert not (tmp_path / "run/latest").exists()
    assert not list((tmp_path / "run").rglob("*.tmp"))
    free = subprocess.run([*command, options], check=False)
    assert free.returncode == 0
    assert str((tmp_path / "run/latest").readlink()) == "checkpoints/step-4"


def test_read_only_folder_is_one_sentence(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(
        MasqueradeError, match=r"cannot write .*run: Read-only file system; .*--out"
    ):
        RunFolder(tmp_path / "run", {}).__enter__()


def test_folder_with_other_files_is_refused_and_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match=r"holds other files \(thesis\.tex"):
        RunFolder(tmp_path, {}).__enter__()
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UsageError, match="is a file"):
        RunFolder(tmp_path / "thesis.tex", {}).__enter__()


def test_second_process_is_refused(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from masquerade.core.training.run_folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1]), {'a': 1}): pass\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    with RunFolder(tmp_path / "run", {"a": 1}):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "UsageError: another process is writing the run" in done.stderr
    assert subprocess.run(command, check=False).returncode == 0


def test_settings_survive_the_round_trip(tmp_path):
    config = {"a": {"b": (1, 2), "none": None, "text": 'a "b"'}, "run": {"data": "x"}}
    for _ in range(2):
        with RunFolder(tmp_path / "run", config):
            pass
    moved = {**config, "run": {"data": "../x"}}
    with RunFolder(tmp_path / "run", moved, runtime={"run.data"}):
        pass
    with pytest.raises(UsageError, match=r"run\.data = 'x', now it is '\.\./x'"):
        RunFolder(tmp_path / "run", moved).__enter__()
    (tmp_path / "run/config.toml").write_text("[[[")
    with pytest.raises(DataError, match=r"config\.toml is damaged"):
        RunFolder(tmp_path / "run", config).__enter__()


def test_json_lines_are_cut_back_to_the_byte(tmp_path):
    file = JsonLines(tmp_path / "x.jsonl")
    file.write({"b": 1, "a": 2})
    size = file.size()
    file.write({"c": 3})
    file.cut(size)
    file.write({"d": 4})
    file.close()
    assert (tmp_path / "x.jsonl").read_text() == '{"a":2,"b":1}\n{"d":4}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        JsonLines(tmp_path / "x.jsonl").write({"a": float("nan")})
