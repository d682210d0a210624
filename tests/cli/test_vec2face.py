"""`masquerade synthesize vec2face` and `pretrain vec2face`: one sentence for every bad input."""

import json
import logging
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from masquerade.cli.main import call
from masquerade.core.weights import weights_hash
from masquerade.generators.engine.dataset import SynthesizedSet
from masquerade.generators.vec2face.certificate import read_identities
from masquerade.generators.vec2face.synthesizer import SHIPPED, Synthesizer
from masquerade.modalities.image.faces.judge import WEIGHTS as JUDGE

sys.path.insert(0, str(Path(__file__).parent.parent / "generators" / "vec2face"))
from vec2face_toy import SETTINGS, raw_vectors, write_weights  # noqa: E402

SMALL = ["--identities", 5, "--images-per-identity", 4, "--workers", 1, "--device", "cpu",
         "--batch-size", 20]  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="module")
def frame(weights):
    return Synthesizer.open(weights, "cpu").method.frame.get()


@pytest.fixture
def run(capsys, weights, tmp_path):
    """(exit code, stdout, stderr) of `synthesize vec2face` with some more words."""

    def start(*words, named=weights):
        given = [] if named is None else ["--weights", named]
        words = ["synthesize", "vec2face", *given, *SMALL, "--out", tmp_path / "set", *words]
        code = call([*map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return start


def refused(result, code, sentence, out):
    """One sentence, the exit code, and nothing half-written."""
    assert result[0] == code, result
    assert result[1] == ""
    assert result[2].startswith("error: ")
    assert len(result[2].strip().splitlines()) == 1
    assert sentence in result[2]
    left = [path.name for path in out.iterdir() if path.name != ".lock"] if out.exists() else []
    assert left == []


def save(folder, vectors):
    np.save(folder / "vectors.npy", vectors)
    return folder / "vectors.npy"


def test_a_set_of_given_vectors_is_made_and_inspected(run, frame, tmp_path, capsys):
    own = raw_vectors(6, frame)
    code, printed, _ = run("--set", f"vectors={save(tmp_path, own)}")
    assert (code, printed) == (0, f"{tmp_path / 'set'}\n")
    kept = read_identities(tmp_path / "set" / "prepared")
    assert np.allclose(kept, frame.to_frame(own[:5]), atol=1e-5)
    assert call(["data", "inspect", str(tmp_path / "set")]) == 0
    assert re.search(r"^findings.identities +5$", capsys.readouterr().out, re.MULTILINE)


def test_paper_shuffle_holds_the_shares_in_the_whole_set(run, tmp_path):
    assert run("--paper-shuffle")[0] == 0
    rows = list(SynthesizedSet(tmp_path / "set").rows())
    sigmas = [row.facts["sigma"] for row in rows]
    assert Counter(sigmas) == {0.3: 8, 0.5: 8, 0.7: 4}
    per_identity = [Counter(sigmas[i : i + 4]) for i in range(0, 20, 4)]
    assert any(counts != {0.3: 2, 0.5: 1, 0.7: 1} for counts in per_identity)
    plan = json.loads((tmp_path / "set" / "plan.json").read_text())
    assert plan["settings"]["perturbation"]["paper_shuffle"] is True
    code, _, told = run()
    assert code == 2
    assert "perturbation.paper_shuffle is True there and False now" in told


def test_paper_shuffle_without_whole_shares_is_refused_before_anything_is_written(run, tmp_path):
    for more in ((), ("--dry-run",)):
        found = run("--paper-shuffle", "--identities", 3, *more)
        refused(found, 2, "12 rows (identities x images) are (4, 4, 2)", tmp_path / "set")


@pytest.mark.parametrize("name", ["vectors", "centres"])
def test_vectors_of_another_width_are_refused(run, frame, tmp_path, name):
    path = save(tmp_path, raw_vectors(9, frame)[:, :64])
    result = run("--set", f"{name}={path}")
    refused(result, 2, "expected vectors of width 128, got shape (9, 64)", tmp_path / "set")


@pytest.mark.parametrize("name", ["vectors", "centres"])
def test_vectors_with_nan_are_refused(run, frame, tmp_path, name):
    values = raw_vectors(9, frame)
    values[4, 100] = np.nan
    result = run("--set", f"{name}={save(tmp_path, values)}")
    refused(result, 3, "row 4 holds nan, expected finite numbers", tmp_path / "set")


@pytest.mark.parametrize("name", ["vectors", "centres"])
def test_norm_of_another_net_is_warned_of_once(run, frame, tmp_path, caplog, name):
    own = frame.to_frame(raw_vectors(200, frame))
    path = save(tmp_path, frame.from_frame(own * 2.5))
    with caplog.at_level(logging.WARNING):
        assert run("--set", f"{name}={path}")[0] == 0
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert lines[0].startswith(f"{path}: the mean norm is ")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert run("--set", f"{name}={path}")[0] == 0, "a finished set says it no more"
    assert not caplog.records


def test_missing_and_foreign_vector_files_are_refused(run, tmp_path):
    result = run("--set", f"centres={tmp_path / 'none.npy'}")
    refused(result, 3, "is no readable .npy file", tmp_path / "set")
    (tmp_path / "v.csv").write_text("1,2\n")
    result = run("--set", f"vectors={tmp_path / 'v.csv'}")
    refused(result, 3, "expected a .npy or .parquet file", tmp_path / "set")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    result = run("--set", f"vectors={tmp_path / 'objects.npy'}")
    refused(result, 3, "is no readable .npy file", tmp_path / "set")


def test_tau_that_cannot_be_met_says_what_was_found_and_what_to_change(run, tmp_path):
    words = ["--set", "separation.tau=0.02", "--set", "separation.patience=300"]
    result = run(*words, "--identities", 40)
    refused(result, 2, "tau 0.02 cannot be met for 40 identities: ", tmp_path / "set")
    found = int(result[2].split("identities: ")[1].split(" found")[0])
    assert 1 <= found < 40
    assert f"ask for at most {found} identities, raise tau, or take another sampler" in result[2]
    assert run(*words, "--identities", found)[0] == 0, "the mend that is proposed mends"


def test_given_vectors_that_are_not_apart_are_refused(run, frame, tmp_path):
    values = raw_vectors(9, frame)
    values[4] = values[1]
    result = run("--set", f"vectors={save(tmp_path, values)}")
    refused(result, 2, "rows 1 and 4 have cosine 1, expected less than tau 0.4", tmp_path / "set")


def test_folder_of_another_plan_is_refused_and_stays(run, tmp_path):
    assert run()[0] == 0
    before = {p: p.read_bytes() for p in (tmp_path / "set").rglob("*") if p.is_file()}
    code, printed, told = run("--set", "separation.tau=0.3")
    assert (code, printed) == (2, "")
    assert "another plan: settings.separation.tau is 0.4 there and 0.3 now" in told
    assert {p: p.read_bytes() for p in (tmp_path / "set").rglob("*") if p.is_file()} == before


def test_weights_of_another_method_are_refused(run, tmp_path):
    result = run(named=JUDGE)
    refused(result, 4, "holds weights of 'pca-lda', expected 'vec2face'", tmp_path / "set")


def test_missing_weights_are_refused(run, tmp_path):
    result = run(named=tmp_path / "none.safetensors")
    refused(result, 4, "no weights at ", tmp_path / "set")


def test_without_weights_the_shipped_ones_draw(run, tmp_path):
    code, printed, _ = run(named=None)
    assert (code, printed) == (0, f"{tmp_path / 'set'}\n")
    plan = json.loads((tmp_path / "set" / "plan.json").read_text())
    assert plan["generator_hash"] == weights_hash(SHIPPED)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("separation.tua=0.3", "unknown setting 'separation.tua'; did you mean 'separation.tau'?"),
        ("separation.tau=1.5", "setting 'separation.tau'"),
        ("perturbation.sigmas=[0.3]", "1 sigmas and 3 shares"),
        ("image_attrop.quality_target=27", "image_attrop.quality_target 27.0 needs a quality net"),
        ("image_attrop.gate=batch", "expected 'sample'"),
        ("identity_attrop.pose_target=60", "needs a differentiable head-pose net"),
        ("embedder=nobody", "no face extractor 'nobody'"),
    ],
)
def test_settings_that_cannot_be_are_refused(run, tmp_path, setting, sentence):
    refused(run("--set", setting), 2, sentence, tmp_path / "set")


def test_dry_run_writes_nothing_and_tells_the_separation(run, tmp_path):
    code, printed, _ = run("--dry-run")
    assert code == 0
    assert "pictures     20\n" in printed
    assert "preparing    about" in printed
    assert not (tmp_path / "set").exists()


# training ------------------------------------------------------------------------------------


def pictures(folder, side=112, n=6, template=None):
    for number in range(n):
        path = folder / f"person{number // 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shade = np.random.default_rng(number).integers(0, 255, (7, 7, 3), dtype=np.uint8)
        Pillow.fromarray(shade).resize((side, side)).save(path)
    if template is not None:
        facts = {"format": "masquerade-faces/1", "template": template}
        (folder / "faces.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture
def train(capsys, tmp_path):
    """(exit code, stdout, stderr) of `pretrain vec2face` on a folder."""

    def start(folder):
        words = ["pretrain", "vec2face", "--data", folder, "--out", tmp_path / "run", "--quiet",
                 "--steps", 1, "--device", "cpu", "--set", "train.batch_size=2",
                 "--set", "train.precision=fp32"]  # fmt: skip
        words += [w for k, v in SETTINGS.items() for w in ("--set", f"method.{k}={json.dumps(v)}")]
        code = call([*map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return start


@pytest.mark.parametrize("template", ["arcface-112", None])
def test_aligned_faces_are_trained_on(train, tmp_path, template):
    assert train(pictures(tmp_path / "faces", template=template))[0] == 0
    assert (tmp_path / "run" / "latest" / "model.safetensors").is_file()


def test_faces_of_another_template_are_refused(train, tmp_path):
    result = train(pictures(tmp_path / "faces", side=150, template="dlib-150"))
    refused(result, 2, "holds faces of the template 'dlib-150', expected 'arcface-112'; prepare "
            "the pictures with `masquerade data prepare faces", tmp_path / "run")  # fmt: skip


def test_pictures_that_are_no_aligned_faces_are_refused(train, tmp_path):
    result = train(pictures(tmp_path / "faces", side=96))
    refused(result, 3, "0.png has 96×96 pixels, expected an aligned face of the template "
            "'arcface-112', 112×112", tmp_path / "run")  # fmt: skip


def test_preparation_that_was_broken_off_is_refused(train, tmp_path):
    folder = pictures(tmp_path / "faces")
    (folder / ".preparing").mkdir()
    refused(train(folder), 3, "was broken off", tmp_path / "run")


# weights of others ---------------------------------------------------------------------------


def test_imported_weights_get_their_nets_where_the_refusal_says(weights, tmp_path, capsys):
    def told(*words):
        code = call([*map(str, words)])
        return code, capsys.readouterr().err

    official, ours = tmp_path / "official.pth", tmp_path / "ours.safetensors"
    assert told("weights", "export", weights, "--out", official)[0] == 0
    face = pictures(tmp_path / "faces", n=1)
    picture = next(face.rglob("*.png"))
    given = ["--set", "method.heads=2", "--set", "method.decoder_heads=2",
             "--set", "method.norm_groups=8"]  # fmt: skip
    use = ("reconstruct", ours, "--data", picture, "--out", tmp_path / "r.png")
    for named, mend in (("embedder=face-api", "embedder=NAME"), ("perceptual=embedder",) * 2):
        imported = told("weights", "import", "vec2face", official, "--out", ours, *given)
        assert imported[0] == 0
        code, error = told(*use)
        assert code == 2
        assert f"import weights of others again with --set method.{mend}" in error
        given += ["--set", f"method.{named}"]
    assert told("weights", "import", "vec2face", official, "--out", ours, *given)[0] == 0
    assert told(*use)[0] == 0
    assert (tmp_path / "r.png").is_file()
