"""The demo: pre-train a small MAE on embedded photographs, score it, and judge what came out.

Nothing is downloaded. The task is the card's: which of 14 photographs a crop shows, where training
crops come from the left 55 % of each photograph and test crops from the right 40 %.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..core.record_store import write_record
from ..core.records import Record

if TYPE_CHECKING:
    from ..benchmarks.protocol import Result

Effort = Literal["quick", "normal", "full"]
# The range in which a right result lies, from repeated runs (docs/methods/mae.md). A prediction of
# zero has the loss 47/48 = 0.979: the variance of 48 patch values is the unbiased one.
STEPS: dict[Effort, int] = {"quick": 60, "normal": 400, "full": 2000}
LOSS_BELOW: dict[Effort, float] = {"quick": 0.60, "normal": 0.50, "full": 0.45}
NOISE = 0.02  # of one seed's accuracy (the card, section 9)
BENCHMARKS: dict[Effort, tuple[str, ...]] = {
    "quick": ("knn",),
    "normal": ("knn", "probe"),
    "full": ("knn", "probe"),
}
N_DRAWN, N_SCORED = 6, 512
METHOD, RECIPE, DATA = "mae", "mae-tiny", "photos"


@dataclass(frozen=True)
class Verdict:
    """One thing that a right result has.

    Attributes:
        holds: whether this one has it.
        sentence: what was expected and found.
    """

    holds: bool
    sentence: str


@dataclass(frozen=True)
class Demo:
    """What the demo made.

    Attributes:
        run: the run folder.
        results: the folder of records and predictions.
        picture: input | masked | reconstruction of test crops.
        records: the model's and its baselines', benchmark by benchmark.
        verdicts: what a right result has, and whether this one has it.
    """

    run: Path
    results: Path
    picture: Path
    records: tuple[Record, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def as_expected(self) -> bool:
        """Whether everything is as a right result has it."""
        return all(verdict.holds for verdict in self.verdicts)

    def rows(self) -> list[dict[str, Any]]:
        """One table row per record."""
        return [record_row(record) for record in self.records]


def record_row(record: Record) -> dict[str, Any]:
    """A record as a table row: benchmark, subject, main metric with its interval, n, id."""
    main = record.main
    low, high = main.interval or (None, None)
    return {
        "benchmark": record.claim.benchmark.name,
        "subject": record.claim.subject.name,
        "metric": record.claim.main_metric,
        "value": f"{main.value:.3f}",
        "95 % interval": None if low is None else f"{low:.3f} – {high:.3f}",
        "n": main.n,
        "record": record.id[:12],
    }


def run_demo(
    out: Path, effort: Effort = "normal", *, say: Callable[[str], None] = lambda text: None
) -> Demo:
    """Pre-train, reconstruct, probe, store; the same command again goes on where it stopped.

    Args:
        out: the folder for run, picture and results.
        effort: how long to train.
        say: told what happens, one line at a time.

    Raises:
        MasqueradeError: the folder holds something else, or cannot be written.
    """
    # one folder for each length: --quick and the whole demo may share `out`
    run = out / f"{RECIPE}-{STEPS[effort]}"
    results, picture = out / "results", out / "reconstruction.png"
    say(f"1/3 pre-training {METHOD} ({RECIPE}, {STEPS[effort]} steps) on '{DATA}'")
    _pretrain(run, STEPS[effort])
    say("2/3 reconstructing test crops")
    picture, verdict = _reconstruct(run, picture, LOSS_BELOW[effort])
    say("3/3 scoring the frozen features beside their baselines")
    records, verdicts = [], [verdict]
    for group in _score(run, effort):
        records += [write_record(r.record, results, r.predictions)[1] for r in group]
        verdicts += _judged(group, effort)
    return Demo(run, results, picture, tuple(records), tuple(verdicts))


def _pretrain(run: Path, steps: int) -> None:
    from ..core.errors import MasqueradeError
    from ..methods.pretraining import pretrain
    from ..methods.recipes import resolve
    from ..modalities.catalogue import resolve_data

    resolved = resolve(METHOD, RECIPE, [f"train.steps={steps}"])
    outcome = pretrain(resolved, resolve_data(DATA, "image"), run)
    if not outcome.finished:
        raise MasqueradeError(
            f"stopped after step {outcome.step} of {outcome.total}",
            "the same command goes on from there",
        )


def _reconstruct(run: Path, picture: Path, below: float) -> tuple[Path, Verdict]:
    from ..benchmarks.opening import open_subject
    from ..benchmarks.reconstruction import reconstruct
    from ..benchmarks.subjects import ModelSubject
    from ..modalities.catalogue import resolve_data

    subject = open_subject(str(run))
    if not isinstance(subject, ModelSubject):
        raise TypeError(f"{run} is no model")
    adapter, source = subject.modality, resolve_data(f"{DATA}:test", "image")

    def batch(count: int) -> Any:  # noqa: ANN401 - a Batch; torch is imported late
        samples = [source.read(index) for index in range(count)]
        return adapter.collate(samples, [adapter.prepare(sample, None) for sample in samples])

    shown = batch(N_DRAWN)
    drawn = reconstruct(subject.method, shown, seed=0)
    path = adapter.draw(shown, drawn.tokens, drawn.hidden, picture)
    found = reconstruct(subject.method, batch(N_SCORED), seed=0)
    return path, Verdict(
        found.loss < below,
        f"loss of hidden patches of {N_SCORED} test crops {found.loss:.3f}, "
        f"expected below {below} (a prediction of zero has 0.979)",
    )


def _score(run: Path, effort: Effort) -> Iterator[list["Result"]]:
    """The results of each benchmark: the model's first, then its baselines'."""
    from ..benchmarks.baselines import baselines_of
    from ..benchmarks.opening import open_data, open_subject
    from ..benchmarks.registry import benchmark

    data, subject = open_data(DATA), open_subject(str(run))
    for slug in BENCHMARKS[effort]:
        protocol = benchmark(slug)
        subjects = [subject, *baselines_of(protocol, subject)]
        settings = protocol.Settings()
        if slug == "probe" and effort != "full":
            # one inner split shows the order; a probe of 3,072 raw columns takes minutes, and
            # its principal components stand for it
            settings = protocol.Settings.model_validate({"seeds": 1})
            subjects = [other for other in subjects if other.kind != "raw"]
        yield [protocol.run(other, data, settings) for other in subjects]


def _judged(group: list["Result"], effort: Effort) -> list[Verdict]:
    """What a benchmark's results must show: input baselines beaten, the untrained twin matched."""
    own, *others = group
    main, name = own.record.main, own.record.claim.benchmark.name
    verdicts = []
    for other in others:
        subject, value = other.record.claim.subject, other.record.main.value
        if subject.kind != "random":
            verdicts.append(Verdict(
                main.value > value,
                f"{name}: accuracy {main.value:.3f}, expected above {subject.name} {value:.3f}",
            ))  # fmt: skip
        elif effort != "quick":  # sixty steps are too few to compare
            gain, interval = _gain(own, other)
            shown = f"[{interval[0]:+.3f}, {interval[1]:+.3f}]" if interval else "too few items"
            verdicts.append(Verdict(
                gain > -NOISE,
                f"{name}: {gain:+.3f} {shown} over {subject.name}, the same net untrained, "
                f"expected above {-NOISE} (differences below {NOISE} are noise)",
            ))  # fmt: skip
    return verdicts


def _gain(own: "Result", other: "Result") -> tuple[float, tuple[float, float] | None]:
    """The mean paired difference over test items, with its 95 % interval."""
    from ..benchmarks.classification import hits
    from ..core.metrics.intervals import paired_interval

    first, second = (hits(result.predictions)[0].mean(axis=0) for result in (own, other))
    return float((first - second).mean()), paired_interval(first, second, over="items")
