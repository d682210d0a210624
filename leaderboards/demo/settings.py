"""How long the demo trains, how much it makes, and what it looks at."""

from dataclasses import dataclass
from typing import Literal

Effort = Literal["quick", "normal", "full"]


@dataclass(frozen=True)
class DemoSettings:
    """The lengths of all steps; the defaults are the demo's normal ones.

    Attributes:
        name: of the folder for what is made and trained, and of the ranges of a right result.
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
        data: that the autoencoder learns from and is scored on.
        mae_steps: of pre-training.
        scores: the benchmarks of its frozen features.
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
    data: str = "photos"
    mae_steps: int = 300
    scores: tuple[str, ...] = ("knn", "probe")
    probe_seeds: int = 1
    probe_raw: bool = False
    crops: int = 512
    seed: int = 0


SETTINGS: dict[Effort, DemoSettings] = {
    "quick": DemoSettings("quick", faces=False, mae_steps=60, scores=("probe",)),
    "normal": DemoSettings(),
    "full": DemoSettings(
        "full", generator_steps=3200, draws=10, recogniser_steps=250, pictures=10, mae_steps=2000,
        probe_seeds=3, probe_raw=True,
    ),
}  # fmt: skip
