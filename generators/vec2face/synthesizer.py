"""Vec2Face as a generator of data sets: identities sampled apart, each drawn many times.

sample → separate → (quality pass) → identity vectors; vector + perturbation (→ AttrOP) → picture.
Vectors are in the units of the embedding frame that the weights carry.
"""

# B rows, d vector width, n identities.

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor, nn

from ...core.errors import UsageError, WeightsError
from ...core.masking import RowMask
from ...core.training.run_folder import training_data_of
from ...core.weights import find_weights, weights_hash
from ...methods.weights import load_method
from ..engine.worker import fixed_computation
from ..generator import Generator, Progress, Rendered, RenderPlan
from .attrop import AttrOpReport, acceptance, net_paint
from .certificate import certify, read_identities, write_identities
from .identities import apart, find_identities
from .method import Vec2Face
from .nets import FrozenNets
from .perturbation import row_draws
from .pose import pose_condition, pose_net
from .poses import pose_of, prepared_poses, read_poses
from .separation import Separated
from .separation_cost import plan_cost
from .settings import Vec2FaceSynthesis

if TYPE_CHECKING:
    from ..engine.dataset import SynthesizedSet

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent / "weights" / "demo.safetensors"
_BATCH = 64  # rows of the quality pass
_NO_IMAGE = 2**32 - 1  # the image number of the quality pass's masks: no picture has it

Net = Callable[..., Any]


class Synthesizer(Generator):
    """The generator behind `masquerade synthesize vec2face`.

    Args:
        method: the weights.
        content_hash: the sha256 of their file.
        device: where it computes.
        training_data: what they learned from, as declared.
    """

    slug = "vec2face"
    Settings = Vec2FaceSynthesis
    fact_types: ClassVar[dict[str, type]] = {"sigma": float, "accepted": bool}

    def __init__(
        self,
        method: Vec2Face,
        content_hash: str,
        device: str = "cpu",
        training_data: tuple[str, ...] = (),
    ) -> None:
        self.method = method.eval().requires_grad_(requires_grad=False).to(device)
        self.device = torch.device(device)
        self._hash, self._training_data = content_hash, training_data
        self._identities = lru_cache(maxsize=2)(read_identities)
        self._poses = lru_cache(maxsize=2)(prepared_poses)
        self.nets = FrozenNets(method, device)
        self._compiled = lru_cache(maxsize=1)(lambda: _compiled(self.method.net))

    @classmethod
    def open(cls, weights: Path | None, device: str) -> "Synthesizer":
        """The generator of a weights file or run folder; None = the shipped demo weights.

        Raises:
            WeightsError: no weights there, or those of another method.
        """
        if weights is None and not SHIPPED.is_file():
            raise WeightsError(
                f"this installation holds no demo weights of vec2face (looked for {SHIPPED.name})",
                "give --weights FILE: a run of `masquerade pretrain vec2face`, or official weights "
                "imported with `masquerade weights import vec2face`",
            )
        path = find_weights(SHIPPED if weights is None else weights)
        method = load_method(path, expect="vec2face")
        assert isinstance(method, Vec2Face)  # noqa: S101 - `expect` has said so
        return cls(method, weights_hash(path), device, training_data_of(path))

    @property
    def hash(self) -> str:
        """The sha256 of the weights' file."""
        return self._hash

    def facts(self) -> dict[str, JsonValue]:
        """Template, size, extractor, and what the weights learned from."""
        config = self.method.config
        return {
            "template": self.method.template, "size": config.image_size,
            "vector_width": config.rep_dim, "embedder": config.embedder,
            "training_identities": len(self.method.frame.centres),
            "training_data": list(self._training_data),
        }  # fmt: skip

    def columns(self, settings: Vec2FaceSynthesis) -> Mapping[str, type]:
        """σ, whether AttrOP's gates held, and which pose where poses are asked for."""
        return {**self.fact_types, "pose": int} if settings.pose else self.fact_types

    def check(self, identities: int, images_per_identity: int, settings: Vec2FaceSynthesis) -> None:
        """The paper's shuffle needs shares of whole rows, a pose weights with a pose net."""
        if settings.pose:
            pose_net(self.method)
        if settings.perturbation.paper_shuffle:
            settings.perturbation.paper_counts(identities * images_per_identity)

    def preparation_s(self, n_identities: int, settings: Vec2FaceSynthesis) -> float | None:
        """The seconds of the separation where few candidates are rejected; the quality pass and
        the finding of poses were never measured, so None with them."""  # noqa: D205, D209
        if settings.identity_attrop is not None or settings.pose:
            return None
        return plan_cost(n_identities, self.method.config.rep_dim).seconds

    # identities --------------------------------------------------------------------------------

    def prepare(
        self,
        n_identities: int,
        settings: Vec2FaceSynthesis,
        seed: int,
        folder: Path,
        progress: Progress,
    ) -> dict[str, JsonValue]:
        """Write identities.npy, certificate.json, and what pictures need of nets.json and poses.

        Everything that the settings name is opened now: what is missing is said before the first
        picture, not after the last.

        Raises:
            UsageError: τ cannot be met, or something is needed that the settings do not name.
            DataError: a named file is damaged.
            WeightsError: a net's weights do not load.
        """
        self.nets.embedder(settings)
        if settings.compile:
            self._compiled()
        if settings.image_attrop is not None:
            self.nets.attrop(settings, "image_attrop")
            self.nets.write(settings, folder)
        facts = self._prepare_poses(settings, folder)
        frame, centres = self.method.frame.get(), self.method.frame.centres.cpu().numpy()
        found, sampler = find_identities(
            n_identities, settings, frame, centres, seed=seed, progress=progress
        )
        if settings.identity_attrop is not None:
            with fixed_computation(1):  # any other number of threads gives other last bits
                found, moved = self._quality_pass(found, settings, seed, progress)
            facts |= moved
        certificate = certify(found, sampler, settings.separation, seed)
        write_identities(folder, found.vectors, certificate)
        return {"certificate": str(certificate), **facts}

    def _prepare_poses(self, settings: Vec2FaceSynthesis, folder: Path) -> dict[str, JsonValue]:
        if settings.pose:
            with fixed_computation(1):  # as in the quality pass
                return read_poses(settings.pose, self.method.template).write(folder)
        if self.method.net.pose is not None:
            logger.warning(
                "these weights hold a pose net and no pose is asked for: they draw, but their "
                "adapters learned with poses only (give --set pose=FACES, or other weights)"
            )
        return {}

    def _quality_pass(
        self, found: Separated, settings: Vec2FaceSynthesis, seed: int, progress: Progress
    ) -> tuple[Separated, dict[str, JsonValue]]:
        """Identity vectors moved once by AttrOP; those that would come too close stay as drawn."""
        assert settings.identity_attrop is not None  # noqa: S101 - asked only then
        attrop = self.nets.attrop(settings, "identity_attrop")
        moved, results = np.empty_like(found.vectors), []
        for start in range(0, len(moved), _BATCH):
            rows = torch.arange(start, min(start + _BATCH, len(moved)))
            vectors = torch.from_numpy(found.vectors[rows.numpy()]).to(self.device)
            paint = net_paint(
                self.method.net, self.method.config.generation_rows, seed=seed,
                identities=rows.to(self.device),
                numbers=torch.full_like(rows, _NO_IMAGE).to(self.device),
            )  # fmt: skip
            done = attrop.run(vectors, vectors, paint)
            moved[rows.numpy()] = done.vectors.cpu().numpy()
            results.append(replace(done, vectors=done.vectors[:0]))
            progress(int(rows[-1]) + 1, len(moved))
        kept, back, largest = apart(found.vectors, moved, settings.separation.tau)
        report = AttrOpReport.of(results, settings.identity_attrop)
        if report.accepted < report.n:
            logger.warning("identity_attrop: %s", report)
        facts: dict[str, JsonValue] = {
            "identity_attrop": str(report),
            "identity_attrop_accepted": report.accepted,
            "identities_put_back": int(back.sum()),
        }
        return Separated(kept, found.candidates, found.tried, largest), facts

    # pictures ----------------------------------------------------------------------------------

    def render(
        self, plan: RenderPlan, identities: NDArray[np.int64], numbers: NDArray[np.int64]
    ) -> Rendered:
        """The pictures of some rows."""
        settings: Vec2FaceSynthesis = plan.settings
        vectors = np.array(self._identities(plan.folder)[identities])
        who, which, wanted = (
            torch.from_numpy(np.asarray(x)).to(self.device) for x in (identities, numbers, vectors)
        )
        poses, condition = self._pose(plan, who, which)
        rows = self.method.drawing_rows(posed=condition is not None)
        with torch.inference_mode():
            moved, sigmas = settings.perturbation(
                wanted, plan.seed, who, which,
                n_identities=plan.identities, images=plan.images_per_identity,
            )  # fmt: skip
            accepted = [True] * len(who)
            if settings.image_attrop is not None:
                paint = net_paint(
                    self.method.net, rows, seed=plan.seed, identities=who, numbers=which,
                    condition=condition,
                )  # fmt: skip
                done = self.nets.planned_attrop(settings, plan.folder).run(moved, wanted, paint)
                moved, accepted = done.vectors, done.accepted.tolist()
            draws = row_draws(plan.seed, who, which, "render")
            # as `Vec2Face.generate`; masks are drawn outside of the compiled graph
            pictures = self._paint(moved, rows.draw(draws.fork("mask")), condition, settings)
        facts = [
            {"sigma": round(sigma, 4), "accepted": ok, **pose}
            for sigma, ok, pose in zip(sigmas.tolist(), accepted, poses, strict=True)
        ]
        return Rendered(pictures, facts)

    def _pose(
        self, plan: RenderPlan, identities: Tensor, numbers: Tensor
    ) -> tuple[list[dict[str, int]], Tensor | None]:
        """The fact `pose` and the condition (B, 1, D) of rows; neither where none is asked for."""
        if not plan.settings.pose:
            return [{}] * len(identities), None
        points = self._poses(plan.folder)
        chosen = pose_of(plan.seed, identities, numbers, len(points)).cpu()
        with torch.no_grad():  # no inference tensor: AttrOP differentiates what comes after it
            condition = pose_condition(self.method, points[chosen])
        return [{"pose": number} for number in chosen.tolist()], condition

    def _paint(
        self, vectors: Tensor, mask: RowMask, condition: Tensor | None, settings: Vec2FaceSynthesis
    ) -> NDArray[np.uint8]:
        net: Net = self._compiled() if settings.compile else self.method.net
        half = settings.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            images = net(vectors, mask, condition).image
        levels = (images.float().clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8)
        return levels.permute(0, 2, 3, 1).cpu().numpy()

    # afterwards --------------------------------------------------------------------------------

    def audit(self, dataset: "SynthesizedSet") -> dict[str, JsonValue]:
        """Separation, consistency and leakage of the pictures as the extractor sees them."""
        from .audit import audit_faces

        settings: Vec2FaceSynthesis = dataset.plan.for_rendering(dataset.folder).settings
        return audit_faces(
            dataset, self.nets.embedder(settings), self.method.frame.get(),
            self.method.frame.centres.cpu().numpy(), template=self.method.template,
            settings=settings,
        )  # fmt: skip

    def closing(self, dataset: "SynthesizedSet") -> list[str]:
        """How many identities and pictures reached AttrOP's targets."""
        lines, facts = [], dataset.plan.prepared_facts
        if "identity_attrop" in facts:
            lines.append(f"identity_attrop: {facts['identity_attrop']}")
            if facts["identities_put_back"]:
                lines[-1] += (
                    f"; {facts['identities_put_back']} were put back to where they were drawn, "
                    "because they had come too close to others"
                )
        if (found := dataset.audit["findings"].get("image_attrop")) is not None:
            told = acceptance(found["accepted"], found["pictures"], found["cap"])
            lines.append(f"image_attrop: {told}")
        return lines


def _compiled(net: nn.Module) -> Net:
    """The network compiled, such that which kernels draw a batch depends on its shape alone.

    Neither on the shapes that came before it (each is compiled for itself) nor on how fast kernels
    happened to be (none is chosen by timing). The compiling itself happens at the first call.

    Raises:
        UsageError: this torch has no such mode.
    """
    from torch._inductor import list_options

    if "deterministic" not in list_options():
        raise UsageError(
            f"compile: torch {torch.__version__} chooses kernels by timing, so that no two workers "
            "need draw the same pictures",
            "leave compile out, or install a newer torch",
        )
    return torch.compile(net, fullgraph=True, dynamic=False, options={"deterministic": True})
