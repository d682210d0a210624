"""A finished synthesized set: its plan, its rows, its pictures, its audit."""

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ...core.modality import Source
from .folder import MANIFEST, PLAN, PREPARED, SHARDS
from .manifest import Row, Shard, content_hash, read_index, read_rows
from .plan import Plan, read_plan
from .units import member, unit
from .verification import read_audit


def is_synthesized(path: Path) -> bool:
    """Whether a path is the folder of a synthesized set, finished or not."""
    return (path / PLAN).is_file() and (path / SHARDS).is_dir()


class SynthesizedSet:
    """A set that `masquerade synthesize` has written. Nothing is held in memory but the plan.

    Args:
        folder: of the set.

    Attributes:
        folder: of the set.
        plan: what it was made from.
        prepared: the folder of the files that the generator prepared.

    Raises:
        DataError: the folder holds none, or one without manifest.

    Example:
        dataset = SynthesizedSet(Path("faces"))
        for rows, images in dataset.batches(64):
            print(rows[0].identity, images.shape)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.plan: Plan = read_plan(self.folder)
        self.prepared = self.folder / PREPARED
        self.plan_hash = self.plan.hash()
        self.shards: list[Shard] = read_index(self.folder, self.plan_hash)

    def __len__(self) -> int:
        return self.plan.images

    @cached_property
    def hash(self) -> str:
        """The content hash: of the plan and of all shards."""
        return content_hash(self.plan_hash, self.shards)

    @property
    def audit(self) -> dict[str, Any]:
        """The audit.

        Raises:
            DataError: the set has none, or a damaged one.
        """
        return read_audit(self.folder)

    @property
    def extractor(self) -> dict[str, str]:
        """The face net behind the generator ("name", "hash"), as far as plan and audit say it.

        Raises:
            DataError: the set has no audit, or a damaged one.
        """
        findings = self.audit["findings"]
        said = {
            "name": findings.get("embedder") or self.plan.generator_facts.get("embedder"),
            "hash": findings.get("embedder_hash"),
        }
        return {key: value for key, value in said.items() if isinstance(value, str)}

    def rows(self, first: int = 0, last: int | None = None) -> Iterator[Row]:
        """The rows first … last - 1 of the manifest, in order, a few thousand in memory.

        Raises:
            DataError: the manifest is damaged, or a row is not the one that the plan has there: a
                foreign name could lead out of the data set's folder.
        """
        per_shard = self.plan.layout.images_per_shard
        for number, row in enumerate(read_rows(self.folder, self.plan, first, last), start=first):
            planned = (unit(self.plan, number // per_shard).shard, member(self.plan, number))
            own = divmod(number, self.plan.images_per_identity)
            if (
                (row.shard, row.member) != planned
                or (row.identity, row.number) != own
                or (min(row.offset, row.n_bytes) < 0)
            ):
                raise DataError(
                    f"{self.folder / MANIFEST} is damaged: row {number} is "
                    f"{row.shard}:{row.member}, the plan has {':'.join(planned)} there",
                    f"`masquerade data verify {self.folder}` says what to do",
                )
            yield row

    def of_identity(self, identity: int) -> Iterator[Row]:
        """The rows of an identity."""
        m = self.plan.images_per_identity
        return self.rows(identity * m, (identity + 1) * m)

    def read(self, row: Row) -> bytes:
        """The picture's file.

        Raises:
            DataError: the shard is missing or became shorter.
        """
        path = self.folder / SHARDS / row.shard
        try:
            with path.open("rb") as handle:
                handle.seek(row.offset)
                data = handle.read(row.n_bytes)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}", "restore it") from error
        if len(data) != row.n_bytes:
            raise DataError(
                f"{path} ends inside {row.member}",
                f"`masquerade data verify {self.folder}` says what to do",
            )
        return data

    def picture(self, row: Row) -> NDArray[np.uint8]:
        """The picture: (H, W, 3) uint8.

        Raises:
            DataError: as `read`, or the file is damaged.
        """
        from ...modalities.image.decoding import Encoded, Picture

        name = f"{row.shard}:{row.member}"
        try:
            return Picture(Encoded(name, self.read(row)), name).pixels()
        except DataError as error:
            raise DataError(
                error.message, f"`masquerade data verify {self.folder}` says what to do"
            ) from error

    def batches(
        self, size: int, first: int = 0, last: int | None = None
    ) -> Iterator[tuple[list[Row], NDArray[np.uint8]]]:
        """Rows and their pictures (B, H, W, 3) uint8, `size` at a time, in order."""
        rows = self.rows(first, last)
        while chosen := list(islice(rows, size)):
            yield chosen, np.stack([self.picture(row) for row in chosen])

    def source(self) -> Source:
        """The set as a source of samples of the template that its generator names, if any.

        An identity is a class.
        """
        from ...modalities.image.shards import ShardSource

        shards = [self.folder / SHARDS / entry.shard for entry in self.shards]
        said = self.plan.generator_facts.get("template")
        return ShardSource(str(self.folder), shards, said if isinstance(said, str) else None)
