"""Pairs of a folder per person: all genuine, as many impostor, dealt to ten folds."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from masquerade.core.errors import DataError
from masquerade.core.modality import Sample, Source
from masquerade.modalities.catalogue import resolve_data
from masquerade.modalities.image.faces.pair_sets import set_pairs


class People(Source):
    """Rows that nobody reads: a number of pictures per person."""

    def __init__(self, counts: dict[str, int]) -> None:
        self.name, self.classes = "people", tuple(sorted(counts))
        labels = [i for i, person in enumerate(self.classes) for _ in range(counts[person])]
        self.labels = np.array(labels, dtype=np.int64)
        self.keys = [f"{self.classes[label]}/{row:05d}" for row, label in enumerate(labels)]

    def read(self, index: int) -> Sample:
        raise AssertionError

    def fingerprint(self) -> str:
        return ""


@pytest.mark.parametrize("counts", [[3] * 40, [12, 3, 1, 1, 5], [30, 30], [2] * 400, [20, 1, 1]])
def test_all_genuine_pairs_and_as_many_impostors(counts: list[int]) -> None:
    source = People({f"p{i:03d}": n for i, n in enumerate(counts)})
    pairs = set_pairs(source, "people")
    rows = list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    every = {
        (a, b): source.labels[a] == source.labels[b] for a, b in combinations(range(len(source)), 2)
    }
    genuine = {pair for pair, same in every.items() if same}
    assert len(set(rows)) == len(rows)
    assert {pair for pair, same in zip(rows, pairs.same, strict=True) if same} == genuine
    n_impostor = min(len(genuine), len(every) - len(genuine))
    assert int((~pairs.same).sum()) == n_impostor
    assert all(every[pair] == same for pair, same in zip(rows, pairs.same, strict=True))
    assert (np.diff(pairs.fold) >= 0).all()
    for kind in (True, False):
        sizes = np.bincount(pairs.fold[pairs.same == kind], minlength=10)
        assert sizes.max() - sizes.min() <= 1


def test_impostors_are_drawn_evenly_and_by_the_seed_alone() -> None:
    source = People({f"p{i:02d}": 8 for i in range(20)})
    one, again, other = (set_pairs(source, "x", seed=seed) for seed in (0, 0, 1))
    assert one.first.tolist() == again.first.tolist()
    drawn = [
        set(zip(p.first[~p.same].tolist(), p.second[~p.same].tolist(), strict=True))
        for p in (one, other)
    ]
    assert drawn[0] != drawn[1]
    counts = np.zeros(160)
    for seed in range(30):
        pairs = set_pairs(source, "x", seed=seed)
        counts += np.bincount(pairs.first[~pairs.same], minlength=160)
        counts += np.bincount(pairs.second[~pairs.same], minlength=160)
    expected = 30 * 560 * 2 / 160
    assert abs(counts - expected).max() < 6 * np.sqrt(expected)


def test_listed_people_are_compared_inside_their_source_only() -> None:
    counts = {f"att_s{i:02d}": 3 for i in range(2, 12)} | {
        f"essex94_p{i:02d}": 3 for i in range(1, 9)
    }
    pairs = set_pairs(People(counts), "faces")
    assert set(pairs.origin) == {"att", "essex94"}
    assert pairs.identities is not None
    for a, b, origin in zip(pairs.first, pairs.second, pairs.origin, strict=True):
        assert {pairs.identities[row].split("_")[0] for row in (a, b)} == {origin}
    strangers = set_pairs(People({"att_unknown": 5, "essex94_unknown": 5}), "faces")
    assert set(strangers.origin) == {""}


def test_one_person_or_too_few_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one shows one person only"):
        set_pairs(People({"ann": 30}), "one")
    with pytest.raises(DataError, match="gives 0 genuine pairs"):
        set_pairs(People({f"p{i}": 1 for i in range(30)}), "singles")
    with pytest.raises(DataError, match="gives 3 genuine pairs, expected at least 10"):
        set_pairs(People({"ann": 3, "bob": 1}), "few")
    from PIL import Image as Pillow

    Pillow.new("RGB", (8, 8)).save(tmp_path / "loose.png")
    with pytest.raises(DataError, match="does not say who"):
        set_pairs(resolve_data(str(tmp_path)), "loose")
