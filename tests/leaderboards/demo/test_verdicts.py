"""What is right, at the ends of a range, and that the ranges speak of numbers that there are."""

import inspect

import pytest

from masquerade.leaderboards.demo import verdicts
from masquerade.leaderboards.demo.ranges import RANGES
from masquerade.leaderboards.demo.settings import SETTINGS
from masquerade.leaderboards.demo.steps import Found
from masquerade.leaderboards.demo.verdicts import Judge, Verdict


def verdict(value: float, low: float | None, high: float | None) -> Verdict:
    return Verdict("x", value, None, low, high, "means x")


@pytest.mark.parametrize(
    ("value", "low", "high", "holds", "right"),
    [
        (0.5, 0.5, 0.7, True, "0.500 to 0.700"),
        (0.7, 0.5, 0.7, True, "0.500 to 0.700"),
        (0.71, 0.5, 0.7, False, "0.500 to 0.700"),
        (0.49, 0.5, None, False, "at least 0.500"),
        (0.1, None, 0.0, False, "at most 0.000"),
        (9.0, None, None, True, ""),
        (float("nan"), 0.5, 0.7, False, "0.500 to 0.700"),
    ],
)
def test_range_holds_its_ends(
    value: float, low: float | None, high: float | None, holds: bool, right: str
) -> None:
    found = verdict(value, low, high)
    assert found.holds is holds
    assert found.right == right


def test_measured_ranges_are_of_demos_and_numbers_that_exist() -> None:
    text = inspect.getsource(verdicts)
    assert {name for name, _ in RANGES} < set(SETTINGS)
    assert {whose for _, whose in RANGES} == {"any", "real", "made"}
    for numbers in RANGES.values():
        for name, (low, high) in numbers.items():
            assert f'"{name}"' in text or f'{{slug}} {name.split()[-1]}"' in text, name
            assert low < high


def test_range_of_the_case_wins_over_what_must_hold_anywhere() -> None:
    found = {"pre-training": Found((), facts={"loss": 0.9})}
    (anywhere,) = Judge(SETTINGS["full"], "others").verdicts(found)
    (normal,) = Judge(SETTINGS["normal"], "made").verdicts(found)
    assert (anywhere.low, anywhere.high, anywhere.holds) == (None, 47 / 48, True)
    (quick,) = Judge(SETTINGS["quick"], "made").verdicts(found)
    assert quick.high != normal.high
    assert (normal.low, normal.high) == RANGES["normal", "any"]["reconstruction loss"]
    assert not normal.holds


def test_number_that_is_no_number_is_wrong() -> None:
    found = {"pre-training": Found((), facts={"loss": float("nan")})}
    (judged,) = Judge(SETTINGS["normal"], "made").verdicts(found)
    assert not judged.holds


def test_people_of_ones_own_have_no_measured_accuracy() -> None:
    ranges = RANGES["normal", "real"], RANGES["normal", "any"]
    assert "verification accuracy" in ranges[0]
    assert not set(ranges[0]) & set(ranges[1])
