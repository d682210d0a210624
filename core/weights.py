"""Reading and writing weights files; nothing from outside is ever executed.

Ours are safetensors with a header that names the method, its settings and the container.
Foreign `.pth` files are read by torch's restricted unpickler only.
"""

import argparse
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .atomic_io import write_file
from .errors import WeightsError
from .hashing import sha256_file

FORMAT = "masquerade-weights/1"
_WRAPPERS = ("model", "state_dict", "module")  # keys under which published files keep the weights
_MAX_EXPANSION = 4  # a checkpoint's archive is stored, not compressed: more is a bomb


@dataclass(frozen=True)
class WeightsFile:
    """A weights file in memory.

    Attributes:
        path: where it was read from.
        state: parameter name → tensor, on the CPU.
        header: the header of our own files: format, method, container, config, facts; else {}.
        extras: names of what a foreign file holds beside the weights.
    """

    path: Path
    state: dict[str, Tensor]
    header: dict[str, Any]
    extras: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameter name → shape."""
        return {name: tuple(value.shape) for name, value in self.state.items()}


def find_weights(path: Path) -> Path:
    """The weights file that a user means: the file itself, or a run folder's latest checkpoint.

    Raises:
        WeightsError: there is no such file, or the folder holds no whole checkpoint.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.exists():
        raise WeightsError(f"no weights at {path}", "name a weights file or a run folder")
    for inner in ("latest/model.safetensors", "model.safetensors"):
        if (path / inner).is_file():
            return path / inner
    raise WeightsError(
        f"the folder {path} holds no checkpoint (looked for latest/model.safetensors)",
        "name a run folder that `masquerade pretrain` has written, or a weights file",
    )


def read_weights(path: Path) -> WeightsFile:
    """A `.safetensors` or PyTorch file's tensors; no pickled code is run.

    Raises:
        WeightsError: the file is absent, damaged, holds pickled code, or no tensors.
    """
    path = find_weights(path)
    with path.open("rb") as handle:
        start = handle.read(9)
    if start[:2] != b"PK" and start[8:9] == b"{":
        return _read_safetensors(path)
    return _read_torch(path)


def read_own_weights(path: Path, method: str = "METHOD") -> WeightsFile:
    """As `read_weights`, of a file in our own format only.

    Args:
        path: the file or run folder.
        method: as which it could be imported, for the message.

    Raises:
        WeightsError: as `read_weights`, or the file is not of our format.
    """
    file = read_weights(path)
    if file.header.get("format") != FORMAT:
        raise WeightsError(
            f"{file.path} is no weights file of this suite",
            f"import it: masquerade weights import {method} {file.path} --out FILE.safetensors",
        )
    return file


def _read_safetensors(path: Path) -> WeightsFile:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = dict(file.metadata() or {})
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for key in ("config", "facts"):
            if key in header:
                header[key] = json.loads(header[key])
    except (SafetensorError, ValueError, OSError) as error:
        raise WeightsError(f"{path} is no readable safetensors file: {error}") from error
    return WeightsFile(path, state, header)


def facts_of(path: Path) -> dict[str, str]:
    """What the header of one of our weights files says beside the settings; {} of any other file.

    Raises:
        WeightsError: there is no such file.
    """
    try:
        with safe_open(find_weights(path), framework="pt") as file:
            header = file.metadata() or {}
        return dict(json.loads(header["facts"])) if header.get("format") == FORMAT else {}
    except (SafetensorError, ValueError, KeyError, OSError):
        return {}  # whoever loads it says what is wrong with it


def _read_torch(path: Path) -> WeightsFile:
    try:
        _refuse_bomb(path)
        # training checkpoints of the field hold their options as a Namespace: plain data
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # a hostile file can fail in any way inside the reader
        reason = str(error).strip().splitlines() or [type(error).__name__]
        unsafe = "Unsupported global" in str(error) or "weights_only" in str(error).lower()
        raise WeightsError(
            f"refused {path}: it holds pickled code, which is never run ({_offender(str(error))})"
            if unsafe
            else f"{path} is no readable PyTorch file: {reason[0]}",
            "ask its author for a safetensors file" if unsafe else "download it again",
        ) from error
    return _unwrap(path, content)


def _offender(message: str) -> str:
    """The global or opcode that the restricted unpickler names in its message."""
    for line in message.splitlines():
        for mark in ("GLOBAL", "global", "Unsupported"):
            if mark in line:
                return line[line.index(mark) :].strip().split(" was not")[0][:120]
    return message.strip().splitlines()[0][:120]


def _refuse_bomb(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > _MAX_EXPANSION * max(path.stat().st_size, 1 << 16):
        raise WeightsError(f"refused {path}: it unpacks to {size} bytes", "check where it is from")


def _unwrap(path: Path, content: Any) -> WeightsFile:  # noqa: ANN401 - whatever the file holds
    """The state dict inside {'model': …, 'optimizer': …}, several under their own names, or bare.

    Where nothing else is a tensor, every entry that is a state dict is a part; {'generator': …,
    'critic': …} gives names "part/parameter". What a part is, its class knows (`Importable`).
    """
    extras: tuple[str, ...] = ()
    if isinstance(content, Mapping):
        for wrapper in _WRAPPERS:
            if isinstance(content.get(wrapper), Mapping):
                extras = tuple(str(key) for key in content if key != wrapper)
                content = content[wrapper]
                break
        else:
            parts = {str(k): v for k, v in content.items() if _is_state(v)}
            if parts and not any(isinstance(value, Tensor) for value in content.values()):
                extras = tuple(str(key) for key in content if key not in parts)
                content = {f"{k}/{name}": v for k, p in parts.items() for name, v in p.items()}
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{path} holds no state dict", "name a file of model weights")
    wrong = next((key for key, value in content.items() if not isinstance(value, Tensor)), None)
    if wrong is not None:
        raise WeightsError(f"{path} holds no state dict: its entry '{wrong}' is no tensor")
    return WeightsFile(path, {str(k): v.detach() for k, v in content.items()}, {}, extras)


def _is_state(value: Any) -> bool:  # noqa: ANN401 - whatever the file holds
    tensors = isinstance(value, Mapping) and all(isinstance(v, Tensor) for v in value.values())
    return tensors and len(value) > 0


def save_module(
    module: nn.Module,
    path: Path,
    *,
    method: str,
    container: str,
    config: Mapping[str, Any],
    state: Mapping[str, Tensor] | None = None,
    **facts: str,
) -> None:
    """Write a module's state as safetensors with the header that rebuilds it, atomically.

    Args:
        module: whose state dict is written.
        path: where to.
        method: the method's slug.
        container: which of the method's containers this is ("pretrain", "encoder", …).
        config: the method's settings.
        state: what is written in the place of the module's own state dict.
        facts: anything else worth keeping (source hash, step).
    """
    header = {
        "format": FORMAT,
        "method": method,
        "container": container,
        "config": json.dumps(dict(config), sort_keys=True),
        "facts": json.dumps(facts, sort_keys=True),
    }
    # clones: safetensors refuses tensors that share memory, views of a larger one among them
    given = module.state_dict() if state is None else state
    kept = {k: v.detach().cpu().contiguous().clone() for k, v in given.items()}

    def write(temporary: Path) -> None:
        save_file(kept, temporary, metadata=header)
        _sort_header(temporary)

    write_file(path, write)


def _sort_header(path: Path) -> None:
    """Put the header's facts in order: the library writes them in an order that varies by chance.

    Equal weights must give equal bytes, since their hash names them in records.
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        facts = sorted(header.pop("__metadata__", {}).items())
        text = json.dumps(
            {"__metadata__": dict(facts), **header}, separators=(",", ":"), ensure_ascii=False
        ).encode()
        # the same characters in another order; the library pads with spaces as well
        file.seek(8)
        file.write(text.ljust(size))


def save_method(
    method: Any,  # noqa: ANN401 - a Method
    path: Path,
    *,
    state: Mapping[str, Tensor] | None = None,
    **facts: str,
) -> None:
    """Write a method's own weights (encoder and, where it has one, decoder), or `state` of it."""
    container = "encoder" if getattr(method, "decoder", True) is None else "pretrain"
    save_module(
        method, path, method=method.slug, container=container,
        config=method.config.to_dict(), state=state, **facts,
    )  # fmt: skip


def weights_hash(path: Path) -> str:
    """The sha256 of the weights file that a user means."""
    return sha256_file(find_weights(path))
