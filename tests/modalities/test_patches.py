"""Patches: exact inverses, the card's order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.core.errors import UsageError
from masquerade.modalities.image.patches import patchify, unpatchify

sides = st.integers(1, 5)


@settings(max_examples=60, deadline=None)
@given(sides, sides, sides, st.integers(1, 4), st.integers(1, 3))
def test_unpatchify_is_the_exact_inverse(rows, columns, side, channels, n):
    images = torch.rand(n, channels, rows * side, columns * side)
    patches = patchify(images, side)
    assert patches.shape == (n, rows * columns, side * side * channels)
    assert torch.equal(unpatchify(patches, (rows, columns), channels), images)


@settings(max_examples=30, deadline=None)
@given(sides, sides, sides)
def test_patchify_is_the_cards_index_rule(rows, columns, side):
    images = torch.rand(1, 3, rows * side, columns * side)
    patches = patchify(images, side).reshape(rows, columns, -1)
    for r, c, i, j, k in np.ndindex(rows, columns, side, side, 3):
        assert patches[r, c, (i * side + j) * 3 + k] == images[0, k, r * side + i, c * side + j]


def test_patch_size_that_does_not_divide_is_one_sentence():
    with pytest.raises(UsageError, match="patch size 5 does not divide an image of 32×32"):
        patchify(torch.zeros(1, 3, 32, 32), 5)


@pytest.mark.parametrize(("grid", "values"), [((3, 3), 12), ((2, 2), 13)])
def test_unpatchify_of_no_grid_is_refused(grid, values):
    with pytest.raises(UsageError, match="no grid"):
        unpatchify(torch.zeros(1, 4, values), grid)


def test_patchify_equals_the_official_code(shared):
    with np.load(shared / "golden" / "mae.npz", allow_pickle=False) as golden:
        images, expected = golden["input/imgs"], golden["output/patchify"]
        prediction, picture = golden["output/pred"], golden["output/unpatchify_pred"]
    assert np.array_equal(patchify(torch.from_numpy(images), 4).numpy(), expected)
    assert np.array_equal(unpatchify(torch.from_numpy(prediction), (8, 8)).numpy(), picture)
