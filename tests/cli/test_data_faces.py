"""`masquerade data prepare faces`: what it writes and prints; a mistake is one sentence."""

import json

import pytest
from PIL import Image as Pillow
from skimage import data

from masquerade.cli.main import call


@pytest.fixture
def people(tmp_path):
    """One identity: a face, and a cup of coffee."""
    root = tmp_path / "people"
    (root / "ann").mkdir(parents=True)
    Pillow.fromarray(data.astronaut()[20:260, 110:340]).save(root / "ann" / "face.png")
    Pillow.fromarray(data.coffee()[100:300, 200:400]).save(root / "ann" / "cup.png")
    return root


def run(capsys, *words):
    """(exit code, stdout, stderr)."""
    code = call(["data", "prepare", "faces", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_faces_are_written_and_rejects_counted_and_named_in_a_file(capsys, people, tmp_path):
    out = tmp_path / "out"
    code, text, err = run(capsys, people, "--out", out)
    assert code == 0
    assert "aligned 1 faces of 1 identities" in text
    assert err == f"rejected 1: 1 no face; each is named in {out / 'rejects.tsv'}\n"
    assert (out / "rejects.tsv").read_text() == "key\treason\nann/cup\tno face\n"
    assert Pillow.open(out / "ann" / "face.png").size == (112, 112)
    code, text, _ = run(capsys, people, "--out", out, "--json")
    facts = json.loads(text)
    assert (facts["faces"], facts["identities"], facts["template"]) == (1, 1, "arcface-112")
    assert facts["rejects"] == [{"key": "ann/cup", "reason": "no face"}]
    assert facts["hash"] == json.loads((out / "faces.json").read_text())["hash"]


def test_dlib_template_gives_its_size(capsys, people, tmp_path):
    assert run(capsys, people, "--out", tmp_path / "o", "--template", "dlib-150")[0] == 0
    assert Pillow.open(tmp_path / "o" / "ann" / "face.png").size == (150, 150)


def test_a_damaged_file_is_left_out_or_stops_with_strict(capsys, people, tmp_path):
    bad = people / "ann" / "bad.png"
    bad.write_bytes(b"")
    code, _, err = run(capsys, people, "--out", tmp_path / "o")
    assert code == 0
    assert "rejected 2: 1 damaged, 1 no face; each is named in " in err
    assert f"ann/bad\tdamaged: {bad}" in (tmp_path / "o" / "rejects.tsv").read_text()
    code, _, err = run(capsys, people, "--out", tmp_path / "p", "--strict")
    assert code == 3
    assert f"error: {bad} is damaged" in err


def test_no_face_at_all_leaves_no_folder(capsys, people, tmp_path):
    (people / "ann" / "face.png").unlink()
    code, _, err = run(capsys, people, "--out", tmp_path / "o")
    assert code == 3
    assert "error: none of the 1 pictures gave a face (the first, ann/cup: no face)" in err
    assert not (tmp_path / "o").exists()


def test_an_out_of_another_template_is_refused(capsys, people, tmp_path):
    out = tmp_path / "out"
    assert run(capsys, people, "--out", out)[0] == 0
    code, _, err = run(capsys, people, "--out", out, "--template", "dlib-150")
    assert code == 2
    assert 'another template: it has "arcface-112", this request "dlib-150"' in err


@pytest.mark.parametrize(
    ("words", "expected", "sentence"),
    [
        (("no/such/folder", "--out", "o"), 3, "does not exist"),
        ((".", "--out", "o"), 3, "no images in"),
        (("photos", "--out", "o", "--template", "arcface"), 2, "did you mean 'arcface-112'"),
        (("photos", "--out", "o", "--detector", "mtcn"), 2, "did you mean 'mtcnn'"),
        (("photos", "--out", "o", "--detector", "insightface:none"), 4, "no insightface model"),
        (("photos", "--out", "o", "--smallest", "0"), 2, "smallest"),
        (("photos",), 2, "--out"),
    ],
)
def test_mistakes_are_one_sentence(capsys, tmp_path, monkeypatch, words, expected, sentence):
    monkeypatch.chdir(tmp_path)
    if "insightface:none" in words:
        from masquerade.modalities.image.faces import model_packs

        monkeypatch.setattr(model_packs, "PACKS", tmp_path)
    code, out, err = run(capsys, *words)
    assert code == expected
    assert out == ""
    assert sentence in err
    assert err.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in err
    assert not (tmp_path / "o").exists()
