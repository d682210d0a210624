"""Few-shot: paired support sets, ridge in closed form, intervals over draws."""

import numpy as np
import pytest

from masquerade.benchmarks import few_shot
from masquerade.benchmarks.features import Features
from masquerade.benchmarks.opening import open_subject
from masquerade.benchmarks.protocol import TaskData
from masquerade.benchmarks.subjects import ModelSubject
from masquerade.core.errors import DataError


def split(n: int, width: int, seed: int = 0) -> Features:
    random = np.random.default_rng(seed)
    values = random.normal(size=(n, width)).astype(np.float32)
    return Features(values, np.arange(n) % 3, tuple(map(str, range(n))), ("a", "b", "c"))


def test_support_sets_are_nested_balanced_and_the_same_for_all_subjects() -> None:
    one, other = split(60, 4, seed=0), split(60, 9, seed=1)
    sets = {shots: few_shot.support_rows(one, shots, seed=2) for shots in (1, 5, 10)}
    assert np.bincount(one.labels[sets[10]]).tolist() == [10, 10, 10]
    assert set(sets[1]) < set(sets[5]) < set(sets[10])
    assert (few_shot.support_rows(other, 5, seed=2) == sets[5]).all()
    assert (few_shot.support_rows(one, 5, seed=3) != sets[5]).any()


def test_too_few_samples_of_a_class_are_named() -> None:
    with pytest.raises(DataError, match=r"class 'a': expected >= 5 train samples, got 3"):
        few_shot.support_rows(split(9, 2), 5, 0)


@pytest.mark.parametrize("width", [3, 40])
def test_ridge_equals_the_normal_equations(width: int) -> None:
    support, test = split(12, width), split(50, width, seed=1)
    labels, ridge = support.classes_of, 0.3
    x = support.values.astype(float) - support.values.mean(0)
    y = np.eye(3)[labels] - np.eye(3)[labels].mean(0)
    weights = np.linalg.inv(x.T @ x + ridge * 12 * np.eye(width)) @ x.T @ y
    expected = (test.values - support.values.mean(0)) @ weights + np.eye(3)[labels].mean(0)
    found = few_shot.ridge_classes(
        support.values.astype(float), labels, test.values.astype(float), ridge
    )
    assert (found == expected.argmax(1)).all()


def test_ridge_gives_back_label_values_not_positions() -> None:
    found = few_shot.ridge_classes(np.array([[-1.0], [1.0]]), np.array([4, 7]),
                                   np.array([[-2.0], [3.0]]), 0.1)  # fmt: skip
    assert found.tolist() == [4, 7]


def test_record_is_over_draws_with_the_t_interval(subject: ModelSubject, data: TaskData) -> None:
    result = few_shot.run(subject, data, few_shot.Settings(shots=(1, 5), seeds=5)).record
    assert result.claim.main_metric == "accuracy_5_shot"
    metric = result.claim.metrics["accuracy_5_shot"]
    assert (metric.n, metric.n_of, metric.interval_method) == (5, "seeds", "seeds")
    runs = np.array(metric.parts)
    half = 2.7764451 * runs.std(ddof=1) / np.sqrt(5)  # t(4) at 97.5 %
    assert metric.interval == pytest.approx((runs.mean() - half, runs.mean() + half))
    assert metric.value > result.claim.metrics["accuracy_1_shot"].value


def test_fewer_than_five_draws_print_no_interval(subject: ModelSubject, data: TaskData) -> None:
    result = few_shot.run(subject, data, few_shot.Settings(seeds=4)).record
    assert result.main.interval is None
    assert result.main.interval_method is None


def test_two_subjects_are_paired(subject: ModelSubject, data: TaskData) -> None:
    raw = open_subject("raw", like=subject)
    settings = few_shot.Settings(shots=(10,), seeds=2)
    one, other = (few_shot.run(s, data, settings).predictions for s in (subject, raw))
    assert one[["key", "label", "shots", "seed"]].equals(other[["key", "label", "shots", "seed"]])
    assert not one["predicted"].equals(other["predicted"])
