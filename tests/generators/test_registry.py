"""The table of generators, and one's own by its import string."""

import pytest

from masquerade.core.errors import UsageError
from masquerade.generators.registry import GENERATORS, generator


def test_own_generator_opens_by_its_import_string(ovals):
    assert generator("ovals:Ovals") is ovals.Ovals
    assert "vec2face" in GENERATORS


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("vec2fase", r"unknown name 'vec2fase' among generators; did you mean 'vec2face'\?"),
        ("no_such_module:Class", "cannot import the generator 'no_such_module:Class'"),
        ("ovals:Nothing", "cannot import the generator 'ovals:Nothing'"),
    ],
)
def test_unknown_generator_is_one_sentence(ovals, name, sentence):
    with pytest.raises(UsageError, match=sentence):
        generator(name)
