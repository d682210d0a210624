"""What `list` prints, for a person and for a program."""

import json

import pytest

from masquerade.cli.listing import SECTIONS
from masquerade.cli.main import call
from masquerade.cli.output import table


def test_methods_show_their_recipe_facts(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["list", "methods"]) == 0
    header, *rows = capsys.readouterr().out.strip().splitlines()
    assert header.split() == ["slug", "year", "modality", "masker", "trunk", "objective", "golden"]
    mae = next(row for row in rows if row.startswith("mae "))
    assert "2022" in mae
    assert mae.endswith(" y")


def test_json_has_every_section(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == list(SECTIONS)
    assert {row["slug"] for row in found["benchmarks"]} >= {"probe", "knn", "few-shot", "finetune"}
    assert {row["name"] for row in found["datasets"]} >= {"photos", "digits"}
    assert found["methods"][0]["golden"] is True


def test_boards_name_what_they_are_made_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["list", "boards"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["slug", "modality", "benchmarks", "title"]
    found = next(row for row in rows if row.startswith("representation "))
    assert "probe, knn, few-shot, finetune" in found


def test_unknown_section_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["list", "method"]) == 2
    assert "methods" in capsys.readouterr().err


def test_table_aligns_and_shows_absent_values() -> None:
    rows = [{"a": "long value", "b": 1}, {"a": None, "b": 22}]
    assert table(rows, ["a", "b"]).splitlines() == [
        "a           b",
        "long value  1",
        "-           22",
    ]
