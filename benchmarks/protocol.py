"""What a benchmark is, and the one place where its result becomes a `Record`.

A protocol is a module with `SLUG`, `VERSION`, `SUMMARY`, `MAIN_METRIC`, `BASELINES`, a `Settings`
class, `run(subject, data, settings) -> Result`, and `score(predictions) -> metrics`: the pure
function by which anybody recomputes the record's metrics from its stored predictions.

It may also have `open_data(text, own, extraction) -> (data, rest)`, where its data is no train and
test split (`own` are the user's `data.` settings, `rest` those that it leaves to the subject; with
`TAKES_SPLITS = True` it also gets `train` and `test`, where the user names them; with
`KEEPS_RUNS = True` also `runs`, the folder where it keeps what it trains; with `TAKES_JUDGE = True`
also `judge`, where the user names one); `resolved(subject, data, settings) -> settings`, where what
is left open follows from subject and data, and shall be the same for those beside it;
`open_subject(text, own, extraction) -> subject`, where it scores data sets; `beside(subject, data,
settings) -> subjects`, the rows that stand beside it, where `BASELINES` cannot name them all;
`SIDE_BY_SIDE = True`, where a column per subject reads better than a line per metric of each;
`TRAINS = True`, where it trains nets, so that machines may differ within an interval;
`TRANSDUCTIVE = True`, where pre-training on the test samples without their labels is the published
way, and no contamination;
`items(predictions) -> metric: Items`, for paired comparison (`item_scores`);
`notes(record) -> sentences` for the person who waits; and `pictures(result) -> name: bytes`.
"""

import ast
import io
import shlex
import sys
import time
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..core.config import Config
from ..core.frames import content_hash
from ..core.hashing import sha256_json
from ..core.provenance import provenance
from ..core.records import BenchmarkBlock, Claim, Metric, Record, SubjectBlock

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..core.modality import Source
    from .subjects import Subject

_ROOT = Path(__file__).resolve().parent.parent
# beside its own file, what every protocol's numbers depend on
_SHARED_CODE = (
    "benchmarks/features.py",
    "benchmarks/classification.py",
    "core/metrics/classification.py",
    "core/metrics/intervals.py",
)


class Data(Protocol):
    """What every benchmark's data has, whatever it is made of."""

    @property
    def name(self) -> str:
        """How a user calls it."""

    def hash(self) -> str:
        """The sha256 of all that decides the scores."""


@dataclass(frozen=True)
class TaskData:
    """The data of a benchmark: where to learn from, and what to be scored on.

    Attributes:
        name: how a user calls it.
        train: labelled samples.
        test: never looked at before the last prediction.
    """

    name: str
    train: "Source"
    test: "Source"

    def hash(self) -> str:
        """The sha256 over the fingerprints of both splits."""
        return sha256_json({"train": self.train.fingerprint(), "test": self.test.fingerprint()})


@dataclass(frozen=True)
class Result:
    """What a run gives: the record, and the predictions that it was computed from."""

    record: Record
    predictions: "DataFrame"


class Benchmark(Protocol):
    """The interface of a protocol's module."""

    SLUG: str
    VERSION: str
    SUMMARY: str
    MAIN_METRIC: str
    BASELINES: tuple[str, ...]
    IDENTITY: "Identity"
    Settings: type[Config]

    def run(self, subject: "Subject", data: Any, settings: Config) -> Result:  # noqa: ANN401
        """Score a subject on the kind of data that the protocol opens."""

    def score(self, predictions: "DataFrame") -> Mapping[str, Metric]:
        """The metrics of stored predictions."""


@dataclass(frozen=True)
class Identity:
    """A protocol's name, version and code, which together give its hash.

    Attributes:
        slug: its name.
        version: its semantic version; raised when its numbers change.
        main_metric: what ranks.
        code: its files, relative to the package.
    """

    slug: str
    version: str
    main_metric: str
    code: tuple[str, ...]

    def hash(self) -> str:
        """The sha256 of slug, version and code; comments and docstrings do not count."""
        files = sorted({*self.code, *_SHARED_CODE})
        code = {name: code_of(name) for name in files}
        return sha256_json({"slug": self.slug, "version": self.version, "code": code})


class Stopwatch:
    """Wall time since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def elapsed_s(self) -> float:
        """Seconds since it was made."""
        return time.perf_counter() - self._start


def make_result(
    identity: Identity,
    subject: "Subject",
    data: Data,
    settings: Config,
    *,
    seeds: Sequence[int],
    metrics: Mapping[str, Metric],
    predictions: "DataFrame",
    clock: Stopwatch,
    facts: Mapping[str, Any] | None = None,
) -> Result:
    """The record of a finished run.

    Args:
        identity: the protocol.
        subject: what was scored.
        data: on what.
        settings: how.
        seeds: of the repeats.
        metrics: the protocol's `score` of `predictions`.
        predictions: one row per prediction.
        clock: started when the run began.
        facts: what stands beside the metrics; see `Claim`.
    """
    claim = Claim(
        benchmark=BenchmarkBlock(
            name=identity.slug,
            version=identity.version,
            protocol_hash=identity.hash(),
            data=data.name,
            data_hash=data.hash(),
        ),
        subject=SubjectBlock(
            name=subject.name,
            kind=subject.kind,
            content_hash=subject.hash,
            training_data=subject.training_data,
            preprocessing=dict(subject.preprocessing),
            facts=dict(subject.facts),
        ),
        settings=settings.to_dict(),
        seeds=tuple(seeds),
        metrics=dict(metrics),
        main_metric=identity.main_metric,
        predictions=content_hash(predictions),
        facts=dict(facts or {}),
    )
    made = provenance(clock.elapsed_s(), typed_command(sys.argv))
    return Result(Record(claim=claim, provenance=(made,)), predictions)


def typed_command(words: Sequence[str]) -> str:
    """The `masquerade` command that runs, to be copied into a shell; "" where another program does.

    Args:
        words: of the command line, the program's path first.

    Example:
        >>> typed_command(["/somewhere/bin/masquerade", "evaluate", "knn", "--subject", "my run"])
        "masquerade evaluate knn --subject 'my run'"
        >>> typed_command(["/somewhere/ipykernel_launcher.py", "-f", "kernel.json"])
        ''
    """
    program = Path(words[0])
    ours = program.stem == "masquerade" or program.parts[-2:] == ("cli", "main.py")
    return shlex.join(["masquerade", *words[1:]]) if ours else ""


@cache
def code_of(name: str) -> str:
    """The bare code of a file of the package, named relative to it."""
    return bare_code((_ROOT / name).read_text("utf-8"))


def bare_code(source: str) -> str:
    r"""Python source without comments, docstrings, blank lines and trailing spaces.

    Cut by position, not re-printed, so that every Python version gives the same text.

    Example:
        >>> bare_code('x = 1  # one' + chr(10) + chr(10) + 'y = "# two"' + chr(10))
        'x = 1\ny = "# two"\n'
    """
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for first, last in _docstrings(ast.parse(source)):
        lines[first - 1 : last] = [""] * (last - first + 1)
    return "".join(f"{line.rstrip()}\n" for line in lines if line.strip())


def _docstrings(tree: ast.Module) -> list[tuple[int, int]]:
    """First and last line of each docstring."""
    spans = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            spans.append((text.lineno, text.end_lineno or text.lineno))
    return spans
