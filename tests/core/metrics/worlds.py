"""Simulated worlds whose truth is known, for counting how often an interval holds it.

People differ: each has a share of right answers, or a number of her own that moves all of her
scores, so that her pictures and pairs hang together. A score of a pair is the sum of its two
people's numbers and noise, and higher where the pair is genuine: its distribution, and with it
every rate at every threshold, has a closed form.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import stats

from masquerade.core.metrics.exceedance import exceedance
from masquerade.core.metrics.identification import open_set, open_set_interval
from masquerade.core.metrics.intervals import (
    Interval,
    class_mean_interval,
    paired_interval,
    proportion_interval,
    ratio_interval,
    seeds_interval,
)
from masquerade.core.metrics.pair_folds import decide, far_threshold, grid_threshold
from masquerade.core.metrics.pair_intervals import (
    PairGroups,
    accuracy_difference_interval,
    accuracy_interval,
    eer_interval,
    tar_interval,
)
from masquerade.core.metrics.people_counts import PeopleCounts
from masquerade.core.metrics.verification import eer, eer_point, exchange_rate, roc

Random = np.random.Generator
Drawn = tuple[float, Interval | None, str]  # the value, its interval, and how that was made


@dataclass(frozen=True)
class World:
    """What is drawn, and what the mean of infinitely many draws would be.

    Attributes:
        name: for people.
        draw: one study of it.
        truth: in closed form; None = the mean of the values drawn, where the protocol itself
            (a threshold chosen on other folds) has no closed form.
        method: the one that is offered there; "" where it depends on the draw.
    """

    name: str
    draw: Callable[[Random], Drawn]
    truth: float | None
    method: str = ""


@dataclass(frozen=True)
class Coverage:
    """How often an interval held the truth.

    Attributes:
        held: share of the draws that have an interval; NaN where none has, as all that follow.
        below: share of them whose interval lies below the truth, `above` above it.
        methods: share of all draws by method; "none" without an interval.
        width: mean width.
    """

    held: float
    below: float
    above: float
    methods: dict[str, float]
    width: float


def coverage(world: World, n_draws: int, seed: int = 0) -> Coverage:
    """How often the intervals of a world hold its truth."""
    random = np.random.default_rng(seed)
    drawn = [world.draw(random) for _ in range(n_draws)]
    values = np.array([value for value, *_ in drawn])
    truth = float(values.mean()) if world.truth is None else world.truth
    names = [method if ends is not None else "none" for _, ends, method in drawn]
    methods = {name: names.count(name) / n_draws for name in sorted(set(names))}
    ends = np.array([ends for _, ends, _ in drawn if ends is not None])
    if not len(ends):
        return Coverage(np.nan, np.nan, np.nan, methods, np.nan)
    below, above = (ends[:, 1] < truth).mean(), (ends[:, 0] > truth).mean()
    return Coverage(
        held=float(1 - below - above), below=float(below), above=float(above), methods=methods,
        width=float(np.diff(ends).mean()),
    )  # fmt: skip


def _items(p: float, n: int, random: Random) -> Drawn:
    values = (random.random(n) < p).astype(float)
    return values.mean(), *proportion_interval(values)


def _precisions(share: float, n: int, random: Random) -> Drawn:
    """Scores such as average precision: many 1, the others anywhere."""
    values = np.where(random.random(n) < share, 1.0, random.random(n))
    return values.mean(), *proportion_interval(values)


def _people(
    p: float, alike: float, sizes: str, each: int, n: int, random: Random
) -> tuple[np.ndarray, np.ndarray]:
    """Right answers and answers of n people."""
    counts = np.full(n, each)
    if sizes == "unequal":
        counts = 1 + random.poisson(random.gamma(1, each, n))
    if alike == 1:
        rates = (random.random(n) < p).astype(float)
    else:
        rates = random.beta(p * (1 - alike) / alike, (1 - p) * (1 - alike) / alike, n)
    return random.binomial(counts, rates).astype(float), counts.astype(float)


def _groups(p: float, alike: float, sizes: str, each: int, n: int, random: Random) -> Drawn:
    right, counts = _people(p, alike, sizes, each, n, random)
    return right.sum() / counts.sum(), *ratio_interval(right, counts)


def _classes(random: Random) -> Drawn:
    """Ten classes of 4 … 22 items, each right in 0 … 3 of three seeds."""
    classes = np.repeat(np.arange(10), np.arange(4, 24, 2))
    right = random.beta(4, 1 + classes / 5) > random.random((3, len(classes)))
    items = right.mean(axis=0)
    value = float(np.mean([items[classes == c].mean() for c in range(10)]))
    return value, *(class_mean_interval(items, classes) or (None, ""))


def _seeds(n: int, random: Random) -> Drawn:
    """Each seed's accuracy on 300 items, itself 1 % off."""
    rates = random.normal(0.8, 0.01, n)
    values = random.binomial(300, rates) / 300
    return values.mean(), seeds_interval(values), "seeds"


def _paired(better: float, worse: float, n: int, random: Random) -> Drawn:
    draw = random.random(n)
    one, other = draw < better, (draw >= better) & (draw < better + worse)
    found = paired_interval(one.astype(float), other.astype(float), over="items")
    return float(one.mean() - other.mean()), found, "bootstrap"


@dataclass(frozen=True)
class Faces:
    """Pairs of people: `n_pairs` genuine and impostor ones each, or all where that is 0.

    Attributes:
        n_people: of the list.
        n_pairs: of either kind.
        shift: by which genuine scores are higher.
        spread: of the people's numbers, beside noise of 1.
        target: false accept rate.
        each: pictures of a person, where all pairs are compared.
    """

    n_people: int
    n_pairs: int
    shift: float
    spread: float
    target: float = 0.05
    each: int = 4

    @property
    def genuine(self) -> float:
        """The deviation of genuine scores: both pictures have the number of one person."""
        return float(np.sqrt(1 + 4 * self.spread**2))

    @property
    def impostor(self) -> float:
        """The deviation of impostor scores."""
        return float(np.sqrt(1 + 2 * self.spread**2))

    @property
    def eer(self) -> float:
        """Where both tails are equal."""
        return float(stats.norm.sf(self.shift / (self.genuine + self.impostor)))

    def pairs(self, random: Random) -> tuple[np.ndarray, np.ndarray, PairGroups]:
        """Scores, kinds and people."""
        own, other, same = self._listed(random)
        number = self.spread * random.normal(size=self.n_people)
        noise = random.normal(size=len(same))
        return number[own] + number[other] + self.shift * same + noise, same, PairGroups.of(
            own, other
        )  # fmt: skip

    def _listed(self, random: Random) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n, size = self.n_pairs, self.n_people
        if n == 0:
            person = np.repeat(np.arange(size), self.each)
            one, two = np.triu_indices(len(person), 1)
            return person[one], person[two], person[one] == person[two]
        own, first = random.integers(0, size, (2, n))
        second = (first + random.integers(1, size, n)) % size
        order = random.permutation(2 * n)
        same = np.repeat([True, False], n)[order]
        return np.append(own, first)[order], np.append(own, second)[order], same


def _distances(scores: np.ndarray) -> np.ndarray:
    return np.clip(2 - scores / 4, 0, 4)  # where the published grids lie


def _folds(same: np.ndarray) -> np.ndarray:
    folds = np.empty(len(same), np.int64)
    for kind in (True, False):
        rows = np.flatnonzero(same == kind)
        folds[rows] = np.arange(len(rows)) % 10
    return folds


def _accuracy(faces: Faces, random: Random) -> Drawn:
    scores, same, groups = faces.pairs(random)
    found = decide(_distances(scores), same, _folds(same), grid_threshold)
    return found.accuracy, *accuracy_interval(found.correct, same, found.fold, groups)


def _accuracy_gap(faces: Faces, worse: float, random: Random) -> Drawn:
    """Two nets on the same pairs, whose noise is their own in part."""
    scores, same, groups = faces.pairs(random)
    folds, correct = _folds(same), []
    for noise in (0.5, worse):
        own = scores + noise * random.normal(size=len(scores))
        correct.append(decide(_distances(own), same, folds, grid_threshold).correct.astype(float))
    gaps = correct[0] - correct[1]
    value = float(np.mean([gaps[folds == fold].mean() for fold in range(10)]))
    return value, accuracy_difference_interval(gaps, same, folds, groups), "bootstrap"


def _eer(faces: Faces, random: Random) -> Drawn:
    scores, same, groups = faces.pairs(random)
    return eer(roc(scores, same)), *eer_interval(scores, same, groups)


def _tar(faces: Faces, random: Random) -> Drawn:
    scores, same, groups = faces.pairs(random)
    found = decide(_distances(scores), same, _folds(same), far_threshold(faces.target))
    rate = exchange_rate(roc(scores, same), faces.target)
    return found.tar, *tar_interval(found.accepted, same, groups, rate=rate)


def _counted_eer(faces: Faces, random: Random) -> Drawn:
    """As of templates: from each person's counts."""
    scores, same, groups = faces.pairs(random)
    curve = roc(scores, same)
    place = eer_point(curve)
    accepted = scores > curve.thresholds[place]
    value = float((curve.far[place] + curve.frr[place]) / 2)
    columns = []
    for kind in (same, ~same):
        for chosen in (kind, kind & accepted):
            count = np.bincount(groups.first[chosen], minlength=groups.n)
            if kind is not same:
                count = count + np.bincount(groups.second[chosen], minlength=groups.n)
            columns.append(count)
    people = PeopleCounts(*columns, rate=exchange_rate(curve, value))
    return people.eer, *people.eer_interval()


def _searches(n_people: int, n_strangers: int, fpir: float, random: Random) -> Drawn:
    """Three searches a person: the right one is first in 90 %, its score 3 higher."""
    owner, stranger = (np.repeat(np.arange(n), 3) for n in (n_people, n_strangers))
    score, strange = (
        random.normal(shift, 0.7, n)[who] + random.normal(0, 0.7, len(who))
        for shift, n, who in ((3, n_people, owner), (0, n_strangers, stranger))
    )
    rank = np.where(random.random(len(owner)) < 0.9, 1, 2)
    found = open_set(rank, score, strange, fpir)
    return found.tpir, *open_set_interval(
        rank, score, strange, fpir, owner=owner, stranger_owner=stranger
    )


def _tpir(fpir: float) -> float:
    width = np.hypot(0.7, 0.7)
    return float(0.9 * stats.norm.sf(stats.norm.isf(fpir, scale=width), 3, width))


def _exceedance(n: int, n_others: int, random: Random) -> Drawn:
    """Two values a person, of two sets one deviation apart."""
    one, other = (
        (random.normal(shift, 0.8, (size, 1)) + random.normal(0, 0.6, (size, 2))).reshape(-1)
        for shift, size in ((1.0, n), (0.0, n_others))
    )
    who, others = np.repeat(np.arange(n), 2), np.repeat(np.arange(n_others), 2)
    return exceedance(one, who, other, others)


def _class_truth() -> float:
    return float(np.mean([4 / (4 + 1 + c / 5) for c in range(10)]))


LFW10, LISTED, SPARSE, DENSE = (
    Faces(9, 90, 3.0, 0.5), Faces(61, 300, 2.5, 0.4), Faces(1500, 1000, 3.0, 0.3, 0.02),
    Faces(100, 0, 2.5, 0.4, 0.01),
)  # fmt: skip


def _pair_worlds(name: str, faces: Faces, method: str) -> list[World]:
    return [
        World(f"accuracy, {name}", partial(_accuracy, faces), None, method),
        World(f"EER, {name}", partial(_eer, faces), faces.eer, method),
        World(f"TAR at {faces.target}, {name}", partial(_tar, faces), None, method),
    ]


def _group_worlds() -> list[World]:
    found = []
    for n in (30, 60, 300):
        for p in (0.5, 0.8, 0.95):
            for alike in (0.02, 0.3, 0.8):
                for each, sizes in ((3, "equal"), (20, "equal"), (8, "unequal")):
                    name = f"{n} people × {each} ({sizes}), {p}, alike {alike}"
                    found.append(World(name, partial(_groups, p, alike, sizes, each, n), p))
    return found


# one of each method and regime: what the test counts
WORLDS = {
    "300 items": World("300 items, 0.8 right", partial(_items, 0.8, 300), 0.8, "exact"),
    "20 items": World("20 items, 0.9 right", partial(_items, 0.9, 20), 0.9, "exact"),
    "scores": World("60 average precisions", partial(_precisions, 0.4, 60), 0.7, "bootstrap"),
    "people": World(
        "40 people × 20, 0.8", partial(_groups, 0.8, 0.1, "equal", 20, 40), 0.8, "bootstrap"
    ),
    "unequal people": World(
        "100 people × 8 (unequal), 0.8", partial(_groups, 0.8, 0.1, "unequal", 8, 100), 0.8,
        "bootstrap",
    ),
    "few people": World("9 people × 20", partial(_groups, 0.9, 0.2, "equal", 20, 9), 0.9, "exact"),
    "few errors": World(
        "60 people × 3, 0.99", partial(_groups, 0.99, 0.1, "equal", 3, 60), 0.99, "exact"
    ),
    "one large": World(
        "20 people × 8 (unequal), 0.9", partial(_groups, 0.9, 0.3, "unequal", 8, 20), 0.9, "exact"
    ),
    "classes": World("mean of ten classes", _classes, _class_truth(), "bootstrap"),
    "seeds": World("five seeds", partial(_seeds, 5), 0.8, "seeds"),
    "paired": World("100 paired items", partial(_paired, 0.2, 0.1, 100), 0.1, "bootstrap"),
    "searches": World(
        "TPIR, 80 people and 80 strangers", partial(_searches, 80, 80, 0.1), _tpir(0.1),
        "bootstrap",
    ),
    "accuracy": World("accuracy, 61 people", partial(_accuracy, LISTED), None, "bootstrap"),
    "eer": World("EER, 61 people", partial(_eer, LISTED), LISTED.eer, "bootstrap"),
    "tar": World("TAR, 61 people", partial(_tar, LISTED), None, "bootstrap"),
    "nine": World("accuracy, 9 people", partial(_accuracy, LFW10), None, "exact"),
}  # fmt: skip


def every_world() -> list[World]:
    """All that the study counts."""
    exact = [
        World(f"{n} items, {p}", partial(_items, p, n), p, "exact")
        for n in (10, 30, 100, 1000) for p in (0.5, 0.9, 0.99)
    ]  # fmt: skip
    scores = [
        World(f"{n} average precisions, {0.5 + share / 2}", partial(_precisions, share, n),
              0.5 + share / 2, "bootstrap")
        for n in (30, 100, 1000) for share in (0.0, 0.4, 0.8)
    ]  # fmt: skip
    few = [
        World(f"{n} people × {each} ({sizes}), {p}, alike 0.3",
              partial(_groups, p, 0.3, sizes, each, n), p, "exact")
        for n in (5, 9, 20) for p in (0.5, 0.9, 0.98)
        for each, sizes in ((20, "equal"), (8, "unequal"))
    ]  # fmt: skip
    seeds = [World(f"{n} seeds", partial(_seeds, n), 0.8, "seeds") for n in (5, 10)]
    paired = [
        World(f"{n} paired items, +{up} −{down}", partial(_paired, up, down, n), up - down)
        for n in (30, 100, 1000)
        for up, down in ((0.3, 0.3), (0.2, 0.05), (0.05, 0.05), (0.1, 0.0), (0.6, 0.1))
    ]  # fmt: skip
    pairs = [
        *_pair_worlds("9 people, 180 pairs", LFW10, "exact"),
        *_pair_worlds("17 people, 240 pairs", Faces(17, 120, 3.0, 0.5), "exact"),
        *_pair_worlds("40 people, 400 pairs", Faces(40, 200, 2.5, 0.4), ""),
        *_pair_worlds("61 people, 600 pairs", LISTED, ""),
        *_pair_worlds("61 people very unlike, 600 pairs", Faces(61, 300, 3.0, 0.9), ""),
        *_pair_worlds("200 people, 2,000 pairs", Faces(200, 1000, 3.0, 0.5, 0.01), ""),
        *_pair_worlds("1,500 people, 2,000 pairs", SPARSE, ""),
        *_pair_worlds("1,500 people, few errors", Faces(1500, 1000, 4.5, 0.3, 0.01), ""),
        *_pair_worlds("100 people, all pairs", DENSE, "")[1:],
        World("EER from counts, 100 people, all pairs", partial(_counted_eer, DENSE), DENSE.eer),
        World("EER from counts, 61 people", partial(_counted_eer, LISTED), LISTED.eer),
        World("difference of accuracies, 61 people", partial(_accuracy_gap, LISTED, 1.5), None),
        World("difference of accuracies, 1,500 people", partial(_accuracy_gap, SPARSE, 1.0), None),
    ]  # fmt: skip
    searches = [
        World(f"TPIR at {fpir}, {n} people, {m} strangers", partial(_searches, n, m, fpir),
              _tpir(fpir))
        for n, m, fpir in ((40, 40, 0.1), (80, 80, 0.1), (300, 60, 0.1), (300, 400, 0.01))
    ]  # fmt: skip
    truth = float(stats.norm.cdf(1 / np.sqrt(2 * (0.8**2 + 0.6**2))))
    sets = [
        World(f"exceedance of {n} and {m} people", partial(_exceedance, n, m), truth)
        for n, m in ((10, 30), (40, 40), (60, 400))
    ]  # fmt: skip
    classes = [World("mean of ten classes of 4 … 22", _classes, _class_truth(), "bootstrap")]
    return [
        *exact, *scores, *few, *_group_worlds(), *classes, *seeds, *paired, *pairs, *searches,
        *sets,
    ]  # fmt: skip
