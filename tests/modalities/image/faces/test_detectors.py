"""Detectors by name, the face a picture is of, and the two that optional packages bring."""

import numpy as np
import pytest

from masquerade.core import extras
from masquerade.core.errors import MissingExtra, UsageError, WeightsError
from masquerade.modalities.image.faces import insightface_detector, model_packs
from masquerade.modalities.image.faces.detectors import Face, main_face, open_detector


def face(left, top, right, bottom):
    return Face(np.array([left, top, right, bottom], float), 1.0, np.zeros((5, 2)))


def test_main_face_is_the_large_central_one():
    """By hand: 900 − 0, against 3600 − 2·(70² + 70²), against 400 − 2·2·20²."""
    centre, corner, near = face(85, 85, 115, 115), face(0, 0, 60, 60), face(110, 110, 130, 130)
    assert main_face([corner, centre, near], 200, 200) is centre
    large = face(20, 20, 160, 160)
    assert main_face([centre, large], 200, 200) is large
    assert main_face([near, near], 200, 200) is near
    assert face(0, 0, 60, 20).side == 20


@pytest.mark.parametrize("name", ["mtcn", "dlib", "insightface", "insightface:", ""])
def test_unknown_detector_is_one_sentence(name):
    with pytest.raises(UsageError, match="unknown face detector") as caught:
        open_detector(name)
    assert (
        "mtcnn" in caught.value.remedy
        or "dlib-hog" in caught.value.remedy
        or ("insightface:MODEL" in caught.value.remedy)
    )


def test_hash_of_mtcnn_covers_its_settings():
    from masquerade.modalities.image.faces.mtcnn import Mtcnn, MtcnnSettings

    assert open_detector("mtcnn").hash == Mtcnn().hash
    assert Mtcnn(MtcnnSettings(smallest=0.3)).hash != Mtcnn().hash


def test_dlib_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"masquerade-suite\[faces\]"):
        open_detector("dlib-hog")


def test_insightface_never_fetches_a_pack(tmp_path, monkeypatch):
    monkeypatch.setattr(model_packs, "PACKS", tmp_path)
    with pytest.raises(WeightsError, match="no insightface model 'buffalo_l'") as caught:
        open_detector("insightface:buffalo_l")
    assert "--detector mtcnn" in caught.value.remedy


def test_insightface_pack_must_hold_one_detector(tmp_path, monkeypatch):
    monkeypatch.setattr(model_packs, "PACKS", tmp_path)
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "w600k_r50.onnx").touch()
    with pytest.raises(WeightsError, match="holds 0 detectors"):
        insightface_detector.find_model("pack")
    (pack / "det_10g.onnx").touch()
    assert insightface_detector.find_model("pack") == pack / "det_10g.onnx"
    assert insightface_detector.find_model(str(pack / "det_10g.onnx")).name == "det_10g.onnx"
    (pack / "scrfd_500m.onnx").touch()
    with pytest.raises(WeightsError, match="holds 2 detectors"):
        insightface_detector.find_model("pack")


def write_constant_detector(path, side=64):
    """An ONNX file of SCRFD's nine outputs that sees one face, whatever the picture shows."""
    onnx = pytest.importorskip("onnx", reason="onnx comes with the extra faces")
    pytest.importorskip("insightface", reason="the extra faces is not installed")
    kinds = {"score": [0.9], "box": [2, 1, 3, 4], "points": [-1, -1, 1, -1, 0, 0, -1, 1, 1, 1]}
    constants, nodes, outputs = [], [], []
    for kind, values in kinds.items():
        for stride in (8, 16, 32):
            rows = np.zeros(((side // stride) ** 2 * 2, len(values)), np.float32)
            if stride == 8:
                rows[(2 * (side // 8) + 3) * 2] = values  # the first anchor of row 2, column 3
            name = f"{kind}{stride}"
            constants.append(onnx.numpy_helper.from_array(rows, f"{name}c"))
            nodes.append(onnx.helper.make_node("Add", [f"{name}c", "nothing"], [name]))
            outputs.append(onnx.helper.make_tensor_value_info(name, 1, rows.shape))
    constants.append(onnx.numpy_helper.from_array(np.float32(0), "zero"))
    reading = [
        onnx.helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0),
        onnx.helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    inputs = [onnx.helper.make_tensor_value_info("input", 1, [1, 3, side, side])]
    graph = onnx.helper.make_graph(reading + nodes, "constant", inputs, outputs, constants)
    opset = onnx.helper.make_opsetid("", 13)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), path)


def test_insightface_reads_boxes_and_points_in_the_pictures_pixels(tmp_path):
    """By hand: cell (24, 16) of stride 8, distances × 8, the picture twice the net's size."""
    path = tmp_path / "det_constant.onnx"
    write_constant_detector(path)
    detector = open_detector(f"insightface:{path}")
    (found,) = detector.detect(np.zeros((128, 128, 3), np.uint8))
    assert detector.name == "insightface:det_constant.onnx"
    assert found.score == pytest.approx(0.9)
    np.testing.assert_allclose(found.box, [16, 16, 96, 96])
    np.testing.assert_allclose(found.points, [[32, 16], [64, 16], [48, 32], [32, 48], [64, 48]])


def test_insightface_refuses_a_damaged_file(tmp_path):
    pytest.importorskip("insightface", reason="the extra faces is not installed")
    path = tmp_path / "det_broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(WeightsError, match="no readable ONNX model"):
        open_detector(f"insightface:{path}")
