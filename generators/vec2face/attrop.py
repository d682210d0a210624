"""AttrOP: vectors moved by gradients until their pictures have wanted attributes.

The networks are frozen; Adam works on the vector itself (Wu et al., 2025). Per row

    L = w_id · L_id + w_q · max(0, q* - q) + w_pose · | p* - |yaw| |,    L_id = 1 - cos(f, c)

of the picture x = clip(G(u), -1, 1), with f its feature, q its quality and c the identity's vector.
A row is done when L_pose <= 5, L_id <= 0.3 and L_q <= 1. Vec2Face+ weights the terms 1, 1/30 and
1/90, counts L_id only above 0.3, and ends after 30 steps; the first code has no such cap and loops
for ever on targets that cannot be reached. We always cap.

The official code measures the gates on the mean of the batch, so a picture depends on the ones
beside it; `gate="batch"` follows it. Ours measures each row (`gate="sample"`): a row stops alone,
keeps the vector that was measured to pass, and is the same in any batch (but for the last bits,
which matrix products of other sizes round differently).
"""

# B rows, A rows still active, d width, S side of the picture.

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from ...core.errors import UsageError, ValidationError
from ...core.masking import RowDropMasker
from .attrop_losses import AttrLosses, AttrOpSettings
from .estimators import Estimator
from .model import Vec2FaceNet
from .perturbation import row_draws

_BETAS = (0.9, 0.999)
_EPS = 1e-8

Features = Callable[[Tensor], Tensor]
Watch = Callable[[int, float, Tensor], None]  # (iteration, the batch's loss, vectors after it)


class Paint(Protocol):
    """Pictures of vectors, with the randomness of one iteration."""

    def __call__(self, vectors: Tensor, rows: Tensor, iteration: int) -> Tensor:
        """Pictures (A, 3, S, S) of vectors (A, d), which are the batch's rows (A,) int64."""


def net_paint(
    net: Vec2FaceNet,
    masker: RowDropMasker,
    *,
    seed: int,
    identities: Tensor,
    numbers: Tensor,
    condition: Tensor | None = None,
) -> Paint:
    """How a network paints rows: masks drawn anew for each (identity, image, iteration).

    Args:
        net: frozen, in eval mode.
        masker: of generation.
        seed: the plan's.
        identities: (B,) int64.
        numbers: (B,) int64.
        condition: (B, 1, D) of the pose net, or None.
    """

    def paint(vectors: Tensor, rows: Tensor, iteration: int) -> Tensor:
        draws = row_draws(seed, identities[rows], numbers[rows], stream=f"attrop/{iteration}")
        chosen = None if condition is None else condition[rows]
        image: Tensor = net(vectors, masker.draw(draws), chosen).image
        return image

    return paint


@dataclass(frozen=True)
class Attributed:
    """What became of rows.

    Attributes:
        vectors: (B, d) float32.
        accepted: (B,) bool, the gates held.
        steps: (B,) int64, Adam steps taken.
        start: losses at the start.
        end: losses at `vectors` (before the last step where the gate is the batch's).
    """

    vectors: Tensor
    accepted: Tensor
    steps: Tensor
    start: AttrLosses
    end: AttrLosses


class _Adam:
    """Adam (Kingma & Ba, 2015) whose rows can leave; their states are independent."""

    def __init__(self, vectors: Tensor, lr: float) -> None:
        self._lr, self._t = lr, 0
        self._mean, self._square = torch.zeros_like(vectors), torch.zeros_like(vectors)

    def step(self, vectors: Tensor, gradient: Tensor) -> Tensor:
        self._t += 1
        self._mean = self._mean.lerp(gradient, 1 - _BETAS[0])
        self._square = _BETAS[1] * self._square + (1 - _BETAS[1]) * gradient.square()
        size = (self._square / (1 - _BETAS[1] ** self._t)).sqrt() + _EPS
        return vectors - self._lr * (self._mean / (1 - _BETAS[0] ** self._t)) / size

    def keep(self, rows: Tensor) -> None:
        self._mean, self._square = self._mean[rows], self._square[rows]


class _Best:
    """Each row's best vector measured: all gates hold, else the identity's, else the nearest."""

    def __init__(self, vectors: Tensor, settings: AttrOpSettings) -> None:
        n, device = len(vectors), vectors.device
        self._settings = settings
        self.vectors = vectors.clone()
        self.tier = torch.full((n,), -1, device=device)
        self.losses = [torch.zeros(n, device=device) for _ in range(3)]
        self._score = torch.full((n,), torch.inf, device=device)

    def see(self, rows: Tensor, vectors: Tensor, losses: AttrLosses) -> None:
        holds = losses.holds_identity(self._settings)
        tier = holds.long() + losses.passes(self._settings).long()
        score = torch.where(holds, losses.attributes(self._settings), losses.identity)
        same = (tier == self.tier[rows]) & (score < self._score[rows])
        better = (tier > self.tier[rows]) | same
        place = rows[better]
        self.vectors[place] = vectors[better]
        self.tier[place], self._score[place] = tier[better], score[better]
        for kept, part in zip(self.losses, losses.parts(), strict=True):
            kept[place] = part[better]


class AttrOP:
    """Moves vectors towards attributes.

    Args:
        settings: targets, weights, gates.
        features: pictures (B, 3, S, S) in [-1, 1] → features (B, d) in the vectors' frame;
            differentiable, frozen.
        quality: an estimator, needed by a quality target.
        pose: an estimator of yaw in degrees, needed by a pose target.

    Raises:
        UsageError: a target without its estimator, or no target at all.
    """

    def __init__(
        self,
        settings: AttrOpSettings,
        features: Features,
        quality: Estimator | None = None,
        pose: Estimator | None = None,
    ) -> None:
        if settings.quality_target is None and settings.pose_target is None:
            raise UsageError("AttrOP has no target", "set quality_target or pose_target")
        for name, target, estimator in (
            ("quality", settings.quality_target, quality),
            ("pose", settings.pose_target, pose),
        ):
            if target is not None and estimator is None:
                raise UsageError(
                    f"{name}_target {target} needs an estimator of {name}, and none was given",
                    f"give its weights, or set {name}_target to none",
                )
        self.settings = settings
        self._features, self._quality, self._pose = features, quality, pose

    def measure(self, images: Tensor, wanted: Tensor) -> AttrLosses:
        """The losses of pictures (B, 3, S, S), unclipped, against identity vectors (B, d).

        Raises:
            ValidationError: a loss is not finite; names the row.
        """
        images = images.clamp(-1, 1)
        cosine = F.cosine_similarity(self._features(images).float(), wanted.float(), dim=1)
        quality = pose = torch.zeros_like(cosine)
        if self.settings.quality_target is not None and self._quality is not None:
            quality = (self.settings.quality_target - self._quality(images)).clamp_min(0)
        if self.settings.pose_target is not None and self._pose is not None:
            pose = (self.settings.pose_target - self._pose(images).abs()).abs()
        losses = AttrLosses(1 - cosine, quality, pose)
        for name, part in zip(("identity", "quality", "pose"), losses.parts(), strict=True):
            if not bool(torch.isfinite(part).all()):
                row = int(torch.nonzero(~torch.isfinite(part))[0])
                raise ValidationError(
                    f"AttrOP: the {name} loss of row {row} of the batch is {part[row].item()}",
                    "look at the vectors and at the estimators' weights",
                )
        return losses

    def run(
        self, vectors: Tensor, wanted: Tensor, paint: Paint, watch: Watch | None = None
    ) -> Attributed:
        """Vectors whose pictures pass the gates, or the best found within the cap.

        Args:
            vectors: (B, d) where to start.
            wanted: (B, d) the identities' vectors.
            paint: makes the pictures.
            watch: called after each step.

        Raises:
            UsageError: shapes differ.
            ValidationError: a loss is not finite.
        """
        if vectors.ndim != 2 or vectors.shape != wanted.shape:
            raise UsageError(
                f"AttrOP: expected vectors and wanted identities of one shape (B, d), "
                f"got {tuple(vectors.shape)} and {tuple(wanted.shape)}"
            )
        # rendering runs without gradients; the vectors alone need them here
        with torch.inference_mode(False), torch.enable_grad():
            start = vectors.detach().float().clone()
            wanted = wanted.detach().float().clone()
            by_row = self.settings.gate == "sample"
            return (self._by_row if by_row else self._by_batch)(start, wanted, paint, watch)

    def _by_row(
        self, vectors: Tensor, wanted: Tensor, paint: Paint, watch: Watch | None
    ) -> Attributed:
        """Each row stops when its own gates have held."""
        settings, device = self.settings, vectors.device
        best, adam = _Best(vectors, settings), _Adam(vectors, settings.lr)
        steps = torch.zeros(len(vectors), dtype=torch.int64, device=device)
        passed = torch.zeros_like(steps)
        rows = torch.arange(len(vectors), device=device)
        start: AttrLosses | None = None
        for iteration in range(settings.cap + 1):
            current = vectors.requires_grad_()
            losses = self.measure(paint(current, rows, iteration), wanted[rows])
            seen = AttrLosses(*(part.detach() for part in losses.parts()))
            start = start or seen
            best.see(rows, current.detach(), seen)
            passed[rows] += seen.passes(settings).long()
            go_on = passed[rows] < settings.passes
            if iteration == settings.cap or not bool(go_on.any()):
                break
            loss = losses.total(settings).sum()  # a sum: no row's gradient knows of the others
            (gradient,) = torch.autograd.grad(loss, current)
            rows = rows[go_on]
            adam.keep(go_on)
            vectors = adam.step(current.detach()[go_on], gradient[go_on])
            steps[rows] += 1
            if watch is not None:
                watch(iteration, float(loss.detach()) / len(go_on), vectors)
        accepted = passed >= settings.passes
        return Attributed(best.vectors, accepted, steps, _given(start), AttrLosses(*best.losses))

    def _by_batch(
        self, vectors: Tensor, wanted: Tensor, paint: Paint, watch: Watch | None
    ) -> Attributed:
        """The official order: measure the batch's means, step, then look at the gates."""
        settings = self.settings
        adam = _Adam(vectors, settings.lr)
        rows = torch.arange(len(vectors), device=vectors.device)
        start: AttrLosses | None = None
        passed = steps = 0
        while True:
            current = vectors.requires_grad_()
            losses = self.measure(paint(current, rows, steps), wanted)
            seen = AttrLosses(*(part.detach() for part in losses.parts()))
            start = start or seen
            if steps == settings.cap:
                break
            loss = losses.total(settings).mean()
            (gradient,) = torch.autograd.grad(loss, current)
            vectors = adam.step(current.detach(), gradient)
            if watch is not None:
                watch(steps, float(loss.detach()), vectors)
            steps += 1
            passed += bool(seen.mean().passes(settings))
            if passed == settings.passes:
                break
        accepted = torch.full((len(vectors),), passed >= settings.passes, device=vectors.device)
        taken = torch.full_like(rows, steps)
        return Attributed(vectors.detach(), accepted, taken, _given(start), seen)


def _given(losses: AttrLosses | None) -> AttrLosses:
    """The start's losses, which any run has measured."""
    if losses is None:
        raise ValueError("nothing was measured")
    return losses


def acceptance(accepted: int, n: int, cap: int, why: str = "") -> str:
    """How many of n reached their targets, and what became of the others (`why`: in brackets).

    Example:
        >>> acceptance(5, 5, cap=30)
        '5 of 5 reached their targets (100.0 %)'
    """
    line = f"{accepted} of {n} reached their targets ({100 * accepted / n:.1f} %)"
    if accepted < n:
        line += (
            f"; {n - accepted} ended at the cap of {cap} steps{why}: their targets may be out of "
            "reach (lower them, or raise the cap)"
        )
    return line


@dataclass(frozen=True)
class AttrOpReport:
    """How AttrOP went over many batches.

    Attributes:
        n: rows.
        accepted: rows whose gates held.
        cap: the most steps that a row may take.
        mean_steps: per row.
        changes: what was steered → its mean loss at the start and at the end.
        beyond: what was steered → rows not accepted whose loss ended beyond its gate.
    """

    n: int
    accepted: int
    cap: int
    mean_steps: float
    changes: dict[str, tuple[float, float]]
    beyond: dict[str, int]

    @classmethod
    def of(cls, results: Sequence[Attributed], settings: AttrOpSettings) -> "AttrOpReport":
        """The report on some batches, at least one.

        Raises:
            UsageError: there is none.
        """
        n = sum(len(result.accepted) for result in results)
        if not n:
            raise UsageError("AttrOP: no rows to report on")

        steered = {"identity distance": ("identity", settings.id_gate)}
        if settings.quality_target is not None:
            steered["missing quality"] = ("quality", settings.quality_gate)
        if settings.pose_target is not None:
            steered["degrees off the pose"] = ("pose", settings.pose_gate)
        refused = ~torch.cat([result.accepted for result in results])
        changes, beyond = {}, {}
        for name, (part, gate) in steered.items():
            start, end = (
                torch.cat([getattr(getattr(result, when), part) for result in results])
                for when in ("start", "end")
            )
            changes[name] = (float(start.mean()), float(end.mean()))
            beyond[name] = int((refused & (end > gate)).sum())
        steps = sum(int(result.steps.sum()) for result in results)
        return cls(n, n - int(refused.sum()), settings.cap, steps / n, changes, beyond)

    def __str__(self) -> str:
        change = ", ".join(f"{k} {a:.3g} -> {b:.3g}" for k, (a, b) in self.changes.items())
        why = " (beyond the gate: " + ", ".join(f"{k} {n}" for k, n in self.beyond.items()) + ")"
        told = acceptance(self.accepted, self.n, self.cap, why)
        return f"mean {change} in {self.mean_steps:.1f} steps; {told}"
