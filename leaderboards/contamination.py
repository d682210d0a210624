"""Whether a subject has seen the data that it is scored on: declared, or measured (L2).

Declared: the record's `training_data` names it. Measured: a record of the benchmark
`contamination` of the same subject and data found test samples among the training samples. Neither
counts for a protocol whose published way is to pre-train on the unlabelled test samples.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ..modalities.catalogue import CATALOGUE
from .agreement import known
from .contradictions import Filed
from .standings import Problem

BENCHMARK = "contamination"
_MEND = "score it on data that it has not seen"


def contaminated(records: Sequence[Filed]) -> Iterator[Problem]:
    """Records whose subject has seen the test data: shown, not ranked."""
    measured: dict[tuple[str, str], list[Filed]] = defaultdict(list)
    for filed in records:
        if filed.claim.benchmark.name == BENCHMARK:
            measured[_what(filed)].append(filed)
    for filed in records:
        name = filed.claim.benchmark.name
        if name == BENCHMARK or getattr(known(name).protocol, "TRANSDUCTIVE", False):
            continue
        if declared := _declared(filed):
            yield Problem(
                "unranked", 2, filed.file, "claim.subject.training_data", repr(declared),
                f"no test data of '{filed.claim.benchmark.data}' (contamination, declared)",
                _MEND, filed.id, "contamination",
            )  # fmt: skip
        for proof in measured.get(_what(filed), ()):
            share = proof.record.main.value
            if share > 0:
                yield Problem(
                    "unranked", 2, filed.file, "claim.subject.training_data",
                    f"{share:.2%} of the test samples, by record {proof.id[:12]}",
                    "none of them (contamination, measured)", _MEND, filed.id, "contamination",
                )  # fmt: skip


def _what(filed: Filed) -> tuple[str, str]:
    return filed.claim.subject.content_hash, filed.claim.benchmark.data_hash


def _declared(filed: Filed) -> str | None:
    """The training data that is the test data, where the record names such."""
    data = filed.claim.benchmark.data
    # a catalogue name without a split means the train split; of anything else it means all of it
    test = {f"{data}:test", f"{data}:val", f"{data}#test", *({data} - CATALOGUE.keys())}
    return next((name for name in filed.claim.subject.training_data if name in test), None)
