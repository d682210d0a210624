"""Toy people: smooth coloured patterns of 112 × 112, one a person, a little else in each picture.

As folders of prepared faces, and as a generator, named "portraits:Portraits", of synthesized sets.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from masquerade.core.config import Config
from masquerade.core.errors import WeightsError
from masquerade.generators.generator import Generator, Rendered

NAME = "portraits:Portraits"
SIDE = 112


def _pattern(seed: tuple[int, ...], cells: int) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    grown = Image.fromarray(values).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(grown).astype(np.float64)


def portrait(person: int, number: int, spread: float = 0.25) -> np.ndarray:
    """(112, 112, 3) uint8: the person's pattern, with a share of one of the picture's own."""
    own, other = _pattern((person,), 14), _pattern((person, number), 14)
    return ((1 - spread) * own + spread * other).round().clip(0, 255).astype(np.uint8)


def write_people(
    folder: Path, people: range, images: int = 3, spread: float = 0.25, suffix: str = ".png"
) -> Path:
    """A folder of prepared faces of these people."""
    for person in people:
        home = folder / f"p{person:04d}"
        home.mkdir(parents=True)
        for number in range(images):
            picture = Image.fromarray(portrait(person, number, spread))
            picture.save(home / f"{number}{suffix}", quality=60)  # of .jpg
    facts = {"format": "masquerade-faces/1", "template": "arcface-112"}
    (folder / "faces.json").write_text(json.dumps(facts))
    return folder


class Portraits(Generator):
    """Draws people from number `first` on."""

    slug = "portraits"
    fact_types = {}
    batch_size = 8

    class Settings(Config):
        first: int = 500
        spread: float = 0.1

    @classmethod
    def open(cls, weights, device):
        if weights is not None:
            raise WeightsError("portraits have no weights", "leave out --weights")
        return cls()

    @property
    def hash(self):
        return "7" * 64

    def facts(self):
        return {"template": "arcface-112", "embedder": "face-api"}

    def prepare(self, n_identities, settings, seed, folder, progress):
        (folder / "people.txt").write_text(str(n_identities))
        return {}

    def render(self, plan, identities, numbers):
        first, spread = plan.settings.first, plan.settings.spread
        rows = zip(identities.tolist(), numbers.tolist(), strict=True)
        images = np.stack([portrait(first + i, number, spread) for i, number in rows])
        return Rendered(images, [{} for _ in images])

    def audit(self, dataset):
        return {"pictures": len(dataset)}
