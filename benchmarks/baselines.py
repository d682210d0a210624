"""The rows that stand beside every score: chance, the untrained trunk, raw input and its PCA."""

from collections.abc import Iterator

from ..core.config import Config
from ..core.records import Record
from .opening import open_subject
from .protocol import Benchmark, Data, Result
from .subjects import ModelSubject, Subject

BASELINE_KINDS = ("chance", "random", "raw", "pca")


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
    """The subject's result first, then those that stand beside it, each as soon as it is there."""
    if hasattr(protocol, "resolved"):
        settings = protocol.resolved(subject, data, settings)
    others: list[Subject] = []
    if baselines:
        own = getattr(protocol, "beside", None)
        others = own(subject, data, settings) if own else baselines_of(protocol, subject, seed)
    for one in (subject, *others):
        yield protocol.run(one, data, settings)


def alarms(records: list[Record]) -> list[str]:
    """A sentence for each baseline that the first record does not beat.

    Args:
        records: the subject's, then those of its baselines and of others beside it.
    """
    subject = records[0]
    metric = subject.claim.main_metric
    sign = 1 if subject.main.direction == "higher" else -1
    return [
        f"{subject.claim.subject.name} is not above its baseline {other.claim.subject.name}: "
        f"{metric} {subject.main.value:.4f} against {other.main.value:.4f}"
        for other in records[1:]
        if other.claim.subject.kind in BASELINE_KINDS
        and sign * (subject.main.value - other.main.value) <= 0
    ]
