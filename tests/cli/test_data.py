"""`masquerade data`: what it prints, its exit codes, and that a mistake is one sentence."""

import json

import numpy as np
import pytest
from PIL import Image as Pillow

from masquerade.cli.main import call
from masquerade.modalities.image.embedded import photograph


@pytest.fixture
def folder(tmp_path):
    """Six pictures in two classes."""
    root = tmp_path / "pictures"
    whole = photograph("coffee").image()
    for i in range(6):
        path = root / ("left" if i < 4 else "right") / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        whole.crop((50 * i, 0, 50 * i + 48, 40)).save(path)
    return root


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *words):
    """(exit code, stdout, stderr)."""
    code = call(["data", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list_names_every_set(capsys):
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert "photos" in out
    code, out, _ = run(capsys, "list", "--json")
    sets = {row["name"]: row for row in json.loads(out)["datasets"]}
    assert sets["photos"]["how"] == "embedded"
    assert sets["imagenette2-160"]["licence"].startswith("Apache")


def test_inspect_counts_samples_per_class(capsys, folder):
    code, out, _ = run(capsys, "inspect", folder, "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["samples"], facts["classes"]) == (6, {"left": 4, "right": 2})
    assert facts["first"] == ["left/0", "left/1", "left/2"]
    code, out, _ = run(capsys, "inspect", folder)
    assert facts["fingerprint"] in out
    assert "right  2" in out


def test_verify_names_the_truncated_file_and_exits_3(capsys, folder):
    assert run(capsys, "verify", folder)[0] == 0
    bad = folder / "left" / "2.jpg"
    bad.write_bytes(bad.read_bytes()[:200])
    code, out, err = run(capsys, "verify", folder, "--json")
    assert code == 3
    assert [d["key"] for d in json.loads(out)["damaged"]] == ["left/2"]
    assert str(bad) in err
    assert err.strip().splitlines()[-1].startswith("error: 1 of 6 samples")


def test_pack_gives_the_same_samples_and_verify_finds_a_flipped_bit(capsys, folder, tmp_path):
    out = tmp_path / "p"
    code, text, _ = run(capsys, "prepare", "pack", folder, "--out", out, "--json")
    assert (code, json.loads(text)["samples"]) == (0, 6)
    facts = json.loads(run(capsys, "inspect", out, "--json")[1])
    assert (facts["kind"], facts["classes"]) == ("pack", {"left": 4, "right": 2})
    assert run(capsys, "verify", out)[0] == 0
    pixels = np.memmap(out / "pixels.bin", np.uint8, "r+")
    pixels[40 * 48 * 3 + 5] ^= 1
    pixels.flush()
    code, text, _ = run(capsys, "verify", out, "--json")
    assert code == 3
    assert [d["key"] for d in json.loads(text)["damaged"]] == ["left/1"]


def test_pack_size_scales_down(capsys, folder, tmp_path):
    from masquerade.modalities.image import Image

    assert run(capsys, "prepare", "pack", folder, "--out", tmp_path / "p", "--size", 20)[0] == 0
    assert Image.open(tmp_path / "p").read(0).content.shape == (20, 24, 3)


def test_pack_leaves_a_damaged_file_out_or_stops_with_strict(capsys, folder, tmp_path):
    (folder / "left" / "1.jpg").write_bytes(b"")
    code, out, err = run(capsys, "prepare", "pack", folder, "--out", tmp_path / "p")
    assert code == 0
    assert "packed 5 samples" in out
    assert "1.jpg" in err
    code, _, err = run(capsys, "prepare", "pack", folder, "--out", tmp_path / "q", "--strict")
    assert code == 3
    assert "1.jpg is damaged" in err
    assert not (tmp_path / "q").exists()


@pytest.mark.parametrize(
    ("words", "expected", "sentence"),
    [
        (("inspect", "photoes"), 3, "did you mean 'photos'"),
        (("inspect", "no/such/folder"), 3, "does not exist"),
        (("inspect", "photos:val"), 3, "no split 'val'"),
        (("verify", "."), 3, "no images in"),
        (("get", "photos", "--out", "x"), 2, "is embedded"),
        (("get", "imagenet", "--out", "x"), 3, "did you mean 'imagenette2-160'"),
        (("prepare", "pack", "photos:test", "--out", "."), 2, "exists already"),
        (("prepare", "pack", "photos:test", "--out", "x", "--size", "0"), 2, "size"),
    ],
)
def test_mistakes_are_one_sentence(capsys, empty, words, expected, sentence):
    code, out, err = run(capsys, *words)
    assert code == expected
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sentence in err
    assert list(empty.iterdir()) == []


def test_read_only_out_is_one_sentence(capsys, folder, monkeypatch):
    from pathlib import Path

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    code, _, err = run(capsys, "prepare", "pack", folder, "--out", folder.parent / "a" / "p")
    assert code == 1
    assert "Permission denied" in err
    assert err.count("\n") == 1


def test_get_fetches_checks_and_unpacks(capsys, tmp_path, monkeypatch):
    import hashlib
    import http.server
    import io
    import tarfile
    import threading
    from dataclasses import replace
    from functools import partial

    from masquerade.modalities import catalogue

    served = tmp_path / "served"
    served.mkdir()
    buffer = io.BytesIO()
    Pillow.new("RGB", (4, 4), "red").save(buffer, "PNG")
    with tarfile.open(served / "tiny.tgz", "w:gz") as tar:
        info = tarfile.TarInfo("train/red/0.png")
        info.size = len(buffer.getvalue())
        tar.addfile(info, io.BytesIO(buffer.getvalue()))
    sha = hashlib.sha256((served / "tiny.tgz").read_bytes()).hexdigest()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Keep quiet."""

    server = http.server.HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/tiny.tgz"
        tiny = replace(
            catalogue.CATALOGUE["imagenette2-160"],
            name="tiny",
            download=catalogue.Download(url, sha),
        )
        monkeypatch.setitem(catalogue.CATALOGUE, "tiny", tiny)
        code, out, err = run(capsys, "get", "tiny", "--out", tmp_path / "got")
    finally:
        server.shutdown()
        server.server_close()
    assert (code, err) == (0, "")
    folder = tmp_path / "got" / "tiny"
    assert out.strip() == str(folder)
    assert json.loads(run(capsys, "inspect", folder / "train", "--json")[1])["samples"] == 1
