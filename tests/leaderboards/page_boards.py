"""Boards made by hand for the tests of the page: every state of a cell, any size, bad manners."""

import hashlib
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from masquerade.core.frames import content_hash
from masquerade.core.record_store import write_pictures, write_record
from masquerade.core.records import (
    BenchmarkBlock,
    Claim,
    Metric,
    Provenance,
    Record,
    SubjectBlock,
)
from masquerade.leaderboards.standings import (
    MISSING,
    Board,
    Cell,
    Column,
    Problem,
    Rank,
    Row,
    Table,
)

NAMES = (
    "iresnet50 webface", "iresnet100 glint", "face-api", "dlib", "pca-lda", "arcface-small runs/7",
    "vit-b mae 1600", "vit-s mae 800", "data2vec base", "iresnet18 vec2face 200x20",
)  # fmt: skip
METRICS = (
    ("accuracy", "10-fold accuracy", "higher"), ("exact", "exact threshold", "higher"),
    ("eer", "EER", "lower"), ("tar_at_far_1e-2", "TAR @ FAR 1e-2", "higher"),
    ("tar_at_far_1e-3", "TAR @ FAR 1e-3", "higher"),
    ("tar_at_far_1e-4", "TAR @ FAR 1e-4", "higher"),
)  # fmt: skip
MACHINE = {"processor": "a processor", "cores": 8, "memory_bytes": 33_000_000_000}
VERSIONS = {"python": "3.11.2", "numpy": "2.1.0", "masquerade-suite": "0.1.0"}


def digest(number: int) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def record(
    name: str,
    metrics: Mapping[str, Metric],
    *,
    number: int = 0,
    benchmark: str = "verification",
    data: str = "lfw",
    kind: str = "model",
    command: str | None = None,
    facts: Mapping[str, Any] | None = None,
    predictions: str | None = None,
    runs: int = 1,
) -> Record:
    """A record; `number` tells records of one name apart."""
    claim = Claim(
        benchmark=BenchmarkBlock(
            name=benchmark, version="1.0.0", protocol_hash=digest(17), data=data,
            data_hash=digest(23),
        ),
        subject=SubjectBlock(
            name=name, kind=kind, content_hash=digest(1000 + number),  # type: ignore[arg-type]
            training_data=("webface",), preprocessing={"template": "arcface-112"},
            facts={"method": "arcface", "parameters": 10**6 * (number + 1)},
        ),
        settings={"max_missing": 0.1, "published_protocol": False}, seeds=(0,),
        metrics=dict(metrics), main_metric=next(iter(metrics)), predictions=predictions,
        facts=dict(facts or {"pairs": {"genuine": 3000, "impostor": 3000}}),
    )  # fmt: skip
    typed = (
        f"masquerade evaluate {benchmark} --results results "
        f"--set data.root=pictures --subject weights/{re.sub('[^a-z0-9]+', '-', name.lower())}"
        ".safetensors"
    )
    provenance = [
        Provenance(
            created_utc=f"2026-10-{1 + (number + run) % 28:02d}T10:00:00+00:00", hardware=MACHINE,
            versions=VERSIONS, wall_time_s=41.5 + run, commit=digest(number % 5)[:40],
            command=f"{typed} --data {data}" if command is None else command,
        )
        for run in range(runs)
    ]  # fmt: skip
    return Record(claim=claim, provenance=tuple(provenance))


def metric(value: float, half: float, direction: str = "higher") -> Metric:
    ends = (max(0.0, value - half), min(1.0, value + half))
    return Metric(value=value, unit="fraction", direction=direction, n=61, n_of="groups",  # type: ignore[arg-type]
                  interval=ends, interval_method="bootstrap")  # fmt: skip


def column(name: str, label: str, direction: str, **more: Any) -> Column:
    return Column(
        name.replace("@", "-"), label, "verification", name, "fraction", direction,  # type: ignore[arg-type]
        f"What {label} says, in a sentence that is long enough to be read.", **more,
    )  # fmt: skip


def large(n_rows: int, n_columns: int, seed: int = 0) -> Board:
    """A board of one table: a record per row, a metric per column, all measured."""
    draws = random.Random(seed)
    names = [f"metric_{place}" for place in range(n_columns)]
    columns = tuple(
        column(name, f"metric {place}", "higher" if place % 3 else "lower", main=place == 0)
        for place, name in enumerate(names)
    )
    rows, records = [], {}
    for number in range(n_rows):
        name = f"{NAMES[number % len(NAMES)]} {number:04d}"
        values = {key: metric(round(draws.uniform(0.5, 0.98), 6), 0.012) for key in names}
        made = record(name, values, number=number, predictions=digest(7**20 + number))
        key = made.id
        records[key] = made
        cells = {
            key_: Cell("value", m.value, *m.interval, "bootstrap", 61, "groups",  # type: ignore[misc]
                       rank=Rank(number // 3 + 1, number // 3 + 4, n_rows, True, "paired"),
                       records=(key,))
            for key_, m in values.items()
        }  # fmt: skip
        rows.append(Row(
            f"lfw-{number:08x}", name, "model", cells, digest(number),
            ("image", "video", "graph")[number % 3], 10 ** (5 + number % 4) * 3, "parameters",
            f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}", level=3,
            confirmations=1 + number % 2, training_data=("webface",),
        ))  # fmt: skip
    table = Table("lfw", "lfw", columns, tuple(rows), digest(23))
    return Board("face-verification", "Face verification", "Same person or not.", (table,),
                 records=records)  # fmt: skip


def every_state() -> Board:
    """Twelve rows with every state of a cell, baselines, flags, problems, published numbers."""
    columns = tuple(column(*names, main=names[0] == "accuracy") for names in METRICS)
    rows, records = [], {}
    for number, name in enumerate(NAMES):
        value = 0.987 - 0.011 * number
        values = {
            key: metric(value - 0.02 * place if way == "higher" else 1 - value, 0.009, way)
            for place, (key, _, way) in enumerate(METRICS)
        }
        made = record(name, values, number=number, runs=1 + number % 2)
        records[made.id] = made
        cells = {
            key: Cell("value", m.value, *m.interval, "bootstrap", 61, "groups",  # type: ignore[misc]
                      rank=Rank(max(1, number), number + 2, 10, number < 2, "paired"),
                      records=(made.id,))
            for key, m in values.items()
        }  # fmt: skip
        rows.append(Row(
            f"row-{number}", name, "model", _with_states(cells, number), digest(number),
            "video" if number == 4 else "image",
            None if number == 4 else 10**6 * (number + 1) * 7, "parameters",
            f"2026-10-{number + 1:02d}", level=3, confirmations=1 + number % 2,
            training_data=("webface",) if number % 2 else (),
            below_random="accuracy 0.8880 is not above that of an untrained net, 0.8900"
            if number == 9 else "",
            notes=("trained on lfw, which it is tested on",) if number == 3 else (),
        ))  # fmt: skip
    for kind, value in (("random", 0.89), ("raw", 0.73), ("chance", 0.5)):
        made = record(kind, {"accuracy": metric(value, 0.02)}, number=50 + len(kind), kind=kind)
        records[made.id] = made
        cells = {key: MISSING for key, *_ in METRICS}
        cells["accuracy"] = Cell(
            "value", value, value - 0.02, value + 0.02, "bootstrap", 61, "groups",
            why="baselines have no rank", records=(made.id,),
        )  # fmt: skip
        rows.append(Row(f"base-{kind}", kind, kind, cells, digest(99), "image", level=3,
                        date="2026-10-20", baseline=True, confirmations=1))  # fmt: skip
    table = Table("lfw", "lfw", columns, tuple(rows), digest(23))
    problems = (
        Problem("refused", 0, "records/ab.json", "claim.metrics.accuracy.value", "1.7",
                "a fraction in 0 … 1", "re-run the evaluation that made it"),
        Problem("unranked", 3, "records/cd.json", "claim.predictions", "none", "predictions"),
    )  # fmt: skip
    return Board(
        "face-verification", "Face verification",
        "How well embeddings tell whether two pictures show one person.", (table,),
        (published(),), records, problems,
    )  # fmt: skip


def _with_states(cells: dict[str, Cell], number: int) -> dict[str, Cell]:
    """Some cells without a plain value."""
    changed = dict(cells)
    own = cells["accuracy"].records
    changed["tar_at_far_1e-4"] = Cell(
        "unsupported", why="too little data: n_impostor 3000, needed 100000", records=own
    )
    if number == 2:
        changed["exact"] = MISSING
    if number == 5:
        changed["eer"] = Cell("conflict", why="records contradict each other: 0.1 and 0.2")
    if number == 6:
        changed["eer"] = Cell("stale", 0.07, 0.05, 0.09, "bootstrap", 61, "groups",
                              "by protocol 0.9.0, now 1.0.0", records=own)  # fmt: skip
    return changed


def published() -> Table:
    columns = (Column("lfw", "LFW", "", "LFW", "percent", "higher", "As printed.", True),)
    rows = tuple(
        Row(f"published-{name}", name, "published", {"lfw": Cell("value", value)}, published=True,
            source="Table 2 of the paper", size=size, size_of="images")
        for name, value, size in (("HSFace 10K", 98.87, 500_000), ("DigiFace", 95.4, 1_200_000))
    )  # fmt: skip
    return Table("published-sets", "Recognisers trained on synthesized sets", columns, rows,
                 published=True, source="the Vec2Face paper, arXiv 2409.02979")  # fmt: skip


HOSTILE = (
    "<script>window.hit = 1</script>", '"><img src=x onerror="window.hit = 2">',
    "</script><script>window.hit = 3</script>", "</style><style>body { display: none }",
    "{{ 7 * 7 }} {% raw %} $\\frac{1}{0}$", "</pre></details>--><!--",
    "\u202eevil\u2028\u0007 \U0001f600",
    "javascript:window.hit = 4", "' onfocus='window.hit = 5' autofocus='",
    "&lt;b&gt; &amp; %s {0}",
)  # fmt: skip


def hostile() -> Board:
    """A board whose every text, wherever it comes from a stranger, tries to be more than text."""
    columns = tuple(
        column(f"m{place}", text, "higher", main=place == 0, settings=text, data=text)
        for place, text in enumerate(HOSTILE)
    )
    rows, records = [], {}
    for number, text in enumerate(HOSTILE):
        values = {f"m{place}": metric(0.5 + number / 100, 0.01) for place in range(len(HOSTILE))}
        made = record(
            text, {**values, text: metric(0.5, 0.1)}, number=number, data=text, command=text,
            facts={text: {text: [text]}},
        )  # fmt: skip
        records[made.id] = made
        states = ("value", "unsupported", "conflict", "stale")
        cells = {
            key: Cell(states[place % 4], None if place % 4 in (1, 2) else m.value,  # type: ignore[arg-type]
                      *m.interval, "bootstrap", 61, "groups", text,  # type: ignore[misc]
                      records=(made.id,))
            for place, (key, m) in enumerate(values.items())
        }  # fmt: skip
        rows.append(Row(
            f"row-{number}", text, "model", cells, digest(1), text, 10**400, text,
            "2026-10-01", below_random=text, level=3, confirmations=1, training_data=(text,),
            notes=(text,),
        ))  # fmt: skip
    table = Table("table", HOSTILE[0], columns, tuple(rows), digest(23))
    problem = Problem("refused", 0, *HOSTILE[:5])
    references = (Table(
        "published", HOSTILE[1], published().columns,
        (Row("ref", HOSTILE[0], "published", {"lfw": Cell("value", 1.0)}, published=True,
             source=HOSTILE[2]),),
        published=True, source=HOSTILE[3],
    ),)  # fmt: skip
    return Board("hostile", HOSTILE[0], HOSTILE[1], (table,), references, records, (problem,),
                 HOSTILE[2])  # fmt: skip


def empty() -> Board:
    first = "masquerade evaluate retrieval --subject runs/tiny --data photos"
    return Board("retrieval", "Retrieval", "Who finds what is alike.", (), first=first)


def with_curves(results: Path) -> Board:
    """A verification board and a face data set board whose records lie in a results folder."""
    rows, records = [], {}
    draws = np.random.default_rng(0)
    columns = tuple(column(*names, main=names[0] == "accuracy") for names in METRICS[:1])
    for number, (name, gap) in enumerate((("face-api", 2.6), ("dlib", 2.2), ("untrained", 0.4))):
        same = np.arange(600) % 2 == 0
        distance = np.clip(2 - gap * 0.5 * same + draws.normal(0, 0.4, 600), 0, 4)
        frame = pd.DataFrame({"same": same, "distance": distance})
        value = metric(0.95 - 0.1 * number, 0.01)
        made = record(name, {"accuracy": value}, number=number, predictions=content_hash(frame),
                      kind="random" if name == "untrained" else "model")  # fmt: skip
        write_record(made, results, frame)
        records[made.id] = made
        cell = Cell(
            "value",
            value.value,
            *value.interval,
            "bootstrap",
            61,
            "groups",  # type: ignore[misc]
            records=(made.id,),
            rank=Rank(number + 1, number + 1, 2, False, "paired"),
        )
        rows.append(Row(
            f"row-{number}", name, made.claim.subject.kind, {"accuracy": cell}, modality="image",
            baseline=name == "untrained", level=3, date="2026-10-01", confirmations=1,
        ))  # fmt: skip
    table = Table("lfw", "lfw", columns, tuple(rows))
    return Board("face-verification", "Face verification", "Pairs of faces.", (table,),
                 records=records)  # fmt: skip


def with_sheets(results: Path, n_sheets: int = 2) -> Board:
    """A face data set with a separability curve and contact sheets."""
    from io import BytesIO

    from PIL import Image

    value = metric(0.93, 0.01)
    ends = [10, 20, 30, 40]
    facts = {"separability": {
        "tau": [0.2, 0.4, 0.6], "unique": [5, 31, 40],
        "first_n": ends, "unique_of_first_n": [9, 18, 25, 31],
    }}  # fmt: skip
    made = record("vec2face-100", {"unique_share": value}, benchmark="face-dataset",
                  data="held-out", kind="data set", facts=facts)  # fmt: skip
    write_record(made, results)
    draws = np.random.default_rng(1)
    sheets = {}
    for number in range(n_sheets):
        noise = draws.integers(0, 255, (1100, 900, 3), dtype=np.uint8)
        buffer = BytesIO()
        Image.fromarray(noise).save(buffer, "PNG")
        sheets[f"identities-{number}.png"] = buffer.getvalue()
    write_pictures(made, results, sheets)
    cell = Cell(
        "value",
        value.value,
        *value.interval,
        "bootstrap",
        61,
        "groups",  # type: ignore[misc]
        records=(made.id,),
        rank=Rank(1, 1, 1, False, "intervals"),
    )
    row = Row("set", "vec2face-100", "data set", {"unique_share": cell}, modality="image",
              size=1000, size_of="images", level=3, date="2026-10-01", confirmations=1)  # fmt: skip
    columns = (column("unique_share", "unique identities", "higher", main=True),)
    return Board("face-synthesis", "Synthesized faces", "What sets are worth.",
                 (Table("held-out", "held-out", columns, (row,)),),
                 records={made.id: made})  # fmt: skip
