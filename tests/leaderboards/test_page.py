"""The page without a browser: what it says, that texts stay texts, sizes, stable bytes."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

from masquerade.core.errors import MasqueradeError
from masquerade.leaderboards import page as page_module
from masquerade.leaderboards.page import page, write_page
from masquerade.leaderboards.standings import PUBLISHED, Board

HERE = Path(__file__).parent
NOWHERE = Path("no such results")
SIZE_LIMIT, SHEETS_LIMIT = 2_000_000, 3_000_000


@dataclass
class Parsed(HTMLParser):
    """What an HTML parser finds in a page.

    Attributes:
        tags: (tag, attributes) of all elements.
        texts: all text between tags, but for scripts and styles.
        raw: tag → the texts of its scripts and styles.
    """

    text: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    raw: dict[str, list[str]] = field(default_factory=lambda: {"script": [], "style": []})

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._inside = ""
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag if tag in self.raw else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        (self.raw[self._inside] if self._inside else self.texts).append(data)

    @property
    def shown(self) -> str:
        """All text, white space made one."""
        return " ".join("".join(self.texts).split())

    def values(self, name: str) -> list[str]:
        """The values of an attribute, wherever it stands."""
        return [attributes[name] or "" for _, attributes in self.tags if name in attributes]


def parsed(*boards: Board, results: Path = NOWHERE) -> Parsed:
    return Parsed(page(boards, results))


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_everything_of_a_board_is_said(made: ModuleType) -> None:
    board, empty = made.every_state(), made.empty()
    shown = parsed(board, empty).shown
    (table,) = board.tables
    expected = [board.title, board.summary, table.title, PUBLISHED, empty.title, empty.first]
    expected += [text for c in table.columns for text in (c.label, c.definition)]
    expected += [row.subject for row in (*table.rows, *board.references[0].rows)]
    expected += [str(problem) for problem in board.problems]  # of different files and sentences
    expected += [board.references[0].source, board.references[0].rows[0].source, "98.87"]
    expected += ["too little data: n_impostor 3000, needed 100000", "by protocol 0.9.0, now 1.0.0"]
    expected += ["is not above that of an untrained net", "trained on lfw, which it is tested on"]
    expected += ["0.9870 0.9780–0.9960", "=1 1–2", "7 M", "L3 ×2", "2026-10-01", "baseline"]
    expected += [
        "masquerade evaluate verification --results results --set data.root=pictures "
        "--subject weights/iresnet50-webface.safetensors --data lfw"
    ]
    missing = [text for text in expected if one_line(text) not in shown]
    assert not missing


def test_sentences_of_the_check_stand_once_and_never_say_where_the_folder_lies(
    made: ModuleType, tmp_path: Path
) -> None:
    board = made.every_state()
    refused = board.problems[0]
    problems = [replace(refused, file=str(tmp_path / f"records/{n}.json")) for n in range(3)]
    html = page([replace(board, problems=(*problems, board.problems[1]))], tmp_path)
    shown = Parsed(html).shown
    assert shown.count(one_line(refused.said)) == 1
    assert f"records/0.json and 2 more: {one_line(refused.said)}" in shown
    assert "2 problems" in shown
    assert str(tmp_path) not in html


def cells(html: str, row: str) -> list[str]:
    """The texts of the cells of a row, footnotes left out."""
    (line,) = re.findall(rf'<tr id="{re.escape(row)}".*?</tr>', html, re.DOTALL)
    line = re.sub(r'<a class="fn".*?</a>', "", line)
    return [
        re.sub(r"<[^>]+>", "", cell).strip() for cell in re.split(r"<td[^>]*>|<th[^>]*>", line)[1:]
    ]


def test_cells_say_their_state_and_missing_ones_are_never_zero(made: ModuleType) -> None:
    html = page([made.every_state()], NOWHERE)
    row = {n: cells(html, f"face-verification:row.row-{n}") for n in (2, 5, 6)}
    place = {"exact": 3, "eer": 4, "tar_at_far_1e-4": 7}
    assert row[2][place["exact"]] == "–"
    assert row[5][place["eer"]] == "conflict"
    assert row[6][place["eer"]] == "0.0700\n0.0500–0.0900"
    assert row[2][place["tar_at_far_1e-4"]] == "n/a"
    chance = cells(html, "face-verification:row.base-chance")
    assert chance[0] == ""  # no rank
    assert chance[2:8] == ["0.5000\n0.4800–0.5200", *["–"] * 5]


def test_texts_of_records_stay_texts(made: ModuleType) -> None:
    found = parsed(made.hostile())
    scripts = [attributes.get("type") for tag, attributes in found.tags if tag == "script"]
    assert scripts == [None, "application/json"]
    assert [tag for tag, _ in found.tags].count("style") == 1
    assert not [tag for tag, _ in found.tags if tag in {"img", "iframe", "object", "base"}]
    handlers = {name for _, attributes in found.tags for name in attributes if name[:2] == "on"}
    assert not handlers
    assert not found.values("style")
    assert "autofocus" not in {name for _, attributes in found.tags for name in attributes}
    for text in made.HOSTILE:
        assert found.shown.count(one_line(text)) >= 10, text
    assert "49" not in [word for text in found.texts for word in text.split()]


def test_embedded_data_is_json_without_any_sign_of_html(made: ModuleType) -> None:
    found = parsed(made.hostile(), made.every_state())
    _, data = found.raw["script"]
    assert not set("<>&\u2028\u2029") & set(data)
    tables = json.loads(data)
    first = tables["face-verification.lfw"]["rows"][0]
    assert first["v"][0] == 0.987
    assert (first["s"], first["d"], first["m"]) == (7_000_000, "2026-10-01", "image")
    assert "s" not in tables["hostile.table"]["rows"][0]  # 10**400 is no size


def test_nothing_is_fetched_and_only_our_own_code_may_run(made: ModuleType) -> None:
    found = parsed(made.every_state(), made.empty())
    assert all(link.startswith(("#", "data:")) for link in found.values("href"))
    assert not found.values("src") + found.values("srcset") + found.values("action")
    assert "@import" not in "".join(found.raw["style"])
    assert "url(" not in "".join(found.raw["style"])
    (policy,) = [
        a["content"] or ""
        for _, a in found.tags
        if a.get("http-equiv") == "Content-Security-Policy"
    ]
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (found.raw["script"][0], found.raw["style"][0])
    ]
    assert f"script-src 'sha256-{hashes[0]}'" in policy
    assert f"style-src 'sha256-{hashes[1]}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy and "http" not in policy


def test_ids_are_unique_and_every_link_has_its_place(made: ModuleType, tmp_path: Path) -> None:
    found = parsed(
        made.every_state(), made.with_sheets(tmp_path), made.empty(), made.hostile(),
        results=tmp_path,
    )  # fmt: skip
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    links = [link[1:] for link in found.values("href") if link.startswith("#")]
    assert len(links) > 100
    named = {name for value in found.values("aria-labelledby") for name in value.split()}
    assert {*links, *named, *found.values("aria-describedby")} <= set(ids)


def test_thousand_records_of_twelve_metrics_fit_two_megabytes(made: ModuleType) -> None:
    html = page([made.large(1000, 12)], NOWHERE)
    assert len(html.encode()) < SIZE_LIMIT  # measured 1.85 MB
    assert html.count("<article") == 1000
    assert html.count("<td") >= 1000 * 12


def test_same_records_give_the_same_bytes_in_another_process(
    made: ModuleType, tmp_path: Path
) -> None:
    code = (
        "import importlib.util as u, hashlib, sys, pathlib\n"
        f"s = u.spec_from_file_location('page_boards', {str(HERE / 'page_boards.py')!r})\n"
        "m = u.module_from_spec(s); s.loader.exec_module(m)\n"
        "from masquerade.leaderboards.page import page\n"
        "r = pathlib.Path(sys.argv[1])\n"
        "text = page([m.every_state(), m.with_curves(r), m.hostile()], r)\n"
        "assert 'torch' not in sys.modules\n"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    ours = page(
        [made.every_state(), made.with_curves(tmp_path), made.hostile()],
        tmp_path,
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": "7", "MPLBACKEND": "agg", "TZ": "Asia/Tokyo"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == hashlib.sha256(ours.encode()).hexdigest()


def test_page_is_whole_or_not_there(made: ModuleType, tmp_path: Path) -> None:
    path = write_page([made.empty()], NOWHERE, tmp_path / "new")
    assert path == tmp_path / "new" / "index.html"
    assert path.read_text("utf-8") == page([made.empty()], NOWHERE)
    assert [other.name for other in path.parent.iterdir()] == ["index.html"]
    with pytest.raises(MasqueradeError, match="cannot write"):
        write_page([made.empty()], NOWHERE, path)


def test_boards_without_records_say_how_to_begin(made: ModuleType) -> None:
    shown = parsed(made.empty()).shown
    assert "This board has no record yet." in shown
    assert made.empty().first in shown
    assert "There is no board to show." in parsed().shown
    bare = parsed(replace(made.empty(), first="")).shown
    assert (
        "This board has no record yet." in bare and "made by" not in bare.split("Boards")[1][:300]
    )


def test_page_shows_the_best_rows_and_all_baselines_of_a_longer_table(
    made: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "_MOST_ROWS", 4)
    html = page([made.every_state()], NOWHERE)
    rows = re.findall(r'<tr id="face-verification:row\.([^"]+)"', html)
    assert rows == ["row-0", "row-1", "row-2", "row-3", "base-random", "base-raw", "base-chance"]
    assert html.count("<article") == 7
    assert "6 more are in" in Parsed(html).shown


def test_published_numbers_stand_apart_without_ranks(made: ModuleType) -> None:
    html = page([made.every_state()], NOWHERE)
    own, _, after = html.partition('class="references"')
    section = after.partition("</section>\n</section>")[0]
    assert "HSFace 10K" in section and "HSFace 10K" not in own.partition('class="view board"')[2]
    assert ">Rank<" not in section and 'class="k"' not in section
    assert section.count(PUBLISHED) >= 2
