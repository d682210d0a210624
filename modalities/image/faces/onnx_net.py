"""Any ONNX face net of the ArcFace kind (extra `faces`): one RGB input of 112 pixels, one vector.

As InsightFace reads such files: a graph that begins by subtracting and scaling takes pixel values
0…255 (those converted from MXNet do), any other takes (value − 127.5) / 127.5, which is [-1, 1].
"""

# B images, D width.

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....core.errors import MissingExtra, WeightsError
from ....core.extras import require
from ....core.hashing import sha256_file
from .embedders import Embedder
from .templates import ARCFACE_112, template

_SIDE = template(ARCFACE_112).size
_FIRST_NODES = 8  # where InsightFace looks for the graph's own normalization


class OnnxNet(Embedder):
    """The extractor through ONNX Runtime; it gives no gradients.

    Args:
        path: the .onnx file.
        device: "cuda…" asks for the CUDA provider, where the installed runtime has it.
        name: what people call it; None = the file's.

    Raises:
        WeightsError: no such file, no readable graph, or not a face net of this kind.
        MissingExtra: onnx or onnxruntime is absent.
    """

    def __init__(self, path: Path, device: str = "cpu", name: str | None = None) -> None:
        if path.is_dir():
            raise WeightsError(
                f"{path} is a folder, expected an ONNX file",
                f"name the file, or, where it is a model pack, insightface:{path}",
            )
        if not path.is_file():
            raise WeightsError(f"no ONNX file at {path}", "check the path behind 'onnx:'")
        pixels, session = _reads_pixels(path), _session(path, device)
        shape = _input_shape(session, path)
        super().__init__(
            name or f"onnx:{path.stem}", sha256_file(path), _width(session, shape, path),
            ARCFACE_112, differentiable=False,
        )  # fmt: skip
        self._session = session
        self._batch = shape[0]
        self._pixels = pixels

    def chips_to_vectors(self, chips: Tensor) -> Tensor:
        """(B, D) of faces (B, 3, 112, 112) in [-1, 1]."""
        values = chips.detach().to("cpu", torch.float32)
        faces = (values * 127.5 + 127.5 if self._pixels else values).numpy()
        step = self._batch or max(len(faces), 1)
        parts = [
            _run(self._session, faces[start : start + step], self._batch)
            for start in range(0, len(faces), step)
        ]
        found = np.concatenate(parts) if parts else np.empty((0, self.width), np.float32)
        return torch.from_numpy(found).to(chips.device)


def is_recogniser(path: Path) -> bool:
    """Whether an ONNX file's net makes one vector of a face of the template; it is not run.

    Raises:
        WeightsError: the file is damaged.
        MissingExtra: onnx is absent.
    """
    graph = _graph(path)
    weights = {tensor.name for tensor in graph.initializer}  # old files list them as inputs, too
    inputs = [_sides(value) for value in graph.input if value.name not in weights]
    outputs = [_sides(value) for value in graph.output]
    return (
        len(inputs) == len(outputs) == 1
        and inputs[0][1:] == (3, _SIDE, _SIDE)
        and len(outputs[0]) == 2
    )


def _sides(value: Any) -> tuple[int, ...]:  # noqa: ANN401 - onnx has no types here
    """The shape of an input or output; 0 where it is free."""
    return tuple(side.dim_value for side in value.type.tensor_type.shape.dim)


def _graph(path: Path) -> Any:  # noqa: ANN401 - onnx has no types here
    try:
        return require("onnx").load(str(path), load_external_data=False).graph
    except MissingExtra:
        raise
    except Exception as error:  # a foreign file can fail in any way inside the parser
        raise WeightsError(f"{path} is no readable ONNX file", "download it again") from error


def _reads_pixels(path: Path) -> bool:
    """Whether the graph begins by subtracting and scaling."""
    graph = _graph(path)
    first = {node.op_type for node in graph.node[:_FIRST_NODES]}
    return "Sub" in first and bool(first & {"Mul", "Div"})


def _session(path: Path, device: str) -> Any:  # noqa: ANN401 - onnxruntime has no types here
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    wanted = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
    there = [p for p in wanted if p in runtime.get_available_providers()]
    try:
        return runtime.InferenceSession(
            str(path), options, providers=[*there, "CPUExecutionProvider"]
        )
    except Exception as error:  # the runtime's own classes, which share no base
        raise WeightsError(
            f"ONNX Runtime cannot load {path}: {str(error).splitlines()[0]}", "download it again"
        ) from error


def _input_shape(session: Any, path: Path) -> tuple[int | None, int, int, int]:  # noqa: ANN401
    """(fixed batch or None, 3, S, S).

    Raises:
        WeightsError: another input than one face picture of the template, or several outputs.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = tuple(inputs[0].shape)
    free = [n if isinstance(n, int) else None for n in shape]
    fits = len(shape) == 4 and all(
        n in (None, want) for n, want in zip(free[1:], (3, _SIDE, _SIDE), strict=True)
    )
    if len(inputs) != 1 or len(outputs) != 1 or not fits or inputs[0].type != "tensor(float)":
        raise WeightsError(
            f"{path}: expected one input (B, 3, {_SIDE}, {_SIDE}) of float32 and one output, got "
            f"{len(inputs)} inputs, the first {shape} of {inputs[0].type}, and "
            f"{len(outputs)} outputs",
            "name a face recognition net of the ArcFace kind",
        )
    return (free[0] or None, 3, _SIDE, _SIDE)


def _width(
    session: Any,  # noqa: ANN401
    shape: tuple[int | None, int, int, int],
    path: Path,
) -> int:
    """D, from one black face."""
    found = _run(session, np.zeros((1, *shape[1:]), np.float32), shape[0])
    if found.ndim != 2:
        raise WeightsError(
            f"{path}: expected vectors (B, D), got an output of shape {found.shape}",
            "name a face recognition net of the ArcFace kind",
        )
    return int(found.shape[1])


def _run(
    session: Any,  # noqa: ANN401
    faces: NDArray[np.float32],
    batch: int | None,
) -> NDArray[np.float32]:
    """The output for some faces; a net of a fixed batch gets black ones behind them."""
    n = len(faces)
    if batch is not None and n < batch:
        more = np.zeros((batch - n, *faces.shape[1:]), np.float32)
        faces = np.concatenate([faces, more])
    feeds = {session.get_inputs()[0].name: np.ascontiguousarray(faces)}
    return np.asarray(session.run(None, feeds)[0])[:n].astype(np.float32)
