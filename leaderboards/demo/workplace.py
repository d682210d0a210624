"""Where the demo's things lie, and the calls that its steps share."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ...core.errors import MasqueradeError
from .people import People
from .screen import Screen
from .settings import DemoSettings

if TYPE_CHECKING:
    from ...benchmarks.call import Evaluation
    from ...core.records import Record

_BATCH = 64  # samples encoded at once
_LAST = 20  # steps whose mean loss is told


@dataclass(frozen=True)
class Workplace:
    """A demo folder while the demo runs.

    Attributes:
        out: the folder.
        settings: the lengths of all steps.
        people: real faces; None where there are none.
        screen: where it tells how far it is.
    """

    out: Path
    settings: DemoSettings
    people: People | None
    screen: Screen

    @property
    def results(self) -> Path:
        """Records, predictions and their pictures."""
        return self.out / "results"

    @property
    def runs(self) -> Path:
        """What is made and trained, of these lengths."""
        return self.out / self.settings.name

    @property
    def generator(self) -> Path | None:
        """The run of the own generator; None where the shipped one draws."""
        steps = self.settings.generator_steps
        return self.runs / f"generator-{steps}-steps" if steps else None

    @property
    def faces(self) -> Path:
        """The synthesized set."""
        return self.runs / f"synthesized-{self.settings.identities}x{self.settings.images}"

    @property
    def other_faces(self) -> Path:
        """The second synthesized set."""
        s = self.settings
        return self.runs / f"held-out-synthesized-{s.other_identities}x{s.other_images}"

    @property
    def recogniser(self) -> Path:
        """The run of the recogniser."""
        return self.runs / f"recogniser-{self.settings.recogniser_steps}-steps"

    @property
    def autoencoder(self) -> Path:
        """The run of the masked autoencoder."""
        return self.runs / f"mae-tiny-{self.settings.mae_steps}-steps"

    @property
    def picture(self) -> Path:
        """Input, masked input and reconstruction of test crops."""
        return self.runs / "reconstruction.png"

    def train(
        self, method: str, recipe: str, data: str, run: Path, settings: Sequence[str]
    ) -> float:
        """Train into a run folder, or go on there; the mean loss of the last steps.

        Raises:
            KeyboardInterrupt: it was told to stop; the run goes on when asked for again.
            MasqueradeError: as `masquerade.pretrain`.
        """
        from ...methods.call import pretrain

        outcome = pretrain(
            method, data, run, recipe=recipe, set=settings, quiet=not self.screen.training
        )
        if outcome is None or outcome.signal:
            raise KeyboardInterrupt
        return _last_loss(run)

    def evaluation(
        self, benchmark: str, subject: str, data: str, settings: Sequence[str] = ()
    ) -> "Evaluation":
        """A protocol with its subject and data, ready to run.

        Args:
            benchmark: the protocol.
            subject: what is scored.
            data: on what.
            settings: changed settings, "key=value" each.

        Raises:
            MasqueradeError: as `masquerade.evaluate`.
        """
        from ...benchmarks.call import extraction, open_evaluation

        return open_evaluation(
            benchmark, subject, data, train=None, test=None, judge=None, results=self.results,
            recipe=None, set=settings, published_protocol=False, seeds=None,
            extraction=extraction("auto", 0, _BATCH, self.screen.bar),
        )  # fmt: skip

    def score(
        self, benchmark: str, subject: str, data: str, settings: Sequence[str] = ()
    ) -> "list[Record]":
        """Score a subject beside its baselines; the records as stored, the subject's first.

        Raises:
            MasqueradeError: as `masquerade.evaluate`.
        """
        evaluation = self.evaluation(benchmark, subject, data, settings)
        return [stored.record for stored in evaluation.run(self.results)]


def _last_loss(run: Path) -> float:
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    losses = [loss for line in lines if (loss := _loss(line)) is not None][-_LAST:]
    if not losses:
        raise MasqueradeError(f"{run}: no step had a finite loss", "remove the folder, run again")
    return fmean(losses)


def _loss(line: str) -> float | None:
    entry: dict[str, Any] = json.loads(line)
    loss = entry.get("loss")
    return float(loss) if isinstance(loss, int | float) else None
