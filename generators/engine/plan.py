"""plan.json: everything that decides the bytes of a data set, and nothing else.

The file is canonical JSON; its sha256 is the plan's hash. Where the folder lies, how many
processes work and which engine runs them do not stand in it: they change no byte.
"""

import json
import platform
from pathlib import Path
from typing import Final, Literal

import numpy as np
from pydantic import Field, JsonValue

from ...core.atomic_io import canonical_json, new_folder, write_text
from ...core.config import Config, build, flatten
from ...core.errors import DataError, MasqueradeError, UsageError
from ...core.hashing import sha256_bytes, sha256_file
from ..generator import Fact, Generator, Progress, RenderPlan
from ..registry import generator as generator_class
from .folder import PLAN, PREPARED, Say, locked, sweep
from .pictures import PictureFormat

FORMAT: Final = "masquerade-synthesis/1"
MAX_IDENTITIES = 10_000_000  # seven digits in the member names
MAX_IMAGES_PER_IDENTITY = 10_000  # four digits
_SHARD = 1000  # pictures: what a killed process may lose
_MIN_SHARDS = 32  # a small set is cut finer, so that several processes can share it
_SHOWN = 4  # differing keys named in a refusal
_FOUND = ("generator_facts.", "machine.", "picture.encoder.")  # not chosen: named last
_RESULTS = ("prepared", "prepared_facts")  # follow from the rest
_COLUMNS = frozenset({"shard", "member", "identity", "number", "offset", "n_bytes", "sha256"})

FactType = Literal["bool", "int", "float", "str"]


class Layout(Config):
    """How the rows are cut; it changes no picture but by its last bits, hence it is fixed.

    Attributes:
        images_per_shard: a unit of work is one shard.
        batch_size: rows rendered at once inside a unit.
        threads: of torch inside a unit.
    """

    images_per_shard: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    threads: int = Field(1, ge=1)


class Plan(Config):
    """What plan.json holds.

    Attributes:
        format: of this file.
        generator: a slug, or module:Class.
        generator_hash: the sha256 of its weights.
        generator_facts: what it says of itself (template, picture size, …).
        seed: of all draws.
        identities: N, numbered from 0.
        images_per_identity: M, numbered from 0.
        settings: the generator's resolved settings.
        fact_types: fact name → type, columns of the manifest.
        picture: how pictures are encoded.
        layout: how rows are cut into shards and batches.
        machine: the kind of machine, which decides the last bits.
        prepared: file written by the generator before the first picture → its sha256.
        prepared_facts: what the generator says of those files.
    """

    format: Literal["masquerade-synthesis/1"] = FORMAT
    generator: str
    generator_hash: str
    generator_facts: dict[str, JsonValue] = {}
    seed: int = 0
    identities: int = Field(ge=1, le=MAX_IDENTITIES)
    images_per_identity: int = Field(ge=1, le=MAX_IMAGES_PER_IDENTITY)
    settings: dict[str, JsonValue] = {}
    fact_types: dict[str, FactType] = {}
    picture: PictureFormat
    layout: Layout
    machine: dict[str, str] = {}
    prepared: dict[str, str] = {}
    prepared_facts: dict[str, JsonValue] = {}

    @property
    def images(self) -> int:
        """N x M, the rows."""
        return self.identities * self.images_per_identity

    def text(self) -> str:
        """The text of plan.json."""
        return canonical_json(self.to_dict())

    def hash(self) -> str:
        """The sha256 of plan.json."""
        return sha256_bytes(self.text().encode())

    def for_rendering(self, folder: Path) -> RenderPlan:
        """What `Generator.render` gets, for a set in `folder`."""
        settings = build(generator_class(self.generator).Settings, self.settings)
        return RenderPlan(
            self.seed, self.identities, self.images_per_identity, settings, folder / PREPARED
        )


def layout(
    identities: int,
    images_per_identity: int,
    batch_size: int,
    *,
    images_per_shard: int | None = None,
    threads: int = 1,
) -> Layout:
    """The layout of a set: about 1000 pictures a shard, at least 32 shards, whole identities.

    Where an identity has more pictures than a shard, shards cut through it.

    Example:
        >>> layout(1_000, 4, 16).images_per_shard, layout(300_000, 50, 64).images_per_shard
        (124, 1000)
    """
    total = identities * images_per_identity
    size = images_per_shard
    if size is None:
        size = min(_SHARD, max(batch_size, total // _MIN_SHARDS))
    if size >= images_per_identity:
        size -= size % images_per_identity
    values = {"images_per_shard": size, "batch_size": batch_size, "threads": threads}
    return build(Layout, values, "layout")


def machine_facts(device: str) -> dict[str, str]:
    """The kind of this machine: processor family and vector width, or the GPU, and versions."""
    import torch

    facts = {
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": "cpu",
    }
    if torch.device(device).type == "cuda":
        facts["device"] = torch.cuda.get_device_name(torch.device(device))
    return facts


def check_counts(identities: int, images_per_identity: int) -> None:
    """Refuse counts outside of what the names can carry.

    Raises:
        UsageError: names the option.
    """
    for option, value, most in (
        ("--identities", identities, MAX_IDENTITIES),
        ("--images-per-identity", images_per_identity, MAX_IMAGES_PER_IDENTITY),
    ):
        if not 1 <= value <= most:
            raise UsageError(f"{option} {value}: expected 1 … {most:,}", f"change {option}")


def fact_types(generator: Generator, settings: Config) -> dict[str, FactType]:
    """The types of the facts that the generator gives under these settings, by name.

    Raises:
        MasqueradeError: a name is a column of the engine, or a type is none of the four.
    """
    names: dict[type, FactType] = {bool: "bool", int: "int", float: "float", str: "str"}
    declared = generator.columns(settings)
    wrong = [n for n, t in declared.items() if n in _COLUMNS or t not in names]
    if wrong:
        raise MasqueradeError(
            f"the generator '{generator.slug}' declares the fact '{wrong[0]}'",
            f"take another name than {', '.join(sorted(_COLUMNS))}, of bool, int, float or str",
        )
    return {name: names[kind] for name, kind in declared.items()}


def read_plan(folder: Path) -> Plan:
    """The plan of a data set's folder.

    Raises:
        DataError: there is none, or it is damaged.
    """
    path = folder / PLAN
    try:
        return build(Plan, json.loads(path.read_text("utf-8")), "plan")
    except OSError as error:
        raise DataError(
            f"{folder} holds no synthesized set: {path.name}: {error.strerror}",
            "name a folder that `masquerade synthesize` has written",
        ) from error
    except (ValueError, RecursionError, UsageError) as error:
        reason = error.message if isinstance(error, UsageError) else error
        raise DataError(f"{path} is damaged: {reason}", "restore it") from error


def settle(folder: Path, wanted: Plan, generator: Generator, progress: Progress, say: Say) -> Plan:
    """The folder's plan: the stored one where it is the same, else a new one, now prepared.

    Raises:
        UsageError: the folder holds another plan; names the keys that differ.
        DataError: the stored plan or a prepared file is damaged.
        MasqueradeError: the system refuses to write.
    """
    with locked(folder, say):
        if (folder / PLAN).exists():
            stored = read_plan(folder)
            refuse_other(folder, stored, wanted)
            for file, what, mend in damaged_preparations(folder, stored):
                raise DataError(f"{folder / file} {what}", mend)
            return stored
        sweep(folder)
        settings = build(type(generator).Settings, wanted.settings)
        with new_folder(folder / PREPARED) as new:
            facts = generator.prepare(wanted.identities, settings, wanted.seed, new, progress)
        files = sorted(p for p in (folder / PREPARED).rglob("*") if p.is_file())
        hashes = {p.relative_to(folder / PREPARED).as_posix(): sha256_file(p) for p in files}
        plan = build(Plan, wanted.to_dict() | {"prepared": hashes, "prepared_facts": facts})
        write_text(folder / PLAN, plan.text())
        return plan


def damaged_preparations(folder: Path, plan: Plan) -> list[tuple[str, str, str]]:
    """(file, what is wrong, mend) of each prepared file that is missing or changed."""
    mend = "restore it, or make the data set again in another folder"
    found = []
    for name, sha256 in plan.prepared.items():
        file = f"{PREPARED}/{name}"
        if not (folder / file).is_file():
            found.append((file, "is missing", mend))
        elif (now := sha256_file(folder / file)) != sha256:
            found.append((file, f"has the sha256 {now}, the plan says {sha256}", mend))
    return found


def refuse_other(folder: Path, stored: Plan, wanted: Plan) -> None:
    """Refuse to go on where the stored plan is not the wanted one.

    Raises:
        UsageError: names the keys that differ.
    """
    old, new = (
        flatten({k: v for k, v in plan.to_dict().items() if k not in _RESULTS})
        for plan in (stored, wanted)
    )
    differ = [
        f"{key} is {_shown(old.get(key))} there and {_shown(new.get(key))} now"
        for key in sorted(old.keys() | new.keys(), key=lambda key: (key.startswith(_FOUND), key))
        if old.get(key) != new.get(key)
    ]
    if differ:
        more = f", and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
        raise UsageError(
            f"{folder} holds the data set of another plan: {', '.join(differ[:_SHOWN])}{more}",
            "repeat the command that began it, or choose another folder with --out",
        )


def _shown(value: Fact | None) -> str:
    return "unset" if value is None else repr(value)
