"""How long the demo trains, how much it makes, and what it looks at."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ...core.hashing import sha256_json

Effort = Literal["quick", "normal", "full"]


@dataclass(frozen=True)
class DemoSettings:
    """The lengths of all steps; the defaults are the demo's normal ones.

    Attributes:
        name: under which `verdicts` keeps the ranges of a right result.
        faces: whether faces are made and recognised; else only the autoencoder runs.
        generator_steps: to train an own generator on real people; 0 = the shipped one.
        identities: of the synthesized set.
        images: of each of them.
        other_identities: of a second set, which stands in where no real faces are known.
        other_images: of each of them.
        draws: samples that the set is scored on.
        recogniser_steps: of training on the synthesized set.
        recogniser_batch: faces in one.
        people: most real people that are looked at.
        pictures: most pictures of each of them.
        mae_steps: of pre-training.
        probe: whether a linear probe is fitted; else nearest neighbours alone tell.
        probe_seeds: inner splits of the probe.
        probe_raw: whether raw pixels are probed, too: minutes; their PCA stands for them.
        crops: test crops that are reconstructed for the loss.
        seed: of everything that is drawn.
    """

    name: str = "normal"
    faces: bool = True
    generator_steps: int = 0
    identities: int = 100
    images: int = 10
    other_identities: int = 60
    other_images: int = 3
    draws: int = 5
    recogniser_steps: int = 80
    recogniser_batch: int = 64
    people: int = 128
    pictures: int = 3
    mae_steps: int = 300
    probe: bool = True
    probe_seeds: int = 1
    probe_raw: bool = False
    crops: int = 512
    seed: int = 0

    def hash(self, *fields: str) -> str:
        """The first digits of the sha256 of some fields: a name for what they decide."""
        values: dict[str, Any] = asdict(self)
        return sha256_json({name: values[name] for name in fields})[:8]


SETTINGS: dict[Effort, DemoSettings] = {
    "quick": DemoSettings("quick", faces=False, mae_steps=60, probe_seeds=1),
    "normal": DemoSettings(),
    "full": DemoSettings(
        "full", generator_steps=3200, draws=10, recogniser_steps=250, pictures=10, mae_steps=2000,
        probe_seeds=3, probe_raw=True,
    ),
}  # fmt: skip
