"""Face recognisers trained on a set, a run folder for each; what is there is not trained again.

The folder's name is the hash of what decides the weights: the set's pictures and labels, the
resolved settings with their seed, and the code that trains. So a second command finds it, whoever
asks, and a killed one goes on inside it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.config import flatten
from ..core.errors import DataError
from ..core.hashing import sha256_json
from .protocol import code_of
from .subjects import Extraction, RandomSubject

if TYPE_CHECKING:
    from ..core.modality import Source
    from ..methods.recipes import Resolved
    from .data_set_subjects import DataSetSubject
    from .face_subjects import EmbedderSubject

METHOD = "arcface"
CODE = (
    "benchmarks/face_training.py", "core/draws.py", "core/iresnet.py", "core/margins.py",
    "core/partial_fc.py", "core/training/loader.py", "core/training/optim.py",
    "core/training/schedule.py", "core/training/trainer.py", "methods/image/arcface.py",
    "methods/pretraining.py", "modalities/image/adapter.py",
    "modalities/image/faces/augmentation.py",
)  # fmt: skip


@dataclass(frozen=True)
class Recogniser:
    """How recognisers are trained, and where their runs are kept.

    Attributes:
        recipe: of ArcFace, by name or path.
        overrides: "section.key=value" texts.
        runs: the folder of run folders.
        extraction: device and loader processes.
    """

    recipe: str
    overrides: tuple[str, ...]
    runs: Path
    extraction: Extraction

    def resolved(self, seed: int) -> "Resolved":
        """The settings of one training.

        Raises:
            UsageError: the recipe or a setting is unknown, or of another method.
        """
        from ..methods.recipes import resolve

        how = self.extraction
        own = (
            f"train.seed={seed}", f"train.device={how.device}", f"train.workers={how.workers}",
            "train.keep=1",
        )  # fmt: skip
        return resolve(METHOD, self.recipe, [*self.overrides, *own])

    def settings(self) -> dict[str, Any]:
        """What all trainings have in common: the settings but seed and runtime."""
        return _deciding(self.resolved(0), seed=False)

    def steps(self, source: "Source") -> int:
        """Optimizer steps on a set.

        Raises:
            UsageError: the set is smaller than a batch.
        """
        from ..core.training.loader import Loader
        from ..modalities.registry import modality

        settings = self.resolved(0).settings
        adapter = modality("image")(settings.data)
        loader = Loader(source, adapter, batch_size=settings.train.batch_size, seed=0)
        return settings.train.total_steps(loader.steps_per_epoch)

    def check(self, data: "DataSetSubject") -> None:
        """Refuse a set that no recogniser can learn from, before anything is trained.

        Raises:
            UsageError: no labels, another template, or fewer pictures than a batch.
            DataError: a single identity, or pictures of other sides.
        """
        from ..methods.registry import method

        method(METHOD)(self.resolved(0).settings.method).check_source(data.source)
        if data.facts["identities"] < 2:
            raise DataError(
                f"{data.name} holds one identity only, expected at least 2",
                "a recogniser learns from differences: give more identities",
            )
        self.steps(data.source)

    def trained(self, data: "DataSetSubject", seed: int) -> "EmbedderSubject":
        """The recogniser of a set and a seed, trained now unless it is there.

        Raises:
            KeyboardInterrupt: it was told to stop; the run goes on when asked for again.
            MasqueradeError: as `pretraining.pretrain`.
        """
        import torch

        from ..core.training.distributed import World
        from ..core.training.progress import announce
        from ..methods.pretraining import pretrain
        from ..modalities.image.faces.embedders import open_embedder
        from .face_subjects import EmbedderSubject

        resolved = self.resolved(seed)
        out = self.runs / self._folder(data, resolved)
        announce(f"{data.name}, seed {seed}: {out}")
        how = self.extraction
        if pretrain(
            resolved, data.source, out, world=World(device=torch.device(how.device))
        ).signal:
            raise KeyboardInterrupt
        return EmbedderSubject(open_embedder(str(out), how.device), how)

    def untrained(self, seed: int) -> RandomSubject:
        """The net that a training with this seed begins with."""
        import torch

        from ..methods.registry import method
        from ..modalities.registry import modality

        settings = self.resolved(seed).settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = method(METHOD)(settings.method)
        adapter = modality("image")(settings.data)
        name = f"random:{METHOD}@{Path(self.recipe).stem}"
        return RandomSubject(name, net, adapter, self.extraction)

    def _folder(self, data: "DataSetSubject", resolved: "Resolved") -> str:
        key = {
            "data": data.hash, "settings": _deciding(resolved, seed=True),
            "code": {name: code_of(name) for name in CODE},
        }  # fmt: skip
        return f"{Path(self.recipe).stem}-{sha256_json(key)[:16]}"


def _deciding(resolved: "Resolved", *, seed: bool) -> dict[str, Any]:
    """The settings that decide the weights, by dotted key."""
    from ..core.training.settings import RUNTIME

    left_out = RUNTIME if seed else RUNTIME | {"train.seed"}
    flat = flatten(resolved.settings.to_dict())
    return {key: value for key, value in flat.items() if key not in left_out}
