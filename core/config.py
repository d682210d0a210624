"""Frozen settings with checked ranges, and `a.b=c` overrides; each mistake names its key."""

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict
from pydantic import ValidationError as PydanticError

from .errors import UsageError, nearest
from .hashing import sha256_json

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Built = TypeVar("Built", bound="Config")


class Config(BaseModel):
    """Base of every settings object: frozen, ranges checked, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values; `build(type(self), self.to_dict())` gives an equal object."""
        return self.model_dump(mode="json")

    def hash(self) -> str:
        """The sha256 of the canonical settings."""
        return sha256_json(self.to_dict())


def build(cls: type[Built], values: Mapping[str, Any], where: str = "") -> Built:
    """The settings object of `cls` made from plain values.

    Args:
        cls: the settings class.
        values: plain (nested) values.
        where: the section's name, put before each key in messages.

    Raises:
        UsageError: a key is unknown or a value out of range; names key, expected, got.
    """
    try:
        return cls.model_validate(dict(values))
    except PydanticError as error:
        first = error.errors()[0]
        path = ".".join(([where] if where else []) + _setting_path(cls, list(first["loc"])))
        if first["type"] == "extra_forbidden":
            known = _keys_beside(cls, list(first["loc"]), where)
            raise UsageError(f"unknown setting '{path}'", nearest(path, known)) from error
        message = first["msg"].removeprefix("Value error, ")
        message = f"{message[0].lower()}{message[1:]}"
        if isinstance(first["input"], Mapping):  # a rule over several keys, which it names itself
            raise UsageError(f"settings '{path}': {message}", "change one of them") from error
        key = re.sub(r"\.\d+$", "", path)  # a list is set as a whole
        raise UsageError(
            f"setting '{path}': {message}, got {first['input']!r}",
            f"change it with --set {key}=VALUE",
        ) from error


def _setting_path(cls: type[BaseModel], loc: list[Any]) -> list[str]:
    """The keys that a user writes: pydantic's location without the tags of unions."""
    shown: list[str] = []
    models: list[type[BaseModel]] = [cls]
    for place, part in enumerate(loc):
        fields = [m.model_fields[part] for m in models if part in m.model_fields]
        if fields or isinstance(part, int) or place == len(loc) - 1:
            shown.append(str(part))
            models = [m for field in fields for m in _models(field)]
    return shown


def _keys_beside(cls: type[BaseModel], loc: list[Any], where: str) -> list[str]:
    """The dotted names that the section around an unknown key does know."""
    models = [cls]
    path = [where] if where else []
    for part in loc[:-1]:
        inner = [m for c in models for m in _models(c.model_fields.get(part))]
        if inner:
            path.append(part)
            models = inner
    return sorted({".".join([*path, name]) for model in models for name in model.model_fields})


def _models(field: Any) -> list[type[BaseModel]]:  # noqa: ANN401 - pydantic field or annotation
    if field is None:
        return []
    annotation = getattr(field, "annotation", field)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in get_args(annotation) for m in _models(inner)]


def parse_override(text: str) -> tuple[tuple[str, ...], Any]:
    """The key path and value of "a.b=c"; the value is read as TOML, else as a string.

    Raises:
        UsageError: there is no '=' or no key.

    Example:
        >>> parse_override("optim.lr=1e-3"), parse_override("method.masking.kind=grid")
        ((('optim', 'lr'), 0.001), (('method', 'masking', 'kind'), 'grid'))
    """
    key, equals, raw = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise UsageError(f"--set {text!r} is no setting", "write --set section.key=value")
    try:
        return path, tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return path, raw.strip()


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` on top, tables merged key by key.

    A table whose `kind` changes is replaced whole: the other keys belong to the former kind.
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            changed = "kind" in value and "kind" in old and value["kind"] != old["kind"]
            merged[key] = dict(value) if changed else merge(old, value)
        else:
            merged[key] = value
    return merged


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:  # noqa: ANN401 - TOML value
    """The table that holds `value` at `path`."""
    for part in reversed(path):
        value = {part: value}
    return value


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys.

    Example:
        >>> flatten({"optim": {"lr": 1.0}})
        {'optim.lr': 1.0}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def section_overrides(section: str, texts: Iterable[str]) -> dict[str, Any]:
    """The table that `--set section.key=value` texts make, without the section's name.

    Raises:
        UsageError: a text is no setting, or of another section.

    Example:
        >>> section_overrides("method", ["method.heads=4", "method.masking.kind=grid"])
        {'heads': 4, 'masking': {'kind': 'grid'}}
    """
    table: dict[str, Any] = {}
    for text in texts:
        path, value = parse_override(text)
        if path[0] != section or len(path) < 2:
            raise UsageError(
                f"--set {text}: only settings of '{section}' can be given here",
                f"write --set {section}.KEY=VALUE",
            )
        table = merge(table, nested(path[1:], value))
    return table
