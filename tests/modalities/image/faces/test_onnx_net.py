"""ONNX face nets: pictures in the units that the graph wants, any batch, refused graphs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from masquerade.core import extras
from masquerade.core.errors import MissingExtra, UsageError, WeightsError
from masquerade.core.extras import installed
from masquerade.modalities.image.faces.embedders import open_embedder

needed = pytest.mark.skipif(
    not (installed("onnx") and installed("onnxruntime")),
    reason="needs onnx and onnxruntime (insightface brings both, extra [faces])",
)


def write_net(
    path: Path, *, batch: object = "N", side: int = 112, pixels: bool = False, outputs: int = 1
) -> Path:
    """A graph that gives each colour's mean; with `pixels`, after (x − 127.5) · (1 / 128)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, at = [], [], "input"
    if pixels:
        constants = [numpy_helper.from_array(np.array(value, np.float32), name)
                     for name, value in (("offset", 127.5), ("factor", 1 / 128))]  # fmt: skip
        nodes = [helper.make_node("Sub", ["input", "offset"], ["a"], name="_minusscalar0"),
                 helper.make_node("Mul", ["a", "factor"], ["b"], name="_mulscalar0")]  # fmt: skip
        at = "b"
    pooled = [f"p{k}" for k in range(outputs)]
    nodes += [helper.make_node("GlobalAveragePool", [at], [name]) for name in pooled]
    nodes += [helper.make_node("Flatten", [name], [f"out{name}"], axis=1) for name in pooled]
    graph = helper.make_graph(
        nodes, "means",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info(f"out{n}", TensorProto.FLOAT, [batch, 3]) for n in pooled],
        constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path


def faces() -> torch.Tensor:
    """Five even pictures of different colours."""
    colours = torch.linspace(-1, 1, 15).reshape(5, 3, 1, 1)
    return colours.expand(5, 3, 112, 112).contiguous()


@needed
@pytest.mark.parametrize("batch", ["N", 1, 2])
def test_any_batch_of_the_graph_gives_the_same_rows(tmp_path: Path, batch: object) -> None:
    net = open_embedder(f"onnx:{write_net(tmp_path / 'net.onnx', batch=batch)}")
    assert (net.name, net.width, net.template) == ("onnx:net", 3, "arcface-112")
    expected = torch.linspace(-1, 1, 15).reshape(5, 3)
    torch.testing.assert_close(net.embed(faces(), "arcface-112"), expected, atol=1e-4, rtol=0)


@needed
def test_graph_that_normalizes_itself_gets_pixel_values(tmp_path: Path) -> None:
    """By hand: −1 is the pixel 0, and (0 − 127.5) / 128 = −0.99609375."""
    net = open_embedder(f"onnx:{write_net(tmp_path / 'net.onnx', pixels=True)}")
    found = net.embed(faces(), "arcface-112")
    assert float(found[0, 0]) == pytest.approx(-0.99609375)
    assert float(found[4, 2]) == pytest.approx(0.99609375)


@needed
def test_it_gives_no_gradients(tmp_path: Path) -> None:
    net = open_embedder(f"onnx:{write_net(tmp_path / 'net.onnx')}")
    with pytest.raises(UsageError, match="gives no gradients"):
        net.embed(faces().requires_grad_(True), "arcface-112")
    assert net.embed(torch.zeros(0, 3, 112, 112), "arcface-112").shape == (0, 3)


@needed
@pytest.mark.parametrize(
    ("settings", "message"),
    [({"side": 160}, r"\(B, 3, 112, 112\).*160"), ({"outputs": 2}, "and 2 outputs")],
)
def test_graphs_that_are_no_face_net_are_refused(
    tmp_path: Path, settings: dict, message: str
) -> None:
    path = write_net(tmp_path / "net.onnx", **settings)
    with pytest.raises(WeightsError, match=message):
        open_embedder(f"onnx:{path}")


@needed
def test_damaged_file_is_refused(tmp_path: Path) -> None:
    path = write_net(tmp_path / "net.onnx")
    path.write_bytes(path.read_bytes()[:40] + b"\xff" * 40)
    with pytest.raises(WeightsError):
        open_embedder(f"onnx:{path}")


def test_absent_file_and_absent_package_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match="no ONNX file at"):
        open_embedder(f"onnx:{tmp_path / 'none.onnx'}")
    monkeypatch.setattr(extras, "installed", lambda _name: False)
    (tmp_path / "net.onnx").write_bytes(b"x")
    with pytest.raises(MissingExtra, match=r"'onnx' is not installed.*\[faces\]"):
        open_embedder(f"onnx:{tmp_path / 'net.onnx'}")
