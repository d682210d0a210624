"""What each number of the demo means, and the range in which a right result has it.

Ranges come from repeated runs (`ranges`), or, where none fit the case (other faces, other
lengths), from what must hold in any: above the untrained net, above chance, nothing twice.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .ranges import RANGES
from .settings import DemoSettings
from .steps import Found

if TYPE_CHECKING:
    from ...core.metrics.intervals import Interval
    from ...core.records import Metric, Record

NOISE = 0.02  # of one seed's probe accuracy (the card, section 9)
_ACCEPTED = "tar_at_far_1e-1"
_ZERO_LOSS = 47 / 48  # of a prediction of zero: the variance of 48 patch values is the unbiased one


@dataclass(frozen=True)
class Verdict:
    """One number of the demo.

    Attributes:
        name: of the number.
        value: what was found.
        interval: of 95 %, where it has one.
        low: least of a right result; None = no bound.
        high: most of a right result; None = no bound.
        meaning: what the number says.
        digits: after the point, for a person.
    """

    name: str
    value: float
    interval: "Interval | None"
    low: float | None
    high: float | None
    meaning: str
    digits: int = 3

    @property
    def holds(self) -> bool:
        """Whether the value lies in its range."""
        above = self.low is None or self.value >= self.low
        return above and (self.high is None or self.value <= self.high)

    @property
    def found(self) -> str:
        """The value with its interval, for a person."""
        if self.interval is None:
            return self._text(self.value)
        low, high = map(self._text, self.interval)
        return f"{self._text(self.value)} [{low}, {high}]"

    @property
    def right(self) -> str:
        """The range, for a person; "" where none was measured in this case."""
        low, high = (None if end is None else self._text(end) for end in (self.low, self.high))
        if low is not None and high is not None:
            return f"{low} to {high}"
        return f"at least {low}" if low else f"at most {high}" if high else ""

    def _text(self, value: float) -> str:
        return f"{value:.{self.digits}f}"


class Judge:
    """Says of each number whether it is as a right result has it.

    Args:
        settings: of the demo that ran.
        tried_on: "real", where the recogniser was tried on the people for whom ranges were
            measured, "made" on synthesized ones, "others" on anybody else.
    """

    def __init__(self, settings: DemoSettings, tried_on: str) -> None:
        self._settings, self._tried_on = settings, tried_on

    def verdicts(self, found: Mapping[str, Found]) -> tuple[Verdict, ...]:
        """All verdicts on what the steps found, by the steps' slugs."""
        return tuple(
            verdict for step, judge in _JUDGES.items() if step in found
            for verdict in judge(self, found[step])
        )  # fmt: skip

    def generator(self, found: Found) -> Iterator[Verdict]:
        """Of an own generator: that it learned."""
        if "loss" in found.facts:
            yield self._verdict(
                "generator loss", found.facts["loss"], None, None,
                "the generator's training loss over its last steps",
            )  # fmt: skip

    def synthesis(self, found: Found) -> Iterator[Verdict]:
        """The certificate, the likeness to the vectors, copies."""
        facts = found.facts
        yield self._verdict(
            "largest cosine", facts["largest_cosine"], None, facts["tau"],
            "of two identities' vectors, over all pairs: nobody is anybody else's twin",
        )  # fmt: skip
        yield self._verdict(
            "likeness", facts["likeness"], 0.0, None,
            "how much nearer pictures are to their own identity's vector than to others', in "
            "cosines by the generator's face net; 0 would be no likeness at all",
        )  # fmt: skip
        yield self._count("copies", facts["repeated"], "pictures that equal another one")

    def data_set(self, found: Found) -> Iterator[Verdict]:
        """How a face net that is no kin of the generator sees the set."""
        own = found.records[0].claim.metrics
        yield self._metric(
            "auc of the set", own["auc"], 0.5, None,
            "how surely an independent face net tells two pictures of one synthesized person from "
            "pictures of two; 0.5 is guessing",
        )  # fmt: skip
        yield self._metric(
            "unique identities", own["unique_share"], None, None,
            "share of identities whose pictures this weak face net (PCA and LDA) keeps apart from "
            "all earlier ones; the real people's own share stands beside it on the page",
        )  # fmt: skip
        if self._tried_on != "made":
            yield self._metric(
                "recall", own["recall"], None, None,
                "share of real faces that look like some of the set's: next to none, because the "
                "small generator draws soft, frontal faces only",
            )  # fmt: skip

    def recogniser(self, found: Found) -> Iterator[Verdict]:
        """That the recogniser learned."""
        yield self._verdict(
            "recogniser loss", found.facts["loss"], None, None,
            "the recogniser's training loss over its last steps; it begins near 18",
        )  # fmt: skip

    def verification(self, found: Found) -> Iterator[Verdict]:
        """Accuracy on pairs, and what training brought."""
        own, others = found.records[0], _by_kind(found)
        yield self._metric(
            "verification accuracy", own.main, 0.5, None,
            f"share of pairs of {self._whose} judged rightly (one person or two?) by a recogniser "
            "that has seen synthesized faces only; 0.5 is guessing",
        )  # fmt: skip
        name = own.claim.main_metric
        if _ACCEPTED in own.claim.metrics:  # there are pairs enough for it
            name = _ACCEPTED
        what = (
            "that accuracy"
            if name == own.claim.main_metric
            else (
                "share of pairs of one person accepted when one in ten pairs of two people passes,"
            )
        )
        gain = own.claim.metrics[name].value - others["random"].claim.metrics[name].value
        yield self._verdict(
            "gain by training", gain, 0.0, None, f"{what} less the same net's before training"
        )

    def retrieval(self, found: Found) -> Iterator[Verdict]:
        """The ranked lists of faces."""
        own, others = found.records[0], _by_kind(found)
        chance = others["chance"].main.value
        yield self._metric(
            "retrieval mAP", own.main, chance, None,
            f"mean average precision when each picture of {self._whose} seeks the others of its "
            f"person; 1 is perfect, random vectors have {chance:.3f}",
        )  # fmt: skip

    def pretraining(self, found: Found) -> Iterator[Verdict]:
        """The reconstruction of hidden patches."""
        yield self._verdict(
            "reconstruction loss", found.facts["loss"], None, _ZERO_LOSS,
            "mean squared error of hidden patches of unseen crops, each patch normalized; "
            f"predicting nothing has {_ZERO_LOSS:.3f}",
        )  # fmt: skip

    def probe(self, found: Found) -> Iterator[Verdict]:
        """Each benchmark's accuracy, above the input and the untrained twin."""
        for slug in dict.fromkeys(r.claim.benchmark.name for r in found.records):
            own, *others = (r for r in found.records if r.claim.benchmark.name == slug)
            plain = max(
                (r for r in others if r.claim.subject.kind != "random"), key=lambda r: r.main.value
            )
            yield self._metric(
                f"{slug} accuracy", own.main, plain.main.value, None,
                "share of test crops whose photograph the frozen features tell; of 14, and at "
                f"least the best of chance and plain input ({plain.claim.subject.name} "
                f"{plain.main.value:.3f})",
            )  # fmt: skip
            if self._settings.name == "quick":  # too few steps to compare
                continue
            gain, interval = found.facts[f"{slug}: gain"]
            gained = self._verdict(
                f"{slug} gain", gain, -NOISE, None,
                "that accuracy less the same net's before pre-training; differences below "
                f"{NOISE} are noise",
            )  # fmt: skip
            yield replace(gained, interval=interval and (float(interval[0]), float(interval[1])))

    def page(self, found: Found) -> Iterator[Verdict]:
        """That every record holds."""
        yield self._count(
            "refused records", found.facts["problems"],
            "records that the check refuses or leaves without a rank, after computing every "
            "metric again from its stored predictions",
        )  # fmt: skip

    @property
    def _whose(self) -> str:
        return "held-out synthesized faces" if self._tried_on == "made" else "real faces"

    def _metric(
        self, slug: str, metric: "Metric", low: float | None, high: float | None, meaning: str
    ) -> Verdict:
        return replace(
            self._verdict(slug, metric.value, low, high, meaning), interval=metric.interval
        )

    def _count(self, slug: str, value: int, meaning: str) -> Verdict:
        """A count of what must not be."""
        return Verdict(slug, value, None, None, 0, meaning, 0)

    def _verdict(
        self, slug: str, value: float, low: float | None, high: float | None, meaning: str
    ) -> Verdict:
        """A number in its measured range, or where none was measured in this one."""
        name = self._settings.name
        measured = {**RANGES.get((name, "any"), {}), **RANGES.get((name, self._tried_on), {})}
        least, most = measured.get(slug, (low, high))
        return Verdict(slug, float(value), None, least, most, meaning)


_JUDGES = {
    "generator": Judge.generator, "synthesis": Judge.synthesis, "data set": Judge.data_set,
    "recogniser": Judge.recogniser, "verification": Judge.verification,
    "retrieval": Judge.retrieval, "pre-training": Judge.pretraining, "probe": Judge.probe,
    "page": Judge.page,
}  # fmt: skip


def _by_kind(found: Found) -> "dict[str, Record]":
    return {record.claim.subject.kind: record for record in found.records[1:]}
