"""Records: exact round trip, every edited byte found, nothing lost, no torch."""

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError as PydanticError

from masquerade.core.errors import ValidationError
from masquerade.core.frames import content_hash
from masquerade.core.provenance import commit, provenance
from masquerade.core.record_store import (
    read_predictions,
    read_record,
    read_records,
    write_record,
)
from masquerade.core.records import (
    BenchmarkBlock,
    Claim,
    Metric,
    Provenance,
    Record,
    SubjectBlock,
    parse_record,
)

HASH = "0" * 64


def a_metric(value: float = 0.5, **more: object) -> Metric:
    facts = {"unit": "fraction", "direction": "higher", "n": 10} | more
    return Metric(value=value, **facts)  # type: ignore[arg-type]


def a_record(value: float = 0.5, *, seed: int = 0, wall: float = 1.0, **claim: object) -> Record:
    parts = {
        "benchmark": BenchmarkBlock(
            name="knn", version="1.0.0", protocol_hash=HASH, data="photos", data_hash=HASH
        ),
        "subject": SubjectBlock(name="tiny <b>", kind="model", content_hash=HASH),
        "settings": {"k": 5, "nested": {"list": [1, 2.5, None]}},
        "seeds": (seed,),
        "metrics": {
            "accuracy": a_metric(value, interval=(0.25, 0.75), interval_method="bootstrap")
        },
        "main_metric": "accuracy",
    } | claim
    return Record(claim=Claim(**parts), provenance=(a_provenance(wall),))


def a_provenance(wall: float = 1.0) -> Provenance:
    return Provenance(
        created_utc="2026-01-01T00:00:00+00:00", hardware={"cores": 2},
        versions={"python": "3.11"}, wall_time_s=wall,
    )  # fmt: skip


finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(min_size=1, max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip
records = st.builds(
    a_record,
    finite,
    seed=st.integers(-(2**63), 2**63),
    wall=st.floats(0, 1e9),
    settings=st.dictionaries(texts, json_values, max_size=4),
    subject=st.builds(
        SubjectBlock, name=texts, kind=st.just("model"), content_hash=st.just(HASH),
        training_data=st.lists(texts, max_size=2).map(tuple),
    ),
)  # fmt: skip


@settings(deadline=None)
@given(records)
def test_parse_of_render_is_the_same_record(record: Record) -> None:
    text = record.to_json()
    again = parse_record(text, "it")
    assert again == record
    assert again.id == record.id
    assert again.to_json() == text
    assert json.loads(text)["id"] == record.id


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_changed_byte_of_a_record_file_is_found(data: st.DataObject) -> None:
    content = a_record().to_json().encode()
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != content[place]))
    edited = content[:place] + bytes([byte]) + content[place + 1 :]
    with pytest.raises((ValidationError, UnicodeDecodeError)):
        parse_record(edited.decode("utf-8"), "it")


def test_a_record_of_a_later_schema_is_named_as_such() -> None:
    """Whatever else a later schema changed, the version is what is said."""
    body = json.loads(a_record().to_json())
    body["claim"] |= {"schema_version": 2, "colour": "red"}
    with pytest.raises(ValidationError, match=r"it: claim\.schema_version: found 2, expected 1"):
        parse_record(json.dumps(body), "it")


def test_a_whole_number_where_a_real_one_belongs_is_not_canonical() -> None:
    text = a_record(wall=1.0).to_json().replace('"wall_time_s":1.0', '"wall_time_s":1')
    with pytest.raises(ValidationError, match=r"provenance\.0\.hash|not canonical"):
        parse_record(text, "it")


def test_an_edited_file_is_refused_with_file_field_found_and_expected(tmp_path: Path) -> None:
    record = a_record()
    path, _ = write_record(record, tmp_path)
    path.write_text(path.read_text().replace('"value":0.5', '"value":0.9'))
    with pytest.raises(ValidationError) as caught:
        read_record(path)
    assert str(path) in caught.value.message
    assert f"id: found '{record.id}', expected {a_record(0.9).id}" in caught.value.message


def test_an_edited_provenance_is_refused_too(tmp_path: Path) -> None:
    path, _ = write_record(a_record(), tmp_path)
    path.write_text(path.read_text().replace('"cores":2', '"cores":9'))
    with pytest.raises(
        ValidationError, match=r"provenance\.0\.hash: found '[0-9a-f]{64}', expected"
    ):
        read_record(path)


def test_a_record_under_another_name_is_refused(tmp_path: Path) -> None:
    path, record = write_record(a_record(), tmp_path)
    other = path.rename(path.with_name("1" * 64 + ".json"))
    with pytest.raises(ValidationError, match=f"name: found {'1' * 64}, expected {record.id}"):
        read_record(other)
    with pytest.raises(ValidationError, match=r"expected <64 hexadecimal digits>\.json"):
        read_record(other.rename(other.with_name("best.json")))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", "{" * 100_000, '{"claim": NaN}', "\x00", '{"id":1,"provenance":[1]}'],
)
def test_what_is_no_record_is_one_sentence(text: str) -> None:
    with pytest.raises(ValidationError, match="it: "):
        parse_record(text, "it")


def test_a_file_that_is_no_text_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / f"{HASH}.json"
    with pytest.raises(ValidationError, match="No such file"):
        read_record(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValidationError, match="expected a record file"):
        read_record(path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_are_refused_when_a_record_is_built(bad: float) -> None:
    with pytest.raises(PydanticError, match="finite"):
        a_metric(bad)
    with pytest.raises(PydanticError, match="finite"):
        a_metric(interval=(0.0, bad), interval_method="exact")
    with pytest.raises(PydanticError, match="finite"):
        a_provenance(bad)


def test_nan_in_settings_is_refused_when_written(tmp_path: Path) -> None:
    with pytest.raises((PydanticError, ValueError)):
        write_record(a_record(settings={"lr": float("nan")}), tmp_path)
    assert list(tmp_path.rglob("*.json")) == []


def test_a_hand_written_nan_is_refused_when_read() -> None:
    text = a_record().to_json().replace('"value":0.5', '"value":NaN')
    with pytest.raises(ValidationError, match=r"claim\.metrics\.accuracy\.value"):
        parse_record(text, "it")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "schema_version 2 is not the 1 known here"),
        ({"main_metric": "f1"}, "main_metric 'f1' is not among"),
        ({"seeds": ()}, "at least 1"),
        ({"metrics": {}}, "at least 1"),
        ({"colour": "red"}, "Extra inputs"),
        ({"settings": {"a": "\ud800"}}, "not a text of whole characters"),
        ({"settings": {"a": [{"\ud800": 1}]}}, "not a text of whole characters"),
    ],
)
def test_claims_out_of_form_are_refused(change: dict, message: str) -> None:
    with pytest.raises(PydanticError, match=message):
        a_record(**change)


def test_an_interval_and_its_method_stand_together_and_in_order() -> None:
    with pytest.raises(PydanticError, match="stand together"):
        a_metric(interval=(0.0, 1.0))
    with pytest.raises(PydanticError, match="stand together"):
        a_metric(interval_method="exact")
    with pytest.raises(PydanticError, match="above its high end"):
        a_metric(interval=(0.9, 0.1), interval_method="exact")


def test_a_record_cannot_be_changed_in_place() -> None:
    record = a_record()
    with pytest.raises(PydanticError, match="frozen"):
        record.claim.metrics["accuracy"].value = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError, match="does not support item assignment"):
        record.claim.settings["k"] = 6  # type: ignore[index]
    with pytest.raises(TypeError, match="does not support item assignment"):
        record.claim.settings["nested"]["list"] = []  # type: ignore[index]
    with pytest.raises(TypeError, match="does not support item assignment"):
        record.claim.metrics["accuracy"] = a_metric(1.0)  # type: ignore[index]


def test_the_same_claim_twice_is_one_record_with_two_provenances(tmp_path: Path) -> None:
    first, second = a_record(wall=1.0), a_record(wall=2.0)
    assert first.id == second.id
    write_record(first, tmp_path)
    path, both = write_record(second, tmp_path)
    assert [p.wall_time_s for p in both.provenance] == [1.0, 2.0]
    assert read_record(path) == both
    write_record(second, tmp_path)  # the very same provenance says nothing new
    assert read_records(tmp_path) == [both]


def test_another_seed_is_another_record(tmp_path: Path) -> None:
    write_record(a_record(seed=0), tmp_path)
    write_record(a_record(seed=1), tmp_path)
    assert sorted(r.claim.seeds[0] for r in read_records(tmp_path)) == [0, 1]


def test_a_damaged_stored_record_is_not_overwritten(tmp_path: Path) -> None:
    path, _ = write_record(a_record(), tmp_path)
    path.write_text("{}")
    with pytest.raises(ValidationError):
        write_record(a_record(wall=2.0), tmp_path)
    assert path.read_text() == "{}"


def _confirm(folder: str, first: int) -> None:
    for number in range(first, first + 10):
        write_record(a_record(wall=float(number)), Path(folder))


def test_two_processes_that_confirm_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=_confirm, args=(str(tmp_path), n)) for n in (0, 10)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
    (record,) = read_records(tmp_path)
    assert sorted(p.wall_time_s for p in record.provenance) == [float(n) for n in range(20)]


# predictions -----------------------------------------------------------------------------------


def a_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "key": ["a", "bc", "ä"],
            "label": [0, 1, 1],
            "score": [0.5, -0.25, 1e-300],
            "feature": [np.array([1.0, 2.0], np.float32)] * 3,
        }
    )


def test_predictions_come_back_and_are_checked(tmp_path: Path) -> None:
    frame = a_frame()
    record = a_record(predictions=content_hash(frame))
    write_record(record, tmp_path, frame)
    back = read_predictions(record, tmp_path)
    assert back["key"].tolist() == ["a", "bc", "ä"]
    assert back["score"].tolist() == [0.5, -0.25, 1e-300]
    stored = tmp_path / "predictions" / f"{record.claim.predictions}.parquet"
    frame.assign(label=[0, 1, 0]).to_parquet(stored)
    with pytest.raises(ValidationError, match=f"content: found .*, expected {content_hash(frame)}"):
        read_predictions(record, tmp_path)
    stored.write_bytes(b"PAR1 nothing")
    with pytest.raises(ValidationError, match="expected a Parquet table"):
        read_predictions(record, tmp_path)


def test_the_content_hash_sees_content_and_nothing_else(tmp_path: Path) -> None:
    frame = a_frame()
    expected = content_hash(frame)
    for number, how in enumerate([{"compression": "gzip"}, {"compression": None}]):
        frame.to_parquet(tmp_path / f"{number}.parquet", **how)
        assert content_hash(pd.read_parquet(tmp_path / f"{number}.parquet")) == expected
    assert content_hash(frame[["score", "label", "feature", "key"]]) == expected
    assert content_hash(frame.astype({"label": np.int32})) == expected
    changes = [
        frame.assign(label=[0, 1, 2]), frame.iloc[[1, 0, 2]], frame.iloc[:2],
        frame.rename(columns={"label": "labels"}), frame.assign(key=["ab", "c", "ä"]),
        frame.assign(label=[0.0, 1.0, 1.0]), frame.assign(score=[0.5, -0.25, 1.1e-300]),
    ]  # fmt: skip
    assert expected not in {content_hash(change) for change in changes}


def test_texts_that_run_together_differ() -> None:
    one, other = pd.DataFrame({"key": ["ab", "c"]}), pd.DataFrame({"key": ["a", "bc"]})
    assert content_hash(one) != content_hash(other)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([0.5, np.nan], "column 'x' row 1: expected finite"),
        ([0.5, np.inf], "column 'x' row 1: expected finite"),
        (["a", None], "column 'x' row"),
        (
            [[1.0], [1.0, 2.0]],
            r"column 'x' row 1: expected one kind of value .* got '\[1.0, 2.0\]'",
        ),
        ([[1.0], [np.nan]], "column 'x' row 1: expected finite"),
    ],
)
def test_predictions_with_holes_are_refused(column: list, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        content_hash(pd.DataFrame({"x": column}))


def test_other_predictions_than_the_claims_are_refused(tmp_path: Path) -> None:
    record = a_record(predictions=content_hash(a_frame()))
    with pytest.raises(ValidationError, match=f"expected {record.claim.predictions}"):
        write_record(record, tmp_path, a_frame().assign(label=[1, 1, 1]))
    assert list(tmp_path.rglob("*.json")) == []


# provenance ------------------------------------------------------------------------------------


def test_the_commit_is_read_from_a_checkout(tmp_path: Path) -> None:
    assert commit(tmp_path) is None
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert commit(tmp_path) is None  # no commit yet
    (git / "packed-refs").write_text(f"# pack-refs\n{'b' * 40} refs/heads/main\n")
    assert commit(tmp_path) == "b" * 40
    (git / "refs" / "heads" / "main").write_text("a" * 40 + "\n")
    assert commit(tmp_path) == "a" * 40
    (git / "HEAD").write_text("c" * 40 + "\n")
    assert commit(tmp_path) == "c" * 40


def test_provenance_says_where_and_with_what() -> None:
    made = provenance(1.5, "masquerade evaluate")
    assert made.wall_time_s == 1.5
    assert made.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert made.versions["numpy"] == np.__version__
    assert made.hardware["cores"] >= 1


def test_the_record_store_imports_no_torch() -> None:
    code = (
        "import sys, masquerade.core.record_store, masquerade.core.provenance as p; p.hardware();"
        "import masquerade.benchmarks.registry as r; r.facts();"
        "assert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
