"""What a board's rows may be filtered by."""

from dataclasses import replace
from types import ModuleType

import pytest

from masquerade.leaderboards.page_filters import choices, compact, decade, size_of


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "1"), (950, "950"), (999, "999"), (1000, "1 k"), (43_210_000, "43.2 M"),
        (999_499, "999 k"), (999_999, "1 M"), (10**9, "1 B"), (998 * 10**12, "998 T"),
    ],
)  # fmt: skip
def test_counts_have_three_digits(count: int, text: str) -> None:
    assert compact(count) == text


def test_decade_is_the_power_of_ten_below() -> None:
    assert [decade(size) for size in (1, 9, 10, 999_999, 10**6)] == [0, 0, 1, 5, 6]


def test_choices_are_those_of_the_rows(made: ModuleType) -> None:
    board = made.every_state()
    found = choices(board)
    assert found.modalities == ("image", "video")
    assert found.benchmarks == ("verification",)
    assert found.sizes == ((6, "1 M to 10 M"), (7, "10 M to 100 M"))
    assert found.unsized
    assert found.dates == ("2026-10-01", "2026-10-20")


@pytest.mark.parametrize("size", [None, 0, -5, 10**400])
def test_size_that_cannot_be_is_none(made: ModuleType, size: int | None) -> None:
    assert size_of(replace(made.every_state().tables[0].rows[0], size=size)) is None
