"""Pooled templates against the card's sentence in loops, and what is refused."""

import numpy as np
import pytest

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.templates import Pooling, unit_templates


def by_loops(
    features: np.ndarray, picture: list, template: list, media: list, score: list
) -> np.ndarray:
    """Score × feature; the mean of each medium; the sum over media; unit length."""
    rows = []
    for name in sorted(set(template)):
        total = np.zeros(features.shape[1])
        for medium in sorted({m for m, t in zip(media, template, strict=True) if t == name}):
            inside = [
                score[r] * features[picture[r]]
                for r in range(len(template))
                if template[r] == name and media[r] == medium
            ]
            total += sum(inside) / len(inside)
        rows.append(total / np.sqrt((total**2).sum()))
    return np.array(rows)


@pytest.mark.parametrize("block", [1, 7, 100])
def test_templates_equal_loops_whatever_the_blocks(block: int) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(40, 6))
    picture = random.integers(0, 40, 60).tolist()  # a picture may stand in several templates
    template = [0, 1, 2, 3, 4, *random.integers(0, 5, 55).tolist()]
    media = random.integers(0, 3, 60).tolist()
    score = random.random(60).tolist()
    pooling = Pooling.of(picture, template, media, score, (5, 40))
    order = random.permutation(40)
    parts = [order[start : start + block] for start in range(0, 40, block)]
    sums = pooling.pooled((part, features[part]) for part in parts)
    expected = by_loops(features, picture, template, media, score)
    np.testing.assert_allclose(unit_templates(sums, "abcde"), expected, rtol=1e-5, atol=1e-7)


def test_a_video_counts_as_much_as_a_photograph() -> None:
    """Two frames of medium 0 and one photograph: (e1 + e1) / 2 + e2."""
    pooling = Pooling.of([0, 1, 2], [0, 0, 0], [0, 0, 1], [1, 1, 1], (1, 3))
    sums = pooling.pooled([(np.arange(3), np.array([[1.0, 0], [1.0, 0], [0, 1.0]]))])
    assert sums.tolist() == [[1.0, 1.0]]


def test_a_zero_template_is_named() -> None:
    with pytest.raises(ValidationError, match="template t7: expected .* got length 0"):
        unit_templates(np.array([[1.0, 0], [0, 0]]), ["t3", "t7"])


@pytest.mark.parametrize(
    ("score", "template", "said"),
    [([-1.0], [0], r"score\[0\]: expected at least 0"), ([np.nan], [0], "finite"),
     ([1.0], [0, 0], "equal lengths")],
)  # fmt: skip
def test_bad_lists_are_refused(score: list, template: list, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Pooling.of([0], template, [0], score, (1, 1))
