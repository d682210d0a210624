"""Counts per person give the rates and intervals of the pairs themselves."""

import numpy as np
import pytest

from masquerade.core.metrics.intervals import exact_interval
from masquerade.core.metrics.pair_intervals import PairGroups, eer_interval, tar_interval
from masquerade.core.metrics.people_counts import PeopleCounts
from masquerade.core.metrics.verification import eer_point, exchange_rate, roc, tar_at_far


def scored(n_people: int = 60, each: int = 12) -> tuple[np.ndarray, np.ndarray, PairGroups]:
    random = np.random.default_rng(0)
    own = np.repeat(np.arange(n_people), each)
    other = (own + 1 + random.integers(0, n_people - 1, len(own))) % n_people
    same = np.repeat([True, False], len(own))
    moved = 0.5 * random.normal(size=n_people)
    groups = PairGroups.of(np.tile(own, 2), np.concatenate([own, other]))
    scores = random.normal(1.5 * same) + moved[groups.first] + moved[groups.second]
    return scores, same, groups


def counted(
    scores: np.ndarray, same: np.ndarray, groups: PairGroups, threshold: float, rate: float
) -> PeopleCounts:
    """Pair by pair."""
    table = np.zeros((4, groups.n), dtype=np.int64)
    for score, kind, a, b in zip(scores, same, groups.first, groups.second, strict=True):
        for person in {int(a), int(b)}:
            table[0 if kind else 2, person] += 1
            table[1 if kind else 3, person] += score > threshold
    return PeopleCounts(*table, rate=rate)


def test_tar_and_its_interval_are_those_of_the_pairs() -> None:
    scores, same, groups = scored()
    curve = roc(scores, same)
    point, rate = tar_at_far(curve, 0.1), exchange_rate(curve, 0.1)
    people = counted(scores, same, groups, point.threshold, rate)
    assert (people.tar, people.far) == pytest.approx((point.tar, point.far))
    assert (people.n_genuine, people.n_impostor) == (point.n_genuine, point.n_impostor)
    expected, method = tar_interval(scores > point.threshold, same, groups, rate=rate)
    assert people.tar_interval()[1] == method == "bootstrap"
    # two people meet in several pairs: the pairs know that, the counts do not
    assert people.tar_interval()[0] == pytest.approx(expected, abs=0.01)


def test_eer_and_its_interval_are_those_of_the_pairs() -> None:
    scores, same, groups = scored()
    curve = roc(scores, same)
    place = eer_point(curve)
    value = float((curve.far[place] + curve.frr[place]) / 2)
    people = counted(
        scores, same, groups, float(curve.thresholds[place]), exchange_rate(curve, value)
    )
    assert people.eer == pytest.approx(value)
    expected, method = eer_interval(scores, same, groups)
    assert people.eer_interval()[1] == method == "bootstrap"
    assert people.eer_interval()[0] == pytest.approx(expected, abs=0.005)


def test_few_people_take_each_as_one_trial() -> None:
    scores, same, groups = scored(n_people=9, each=40)
    people = counted(scores, same, groups, 1.0, 1.0)
    assert people.tar_interval() == (exact_interval(round(people.tar * 9, 9), 9), "exact")
    assert people.eer_interval()[1] == "exact"
