"""Class weights: a loop over classes, sampled classes, and rows shared out over two processes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from masquerade.core.draws import Draws
from masquerade.core.errors import UsageError
from masquerade.core.margins import ArcMargin, CosMargin
from masquerade.core.partial_fc import PartialFC
from masquerade.core.training.distributed import World

sys.path.insert(0, str(Path(__file__).parent))
from partial_fc_run import CASES, EPOCH_KEY, LABELS, N_CLASSES, WIDTH, faces, passed  # noqa: E402

SCRIPT = Path(__file__).with_name("partial_fc_run.py")
ALONE = World()


def test_loss_equals_a_loop_over_faces_and_classes() -> None:
    head = PartialFC(N_CLASSES, WIDTH, CosMargin(scale=8.0, m=0.2), seed=3)
    total = 0.0
    for face, label in zip(faces(), LABELS.tolist(), strict=True):
        cosines = [float(F.cosine_similarity(face, row, dim=0)) for row in head.weight.detach()]
        cosines[label] -= 0.2
        exponentials = [2.718281828459045 ** (8.0 * c) for c in cosines]
        total -= float(torch.tensor(exponentials[label] / sum(exponentials)).log())
    loss, _ = head(faces(), LABELS, EPOCH_KEY)
    assert loss.item() == pytest.approx(total / len(LABELS), rel=1e-5)


def test_log_shows_cosine_and_accuracy_without_the_margin() -> None:
    head = PartialFC(4, 3, ArcMargin(m=2.0))
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]]))
    looked = torch.tensor([[9.0, 0, 0], [0, 0.6, 0.8]])
    _, parts = head(looked, torch.tensor([0, 1]), EPOCH_KEY)
    assert parts["cosine"].item() == pytest.approx((1 + 0.6) / 2)
    assert parts["accuracy"].item() == 0.5


@given(
    rate=st.floats(0.01, 0.99),
    labels=st.lists(st.integers(0, 39), min_size=1, max_size=30),
    seed=st.integers(0, 99),
)
def test_sampling_keeps_the_batchs_identities_and_the_count(rate, labels, seed) -> None:
    head = PartialFC(40, 2, ArcMargin(), sample_rate=rate)
    draws = Draws(seed, torch.zeros(1, dtype=torch.int64))
    chosen = head.chosen(torch.tensor(labels), draws).tolist()
    assert chosen == sorted(set(chosen))
    assert set(labels) <= set(chosen)
    assert len(chosen) == max(len(set(labels)), round(rate * 40))


def test_other_identities_are_drawn_evenly_and_anew_at_each_step() -> None:
    head = PartialFC(20, 2, ArcMargin(), sample_rate=0.5)
    counts = torch.zeros(20)
    for step in range(400):
        counts[head.chosen(torch.tensor([4]), EPOCH_KEY.step(step))] += 1
    assert counts[4] == 400
    others = counts[torch.arange(20) != 4] / 400  # nine of nineteen; four standard errors are 0.1
    assert ((others - 9 / 19).abs() < 0.1).all()


def test_gradient_touches_sampled_rows_only_and_is_that_of_the_sampled_softmax() -> None:
    head = PartialFC(N_CLASSES, WIDTH, ArcMargin(), sample_rate=0.4, seed=3)
    chosen = head.chosen(LABELS, EPOCH_KEY)
    assert set(LABELS.tolist()) < set(chosen.tolist()) < set(range(N_CLASSES))
    loss, _ = head(faces(), LABELS, EPOCH_KEY)
    loss.backward()
    assert head.weight.grad.is_sparse
    touched = head.weight.grad.coalesce().indices()[0]
    assert torch.equal(touched, chosen)
    small = PartialFC(len(chosen), WIDTH, ArcMargin())
    with torch.no_grad():
        small.weight.copy_(head.weight[chosen])
    wanted, _ = small(faces(), torch.searchsorted(chosen, LABELS), EPOCH_KEY)
    wanted.backward()
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-6)
    found = head.weight.grad.coalesce().values()
    torch.testing.assert_close(found, small.weight.grad, atol=1e-6, rtol=1e-5)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> list[dict]:
    """What two gloo processes get, by rank."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
            "--master-addr", "127.0.0.1", "--master-port", str(port), str(SCRIPT), str(folder),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Equal to 1e-5 of the largest value."""
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("name", CASES)
def test_two_processes_equal_one(two, name) -> None:
    """Loss, log, and both gradients; four faces here, three there."""
    one = passed(*CASES[name], ALONE)
    first, second = (found[name] for found in two)
    assert (len(first["faces"]), len(second["faces"])) == (4, 3)
    assert (len(first["weight"]), len(second["weight"])) == (11, 12)
    for key in ("weight", "gradient"):
        close(torch.cat([first[key], second[key]]), one[key])
    together = torch.empty_like(one["faces"])
    together[0::2], together[1::2] = first["faces"], second["faces"]
    close(together, one["faces"])
    for key in ("loss", "accuracy", "cosine"):
        close((4 * first[key] + 3 * second[key]) / 7, one[key])
    for found in (first, second):
        torch.testing.assert_close(found["statistics"], one["statistics"])


def test_processes_hold_every_row_once_and_load_their_own() -> None:
    whole = PartialFC(10, 3, ArcMargin(), seed=1)
    state = {k: v.clone() for k, v in whole.state_dict().items()}
    parts = [PartialFC(10, 3, ArcMargin(), seed=9, world=World(rank, 4)) for rank in range(4)]
    assert [row for part in parts for row in part.rows] == list(range(10))
    for part in parts:
        part.load_state_dict(state)
        assert torch.equal(part.weight, whole.weight[part.rows.start : part.rows.stop])
    fresh = [PartialFC(10, 3, ArcMargin(), seed=1, world=World(rank, 4)) for rank in range(4)]
    assert torch.equal(torch.cat([part.weight for part in fresh]), whole.weight)


def test_initial_weights_have_the_published_deviation() -> None:
    weight = PartialFC(5000, 16, ArcMargin()).weight
    assert weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert abs(weight.mean().item()) < 2e-4


@pytest.mark.parametrize(("n_classes", "size"), [(1, 1), (3, 4)])
def test_too_few_identities_are_refused(n_classes, size) -> None:
    with pytest.raises(UsageError, match=f"{n_classes} identit.*for each of {size} processes"):
        PartialFC(n_classes, 4, ArcMargin(), world=World(0, size))
