"""Methods and nets from weights files: our own, and the published containers of each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core.atomic_io import write_file
from ..core.classifier import ViTClassifier
from ..core.config import Config, build
from ..core.errors import WeightsError
from ..core.fit import FitReport, compare
from ..core.hashing import sha256_file
from ..core.importable import Importable, is_ours, unwrapped, wrapped
from ..core.keymap import to_official, to_ours
from ..core.method import Method
from ..core.weights import (
    FORMAT,
    WeightsFile,
    find_weights,
    read_own_weights,
    read_weights,
    save_module,
)
from .registry import method as method_class
from .registry import weights_class

_ABSENT = {
    "encoder": "decoder: absent (encoder-only container; features work, reconstruction does not)",
    "classifier-mean": "decoder: absent (fine-tuned classifier, mean pooling)",
    "classifier-cls": "decoder: absent (fine-tuned classifier, class token)",
}


def load_module(path: Path, *, expect: str | None = None) -> nn.Module:
    """The module (method, classifier or net) of one of our weights files or run folders.

    Args:
        path: file or run folder.
        expect: a method's slug that the weights must be of.

    Raises:
        WeightsError: no such file, not ours, of another method, or it does not fit.
    """
    file = _ours(path)
    slug = file.header["method"]
    if expect is not None and slug != expect:
        raise WeightsError(
            f"{file.path} holds weights of '{slug}', expected '{expect}'",
            f"name weights of '{expect}'",
        )
    cls = weights_class(slug)
    config = build(cls.Config, file.header["config"], "method")
    module = cls.from_container(file.header["container"], config, file.shapes)
    _fill(module, file.state, compare(module, file.state), file.path, allow_partial=False)
    return module


def _ours(path: Path) -> WeightsFile:
    file = read_own_weights(path)
    absent = {"method", "container", "config"} - file.header.keys()
    if absent:
        raise WeightsError(
            f"the header of {file.path} lacks {', '.join(sorted(absent))}",
            "write the file again with `masquerade weights import`",
        )
    return file


def load_method(path: Path, *, expect: str | None = None) -> Method:
    """The method of one of our weights files or run folders.

    Raises:
        WeightsError: as `load_module`, or the file holds a fine-tuned classifier or a net.
    """
    module = load_module(path, expect=expect)
    if not isinstance(module, Method):
        what = "a frozen net" if hasattr(module, "slug") else "a fine-tuned classifier"
        raise WeightsError(
            f"{find_weights(path)} holds {what}, not a pre-training model",
            "name pre-training weights",
        )
    return module


@dataclass(frozen=True)
class LoadedClassifier:
    """A fine-tuned classifier, and the method that it comes from.

    Attributes:
        model: tokens → logits.
        method: without weights: its settings, and how it makes tokens of a batch.
    """

    model: ViTClassifier
    method: Method


def load_classifier(path: Path) -> LoadedClassifier:
    """The classifier in one of our weights files.

    Raises:
        WeightsError: as `load_module`, or the file holds something else.
    """
    model = load_module(path)
    if not isinstance(model, ViTClassifier):
        raise WeightsError(
            f"{find_weights(path)} holds no classifier",
            "name fine-tuned weights, or fine-tune these: `masquerade evaluate finetune`",
        )
    header = _ours(path).header
    cls = method_class(header["method"])  # nets have no classifiers
    config = build(cls.Config, header["config"], "method")
    with torch.device("meta"):
        return LoadedClassifier(model, cls(config))


@dataclass(frozen=True)
class Imported:
    """What a published weights file became.

    Attributes:
        module: the method, or the fine-tuned classifier on its trunk.
        slug: the method's slug.
        container: which of the method's containers the file is.
        config: the method's settings.
        report: what fits, and which part is absent by design.
        source_sha256: of the file.
    """

    module: nn.Module
    slug: str
    container: str
    config: Config
    report: FitReport
    source_sha256: str

    def save(self, path: Path) -> None:
        """Write it as one of our weights files."""
        save_module(
            self.module, path, method=self.slug, container=self.container,
            config=self.config.to_dict(), source_sha256=self.source_sha256,
        )  # fmt: skip


def import_official(
    slug: str,
    path: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    allow_partial: bool = False,
) -> Imported:
    """The module that a published weights file fills.

    Depth, width and patch size are read off the weights; `overrides` gives what cannot be
    (heads of an unknown width) and must agree with the rest.

    Raises:
        WeightsError: the file does not fit the method, or contradicts `overrides`.
    """
    cls = weights_class(slug)
    file = read_weights(path)
    if file.header.get("format") == FORMAT:
        raise WeightsError(f"{file.path} is a weights file of this suite", "use it as it is")
    own, notes = unwrapped(cls, file.state)
    file = replace(file, state=own)
    shapes = file.shapes
    config = build(cls.Config, _settings(cls, file, overrides or {}), "method")
    container = cls.container_of(set(shapes))
    state, unknown = to_ours(file.state, cls.KEYMAP)
    module = cls.from_container(container, config, shapes)
    report = compare(module, state)
    report = replace(
        report,
        missing=tuple(name for name in report.missing if not is_ours(cls, name)),
        unexpected=tuple(sorted({*report.unexpected, *unknown})),
        notes=notes + ((_ABSENT[container],) if container in _ABSENT else ()),
    )
    _fill(module, state, report, file.path, allow_partial=allow_partial)
    return Imported(module, slug, container, config, report, sha256_file(file.path))


def _settings(cls: type[Importable], file: WeightsFile, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the weights fix and what the user gave, which must not contradict each other."""
    derived = cls.derive(file.shapes)
    fixed = {key: value for key, value in derived.items() if not key.endswith("heads")}
    for key in sorted(fixed.keys() & asked.keys()):
        if fixed[key] != asked[key]:
            raise WeightsError(
                f"{file.path}: the weights have {key} {fixed[key]}, asked for {asked[key]}",
                f"leave out --set method.{key}",
            )
    settings = {**derived, **asked}
    # a decoder is as wide as its encoder where the settings do not say otherwise
    decoder = "decoder_dim" if "decoder_dim" in cls.Config.model_fields else "dim"
    absent = [
        name
        for name, width in (("heads", "dim"), ("decoder_heads", decoder))
        if name in cls.Config.model_fields and width in fixed and name not in settings
    ]
    if absent:
        raise WeightsError(
            f"{file.path}: the number of attention heads is not to be read from weights",
            "give " + " ".join(f"--set method.{name}=H" for name in absent),
        )
    return settings


def _fill(
    module: nn.Module,
    state: Mapping[str, Tensor],
    report: FitReport,
    path: Path,
    *,
    allow_partial: bool,
) -> None:
    """Load the keys that fit.

    Raises:
        WeightsError: some do not, and `allow_partial` is False.
    """
    if not report.fits and not allow_partial:
        raise WeightsError(
            f"{path} does not fit:\n{report}\nnothing was loaded",
            "name the method the weights are of, or --allow-partial to leave these keys out",
        )
    left_out = {*report.unexpected, *report.misshapen}
    module.load_state_dict({k: v for k, v in state.items() if k not in left_out}, strict=False)


def export_official(path: Path, out: Path) -> list[str]:
    """Write one of our weights files under the official names, as {'model': state}.

    Returns:
        The official names written.

    Raises:
        WeightsError: the file is not ours, or has parts that the official network lacks.
    """
    file = _ours(path)
    cls = weights_class(file.header["method"])
    own = {name: value for name, value in file.state.items() if not is_ours(cls, name)}
    foreign = [name for name in own if not any(key.rename_back(name) for key in cls.KEYMAP)]
    if foreign:
        shown = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if foreign[3:] else "")
        raise WeightsError(
            f"{file.path}: the official network has no place for {shown}",
            "only weights of the official architecture can be exported",
        )
    state = to_official(own, cls.KEYMAP)
    content = wrapped(cls, state)
    write_file(out, lambda temporary: torch.save(content, temporary))
    return list(content.get("model", state))
