"""Properties of every masker: exact counts, a partition of the ids, rows apart from their batch."""

from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.core.draws import Draws
from masquerade.core.masking import (
    BlockMasker,
    ColourNoiseMasker,
    GridMasker,
    Mask,
    RandomMasker,
    RunningCellMasker,
    ScoreGuidedMasker,
    TubeMasker,
    visible_count,
)
from masquerade.core.step import StepContext
from masquerade.core.tokens import Tokens

SIDES = st.integers(2, 8).map(lambda half: 2 * half)
RATIOS = st.floats(0.05, 0.9)


@st.composite
def cases(draw):
    """(masker, grid, visible count wanted)."""
    rows, columns, ratio = draw(SIDES), draw(SIDES), draw(RATIOS)
    n = rows * columns
    kind = draw(
        st.sampled_from(["random", "block", "grid", "colour", "hide-top", "keep-sampled", "tube"])
    )
    wanted = max(1, int(n * (1 - ratio)))
    ratio = ratio if int(n * (1 - ratio)) >= 1 else 0.5
    wanted = int(n * (1 - ratio))
    if kind == "tube":
        slots = draw(st.integers(1, 4))
        wanted = slots * (n - int(ratio * n))
        inner = TubeMasker(ratio=ratio)
        masker = draw(st.sampled_from([inner, RunningCellMasker(encoder=inner)]))
        return masker, (slots, rows, columns), wanted
    masker = {
        "random": RandomMasker(ratio=ratio),
        "block": BlockMasker(ratio=ratio),
        "grid": GridMasker(cell=2, keep=draw(st.integers(1, 3))),
        "colour": ColourNoiseMasker(ratio=ratio, patterns=8, size=32),
        "hide-top": ScoreGuidedMasker(ratio=ratio, rule="hide-top", share_start=0.5),
        "keep-sampled": ScoreGuidedMasker(ratio=ratio, rule="keep-sampled"),
    }[kind]
    if kind == "grid":
        wanted = n // 4 * masker.keep
    return masker, (rows, columns), wanted


def draw_mask(masker, grid, ids) -> Mask:
    n = prod(grid)
    tokens = Tokens(torch.zeros(len(ids), n, 1), grid=grid)
    draws = Draws(seed=1, ids=torch.tensor(ids))
    scores = Draws(seed=2, ids=draws.ids).uniform(n)
    return masker(tokens, draws, StepContext(progress=0.5, scores={"scores": scores}))


@settings(max_examples=120, deadline=None)
@given(cases(), st.lists(st.integers(0, 2**62), min_size=1, max_size=4, unique=True))
def test_masks_partition_the_tokens_with_exact_counts(case, ids) -> None:
    masker, grid, wanted = case
    mask = draw_mask(masker, grid, ids)
    both = torch.cat([mask.visible, mask.hidden], dim=1).sort(1).values
    assert torch.equal(both, torch.arange(prod(grid)).expand(len(ids), -1))
    assert mask.visible.shape == (len(ids), wanted)
    assert torch.equal(mask.as_bool().sum(1), torch.full((len(ids),), prod(grid) - wanted))


@settings(max_examples=60, deadline=None)
@given(cases(), st.lists(st.integers(0, 2**62), min_size=2, max_size=4, unique=True))
def test_a_mask_does_not_depend_on_the_batch(case, ids) -> None:
    masker, grid, _ = case
    together = draw_mask(masker, grid, ids).as_bool()
    for row, number in enumerate(ids):
        assert torch.equal(draw_mask(masker, grid, [number]).as_bool()[0], together[row])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.data())
def test_taking_and_restoring_are_inverse(n, batch, data) -> None:
    n_visible = data.draw(st.integers(0, n))
    order = Draws(seed=data.draw(st.integers(0, 99)), ids=torch.arange(batch)).permutation(n)
    mask = Mask.from_order(order, n_visible)
    values = torch.arange(batch * n * 3, dtype=torch.float32).view(batch, n, 3)
    assert torch.equal(mask.restore(mask.take_visible(values), mask.take_hidden(values)), values)
    assert torch.equal(mask.put_predicted(values, mask.take_predict(values)), values)
    assert torch.equal(mask.predicting_all().take_predict(values), values)
    assert torch.equal(Mask.from_bool(mask.as_bool()).as_bool(), mask.as_bool())
    token = mask.restore(mask.take_visible(values), torch.tensor([-1.0, -2.0, -3.0]))
    assert torch.equal(token[mask.as_bool()][:, 1], torch.full((batch * (n - n_visible),), -2.0))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4096), st.floats(0, 0.999))
def test_visible_count_is_the_official_floor(n, ratio) -> None:
    if int(n * (1 - ratio)) < 1:
        with pytest.raises(ValueError, match="hides all"):
            visible_count(n, ratio)
    else:
        assert visible_count(n, ratio) == int(n * (1 - ratio))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3), st.sampled_from([0.25, 0.5, 0.75]), st.integers(4, 9))
def test_running_cell_covers_every_place_equally_over_four_slots(start, ratio, slots) -> None:
    """The law of VideoMAE V2: over any 4 slots each place is kept exactly 4 − k times."""
    tube = TubeMasker(ratio=0.5).from_noise(torch.rand(1, 24), slots)
    masker = RunningCellMasker(decoder_ratio=ratio)
    mask = masker.narrow(tube, torch.tensor([start]), (slots, 4, 6))
    kept = torch.zeros(slots * 24).scatter(0, mask.predict[0], 1.0).view(slots, 24)
    for first in range(slots - 3):
        assert (kept[first : first + 4].sum(0) == 4 - int(4 * ratio)).all()
