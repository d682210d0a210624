"""`embed` of aligned faces that do not say their crop: refused, until the user says it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

from masquerade.cli.main import call


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Two people's pictures of 112 pixels, without a faces.json."""
    random = np.random.default_rng(0)
    for person in ("a", "b"):
        (tmp_path / "plain" / person).mkdir(parents=True)
        pixels = random.integers(0, 256, (112, 112, 3), dtype=np.uint8)
        Pillow.fromarray(pixels).save(tmp_path / "plain" / person / "0.png")
    return tmp_path / "plain"


def test_template_is_taken_from_set(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "features.parquet"
    command = ["embed", "pca-lda", "--data", str(plain), "--out", str(out)]
    assert call(command) == 2
    assert "--set data.template=arcface-112" in capsys.readouterr().err
    assert not out.exists()
    assert call([*command, "--set", "data.template=arcface-112"]) == 0
    frame = pd.read_parquet(out)
    assert frame["key"].tolist() == ["a/0", "b/0"]
    # the judge's vectors are unit vectors of 64 values
    assert [len(row) for row in frame["feature"]] == [64, 64]
    np.testing.assert_allclose([np.linalg.norm(row) for row in frame["feature"]], 1, rtol=1e-5)


def test_quartiles_of_the_norms_are_printed(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are the units of AttrOP's quality_target."""
    out = tmp_path / "features.parquet"
    command = ["embed", "face-api", "--data", str(plain), "--out", str(out)]
    command += ["--set", "data.template=arcface-112"]
    assert call(command) == 0
    norms = np.sort([np.linalg.norm(row) for row in pd.read_parquet(out)["feature"]])
    quartiles = [float(norms[0] + share * (norms[1] - norms[0])) for share in (0.25, 0.5, 0.75)]
    shown = ", ".join(f"{value:.4g}" for value in quartiles)
    told = capsys.readouterr().err
    assert f"2 samples, 128 features each; quartiles of their norms {shown}\n" in told
    assert call([*command, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(facts["norm_quartiles"], quartiles, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("template=arcface-112", "only settings of 'data' can be given here"),
        ("data.template=arcface", "did you mean 'arcface-112'"),
        ("data.sise=3", "sise"),
    ],
)
def test_wrong_settings_are_one_sentence(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    command = ["embed", "pca-lda", "--data", str(plain), "--out", str(tmp_path / "f.parquet")]
    assert call([*command, "--set", text]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("error:") == 1
