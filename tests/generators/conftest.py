"""A toy generator that worker processes can import, and what tests of the engine share."""

import multiprocessing
import sys
from pathlib import Path

import pytest

from masquerade.generators.engine.synthesis import Request, synthesize

TOYS = Path(__file__).parent / "engine"
PATIENCE_S = 120


def tree(folder):
    """Every file's bytes by its relative path, but for locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", ".claims")
    }


@pytest.fixture
def ovals(monkeypatch):
    """The module of the toy generators, "ovals:Ovals" for commands and worker processes."""
    monkeypatch.syspath_prepend(TOYS)
    import ovals

    return ovals


@pytest.fixture
def request_for(ovals):
    """A request of the toy generator: request_for(folder, identities, images, **more)."""

    def make(out, identities=12, images=4, **more):
        values = {"images_per_shard": 8, "batch_size": 4, "workers": 1, "device": "cpu", **more}
        return Request(values.pop("generator", ovals.NAME), out, identities, images, **values)

    return make


@pytest.fixture
def finished(request_for, tmp_path):
    """The folder of a finished set of 12 identities x 4 in 6 shards."""
    synthesize(request_for(tmp_path / "set"))
    return tmp_path / "set"


@pytest.fixture
def snapshot():
    """`tree`, for tests that cannot import this file."""
    return tree


@pytest.fixture
def start(ovals):
    """Start a command line in a process group of its own: start(words, **limits).

    The server process imports what is slow once; what it forks is a fresh, single-threaded
    process.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["masquerade.generators.engine.audit", "ovals", "numpy"])
    import commands

    started = []

    def begin(words, **more):
        process = context.Process(target=commands.run, args=([*map(str, words)],), kwargs=more)
        process.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.is_alive():
            process.kill()
        process.join(PATIENCE_S)
    sys.modules.pop("commands", None)


@pytest.fixture
def refused_by_a_full_disk(start, tmp_path):
    """Run words whose files may not grow past a limit, then again without one.

    refused_by_a_full_disk(words, out, file_bytes): the first run ends with one sentence and
    leaves no half shard, the second makes the set.
    """

    def check(words, out, file_bytes):
        words, errors = [*words, "--out", out, "--workers", 1], tmp_path / "errors"
        limited = start(words, errors=errors, file_bytes=file_bytes)
        limited.join(PATIENCE_S)
        assert limited.exitcode == 1
        note, sentence = errors.read_text().strip().splitlines()
        assert "the same command goes on" in note
        assert sentence.startswith("error: cannot write ")
        assert "File too large" in sentence
        assert not list((out / "shards").iterdir())
        again = start(words)
        again.join(PATIENCE_S)
        assert again.exitcode == 0

    return check
