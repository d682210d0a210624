"""Parts of labelled sets and sets put together: whose picture is whose stays true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masquerade.core.errors import DataError
from masquerade.core.modality import Sample, Source
from masquerade.modalities.fingerprints import fingerprint
from masquerade.modalities.image.faces.training_sets import LabelledPart, Together, cut

counts = st.lists(st.integers(0, 6), min_size=1, max_size=6).filter(sum)


class People(Source):
    """Arrays that say which picture of whom they are; people without pictures are named, too."""

    def __init__(self, name: str, n: list[int], template: str | None = None) -> None:
        self.name, self.template = name, template
        self.classes = tuple(f"{name}{i}" for i in range(len(n)))
        self.labels = np.repeat(np.arange(len(n)), n).astype(np.int64)
        self.numbers = [k for many in n for k in range(many)]
        self.keys = [
            f"{self.classes[i]}/{k}" for i, k in zip(self.labels, self.numbers, strict=True)
        ]

    def read(self, index: int) -> Sample:
        label = int(self.labels[index])
        return Sample(self.keys[index], np.array([label, self.numbers[index]]), label)

    def fingerprint(self) -> str:
        return fingerprint(self)


def whose(source: Source) -> dict[str, tuple[str, list[int]]]:
    """Key → (person, content), as read."""
    samples = [source.read(i) for i in range(len(source))]
    assert [s.label for s in samples] == source.labels.tolist()
    assert [s.key for s in samples] == list(source.keys)
    return {s.key: (source.classes[s.label], s.content.tolist()) for s in samples}


@given(counts, st.integers(1, 7), st.data())
def test_a_cut_takes_first_identities_and_equal_shares(n: list[int], most: int, data) -> None:
    source = People("p", n)
    there = [i for i, many in enumerate(n) if many][:most]
    available = sum(n[i] for i in there)
    wanted = data.draw(st.integers(1, available))
    part = cut(source, most, wanted, "part")
    assert len(part) == wanted
    assert whose(part).items() <= whose(source).items()
    assert list(part.keys) == sorted(part.keys, key=source.keys.index)
    taken = {i: sum(key.startswith(f"p{i}/") for key in part.keys) for i in there}
    assert sum(taken.values()) == wanted
    highest = max(taken.values())
    # nobody has two fewer than another, unless there are no more of them
    assert all(many >= highest - 1 or many == n[i] for i, many in taken.items())
    first = {f"p{i}/{k}" for i, many in taken.items() for k in range(many)}
    assert set(part.keys) == first
    assert len(part.classes) == len(np.unique(part.labels)) == sum(1 for m in taken.values() if m)


@given(st.lists(counts, min_size=1, max_size=3))
def test_together_each_identity_stays_its_own(several: list[list[int]]) -> None:
    sources = [People("p", n) for n in several]  # the same names in each
    joined = Together(sources, "all")
    found = whose(joined)
    assert len(joined) == len(found) == sum(map(sum, several))
    for number, source in enumerate(sources):
        for key, (person, content) in whose(source).items():
            assert found[f"{number}/{key}"] == (f"{number}/{person}", content)
    assert len(set(joined.classes)) == sum(map(len, several))
    assert int(joined.labels.max()) < len(joined.classes)


def test_a_part_has_a_fingerprint_of_its_own() -> None:
    source = People("p", [3, 2])
    whole = LabelledPart(source, np.arange(5), "whole")
    assert whole.fingerprint() == source.fingerprint()
    assert cut(source, 2, 4, "part").fingerprint() != source.fingerprint()


def test_templates_pass_through_and_must_agree() -> None:
    one, other = People("a", [2], "arcface-112"), People("b", [2], "dlib-150")
    plain = People("c", [2])
    assert cut(one, 1, 1, "part").template == "arcface-112"
    assert Together([plain, one], "both").template == "arcface-112"
    with pytest.raises(DataError, match="a holds faces of the template 'arcface-112', b of 'dlib"):
        Together([one, other], "both")


def test_too_few_pictures_and_no_labels_are_refused() -> None:
    with pytest.raises(DataError, match="p has 4 pictures of 2 identities, expected at least 5"):
        cut(People("p", [2, 2, 2]), 2, 5, "part")
    unlabelled = People("p", [2])
    unlabelled.labels = None
    with pytest.raises(DataError, match="does not say whose faces"):
        Together([unlabelled], "all")
