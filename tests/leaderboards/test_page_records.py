"""Records on the page: commands, provenance, shared texts, pictures."""

import re
from io import BytesIO
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from masquerade.core.record_store import PICTURES
from masquerade.leaderboards import page_pictures, page_records
from masquerade.leaderboards.page import page
from masquerade.leaderboards.page_anchors import RecordNames
from masquerade.leaderboards.page_pictures import MOST_BYTES, sheets_of
from masquerade.leaderboards.page_records import SharedTexts, lines, spelled

NOWHERE = Path("no such results")


def test_command_of_a_record_made_from_python_is_spelled_from_its_claim(made: ModuleType) -> None:
    metrics = {"accuracy": made.metric(0.5, 0.1)}
    assert spelled(made.record("my model", metrics, data="a b", command="").claim) == (
        "masquerade evaluate verification --subject 'my model' --data 'a b' "
        "--set max_missing=0.1 --set published_protocol=false"
    )


def test_record_made_from_python_says_so(made: ModuleType) -> None:
    board = made.large(1, 1)
    (key,) = board.records
    board.records[key] = made.record("x", {"m": made.metric(0.5, 0.1)}, command="")
    html = page([board], NOWHERE)
    assert "Made from Python; this command is put together" in html
    assert "masquerade evaluate verification --subject x" in html


def test_confirmations_are_listed_with_their_commands(made: ModuleType) -> None:
    html = page([made.every_state()], NOWHERE)
    articles = re.findall(r"<article.*?</article>", html, re.DOTALL)
    (confirmed,) = [a for a in articles if "<h3>iresnet100 glint</h3>" in a]
    assert confirmed.count('<pre class="command">') == 2
    assert confirmed.count("Confirmed ") == 1
    assert "2026-10-02T10:00:00+00:00 · 41.5 s" in confirmed


def test_metrics_that_no_table_shows_stand_with_the_record(made: ModuleType) -> None:
    board = made.large(1, 1)
    (key,) = board.records
    metrics = {
        "metric_0": made.metric(0.5, 0.1),
        "accuracy/att": made.metric(0.99, 0.005),
    }
    board.records[key] = made.record("x", metrics)
    html = page([board], NOWHERE)
    assert "accuracy/att  0.9900 [0.9850, 0.9950]" in html
    assert "metric_0  " not in html


def test_texts_of_several_records_stand_once(made: ModuleType) -> None:
    html = page([made.every_state()], NOWHERE)
    assert html.count("processor  a processor") == 5  # five commits, else the same machine
    assert html.count("max_missing  0.1") == 1
    assert html.count("parameters  3000000") == 1


def test_shared_texts_stop_where_the_page_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_records, "_MOST", 10)
    texts = SharedTexts([("a", "12345"), ("a", "12345"), ("b", "1234"), ("c", "12")])
    assert texts.view("a", "12345").anchor == "shared:1"
    assert texts.view("b", "1234").text == "1234"
    left_out = texts.view("c", "12")
    assert (left_out.text, left_out.anchor) == ("", "")
    assert list(texts) == [("shared:1", "a", "12345")]


def test_long_texts_are_cut_and_say_so() -> None:
    text = lines({"name": "x" * 100_000})
    assert len(text) < 7000
    assert text.endswith("… 94,006 more characters in the record")


def test_short_names_tell_all_records_apart() -> None:
    names = RecordNames(["a" * 64, "b" * 64])
    assert names.short("a" * 64) == "a" * 12
    close = RecordNames(["a" * 64, "a" * 15 + "b" * 49])
    assert close.short("a" * 64) == "a" * 16


def folder_of(results: Path, record: str) -> Path:
    folder = results / PICTURES / record
    folder.mkdir(parents=True)
    return folder


def picture(shape: tuple[int, int], form: str = "PNG", seed: int = 0) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (*shape, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(noise).save(buffer, form)
    return buffer.getvalue()


def test_sheets_are_made_anew_and_other_files_stay_out(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "r")
    (folder / "sheet.png").write_bytes(picture((300, 200)))
    (folder / "roc.png").write_bytes(picture((20, 20)))
    (folder / "roc.svg").write_text("<svg onload='1'/>")
    (folder / "hostile.svg").write_text("<svg onload='1'/>")
    (folder / "notes.txt").write_text("x")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    (folder / "link.png").symlink_to(folder / "sheet.png")
    found = {sheet.name: sheet for sheet in sheets_of(["r", "none"], tmp_path)["r"]}
    assert set(found) == {"sheet", "broken"}
    assert found["sheet"].data.startswith("data:image/webp;base64,")
    assert (found["sheet"].width, found["sheet"].height) == (200, 300)
    assert found["broken"].data == "" and "no picture" in found["broken"].why


def test_picture_that_unpacks_to_too_many_pixels_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_pictures, "_PIXELS", 10_000)
    (folder_of(tmp_path, "r") / "bomb.png").write_bytes(picture((101, 100)))
    (sheet,) = sheets_of(["r"], tmp_path)["r"]
    assert sheet.why == "100 × 101 pixels are too many"


def test_sheets_of_a_page_stay_within_three_megabytes(made: ModuleType, tmp_path: Path) -> None:
    board = made.with_sheets(tmp_path, n_sheets=14)
    html = page([board], tmp_path)
    sheets = re.findall(r'src="(data:image/webp;base64,[^"]*)"', html)
    assert 5 < len(sheets) < 14
    assert sum(map(len, sheets)) <= MOST_BYTES <= 3_000_000
    assert "is not shown: the page has no room left for it." in html
    assert html.count("Contact sheet identities-") == len(sheets)
