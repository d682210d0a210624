"""Linear SVM and n-way k-shot: by hand, paired episodes, point clouds end to end, the board."""

import numpy as np
import pytest
import torch

from masquerade.benchmarks import n_way, svm
from masquerade.benchmarks.features import Features
from masquerade.benchmarks.opening import open_subject
from masquerade.benchmarks.protocol import TaskData
from masquerade.core.draws import Draws
from masquerade.core.errors import DataError
from masquerade.leaderboards.building import build_board
from masquerade.modalities.point_cloud.sources import open_source


def features(n, width=3, classes=3, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    values = random.normal(size=(n, width)) + 3 * labels[:, None]
    return Features(
        values.astype(np.float32), labels, tuple(f"{seed}/{i}" for i in range(n)),
        tuple("abcdefgh"[:classes]),
    )  # fmt: skip


def test_the_machine_is_the_widest_margin_of_unscaled_features():
    """Two points a class on a line, the second column a hundred times as wide but useless."""
    train = Features(
        np.array([[0, 0], [0, 1], [2, 0], [2, 1]], np.float32), np.array([0, 0, 1, 1]),
        ("a", "b", "c", "d"), ("l", "r"),
    )  # fmt: skip
    classify = svm.linear_machine(svm.Settings(c=1e3))
    test = np.array([[0.9, 50], [1.1, -50], [0.99, 0], [1.01, 0]], np.float32)
    assert classify(train, test, 0).tolist() == [0, 1, 0, 1]


def test_one_class_is_answered_by_itself():
    train = Features(np.zeros((2, 2), np.float32), np.array([1, 1]), ("a", "b"), ("l", "r"))
    assert (
        svm.linear_machine(svm.Settings())(train, np.ones((3, 2), np.float32), 0).tolist()
        == [1] * 3
    )


def test_episodes_are_balanced_paired_and_change_with_the_seed():
    train, test = features(120, classes=6), features(90, classes=6, seed=1)
    settings = n_way.Settings(ways=4, shots=5, queries=7)
    support, queries = n_way.episode_rows(train, test, settings, 3)
    ways = np.unique(train.labels[support])
    assert len(ways) == 4
    assert (np.bincount(train.labels[support])[ways] == 5).all()
    assert (np.bincount(test.labels[queries])[ways] == 7).all()
    assert len(set(support)) == 20
    wide = Features(np.zeros((120, 9), np.float32), train.labels, train.keys, train.classes)
    assert (n_way.episode_rows(wide, test, settings, 3)[0] == support).all()
    drawn = {tuple(n_way.episode_rows(train, test, settings, seed)[0]) for seed in range(6)}
    assert len(drawn) == 6


def test_too_few_classes_for_an_episode_are_refused():
    train, test = features(30), features(30, seed=1)
    with pytest.raises(DataError, match="3 classes have 5 train and 5 test samples"):
        n_way.episode_rows(train, test, n_way.Settings(ways=4, shots=5, queries=5), 0)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Balls, boxes and sticks of random proportions: 20 of each to learn from, 10 to be told."""
    folder = tmp_path_factory.mktemp("shapes")
    for split, first, each in (("train", 0, 20), ("test", 100, 10)):
        ids = torch.arange(first, first + 3 * each)
        noise = Draws(0, ids, stream="shapes").normal(96, 3)
        label = ids % 3
        ball = noise / noise.norm(dim=-1, keepdim=True)
        box = noise.clamp(-0.7, 0.7)
        stick = noise * torch.tensor([1.0, 0.1, 0.1])
        clouds = torch.stack([ball, box, stick])[label, torch.arange(len(ids))]
        np.savez(folder / f"{split}.npz", points=clouds.numpy(), label=label.numpy())
    train, test = (open_source(folder / f"{name}.npz") for name in ("train", "test"))
    return TaskData("shapes", train, test)


def subject_of(name, like=None):
    return open_subject(
        name, preprocessing={"points": 64, "augment": "none"}, modality="point-cloud", like=like
    )


@pytest.mark.parametrize("name", ["chance", "raw", "random:point-m2ae@point-m2ae-tiny"])
def test_shapes_are_told_apart_by_every_subject_but_chance(name, shapes):
    subject = subject_of(name)
    found = svm.run(subject, shapes, svm.Settings(c=1.0)).record.claim
    accuracy = found.metrics["accuracy"]
    assert accuracy.n == 30
    assert accuracy.interval is not None
    assert (accuracy.value == pytest.approx(1 / 3)) if name == "chance" else (accuracy.value > 0.6)
    few = n_way.run(subject, shapes, n_way.Settings(ways=2, shots=5, queries=5, episodes=4))
    metric = few.record.claim.metrics["accuracy"]
    assert (metric.n, metric.n_of, len(metric.parts)) == (4, "seeds", 4)
    assert n_way.score(few.predictions)["accuracy"] == metric


def test_the_board_shows_published_rows(tmp_path):
    board = build_board("point-cloud", tmp_path)
    (table,) = board.references
    assert [row.subject for row in table.rows][:2] == ["I2P-MAE", "Point-M2AE"]
