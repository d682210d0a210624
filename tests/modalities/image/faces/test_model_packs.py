"""One recogniser, however people have it: ONNX file, model pack, state dict, weights of a run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image as Pillow

from masquerade.cli.main import call
from masquerade.core.errors import WeightsError
from masquerade.core.extras import installed
from masquerade.core.iresnet import IResNet, IResNetConfig
from masquerade.modalities.image.faces import model_packs
from masquerade.modalities.image.faces.embedders import open_embedder
from masquerade.modalities.image.faces.model_packs import find_recogniser

pytestmark = pytest.mark.skipif(
    not (installed("onnx") and installed("onnxruntime")),
    reason="needs onnx and onnxruntime (extra [faces])",
)


@pytest.fixture(scope="module")
def net() -> IResNet:
    torch.manual_seed(0)
    config = IResNetConfig(layers=(2, 1, 1, 1), widths=(4, 4, 8, 16), dim=6, se=True)
    made = IResNet(config)
    with torch.no_grad():
        made(torch.rand(4, 3, 112, 112))  # running statistics of its own
    return made.eval()


def write_graph(path: Path, inputs: list, outputs: list) -> None:
    """A net of the given shapes that nobody runs."""
    import onnx
    from onnx import TensorProto, helper

    def values(shapes: list, name: str) -> list:
        return [
            helper.make_tensor_value_info(f"{name}{i}", TensorProto.FLOAT, shape)
            for i, shape in enumerate(shapes)
        ]

    nodes = [helper.make_node("Identity", ["in0"], [f"out{i}"]) for i in range(len(outputs))]
    graph = helper.make_graph(nodes, "shapes", values(inputs, "in"), values(outputs, "out"))
    onnx.save(helper.make_model(graph), str(path))


@pytest.fixture(scope="module")
def pack(net: IResNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a pack like buffalo_l: a detector, points, age, and the recogniser."""
    folder = tmp_path_factory.mktemp("models") / "buffalo_s"
    folder.mkdir()
    write_graph(folder / "det_500m.onnx", [[1, 3, "H", "W"]], [["N", 1]] * 9)
    write_graph(folder / "2d106det.onnx", [["N", 3, 192, 192]], [["N", 212]])
    write_graph(folder / "genderage.onnx", [["N", 3, 96, 96]], [["N", 3]])
    torch.onnx.export(
        net, (torch.zeros(1, 3, 112, 112),), str(folder / "w600k_mbf.onnx"), dynamo=False,
        input_names=["input.1"], output_names=["embedding"], dynamic_axes={"input.1": {0: "None"}},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces") / "a"
    (folder / "p").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3)).astype(np.uint8)
    for k, picture in enumerate(pixels):
        Pillow.fromarray(picture).save(folder / "p" / f"{k}.png")
    facts = {"format": "masquerade-faces/1", "template": "arcface-112"}
    (folder / "faces.json").write_text(json.dumps(facts))
    return folder


def checkpoint(net: IResNet) -> dict:
    """What arcface_torch's trainer saves to go on with: parts, the optimizer's among them."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    return {
        "epoch": 3, "global_step": 40,
        "state_dict_backbone": dict(net.state_dict()),
        "state_dict_softmax_fc": {"weight": torch.zeros(10, 6)},
        "state_optimizer": optimizer.state_dict(),
        "state_lr_scheduler": {"base_lrs": [0.1]},
    }  # fmt: skip


def test_one_net_gives_the_same_vectors_however_it_comes(
    net: IResNet, pack: Path, faces: Path, tmp_path: Path
) -> None:
    files = {
        "backbone.pth": dict(net.state_dict()),
        "distributed.pt": {f"module.{k}": v for k, v in net.state_dict().items()},
        "checkpoint_gpu_0.pt": checkpoint(net),
    }
    subjects = [f"onnx:{pack / 'w600k_mbf.onnx'}", f"insightface:{pack}"]
    for name, content in files.items():
        torch.save(content, tmp_path / name)
        out = str(tmp_path / f"{name}.safetensors")
        assert call(["weights", "import", "iresnet", str(tmp_path / name), "--out", out]) == 0
        subjects.append(out)
    pixels = np.stack([np.asarray(Pillow.open(p)) for p in sorted((faces / "p").glob("*.png"))])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        wanted = net(images).numpy()
    for number, subject in enumerate(subjects):
        out = tmp_path / f"{number}.parquet"
        assert call(["embed", subject, "--data", str(faces), "--out", str(out)]) == 0
        found = np.stack(pd.read_parquet(out)["feature"].to_list())
        np.testing.assert_allclose(found, wanted, atol=1e-4, err_msg=subject)


def test_a_pack_is_found_by_its_name_where_the_package_keeps_it(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_packs, "PACKS", pack.parent)
    assert find_recogniser("buffalo_s") == pack / "w600k_mbf.onnx"
    assert find_recogniser(str(pack / "w600k_mbf.onnx")) == pack / "w600k_mbf.onnx"
    net = open_embedder("insightface:buffalo_s")
    assert (net.name, net.width, net.template) == ("insightface:buffalo_s", 6, "arcface-112")


def test_a_pack_must_hold_one_recogniser(pack: Path, tmp_path: Path) -> None:
    two = tmp_path / "two"
    shutil.copytree(pack, two)
    shutil.copy(two / "w600k_mbf.onnx", two / "glintr100.onnx")
    with pytest.raises(WeightsError, match=r"holds 2 nets .* \(glintr100.onnx, w600k_mbf.onnx\)"):
        open_embedder(f"insightface:{two}")
    for name in ("w600k_mbf.onnx", "glintr100.onnx"):
        (two / name).unlink()
    with pytest.raises(WeightsError, match="holds 0 nets"):
        open_embedder(f"insightface:{two}")


def test_a_manifest_names_the_recogniser(pack: Path, tmp_path: Path) -> None:
    """Of raccoon-like packs, whose verification net reads 112 pixels, too."""
    two = tmp_path / "two"
    shutil.copytree(pack, two)
    shutil.copy(two / "w600k_mbf.onnx", two / "verify.onnx")
    task = {"file": "w600k_mbf.onnx", "embedding_dimension": 6}

    def say(version: int, **more: object) -> None:
        manifest = {"manifest_version": version, "tasks": {"recognition": {**task, **more}}}
        (two / "manifest.json").write_text(json.dumps(manifest))

    say(2)
    assert find_recogniser(str(two)) == two / "w600k_mbf.onnx"
    say(2, preprocessing={"mean": 127.5, "std": 127.5})
    assert find_recogniser(str(two)) == two / "w600k_mbf.onnx"
    say(1)  # the package reads those by shape, too
    with pytest.raises(WeightsError, match="holds 2 nets"):
        find_recogniser(str(two))
    for wrong in ({"preprocessing": "embedded"}, {"file": "../buffalo_s/w600k_mbf.onnx"}):
        say(2, **wrong)
        with pytest.raises(WeightsError, match=r"manifest\.json: expected a recogniser inside"):
            find_recogniser(str(two))
    (two / "manifest.json").write_text('{"manifest_version": 2, "tasks": []}')
    with pytest.raises(WeightsError, match=r"manifest\.json names no recogniser"):
        find_recogniser(str(two))


def test_what_is_not_there_is_one_sentence(
    pack: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(model_packs, "PACKS", tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "w600k_r50.onnx").write_bytes(b"\xff" * 40)
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(tmp_path / "script.pt"))
    embed = ["embed", "--data", str(faces), "--out", str(tmp_path / "x.parquet")]
    take = ["weights", "import", "iresnet", "--out", str(tmp_path / "x.safetensors")]
    for words, message in (
        ([*embed, "insightface:buffalo_l"], "no insightface model 'buffalo_l' here or in"),
        ([*embed, "insightface:broken"], "w600k_r50.onnx is no readable ONNX file"),
        ([*embed, f"onnx:{pack}"], "is a folder, expected an ONNX file; name the file, or, where"),
        ([*take, str(tmp_path / "script.pt")], "refused"),
    ):
        assert call(words) == 4
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert message in error
