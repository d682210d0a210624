"""The one form of a result: a `claim` that is hashed, and who made it where (`provenance`).

A record file is canonical JSON named by the sha256 of its claim; each provenance carries the
sha256 of itself. So any edited byte is found on reading. The store knows no torch.
"""

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    model_validator,
)
from pydantic import ValidationError as PydanticError

from .atomic_io import canonical_json
from .config import Config
from .errors import ValidationError
from .hashing import sha256_bytes

SCHEMA_VERSION = 1
MAX_BYTES = 8 << 20  # a record is some kilobytes; more is no record

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1, max_length=1000)]
_MEND = "re-run the evaluation that made it, or fetch the record again"


def _frozen(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    kind = type(value)  # asked in the order of how often
    if kind is str:
        return value if value.isascii() else _whole(value)
    if value is None or kind in (int, float, bool):
        return value
    if kind is list or kind is tuple:
        return tuple([_frozen(inner) for inner in value])
    if kind is dict or isinstance(value, Mapping):
        return MappingProxyType({_frozen(key): _frozen(inner) for key, inner in value.items()})
    return value


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:  # half a UTF-16 pair
        raise ValueError(f"not a text of whole characters: {ascii(text)}") from error
    return text


def _thawed(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, Mapping):
        return {
            key: inner.model_dump(mode="json") if isinstance(inner, Config) else _thawed(inner)
            for key, inner in value.items()
        }
    return [_thawed(inner) for inner in value] if isinstance(value, tuple) else value


def _inside(value: Any) -> Any:  # noqa: ANN401 - a block or a frozen mapping
    return value.__dict__ if isinstance(value, Block) else dict(value)


_FREEZE, _THAW = AfterValidator(_frozen), PlainSerializer(_thawed)
Facts = Annotated[Mapping[str, JsonValue], _FREEZE, _THAW]


class Block(Config):
    """Base of the parts of a record: frozen, no unknown field, no coercion, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def canonical(self) -> str:
        """The canonical JSON of `to_dict()`, without making the dict: stores hold thousands."""
        return canonical_json(self.__dict__, default=_inside)

    def hash(self) -> str:
        """The sha256 of the canonical JSON."""
        return sha256_bytes(self.canonical().encode())


class Metric(Block):
    """One number with its unit, its n and its 95 % interval.

    Attributes:
        value: the score.
        unit: "fraction", "dB", …
        direction: which way is better.
        n: how many items or seeds the interval is over.
        n_of: what `n` counts.
        interval: (low, high), or None where n is too small for an honest one.
        interval_method: how the interval was made; None without one.
        parts: the value of each seed or fold, whose mean is `value`; empty where there is one.
    """

    value: float
    unit: Text
    direction: Literal["higher", "lower"]
    n: int = Field(ge=1)
    n_of: Literal["items", "seeds", "folds", "groups"] = "items"
    interval: Annotated[tuple[float, float] | None, Field(strict=False)] = None
    interval_method: Literal["bootstrap", "folds", "seeds", "exact", "jackknife"] | None = None
    parts: Annotated[tuple[float, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _whole_interval(self) -> "Metric":
        if (self.interval is None) != (self.interval_method is None):
            raise ValueError("interval and interval_method stand together or not at all")
        if self.interval is not None and self.interval[0] > self.interval[1]:
            raise ValueError(f"the interval's low end {self.interval[0]} is above its high end")
        return self


class BenchmarkBlock(Block):
    """What was asked: the protocol and the data, both by content.

    Attributes:
        name: the protocol's slug.
        version: its semantic version.
        protocol_hash: sha256 of the protocol's code and version.
        data: how a user calls the data.
        data_hash: sha256 over the fingerprints of all splits.
    """

    name: Text
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    protocol_hash: Hash
    data: Text
    data_hash: Hash


class SubjectBlock(Block):
    """What was scored.

    Attributes:
        name: how people call it.
        kind: what it is; the baseline kinds are chance, random, raw and pca.
        content_hash: sha256 of weights and settings, or of the data set.
        training_data: the data sets that it was trained on, as declared.
        preprocessing: settings between the file and the model.
        facts: what a reader wants to know of it: its method or generator, how many parameters,
            or images and identities, the id of its audit.
    """

    name: Text
    kind: Literal["model", "data set", "chance", "random", "raw", "pca"]
    content_hash: Hash
    training_data: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    preprocessing: Facts = Field(default_factory=dict)
    facts: Facts = Field(default_factory=dict)


class Claim(Block):
    """What is claimed: everything that the record's id is the hash of.

    Attributes:
        schema_version: of this form.
        benchmark: what was asked.
        subject: what was scored.
        settings: how.
        seeds: of the repeats.
        metrics: what may be ranked, by name.
        main_metric: the name of the one that ranks.
        predictions: the hash of what the metrics were computed from.
        facts: what a reader must know beside the metrics and nothing ranks by: counts, what was
            left out and why, figures without enough data behind them.
    """

    schema_version: int = SCHEMA_VERSION
    benchmark: BenchmarkBlock
    subject: SubjectBlock
    settings: Facts
    seeds: Annotated[tuple[int, ...], Field(strict=False, min_length=1)]
    metrics: Annotated[Mapping[str, Metric], _FREEZE, _THAW] = Field(min_length=1)
    main_metric: Text
    predictions: Hash | None = None
    facts: Facts = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> "Claim":
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(
                f"schema_version {self.schema_version} is not the {SCHEMA_VERSION} known here"
            )
        if self.main_metric not in self.metrics:
            raise ValueError(f"main_metric '{self.main_metric}' is not among {list(self.metrics)}")
        return self


class Provenance(Block):
    """Who made the number: not part of the id, so a second machine's is a confirmation.

    Attributes:
        created_utc: ISO 8601 time.
        hardware: processor, cores, memory, GPU.
        versions: package → version.
        wall_time_s: of the whole evaluation.
        commit: the code's git commit, or None where it is not a checkout.
        command: what was typed, or "" from the library.
    """

    created_utc: Text
    hardware: Facts
    versions: Facts
    wall_time_s: float = Field(ge=0)
    commit: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    command: str = ""

    def sealed(self) -> str:
        """Canonical JSON with its own hash among the keys."""
        return canonical_json({**self.__dict__, "hash": self.hash()}, default=_inside)


class Record(Block):
    """One result; immutable.

    Attributes:
        claim: what is claimed.
        provenance: who made it; more than one = confirmed.
    """

    claim: Claim
    provenance: Annotated[tuple[Provenance, ...], Field(strict=False, min_length=1)]

    @property
    def id(self) -> str:
        """The sha256 of the claim, and the name of the record's file."""
        return self.claim.hash()

    @property
    def main(self) -> Metric:
        """The metric that ranks."""
        return self.claim.metrics[self.claim.main_metric]

    def to_json(self) -> str:
        """The record file's text: canonical JSON with the id and a hash of each provenance."""
        claim = self.claim.canonical()
        sealed = ",".join(p.sealed() for p in self.provenance)
        claim_id = sha256_bytes(claim.encode())
        return f'{{"claim":{claim},"id":"{claim_id}","provenance":[{sealed}]}}\n'

    def confirmed_by(self, other: "Record") -> "Record":
        """This record with the provenances of `other` that it lacks.

        Raises:
            ValidationError: the other record claims something else.
        """
        if other.id != self.id:
            raise ValidationError(f"claim: expected {self.id}, got {other.id}")
        new = tuple(p for p in other.provenance if p not in self.provenance)
        return Record(claim=self.claim, provenance=(*self.provenance, *new))


def parse_record(text: str, where: str, *, name: str | None = None) -> Record:
    """The record in the text of a record file; parse and `to_json` are inverse.

    Args:
        text: the file's content.
        where: the file's name, put before each message.
        name: the id that the record must have, where its file has one for a name.

    Raises:
        ValidationError: not a record, a field out of its form, or edited since it was written;
            names file, field, found and expected.
    """
    body = _json_object(text, where)
    named_id = body.pop("id", None)
    seals = _pop_seals(body)
    _check_schema(body, where)
    try:
        record = Record.model_validate(body)
    except PydanticError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ValidationError(
            f"{where}: {field or 'claim'}: {first['msg']}, found {str(first['input'])[:200]!r}",
            _MEND,
        ) from error
    if record.to_json() != text:
        raise _edited(record, named_id, seals, where)
    if name not in (None, named_id):
        raise ValidationError(f"{where}: name: found {name}, expected {named_id}", _MEND)
    return record


def _check_schema(body: Mapping[str, Any], where: str) -> None:
    """Say first that a record is of another time: its fields then differ, too."""
    claim = body.get("claim")
    found = claim.get("schema_version") if isinstance(claim, dict) else None
    if isinstance(found, int) and found != SCHEMA_VERSION:
        raise ValidationError(
            f"{where}: claim.schema_version: found {found}, expected {SCHEMA_VERSION}",
            "a newer masquerade wrote it: update" if found > SCHEMA_VERSION else _MEND,
        )


def _edited(record: Record, named_id: Any, seals: list[Any], where: str) -> ValidationError:  # noqa: ANN401
    """What is not as `to_json` would have written it."""
    if record.id != named_id:
        return ValidationError(f"{where}: id: found {named_id!r}, expected {record.id}", _MEND)
    for number, (provenance, seal) in enumerate(zip(record.provenance, seals, strict=True)):
        if provenance.hash() != seal:
            return ValidationError(
                f"{where}: provenance.{number}.hash: found {seal!r}, expected {provenance.hash()}",
                _MEND,
            )
    return ValidationError(f"{where}: found JSON that is not canonical, expected ours", _MEND)


def _json_object(text: str, where: str) -> dict[str, Any]:
    if len(text) > MAX_BYTES:
        raise ValidationError(f"{where}: found {len(text)} characters, expected <= {MAX_BYTES}")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValidationError(
            f"{where}: found no JSON ({error}), expected a record", _MEND
        ) from error
    if not isinstance(body, dict):
        raise ValidationError(
            f"{where}: found {type(body).__name__}, expected a JSON object", _MEND
        )
    return body


def _pop_seals(body: dict[str, Any]) -> list[Any]:
    """Take the hash out of each provenance; what is no provenance is left for the schema."""
    blocks = body.get("provenance")
    if not isinstance(blocks, list):
        return []
    return [block.pop("hash", None) for block in blocks if isinstance(block, dict)]


def is_id(text: str) -> bool:
    """Whether a text has the form of a record id."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None
