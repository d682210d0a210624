"""Records as protocols make them, of simulated predictions: real scores, hashes and files."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from masquerade.benchmarks.registry import benchmark
from masquerade.core.frames import content_hash
from masquerade.core.record_store import write_record
from masquerade.core.records import BenchmarkBlock, Claim, Provenance, Record, SubjectBlock

Made = tuple[Record, pd.DataFrame]
HARDWARE = {"system": "Linux", "cores": 2, "memory_bytes": 8 << 30, "processor": "simulated"}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def a_provenance(day: int = 1, machine: str = "a") -> Provenance:
    return Provenance(
        created_utc=f"2026-01-{day:02d}T00:00:00+00:00",
        hardware={**HARDWARE, "processor": machine},
        versions={"python": "3.11", "numpy": "2.4"}, wall_time_s=1.0,
        command="masquerade evaluate …",
    )  # fmt: skip


def class_rows(
    skill: float, n: int = 200, seed: int = 0, runs: int = 1, n_classes: int = 4
) -> pd.DataFrame:
    """Stored predictions of a classifier that is right with probability `skill`."""
    random = np.random.default_rng([seed, 7])
    labels = np.arange(n) % n_classes
    tables = []
    for run in range(runs):
        right = random.random(n) < skill
        wrong = (labels + random.integers(1, n_classes, n)) % n_classes
        tables.append(pd.DataFrame({
            "key": [f"t/{i:04d}" for i in range(n)], "label": labels,
            "predicted": np.where(right, labels, wrong), "seed": run,
        }))  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def pair_rows(gap: float, n: int = 240, people: int = 60, seed: int = 0) -> pd.DataFrame:
    """Stored distances of pairs of faces, those of one person nearer by `gap` on average."""
    who = np.random.default_rng(0)  # the list of pairs is the same for every subject
    same = np.arange(n) % 2 == 0
    first = who.integers(0, people, n)
    second = np.where(same, first, (first + who.integers(1, people, n)) % people)
    noise = np.random.default_rng([seed, 11]).normal(0, 0.2, n)
    return pd.DataFrame({
        "a": [f"p{p:03d}/{i}" for i, p in enumerate(first)],
        "b": [f"p{p:03d}/{i}b" for i, p in enumerate(second)],
        "origin": "", "same": same, "fold": np.repeat(np.arange(10), n // 10),
        "group_a": first, "group_b": second,
        "distance": (1.2 - gap * same + noise).clip(0.01, 3.9),
    })  # fmt: skip


def retrieval_rows(skill: float, seed: int = 0) -> pd.DataFrame:
    """Stored ranks of 120 queries of 40 classes, each with five relevant items."""
    random = np.random.default_rng([seed, 3])
    rows = []
    for query in range(120):
        found = np.sort(random.choice(40, 4, replace=False))[random.random(4) < skill] + 1
        for rank in found if len(found) else [0]:
            rows.append((query, f"q{query}", f"c{query % 40}", 5, rank, -1.0))
    names = ["row", "query", "class", "relevant", "rank", "index_recall"]
    return pd.DataFrame(rows, columns=names)


def identification_rows(skill: float, seed: int = 0) -> pd.DataFrame:
    """Stored searches for people, every second one for an enrolled one."""
    random = np.random.default_rng([seed, 5])
    n = 400
    mated = np.arange(n) % 2 == 0
    right = random.random(n) < skill
    return pd.DataFrame({
        "key": [f"k{i}" for i in range(n)], "identity": [f"p{i % 90}" for i in range(n)],
        "mated": mated, "rank": np.where(mated & right, 1, np.where(mated, 7, 0)),
        "found": "p0", "score": 0.5 + 0.3 * (mated & right) + random.normal(0, 0.1, n),
    })  # fmt: skip


def template_rows(skill: float, seed: int = 0) -> pd.DataFrame:
    """Stored counts of pairs of templates of 60 people at two thresholds."""
    random = np.random.default_rng([seed, 9])
    people = 60
    genuine, impostor = np.full(people, 8), np.full(people, 400)
    tables = [
        pd.DataFrame({
            "rate": rate, "threshold": 0.5, "tar_per_far": slope, "person": np.arange(people),
            "genuine": genuine, "accepted_genuine": random.binomial(8, skill, people),
            "impostor": impostor, "accepted_impostor": 2 * random.binomial(200, far, people),
        })
        for rate, slope, far in (("eer", 1.0, 1 - skill), ("tar_at_far_1e-1", 0.5, 0.1))
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def simulate(
    slug: str,
    name: str,
    predictions: pd.DataFrame,
    *,
    kind: str = "model",
    content: str = "",
    data: str = "toy",
    settings: Mapping[str, Any] | None = None,
    seeds: tuple[int, ...] = (0,),
    facts: Mapping[str, Any] | None = None,
    subject: Mapping[str, Any] | None = None,
    training: tuple[str, ...] = (),
    day: int = 1,
    machine: str = "a",
    modality: str = "image",
) -> Made:
    """The record that the protocol would have made of these predictions."""
    protocol = benchmark(slug)
    claim = Claim(
        benchmark=BenchmarkBlock(
            name=slug, version=protocol.VERSION, protocol_hash=protocol.IDENTITY.hash(),
            data=data, data_hash=digest(f"data {data}"),
        ),
        subject=SubjectBlock(
            name=name, kind=kind, content_hash=digest(content or name), training_data=training,
            preprocessing={} if kind == "chance" else {"modality": modality, "size": 32},
            facts=dict({"parameters": 1000} if subject is None else subject),
        ),
        settings=protocol.Settings().to_dict() | dict(settings or {}),
        seeds=seeds, metrics=dict(protocol.score(predictions)),
        main_metric=protocol.MAIN_METRIC, predictions=content_hash(predictions),
        facts=dict(facts or {}),
    )  # fmt: skip
    return Record(claim=claim, provenance=(a_provenance(day, machine),)), predictions


def store(results: Path, *made: Made) -> list[Record]:
    """The records as they stand in the folder."""
    return [write_record(record, results, frame)[1] for record, frame in made]


def a_store(results: Path) -> dict[str, Record]:
    """kNN records of two models and three baselines on one data set, by name."""
    skills = {"good": 0.9, "fair": 0.6, "chance": 0.25, "random:mae": 0.45, "raw": 0.34}
    made = [
        simulate(
            "knn", name, class_rows(skill, seed=place),
            kind=name.partition(":")[0] if place > 1 else "model",
        )
        for place, (name, skill) in enumerate(skills.items())
    ]  # fmt: skip
    return dict(zip(skills, store(results, *made), strict=True))
