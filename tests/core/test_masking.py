"""Maskers by value: orders, places and spectra that a wrong masker would not have."""

import numpy as np
import pytest
import torch

from masquerade.core.config import build
from masquerade.core.draws import Draws
from masquerade.core.errors import UsageError
from masquerade.core.masking import (
    BlockMasker,
    ColourNoiseMasker,
    GridMasker,
    Mask,
    RandomMasker,
    RunningCellMasker,
    ScoreGuidedMasker,
    TubeMasker,
)
from masquerade.core.masking.colour_noise import colour_patterns, crop_patterns
from masquerade.core.step import StepContext
from masquerade.core.tokens import Tokens

GRID = (14, 14)


def masks(masker, n: int = 200, grid=GRID, **step) -> torch.Tensor:
    tokens = Tokens(torch.zeros(n, int(np.prod(grid)), 1), grid=grid)
    mask = masker(tokens, Draws(0, torch.arange(n)), StepContext(**step))
    return mask.as_bool().view(n, *grid)


def visible_neighbours(hidden: torch.Tensor) -> float:
    """Mean number of visible 4-neighbours of a visible patch, border effect included."""
    seen = torch.nn.functional.pad((~hidden).float(), (1, 1, 1, 1))
    around = seen[:, :-2, 1:-1] + seen[:, 2:, 1:-1] + seen[:, 1:-1, :-2] + seen[:, 1:-1, 2:]
    return float(around[~hidden].mean())


def test_random_mask_keeps_the_lowest_noise_in_its_order() -> None:
    mask = RandomMasker(ratio=0.6).from_noise(torch.tensor([[0.4, 0.2, 0.9, 0.1, 0.3]]))
    assert mask.visible.tolist() == [[3, 1]]  # by hand
    assert mask.hidden.tolist() == [[4, 0, 2]]


def test_grid_mask_keeps_the_same_place_of_every_cell() -> None:
    mask = GridMasker().from_noise(torch.tensor([[0.5, 0.1, 0.9, 0.7]]), (4, 4))
    assert mask.visible.tolist() == [[1, 3, 9, 11]]  # by hand: top right of each 2 × 2


def test_tube_repeats_one_frame_and_counts_as_published() -> None:
    hidden = masks(TubeMasker(ratio=0.9), n=3, grid=(8, 14, 14))
    assert (hidden == hidden[:, :1]).all()
    assert hidden[0].sum() == 1408  # card: 160 visible of 1,568
    assert masks(TubeMasker(ratio=0.9), n=1, grid=(8, 16, 16)).logical_not().sum() == 208


def test_running_cell_reads_the_pointer_after_moving_it() -> None:
    tube = TubeMasker(ratio=0.5).from_noise(torch.rand(1, 4), 1)
    mask = RunningCellMasker(decoder_ratio=0.25).narrow(tube, torch.tensor([0]), (1, 2, 2))
    # by hand: queue [1,0,0,0], pointer 1 → cell [0,0,0,1]: the last place is left out
    assert mask.predict.tolist() == [[0, 1, 2]]


def test_running_cell_predicts_half_and_weighs_only_hidden_places() -> None:
    tokens = Tokens(torch.zeros(4, 1568, 1), grid=(8, 14, 14))
    mask = RunningCellMasker()(tokens, Draws(0, torch.arange(4)), StepContext())
    assert mask.predict.shape == (4, 784)
    weight = mask.loss_weight()
    assert torch.equal(weight, mask.as_bool().gather(1, mask.predict))
    assert 0.8 < weight.float().mean() < 0.98  # about a tenth is visible to the encoder


def test_block_masks_are_clumped() -> None:
    block = masks(BlockMasker(ratio=0.75))
    white = masks(RandomMasker(ratio=0.75))
    assert visible_neighbours(block) > visible_neighbours(white) + 0.8


def test_block_attempts_alone_fill_nearly_all_masks() -> None:
    """The filling by noise must stay a rare last resort, else masks are not block-wise."""
    noise = Draws(0, torch.arange(300)).uniform(128, 4)
    masker = BlockMasker(ratio=0.5)
    one = masker.from_noise(noise, torch.zeros(300, 196), GRID).as_bool()
    other = masker.from_noise(noise, torch.rand(300, 196), GRID).as_bool()
    assert (one == other).all(1).float().mean() > 0.99


def test_colour_masks_are_as_clumped_as_the_card_measured() -> None:
    # card colormae §3: visible neighbours 2.74 red(1.5), 2.09 green(1, 2), 0.90 white, 0.67 blue(1)
    found = {
        colour: visible_neighbours(masks(ColourNoiseMasker(colour=colour), n=400))
        for colour in ("red", "green", "white", "blue", "purple")
    }
    for colour, wanted in {"red": 2.74, "green": 2.09, "white": 0.90, "blue": 0.67}.items():
        assert found[colour] == pytest.approx(wanted, abs=0.06), colour


def band_powers(colour: str, sigmas: tuple) -> np.ndarray:
    patterns = colour_patterns(colour, 100, 64, sigmas, 0).numpy()
    power = (np.abs(np.fft.fft2(patterns)) ** 2).mean(0)
    frequency = np.fft.fftfreq(64)
    radius = np.hypot(frequency[:, None], frequency[None, :])
    edges = [0, 1 / 8, 1 / 4, 3 / 8, 1]
    bands = [
        power[(radius >= a) & (radius < b)].sum() for a, b in zip(edges, edges[1:], strict=False)
    ]
    return np.array(bands) / power.sum()


@pytest.mark.parametrize(
    ("colour", "sigmas", "wanted"),  # card colormae §3
    [
        ("white", (), (0.05, 0.15, 0.24, 0.56)),
        ("red", (1.5,), (0.73, 0.26, 0.00, 0.00)),
        ("blue", (1.0,), (0.00, 0.05, 0.23, 0.71)),
        ("green", (1.0, 2.0), (0.12, 0.68, 0.18, 0.01)),
        ("purple", (1.0, 2.0), (0.03, 0.07, 0.22, 0.68)),
    ],
)
def test_colour_spectra_are_as_the_card_measured(colour, sigmas, wanted) -> None:
    np.testing.assert_allclose(band_powers(colour, sigmas), wanted, atol=0.025)


def test_pattern_windows_are_cropped_and_flipped_by_their_noise() -> None:
    pattern = torch.arange(9.0).view(1, 3, 3)
    plain = crop_patterns(pattern, (2, 2), torch.tensor([[0.9, 0.0, 0.9, 0.9]]))
    assert plain.tolist() == [[[3, 4], [6, 7]]]  # by hand
    turned = crop_patterns(pattern, (2, 2), torch.tensor([[0.9, 0.0, 0.1, 0.1]]))
    assert turned.tolist() == [[[7, 6], [4, 3]]]


def test_hide_top_hides_the_highest_scores_for_certain() -> None:
    scores = torch.arange(10.0)[None]
    masker = ScoreGuidedMasker(ratio=0.6, rule="hide-top", share_start=0.0, share_end=0.5)
    hidden = masker.from_noise(torch.rand(1, 10), scores, progress=1.0).as_bool()[0]
    assert hidden[7:].all()  # 6 hidden, half of them guided
    assert hidden.sum() == 6


def test_keep_sampled_keeps_by_probability() -> None:
    scores = torch.tensor([0.6, 0.3, 0.1, 1e-9])
    noise = Draws(0, torch.arange(20_000)).uniform(4)
    mask = ScoreGuidedMasker(ratio=0.75, rule="keep-sampled").from_noise(
        noise, scores.expand(20_000, -1)
    )
    share = torch.bincount(mask.visible[:, 0], minlength=4) / 20_000
    torch.testing.assert_close(share, scores, atol=0.015, rtol=0)  # four standard errors


def test_score_guided_without_scores_says_which() -> None:
    with pytest.raises(ValueError, match="no scores 'loss'"):
        masks(ScoreGuidedMasker(scores="loss"), n=1)


@pytest.mark.parametrize("ratio", [1.0, -1, 1.5])
def test_impossible_ratio_is_refused_by_name(ratio) -> None:
    with pytest.raises(UsageError, match=r"method.masking.*ratio"):
        build(RandomMasker, {"ratio": ratio}, "method.masking")


def test_rows_that_hide_different_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="different numbers"):
        Mask.from_bool(torch.tensor([[True, False], [True, True]]))
