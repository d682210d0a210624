"""How a call of the trainer ended."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """How a call of `Trainer.run` ended.

    Attributes:
        step: optimizer steps done over all calls.
        total: steps of the whole run.
        started_at: steps that were done before this call.
        loss: of the last step, None where none was done now or it was not finite.
        skipped: steps left out because of a non-finite loss, over all calls.
        signal: the signal that stopped the run, 0 where none did.
    """

    step: int
    total: int
    started_at: int
    loss: float | None
    skipped: int
    signal: int = 0

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return self.step == self.total
