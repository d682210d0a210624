"""Position tables against the formula of the card, entry by entry."""

import math

import pytest
import torch

from masquerade.core.positions import position_table, sincos_1d, sincos_grid, sinusoid


def test_2d_table_puts_the_column_first_and_concatenates_sines_and_cosines() -> None:
    dim, rows, columns = 16, 3, 5
    table = sincos_grid((rows, columns), dim, n_prefix=1)
    assert table.shape == (16, dim)
    assert (table[0] == 0).all()
    for row, column in ((0, 0), (1, 4), (2, 3)):
        entry = table[1 + row * columns + column]
        for half, place in ((0, column), (1, row)):
            for k in range(dim // 4):
                angle = place * 10000 ** (-k / (dim // 4))
                assert entry[half * 8 + k].item() == pytest.approx(math.sin(angle), abs=1e-6)
                assert entry[half * 8 + 4 + k].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_row_first_swaps_the_halves() -> None:
    column_first = sincos_grid((2, 3), 8)
    row_first = sincos_grid((2, 3), 8, column_first=False)
    torch.testing.assert_close(row_first, column_first.roll(4, dims=1))


def test_3d_table_has_time_first_and_pads_the_rest() -> None:
    table = sincos_grid((2, 3, 4), 16)
    part = 4  # 16 // 3 = 5, rounded down to even
    torch.testing.assert_close(table[12:, :part], sincos_1d(torch.ones(12), part).float())
    assert (table[:, 3 * part :] == 0).all()


@pytest.mark.parametrize(("grid", "dim"), [((2, 2), 6), ((4,), 3), ((1, 1, 1, 1), 8)])
def test_widths_that_do_not_split_are_refused(grid, dim) -> None:
    with pytest.raises(ValueError, match="sin-cos"):
        sincos_grid(grid, dim)


def test_sinusoid_alternates_sine_and_cosine_of_each_frequency() -> None:
    table = sinusoid(5, 6)
    for position in range(5):
        for channel in range(6):
            angle = position / 10000 ** (2 * (channel // 2) / 6)
            wanted = math.cos(angle) if channel % 2 else math.sin(angle)
            assert float(table[position, channel]) == pytest.approx(wanted, abs=1e-7)


def test_tables_of_both_kinds_begin_with_zero_prefix_rows() -> None:
    for kind in ("grid", "sequence"):
        table = position_table(kind, (2, 3), 8, 1)
        assert table.shape == (1, 7, 8)
        assert not table[0, 0].any()
    assert torch.equal(position_table("sequence", (2, 3), 8, 0)[0], sinusoid(6, 8))
