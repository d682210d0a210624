"""Variation inside and between identities: by hand, and unbiased in the number of pictures."""

import numpy as np
import pytest

from masquerade.core.errors import ValidationError
from masquerade.core.metrics.variation import variation


def test_sums_and_deviations_by_hand() -> None:
    found = variation([0, 2, 4, 6, 8], [5, 5, 1, 1, 1])
    assert found.n.tolist() == [3, 2]  # by label
    assert found.inside.tolist() == [8, 2]
    assert found.apart.tolist() == [6.25, 6.25]  # means 6 and 1 about 3.5
    assert found.within**2 == pytest.approx(10 / 3)
    assert found.between**2 == pytest.approx(12.5 - 10 / 3 * (1 / 3 + 1 / 2) / 2)


def test_several_values_are_averaged() -> None:
    random = np.random.default_rng(0)
    values, who = random.normal(size=(30, 4)), np.arange(30) % 6
    whole = variation(values, who)
    columns = [variation(values[:, i], who) for i in range(4)]
    assert whole.within**2 == pytest.approx(np.mean([c.within**2 for c in columns]))


@pytest.mark.parametrize("m", [2, 3, 12])
def test_number_of_pictures_does_not_move_the_deviations(m: int) -> None:
    random = np.random.default_rng(m)
    centres = random.normal(0, 2, (3000, 1))
    values = centres + random.normal(0, 3, (3000, m))
    found = variation(values.reshape(-1), np.repeat(np.arange(3000), m))
    assert found.within == pytest.approx(3, rel=0.03)
    assert found.between == pytest.approx(2, rel=0.05)


def test_identical_identities_vary_by_nothing() -> None:
    found = variation([1, 1, 1, 1], [0, 0, 1, 1])
    assert (found.within, found.between) == (0, 0)


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(ValidationError, match="none has two pictures"):
        variation([1, 2], [0, 1]).within  # noqa: B018
    with pytest.raises(ValidationError, match="expected two or more"):
        variation([1, 2], [0, 0]).between  # noqa: B018
    with pytest.raises(ValidationError, match=r"values\[1\]"):
        variation([1, np.nan], [0, 0])
    with pytest.raises(ValidationError, match="values and identities"):
        variation([1, 2], [0])
