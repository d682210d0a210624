"""The demo ends well, and says so when it does not."""

import json
from pathlib import Path

import pytest

from masquerade.cli.main import call
from masquerade.core.record_store import read_predictions, read_records
from masquerade.leaderboards import demo


@pytest.mark.slow
def test_quick_demo_gives_records_picture_and_right_verdicts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """About 20 s on two cores."""
    assert call(["demo", "--quick", "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["as_expected"] is True
    records = read_records(tmp_path / "results")
    assert {r.id for r in records} == set(found["records"])
    kinds = {r.claim.subject.kind: r.main.value for r in records}
    assert set(kinds) == {"model", "chance", "random", "raw", "pca"}
    assert kinds["chance"] < 2 / 14  # of 14 photographs
    assert kinds["model"] > max(kinds["raw"], kinds["pca"])
    assert all(len(read_predictions(r, tmp_path / "results")) == 600 for r in records)
    assert (tmp_path / "reconstruction.png").stat().st_size > 1000


def test_wrong_result_is_said_and_ends_with_5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = demo.Demo(
        run=tmp_path, results=tmp_path, picture=tmp_path / "x.png", records=(),
        verdicts=(demo.Verdict(True, "fine"), demo.Verdict(False, "loss 0.97")),
    )  # fmt: skip
    monkeypatch.setattr(demo, "run_demo", lambda *_args, **_kwargs: wrong)
    monkeypatch.setattr(demo.Demo, "rows", lambda _self: [{"benchmark": "knn"}])
    assert call(["demo", "--out", str(tmp_path)]) == 5
    shown = capsys.readouterr().out
    assert "right: fine" in shown
    assert "WRONG: loss 0.97" in shown
