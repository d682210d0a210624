"""Checkpoints: `checkpoints/step-N/` written whole, then `latest` moved onto it.

A kill at any instant leaves `latest` on the last whole checkpoint: the folder is filled under a
temporary name, fsynced and renamed, and the link is replaced by a rename as well.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from ..atomic_io import canonical_json, explained, new_folder, sync_folder
from ..errors import WeightsError

MODEL, STATE, FACTS = "model.safetensors", "state.safetensors", "state.json"
_PREFIX = "step-"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds beside the model.

    Attributes:
        folder: where it lies; the model is `folder / MODEL`.
        step: optimizer steps done.
        tensors: named state tensors (moments, averages).
        facts: counters, JSON values.
    """

    folder: Path
    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class CheckpointStore:
    """The checkpoints of one run folder.

    Args:
        run: the run folder.
        keep: how many of the newest stay.
    """

    def __init__(self, run: Path, keep: int = 2) -> None:
        self.run = run
        self.folder = run / "checkpoints"
        self.keep = keep

    def sweep(self) -> None:
        """Remove what killed processes left half-written (call it under the run's lock)."""
        for rest in self.folder.glob(f".{_PREFIX}*.tmp"):
            shutil.rmtree(rest)
        for link in self.run.glob(".latest.*.tmp"):
            link.unlink()

    def save(
        self,
        step: int,
        write_model: Callable[[Path], None],
        tensors: Mapping[str, Tensor],
        facts: Mapping[str, Any],
    ) -> Path:
        """Write checkpoint `step`, move `latest` onto it, remove the oldest beyond `keep`.

        Raises:
            MasqueradeError: the system refuses to write; the former checkpoint stays in force.
        """
        target = self.folder / f"{_PREFIX}{step}"
        with new_folder(target) as folder:
            try:
                write_model(folder / MODEL)
                save_file({k: v.detach().contiguous() for k, v in tensors.items()}, folder / STATE)
            except SafetensorError as error:
                # the library's own error hides the system's; new_folder explains an OSError
                raise OSError(str(error)) from error
            text = canonical_json({**facts, "step": step})
            (folder / FACTS).write_text(text, encoding="utf-8")
        self._point_to(target)
        self._prune(target)
        return target

    def load(self) -> Checkpoint | None:
        """The checkpoint that `latest` points to, or None before the first one.

        Raises:
            WeightsError: its files are damaged.
        """
        folder = self.run / "latest"
        if not folder.exists():
            return None
        try:
            facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            tensors = load_file(folder / STATE)
            return Checkpoint(folder.resolve(), int(facts["step"]), tensors, facts)
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise WeightsError(
                f"checkpoint {folder.resolve()} is damaged ({error})",
                f"point {folder} at an older one in {self.folder}, or start again elsewhere",
            ) from error

    def _point_to(self, target: Path) -> None:
        link = self.run / f".latest.{os.getpid()}.tmp"
        with explained(self.run / "latest"):
            link.unlink(missing_ok=True)
            link.symlink_to(target.relative_to(self.run))  # relative: the run can be moved
            link.replace(self.run / "latest")
            sync_folder(self.run)

    def _prune(self, newest: Path) -> None:
        """Remove all but the newest `keep`."""
        steps = sorted(
            (p for p in self.folder.glob(f"{_PREFIX}*") if p != newest),
            key=lambda p: int(p.name.removeprefix(_PREFIX)),
        )
        for old in steps[: max(0, len(steps) + 1 - self.keep)]:
            with explained(old):
                # renamed first, so that no half-removed folder is ever called step-N
                gone = old.replace(old.with_name(f".{old.name}.{os.getpid()}.tmp"))
                shutil.rmtree(gone)


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as "optimizer/<parameter>/<field>" → tensor."""
    return {
        f"optimizer/{name}/{field}": value
        for group in optimizer.param_groups
        for name, parameter in zip(group["names"], group["params"], strict=True)
        for field, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors of `optimizer_tensors` back.

    Raises:
        WeightsError: they belong to other parameters.
    """
    names = [name for group in optimizer.param_groups for name in group["names"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if not key.startswith("optimizer/"):
            continue
        _, name, field = key.split("/")
        if name not in names:
            raise WeightsError(
                f"the checkpoint has optimizer state of '{name}', which the method lacks",
                "resume with the method that wrote it",
            )
        state.setdefault(names.index(name), {})[field] = value
    # torch's own loader knows on which device and in which type each field must lie
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )
