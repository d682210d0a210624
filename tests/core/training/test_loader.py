"""The loader: order, resume, ranks, workers, damaged files, and no process left behind."""

import logging
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import torch

from masquerade.core.config import Config
from masquerade.core.draws import Draws
from masquerade.core.errors import DataError, UsageError
from masquerade.core.hashing import sample_id
from masquerade.core.modality import Modality, Sample, Source
from masquerade.core.training.loader import Loader

N = 23


class Numbers(Source):
    """N samples whose content is their index; some are damaged."""

    def __init__(self, n=N, bad=(), unreadable=()):
        self.name, self.classes = "numbers", ("even", "odd")
        self.keys = [f"{i:04d}" for i in range(n)]
        self.labels = np.arange(n) % 2
        self.bad, self.unreadable = set(bad), set(unreadable)

    def read(self, index):
        if index in self.unreadable:
            raise DataError(f"numbers/{index} cannot be read", "restore it")
        content = "damaged" if index in self.bad else index
        return Sample(self.keys[index], content, int(self.labels[index]))

    def fingerprint(self):
        return "numbers"


class Plain(Modality):
    """The index, and one augmentation number."""

    slug, Config = "plain", Config

    @classmethod
    def open(cls, path):
        return Numbers()

    def prepare(self, sample, draws):
        if sample.content == "damaged":
            raise DataError(f"{sample.key} is damaged", "replace the file")
        noise = torch.zeros(()) if draws is None else draws.uniform()[0]
        return {"index": torch.tensor(sample.content), "noise": noise}

    def draw(self, batch, tokens, hidden, path):
        return path


def make(source=None, **options):
    options = {"batch_size": 4, "seed": 7, **options}
    return Loader(source or Numbers(), Plain(Config()), **options)


def take(loader, count, start=0):
    batches = loader.batches(start)
    found = [next(batches) for _ in range(count)]
    batches.close()
    return found


def rows(batches):
    return [b["index"].tolist() for b in batches]


def same(a, b):
    return len(a) == len(b) and all(
        torch.equal(x["index"], y["index"])
        and torch.equal(x["noise"], y["noise"])
        and torch.equal(x.ids, y.ids)
        and torch.equal(x.labels, y.labels)
        for x, y in zip(a, b, strict=True)
    )


def test_an_epoch_shows_each_sample_once_and_drops_the_rest():
    loader = make()
    assert (len(loader), loader.steps_per_epoch) == (5, 5)
    epochs = [sum(rows(take(loader, 5, 5 * e)), []) for e in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == 20
    assert len({tuple(e) for e in epochs}) == 3
    assert [loader.epoch_of(s) for s in (0, 4, 5, 14)] == [0, 0, 1, 2]


def test_batches_follow_the_seeded_permutation():
    draws = Draws(7, torch.zeros(1, dtype=torch.int64), 1, "order")
    order = draws.permutation(N)[0]
    batch = take(make(), 1, start=7)[0]  # epoch 1, slice 2
    assert batch["index"].tolist() == order[8:12].tolist()
    assert batch.ids.tolist() == [sample_id(f"{i:04d}") for i in order[8:12].tolist()]
    assert batch.labels.tolist() == (order[8:12] % 2).tolist()
    expected = Draws(7, batch.ids, 1, "augment").uniform()
    assert torch.equal(batch["noise"], expected)


def test_resume_at_any_step_is_exact():
    straight = take(make(), 12)
    for start in (1, 4, 5, 11):
        assert same(take(make(), 12 - start, start), straight[start:])


def test_seeds_differ():
    assert rows(take(make(), 3)) != rows(take(make(seed=8), 3))


def test_ranks_share_each_global_batch():
    whole = take(make(), 7)
    parts = [take(make(rank=r, world=2), 7) for r in range(2)]
    for step, batch in enumerate(whole):
        for r in range(2):
            assert parts[r][step]["index"].tolist() == batch["index"].tolist()[r::2]
            assert torch.equal(parts[r][step]["noise"], batch["noise"][r::2])


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers):
    source = Numbers(bad=[3], unreadable=[8])
    alone, together = make(source), make(source, workers=workers)
    assert same(take(alone, 12, 3), take(together, 12, 3))
    assert alone.damaged == together.damaged
    assert same(list(alone.once()), list(together.once()))


@pytest.mark.slow
def test_spawned_workers_give_the_same(tmp_path):
    """With real images, since these classes live in a test that a new process cannot import."""
    from masquerade.modalities.catalogue import resolve_data
    from masquerade.modalities.image import Image

    image = Image(Image.Config(size=16))
    kinds = [
        Loader(resolve_data("photos:test"), image, batch_size=32, seed=1, workers=w, start_method=m)
        for w, m in ((0, None), (1, "spawn"))
    ]
    for a, b in zip(*(take(loader, 3) for loader in kinds), strict=True):
        assert torch.equal(a["image"], b["image"])


def test_once_is_all_in_order_without_augmentation():
    batches = list(make().once())
    assert sum(rows(batches), []) == list(range(N))
    assert [len(b) for b in batches] == [4] * 5 + [3]
    assert all((b["noise"] == 0).all() for b in batches)


def test_without_train_nothing_is_augmented():
    batches = take(make(train=False), 3)
    assert rows(batches) == rows(take(make(), 3))
    assert all((b["noise"] == 0).all() for b in batches)


def test_damaged_files_are_named_once_left_out_and_never_replaced(caplog):
    loader = make(Numbers(bad=[3], unreadable=[8]))
    with caplog.at_level(logging.WARNING):
        first, again = take(loader, 5), take(loader, 5)
    assert dict(loader.damaged) == {"0003": "0003 is damaged", "0008": "numbers/8 cannot be read"}
    assert len(caplog.records) == 2
    clean = take(make(), 5)
    for batch, whole in zip(first, clean, strict=True):
        assert batch["index"].tolist() == [i for i in whole["index"].tolist() if i not in (3, 8)]
    assert same(first, again)


@pytest.mark.parametrize("workers", [0, 1])
def test_strict_stops_at_the_first_damaged_file(workers):
    loader = make(Numbers(bad=[3]), strict=True, workers=workers)
    with pytest.raises(DataError, match=r"^0003 is damaged; replace the file$"):
        take(loader, 5)


def test_too_many_damaged_files_stop():
    assert len(sum(rows(make(Numbers(40, bad=range(8))).once()), [])) == 32
    with pytest.raises(DataError, match="9 of 40 files of numbers are damaged, the last: 00"):
        list(make(Numbers(40, bad=range(9))).once())
    many = make(Numbers(1100, bad=range(0, 1100, 110)), batch_size=100)  # 10 of 11 allowed
    assert len(list(many.once())) == 11


def test_batch_of_damaged_files_only_stops_instead_of_shifting_the_steps():
    with pytest.raises(DataError, match="every file of one batch"):
        take(make(Numbers(bad=[5]), batch_size=1), N)


def test_source_smaller_than_a_batch_is_one_sentence():
    with pytest.raises(UsageError, match="numbers has 23 samples, fewer than a batch of 24"):
        next(make(batch_size=24).batches())
    assert len(next(make(batch_size=24).once())) == 23  # features need no whole batch


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"world": 3}, {"workers": -1}])
def test_impossible_requests_are_refused(options):
    with pytest.raises(UsageError):
        make(**options)


def test_waiting_is_measured():
    class Slow(Plain):
        def prepare(self, sample, draws):
            time.sleep(0.01)
            return super().prepare(sample, draws)

    loader = Loader(Numbers(), Slow(Config()), batch_size=4, seed=0)
    take(loader, 3)
    assert 0.12 <= loader.wait_s < 0.5


def children():
    return [p for p in psutil.Process().children(recursive=True) if p.status() != "zombie"]


def test_no_worker_outlives_its_iterator():
    before = len(children())
    batches = make(workers=2).batches()
    next(batches)
    assert len(children()) >= before + 2
    batches.close()
    deadline = time.monotonic() + 5
    while len(children()) > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(children()) == before


# a shell's background job ignores Ctrl-C and hands that on: the program asks for it again
PROGRAM = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from masquerade.core.training.loader import Loader
from masquerade.modalities.catalogue import resolve_data
from masquerade.modalities.image import Image
loader = Loader(resolve_data("photos:test"), Image(Image.Config(size=16)),
                batch_size=8, seed=0, workers=2)
for batch in loader.batches():
    print(batch["image"].shape[0], flush=True)
    time.sleep(0.01)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_or_kill_leaves_no_process(how):
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert program.stdout.readline() == "8\n"
    workers = psutil.Process(program.pid).children(recursive=True)
    assert len(workers) >= 2
    if how == signal.SIGINT:
        os.killpg(program.pid, signal.SIGINT)  # as a terminal does
    else:
        program.kill()
    _, errors = program.communicate(timeout=60)
    if how == signal.SIGINT:
        assert errors.count("Traceback") == 1  # the main process's own, none of the workers
    gone, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


def test_an_incomplete_last_batch_is_kept_where_asked_for():
    dropped, kept = (
        Loader(Numbers(), Plain(Config()), batch_size=5, seed=0, last_batch=last)
        for last in ("drop", "keep")
    )
    assert (dropped.steps_per_epoch, kept.steps_per_epoch) == (4, 5)
    batches = [batch for _, batch in zip(range(10), kept.batches(), strict=False)]
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3] * 2
    for epoch in (batches[:5], batches[5:]):
        assert sorted(torch.cat([b["index"] for b in epoch]).tolist()) == list(range(N))
    assert kept.epoch_of(5) == 1
    first = next(dropped.batches())
    assert first["index"].tolist() == batches[0]["index"].tolist()
    small = Loader(Numbers(n=3), Plain(Config()), batch_size=5, seed=0, last_batch="keep")
    assert (small.steps_per_epoch, len(next(small.batches()))) == (1, 3)
    with pytest.raises(UsageError, match="last batch of an epoch has 3 samples for 5 processes"):
        Loader(Numbers(), Plain(Config()), batch_size=5, seed=0, world=5, last_batch="keep")
