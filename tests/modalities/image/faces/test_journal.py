"""The journal of a preparation: what survives a kill at any byte."""

import pytest

from masquerade.modalities.image.faces.journal import Entry, Journal

KEYS = ["a/1", "a/2", "b/1"]


def entry(key):
    return Entry(key=key, name=f"{key}.png", sha256="0" * 64, reason="")


@pytest.fixture
def written(tmp_path):
    """A journal of two entries."""
    path = tmp_path / "done.jsonl"
    with Journal(path, KEYS) as journal:
        journal.add(entry("a/1"))
        journal.add(Entry(key="a/2", name="", sha256="", reason="no face"))
    return path


def test_entries_are_read_back(written):
    journal = Journal(written, KEYS)
    assert [e["key"] for e in journal.entries] == ["a/1", "a/2"]
    assert journal.entries[1]["reason"] == "no face"


def test_a_line_cut_anywhere_is_written_again(written):
    whole = written.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(len(whole)):
        written.write_bytes(whole[:length])
        with Journal(written, KEYS) as journal:
            assert len(journal.entries) == (length >= first)
            for key in KEYS[len(journal.entries) : 2]:
                reject = Entry(key=key, name="", sha256="", reason="no face")
                journal.add(reject if key == "a/2" else entry(key))
        assert written.read_bytes() == whole


@pytest.mark.parametrize("line", [b"[1]\n", b'{"key": "b/1"}\n', b"\xff\n", b"{}\n", b"\n"])
def test_a_line_that_says_nothing_is_cut_off(written, line):
    whole = written.read_bytes()
    written.write_bytes(whole + line)
    with Journal(written, KEYS) as journal:
        assert len(journal.entries) == 2
    assert written.read_bytes() == whole


def test_entries_of_other_keys_are_cut_off(written):
    assert len(Journal(written, ["a/1", "a/9"]).entries) == 1
    assert Journal(written, ["z"]).entries == []
