"""What a record says of its protocol, and paired comparisons of records."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from masquerade.benchmarks import knn
from masquerade.benchmarks.comparison import compare
from masquerade.benchmarks.protocol import Identity, TaskData, bare_code, typed_command
from masquerade.benchmarks.registry import BENCHMARKS, benchmark, facts
from masquerade.benchmarks.subjects import ModelSubject
from masquerade.core.errors import UsageError, ValidationError
from masquerade.core.records import Record


def test_every_protocol_has_its_interface() -> None:
    for slug in BENCHMARKS:
        module = benchmark(slug)
        assert module.SLUG == module.IDENTITY.slug == slug
        assert module.VERSION == module.IDENTITY.version
        assert isinstance(module.Settings().to_dict(), dict)
        assert module.BASELINES or hasattr(module, "beside")  # something stands beside a score
    assert [row["slug"] for row in facts()] == list(BENCHMARKS)
    with pytest.raises(UsageError, match="did you mean 'probe'"):
        benchmark("prob")


@given(st.lists(st.text(st.characters(exclude_characters="\0"), max_size=8), max_size=5))
def test_a_command_can_be_copied_into_a_shell(words: list[str]) -> None:
    typed = typed_command(["/some where/bin/masquerade", *words])
    assert shlex.split(typed) == ["masquerade", *words]


def test_a_command_names_the_program_and_no_path_and_no_other_program() -> None:
    asked = ["evaluate", "knn", "--data", "my photos"]
    expected = "masquerade evaluate knn --data 'my photos'"
    assert typed_command(["/some/bin/masquerade", *asked]) == expected
    assert typed_command(["/some/masquerade/cli/main.py", *asked]) == expected
    assert typed_command(["/some/train.py", *asked]) == ""


def test_bare_code_drops_words_and_keeps_code() -> None:
    source = (
        '"""Doc."""\n\n# why\ndef f(x: int) -> str:\n    """Two\n    lines."""\n\n'
        '    return "# no"  # yes\n'
    )
    other_words = source.replace("Doc", "Other").replace("# why", "# because")
    assert bare_code(source) == 'def f(x: int) -> str:\n    return "# no"\n'
    assert bare_code(other_words) == bare_code(source)
    assert bare_code(source.replace("no", "on")) != bare_code(source)


def test_protocol_hash_follows_code_and_version() -> None:
    first = Identity("knn", "1.0.0", "accuracy", ("benchmarks/knn.py",))
    assert first.hash() == Identity("knn", "1.0.0", "accuracy", ("benchmarks/knn.py",)).hash()
    assert first.hash() != Identity("knn", "1.0.1", "accuracy", ("benchmarks/knn.py",)).hash()
    assert first.hash() != Identity("knn", "1.0.0", "accuracy", ("benchmarks/probe.py",)).hash()


def with_accuracy(record: Record, value: float) -> Record:
    metric = record.main.model_copy(update={"value": value})
    claim = record.claim.model_copy(update={"metrics": {"accuracy": metric}})
    return Record(claim=claim, provenance=record.provenance)


def test_compare_pairs_records_seed_by_seed(subject: ModelSubject, data: TaskData) -> None:
    record = knn.run(subject, data, knn.Settings()).record
    first = [with_accuracy(record, v) for v in (0.82, 0.85, 0.78, 0.90, 0.80)]
    second = [with_accuracy(record, v) for v in (0.80, 0.82, 0.76, 0.87, 0.78)]
    difference = compare(first, second)
    assert difference.pairs == pytest.approx((0.02, 0.03, 0.02, 0.03, 0.02))
    assert difference.value == pytest.approx(0.024)
    # by hand, as in the test of paired_interval
    assert difference.interval == pytest.approx((0.0172, 0.0308), abs=2e-5)
    assert difference.verdict == "first"
    assert compare(second, first).verdict == "second"
    assert compare(first, [*first[1:], first[0]]).verdict == "undecided"
    assert compare(first[:4], second[:4]).verdict == "undecided"  # too few for an interval


def test_compare_refuses_other_tasks(subject: ModelSubject, data: TaskData) -> None:
    one = knn.run(subject, data, knn.Settings()).record
    other = knn.run(subject, data, knn.Settings(k=7)).record
    with pytest.raises(ValidationError, match="pair 0: settings: found .*7.*, expected .*5"):
        compare([one], [other])
    with pytest.raises(ValidationError, match="got 1 and 0"):
        compare([one], [])
    with pytest.raises(ValidationError, match="expected 'f1'"):
        compare([one], [one], "f1")
