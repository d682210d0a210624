"""Recipes: TOML tables of published settings, resolved with overrides into one run's settings.

Order of precedence: defaults, then the recipe that a recipe `extends`, the recipe, `--set`. Every
resolved value knows which of them it came from. Reading a recipe's facts imports no torch.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.config import Config, build, flatten, merge, nested, parse_override, tomllib
from ..core.errors import UsageError, nearest
from ..core.training.settings import OptimSettings, TrainSettings

FOLDER = Path(__file__).resolve().parent.parent / "recipes"
SECTIONS = ("method", "data", "optim", "train")
# settings of benchmarks, each under its slug
_BENCHMARKS = ("finetune", "node-classification", "molecule-finetune")
_TABLES = {*SECTIONS, "about", *_BENCHMARKS}
_DEFAULT, _OVERRIDE, _FOLLOWS = "default", "--set", "follows method"


@dataclass(frozen=True)
class RunSettings:
    """The settings of one training run.

    Attributes:
        method: the method's `Config`.
        data: its modality's `Config`.
        optim: how weights change.
        train: how the run goes.
    """

    method: Config
    data: Config
    optim: OptimSettings
    train: TrainSettings

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain JSON-ready values by section."""
        return {section: getattr(self, section).to_dict() for section in SECTIONS}


@dataclass(frozen=True)
class Resolved:
    """Settings and where each value comes from.

    Attributes:
        slug: the method.
        settings: the values.
        sources: dotted key → "default", "recipe NAME", "--set", or "follows method" (data
            settings that the method's own settings fix, such as the image size).
    """

    slug: str
    settings: RunSettings
    sources: dict[str, str]


def names() -> list[str]:
    """The shipped recipes, sorted: the TOML files with facts `[about]` a method, or a base."""
    return sorted(path.stem for path in FOLDER.glob("*.toml") if _is_recipe(path))


def _is_recipe(path: Path) -> bool:
    """Whether a file of the folder is of a method; tables of other settings lie there too."""
    marks = re.compile(r"^(\[about\]|extends\s*=)", re.MULTILINE)
    return marks.search(path.read_text("utf-8")) is not None


def about(slug: str) -> dict[str, Any]:
    """The `[about]` facts of a method (year, modality, masker, trunk, …); {} without a recipe."""
    path = FOLDER / f"{slug}.toml"
    return dict(_merged(_chain(path)).get("about", {})) if path.is_file() else {}


def finetune(slug: str, recipe: str | None = None) -> dict[str, Any]:
    """The published fine-tuning settings (`[finetune]`) of a recipe; see `benchmark_settings`."""
    return benchmark_settings(slug, recipe, "finetune")


def benchmark_settings(slug: str, recipe: str | None, benchmark: str) -> dict[str, Any]:
    """The published settings of a benchmark (`[BENCHMARK]`) in a recipe as a plain table.

    Raises:
        UsageError: the recipe is unknown or of another method.
    """
    return dict(_merged(_layers(slug, recipe)).get(benchmark, {}))


def resolve(slug: str, recipe: str | None = None, overrides: Iterable[str] = ()) -> Resolved:
    """The settings of a run of method `slug`.

    Args:
        slug: the method.
        recipe: a shipped recipe's name or a TOML file; None = the recipe called like the method.
        overrides: "section.key=value" texts, or "key=value" for a setting of the method; later
            ones win.

    Raises:
        UsageError: the method, recipe or a key is unknown, or a value out of range.
    """
    from ..modalities.registry import modality
    from .registry import method

    cls = method(slug)
    layers = _layers(slug, recipe)
    layers += [(_OVERRIDE, _override(text, cls.Config)) for text in overrides]
    tables = _merged(layers)
    own = build(cls.Config, tables.get("method", {}), "method")
    follows = cls.data_defaults(own)
    layers.insert(0, (_FOLLOWS, {"data": follows}))
    settings = RunSettings(
        method=own,
        data=build(modality(cls.modality).Config, merge(follows, tables.get("data", {})), "data"),
        optim=build(OptimSettings, tables.get("optim", {}), "optim"),
        train=build(TrainSettings, tables.get("train", {}), "train"),
    )
    return Resolved(slug, settings, _sources(settings, layers))


Layer = tuple[str, dict[str, Any]]  # where from, tables


def _layers(slug: str, recipe: str | None) -> list[Layer]:
    """The tables of a recipe and of those it extends, base first."""
    if recipe is None:
        path = FOLDER / f"{slug}.toml"
        return _chain(path) if path.is_file() else []
    layers = _chain(_find(recipe))
    owner = _merged(layers).get("about", {}).get("slug", slug)
    if owner != slug:
        owners = {name: _merged(_chain(FOLDER / f"{name}.toml")) for name in names()}
        fitting = [n for n, tables in owners.items() if tables["about"]["slug"] == slug]
        raise UsageError(
            f"recipe '{recipe}' is of the method '{owner}', not of '{slug}'",
            f"choose one of: {', '.join(fitting) or 'none is shipped'}",
        )
    return layers


def _find(recipe: str) -> Path:
    """The file of a shipped recipe's name or of a path."""
    if recipe in names():
        return FOLDER / f"{recipe}.toml"
    path = Path(recipe)
    if path.suffix == ".toml" and path.is_file():
        return path
    if path.suffix == ".toml":
        raise UsageError(f"no recipe file {recipe}", "check the path")
    raise UsageError(f"unknown recipe '{recipe}'", nearest(recipe, names()))


def _chain(path: Path) -> list[Layer]:
    """A recipe file's tables after those of the recipes that it extends."""
    chain: list[Layer] = []
    seen: set[Path] = set()
    current: Path | None = path
    while current is not None:
        if current.resolve() in seen:
            raise UsageError(f"recipe {path} extends itself", f"remove 'extends' from {current}")
        seen.add(current.resolve())
        tables = _read(current)
        base = tables.pop("extends", None)
        chain.insert(0, (f"recipe {current.stem}", tables))
        current = None if base is None else _find(str(base))
    return chain


def _read(path: Path) -> dict[str, Any]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe {path} is no TOML: {error}", "mend that line") from error
    for key, value in tables.items():
        if key not in _TABLES and key != "extends":
            raise UsageError(
                f"recipe {path}: unknown table '{key}'", nearest(key, {*_TABLES, "extends"})
            )
        if key != "extends" and not isinstance(value, Mapping):
            raise UsageError(f"recipe {path}: '{key}' is no table", f"write [{key}]")
    return tables


def _merged(layers: Iterable[Layer]) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for _, layer in layers:
        tables = merge(tables, layer)
    return tables


def _override(text: str, own: type[Config]) -> dict[str, Any]:
    path, value = parse_override(text)
    if path[0] not in SECTIONS and path[0] in own.model_fields:
        path = ("method", *path)
    if path[0] not in SECTIONS:
        raise UsageError(
            f"unknown setting '{'.'.join(path)}'",
            f"{nearest(path[0], SECTIONS)} (sections: {', '.join(SECTIONS)})",
        )
    if len(path) == 1:
        raise UsageError(
            f"--set {text!r} names a whole section", f"write --set {path[0]}.key=value"
        )
    return nested(path, value)


def _sources(settings: RunSettings, layers: Iterable[Layer]) -> dict[str, str]:
    sources = dict.fromkeys(flatten(settings.to_dict()), _DEFAULT)
    for label, tables in layers:
        sources.update({key: label for key in flatten(tables) if key in sources})
    return sources
