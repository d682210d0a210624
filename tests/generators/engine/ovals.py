"""A small real generator: coloured ovals, each identity with a shape and a colour of its own.

Importable by worker processes (its folder is on their path), named "ovals:Ovals".
"""

import os
import time
from pathlib import Path

import numpy as np
import torch

from masquerade.core.config import Config
from masquerade.core.draws import Draws
from masquerade.core.errors import WeightsError
from masquerade.core.hashing import sha256_bytes
from masquerade.generators.generator import Generator, Rendered

NAME = "ovals:Ovals"


class Ovals(Generator):
    """Each identity has a vector (colour, half axes); each picture shifts it a little."""

    slug = "ovals"
    fact_types = {"shift": float, "left": bool}
    batch_size = 8

    class Settings(Config):
        size: int = 16
        shift: float = 2.0
        pause_s: float = 0.0

    def __init__(self, own: bytes) -> None:
        self.own = own

    @classmethod
    def open(cls, weights, device):
        if weights is None:
            return cls(b"shipped")
        if not weights.is_file():
            raise WeightsError(f"no weights at {weights}", "name a weights file")
        own = weights.read_bytes()
        if not own.startswith(b"ovals"):
            raise WeightsError(f"{weights} holds weights of another method", "name one of 'ovals'")
        return cls(own)

    @property
    def hash(self):
        return sha256_bytes(self.own)

    def facts(self):
        return {"template": "none", "size": [16, 16]}

    def prepare(self, n_identities, settings, seed, folder, progress):
        vectors = Draws(seed, torch.arange(n_identities), stream="identity").uniform(5).numpy()
        np.save(folder / "identities.npy", vectors)
        progress(n_identities, n_identities)
        return {"tried": n_identities}

    def render(self, plan, identities, numbers):
        time.sleep(plan.settings.pause_s)
        own = np.load(plan.folder / "identities.npy", mmap_mode="r")[identities]
        keys = torch.from_numpy(identities * 10_000 + numbers)
        moves = Draws(plan.seed, keys, stream="move").uniform(2).numpy() - 0.5
        shifts = moves * 2 * plan.settings.shift
        size = plan.settings.size
        y, x = np.mgrid[:size, :size] - (size - 1) / 2
        images = np.zeros((len(own), size, size, 3), np.uint8)
        for image, vector, (dx, dy) in zip(images, own, shifts, strict=True):
            a, b = (0.2 + 0.25 * vector[:2]) * size
            inside = ((x - dx) / a) ** 2 + ((y - dy) / b) ** 2 < 1
            image[inside] = (55 + 200 * vector[2:]).astype(np.uint8)
        facts = [{"shift": float(np.hypot(*m)), "left": bool(m[0] < 0)} for m in shifts]
        return Rendered(images, facts)

    def audit(self, dataset):
        means = [images.mean() for _, images in dataset.batches(64)]
        return {"mean": float(np.mean(means))}


class Same(Ovals):
    """Draws the same picture for every number: what the audit must find."""

    slug = "same"

    def render(self, plan, identities, numbers):
        rendered = super().render(plan, identities, np.zeros_like(numbers))
        return rendered


class Broken(Ovals):
    """Fails, or gives what it did not declare, as the environment says."""

    slug = "broken"

    def render(self, plan, identities, numbers):
        rendered = super().render(plan, identities, numbers)
        fault = os.environ.get("OVALS_FAULT", "")
        if fault == "raise" and 5 in identities:
            raise ValueError("a sum went wrong")
        if fault == "nan":
            rendered.facts[0]["shift"] = float("nan")
        if fault == "facts":
            del rendered.facts[0]["left"]
        if fault == "pixels":
            return Rendered(rendered.images.astype(np.float32), rendered.facts)
        if fault == "few":
            return Rendered(rendered.images[:-1], rendered.facts)
        if fault == "read":
            Path(plan.folder / "gone.npy").read_bytes()
        return rendered
