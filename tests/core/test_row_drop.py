"""Row-drop masking: counts, the truncated normal's rates, and what is put where."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import truncnorm

from masquerade.core.config import build
from masquerade.core.draws import Draws
from masquerade.core.errors import UsageError
from masquerade.core.masking import RowDropMasker

TRAINING = RowDropMasker(r_min=0.5, r_max=1.0, mean=0.75, std=0.25)
GENERATION = RowDropMasker(r_min=0.1, r_max=1.0, mean=0.15, std=0.25)


def test_rows_of_lowest_noise_are_dropped_and_the_next_ones_hidden() -> None:
    mask = RowDropMasker(r_min=0.25).from_noise(torch.tensor([[0.9, 0.1, 0.5, 0.3, 0.7]]), 0.6)
    assert mask.drop_bool.tolist() == [[False, True, False, True, False]]  # by hand: ⌈1.25⌉
    assert mask.mask_bool.tolist() == [[False, True, True, True, False]]  # ⌈3.0⌉
    assert mask.keep.tolist() == [[0, 2, 4]]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([(TRAINING, 24), (GENERATION, 44)]))
def test_counts_are_exact_and_dropped_rows_are_hidden(seed, case) -> None:
    """Card section 9: 24 kept of 49 in training, 5 dropped in generation, ⌈49 r⌉ hidden."""
    masker, n_kept = case
    draws = Draws(seed, torch.arange(8))
    mask = masker.draw(draws)
    wanted = torch.ceil(49 * masker.rates(draws)).long()
    assert mask.keep.shape == (8, n_kept)
    assert torch.equal(mask.drop_bool.sum(1), torch.full((8,), 49 - n_kept))
    assert torch.equal(mask.mask_bool.sum(1), wanted)
    assert bool((mask.mask_bool | ~mask.drop_bool).all())
    assert not mask.drop_bool.gather(1, mask.keep).any()


@pytest.mark.parametrize(("masker", "mean"), [(TRAINING, 0.75), (GENERATION, 0.318)])
def test_mean_rate_is_that_of_the_truncated_normal(masker, mean) -> None:
    rates = masker.rates(Draws(0, torch.arange(5000)))
    assert rates.mean().item() == pytest.approx(mean, abs=0.01)
    assert masker.r_min <= rates.min()
    assert rates.max() <= masker.r_max


def test_rates_are_the_inverse_distribution_function_of_one_uniform() -> None:
    draws = Draws(3, torch.arange(50))
    uniform = draws.fork("rate").uniform(1)[:, 0].double().numpy()
    ends = [(end - 0.15) / 0.25 for end in (0.1, 1.0)]
    wanted = truncnorm.ppf(uniform, *ends, loc=0.15, scale=0.25)
    torch.testing.assert_close(GENERATION.rates(draws), torch.from_numpy(wanted))


def test_a_row_does_not_depend_on_its_batch() -> None:
    together = GENERATION.draw(Draws(7, torch.tensor([4, 9, 2]), epoch=5))
    alone = GENERATION.draw(Draws(7, torch.tensor([9]), epoch=5))
    assert torch.equal(alone.mask_bool[0], together.mask_bool[1])
    assert torch.equal(alone.keep[0], together.keep[1])


def test_training_draws_one_rate_per_step() -> None:
    draws = Draws(0, torch.arange(64))
    counts = {
        int(n)
        for step in range(8)
        for n in TRAINING.draw(draws, rate=TRAINING.rates(draws.step(step)))
        .mask_bool.sum(1)
        .unique()
    }
    one = TRAINING.draw(draws, rate=TRAINING.rates(draws.step(0))).mask_bool.sum(1)
    assert len(one.unique()) == 1
    assert len(counts) > 3


def test_equal_noise_keeps_the_counts() -> None:
    mask = TRAINING.from_noise(torch.zeros(2, 49), rate=0.7)
    assert mask.drop_bool.sum(1).tolist() == [25, 25]
    assert mask.mask_bool.sum(1).tolist() == [35, 35]


def test_restore_overwrites_hidden_rows_that_were_kept() -> None:
    mask = RowDropMasker(r_min=0.25).from_noise(torch.tensor([[0.9, 0.1, 0.5, 0.3]]), rate=0.5)
    rows = torch.tensor([[[10.0], [11.0], [12.0], [13.0]]])
    assert mask.take_kept(rows).flatten().tolist() == [10, 12, 13]
    assert mask.replace(rows, torch.tensor(-1.0)).flatten().tolist() == [10, -1, 12, -1]
    back = mask.restore(mask.take_kept(rows), torch.tensor([[[-1.0]]]))
    assert back.flatten().tolist() == [10, -1, 12, -1]


def test_impossible_rates_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must lie in \[0.5, 1\], got 0.4"):
        TRAINING.from_noise(torch.rand(1, 49), rate=0.4)
    with pytest.raises(UsageError, match="r_min 0.9 lies above r_max 0.5"):
        build(RowDropMasker, {"r_min": 0.9, "r_max": 0.5}, "rows")
