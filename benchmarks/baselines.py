"""The rows that stand beside every score: chance, the untrained trunk, raw input and its PCA."""

from collections.abc import Iterator

from ..core.config import Config
from ..core.records import Record
from .opening import open_subject
from .protocol import Benchmark, Data, Result
from .subjects import ModelSubject, Subject


def baselines_of(protocol: Benchmark, subject: Subject, seed: int = 0) -> list[Subject]:
    """The baseline subjects of a scored one: same input, same settings, no training.

    Args:
        protocol: names which baselines make sense for it.
        subject: what is scored; its own kind is left out.
        seed: of the untrained weights.
    """
    found = []
    for name in protocol.BASELINES:
        unknown = subject.baselines is not None and name not in subject.baselines
        if unknown or name in (subject.kind, subject.name):
            continue
        if name != "random":
            found.append(open_subject(name, like=subject))
        elif isinstance(subject, ModelSubject):
            slug = subject.method.slug
            found.append(open_subject(f"random:{slug}", like=subject, seed=seed))
    return found


def run_with_baselines(
    protocol: Benchmark,
    subject: Subject,
    data: Data,
    settings: Config,
    *,
    seed: int = 0,
    baselines: bool = True,
) -> Iterator[Result]:
    """The subject's result first, then those of its baselines, each as soon as it is there."""
    yield protocol.run(subject, data, settings)
    if baselines:
        for other in baselines_of(protocol, subject, seed):
            yield protocol.run(other, data, settings)


def alarms(records: list[Record]) -> list[str]:
    """A sentence for each baseline that the first record does not beat.

    Args:
        records: the subject's, then its baselines'.
    """
    subject = records[0]
    metric = subject.claim.main_metric
    sign = 1 if subject.main.direction == "higher" else -1
    return [
        f"{subject.claim.subject.name} is not above its baseline {other.claim.subject.name}: "
        f"{metric} {subject.main.value:.4f} against {other.main.value:.4f}"
        for other in records[1:]
        if sign * (subject.main.value - other.main.value) <= 0
    ]
