"""Tubelets: the order of their values, and exact round trips."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from masquerade.core.errors import UsageError
from masquerade.modalities.video.tubelets import grid_of, patchify, unpatchify

SMALL = st.integers(1, 3)


def test_values_go_frame_row_column_channel_and_tubelets_time_row_column():
    clip = torch.zeros(1, 3, 4, 4, 6)
    clip[0, 2, 3, 1, 4] = 1  # blue, frame 3, row 1, column 4
    tubelets = patchify(clip, 2, 2)
    assert tubelets.shape == (1, 2 * 2 * 3, 2 * 2 * 2 * 3)
    # by hand: slot 1, row 0, column 2 of the grid; frame 1, row 1, column 0 inside, channel 2
    token, value = (1 * 2 + 0) * 3 + 2, ((1 * 2 + 1) * 2 + 0) * 3 + 2
    assert torch.nonzero(tubelets[0]).tolist() == [[token, value]]


@given(st.tuples(SMALL, SMALL, SMALL), SMALL, SMALL, SMALL)
def test_round_trip_is_exact(grid, tubelet, side, batch):
    shape = (batch, 3, grid[0] * tubelet, grid[1] * side, grid[2] * side)
    clips = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape)
    tubelets = patchify(clips, tubelet, side)
    assert grid_of(shape[2:], tubelet, side) == grid
    assert torch.equal(unpatchify(tubelets, grid, tubelet), clips)


@pytest.mark.parametrize(("size", "tubelet", "side"), [((5, 8, 8), 2, 4), ((4, 8, 9), 2, 4)])
def test_what_does_not_divide_is_one_sentence(size, tubelet, side):
    with pytest.raises(UsageError, match="do not divide a clip of"):
        grid_of(size, tubelet, side)


def test_tubelets_of_another_grid_are_refused():
    with pytest.raises(UsageError, match="no grid 2×2×2"):
        unpatchify(torch.zeros(1, 7, 24), (2, 2, 2), 2)
