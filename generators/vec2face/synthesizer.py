"""Vec2Face as a generator of data sets: identities sampled apart, each drawn many times.

sample → separate → (quality pass) → identity vectors; vector + perturbation (→ AttrOP) → picture.
Vectors are in the units of the embedding frame that the weights carry.
"""

# B rows, d vector width, n identities.

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor, nn

from ...core.atomic_io import canonical_json, write_text
from ...core.draws import Draws
from ...core.errors import DataError, UsageError, WeightsError
from ...core.weights import find_weights, weights_hash
from ...methods.weights import load_method
from ...modalities.image.faces.embedders import Embedder, open_embedder
from ..engine.worker import fixed_computation
from ..generator import Generator, Progress, Rendered, RenderPlan
from .attrop import AttrOP, AttrOpReport, net_paint
from .attrop_losses import AttrOpSettings
from .certificate import certify, read_identities, write_identities
from .estimators import FeatureNorm
from .identities import apart, find_identities
from .method import Vec2Face
from .perturbation import row_draws
from .separation import Separated
from .separation_cost import plan_cost
from .settings import Vec2FaceSynthesis

if TYPE_CHECKING:
    from ..engine.dataset import SynthesizedSet

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent / "weights" / "demo.safetensors"
NETS = "nets.json"  # the hashes of the frozen nets that AttrOP of pictures works with
_BATCH = 64  # rows of the quality pass
_NO_IMAGE = 2**32 - 1  # the image number of the quality pass's masks: no picture has it

Net = Callable[..., Any]


class Synthesizer(Generator):
    """The generator behind `masquerade synthesize vec2face`.

    Args:
        method: the weights.
        content_hash: the sha256 of their file.
        device: where it computes.
    """

    slug = "vec2face"
    Settings = Vec2FaceSynthesis
    fact_types: ClassVar[dict[str, type]] = {"sigma": float, "accepted": bool}

    def __init__(self, method: Vec2Face, content_hash: str, device: str = "cpu") -> None:
        self.method = method.eval().requires_grad_(requires_grad=False).to(device)
        self.device = torch.device(device)
        self._hash = content_hash
        self._identities = lru_cache(maxsize=2)(read_identities)
        self._opened = lru_cache(maxsize=4)(lambda name: open_embedder(name, str(device)))
        self._attrop_of = lru_cache(maxsize=2)(self._image_attrop)
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
        return cls(method, weights_hash(path), device)

    @property
    def hash(self) -> str:
        """The sha256 of the weights' file."""
        return self._hash

    def facts(self) -> dict[str, JsonValue]:
        """Template, size and extractor."""
        config = self.method.config
        return {
            "template": self.method.template, "size": config.image_size,
            "vector_width": config.rep_dim, "embedder": config.embedder,
            "training_identities": len(self.method.frame.centres),
        }  # fmt: skip

    def check(self, identities: int, images_per_identity: int, settings: Vec2FaceSynthesis) -> None:
        """The paper's shuffle needs shares of whole rows."""
        if settings.perturbation.paper_shuffle:
            settings.perturbation.paper_counts(identities * images_per_identity)

    def preparation_s(self, n_identities: int, settings: Vec2FaceSynthesis) -> float | None:
        """The seconds of the separation where few candidates are rejected; the quality pass was
        never measured, so None with it."""  # noqa: D205, D209
        if settings.identity_attrop is not None:
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
        """Write identities.npy and certificate.json, and nets.json where pictures need it.

        Everything that the settings name is opened now: what is missing is said before the first
        picture, not after the last.

        Raises:
            UsageError: τ cannot be met, or something is needed that the settings do not name.
            DataError: a named file is damaged.
            WeightsError: a net's weights do not load.
        """
        self.embedder(settings)
        if settings.compile:
            self._compiled()
        if settings.image_attrop is not None:
            self._attrop(settings.image_attrop, settings, "image_attrop")
            write_text(folder / NETS, canonical_json(self._nets(settings)))
        frame, centres = self.method.frame.get(), self.method.frame.centres.cpu().numpy()
        found, sampler = find_identities(
            n_identities, settings, frame, centres, seed=seed, progress=progress
        )
        facts: dict[str, JsonValue] = {}
        if settings.identity_attrop is not None:
            with fixed_computation(1):  # any other number of threads gives other last bits
                found, facts = self._quality_pass(found, settings, seed, progress)
        certificate = certify(found, sampler, settings.separation, seed)
        write_identities(folder, found.vectors, certificate)
        return {"certificate": str(certificate), **facts}

    def _quality_pass(
        self, found: Separated, settings: Vec2FaceSynthesis, seed: int, progress: Progress
    ) -> tuple[Separated, dict[str, JsonValue]]:
        """Identity vectors moved once by AttrOP; those that would come too close stay as drawn."""
        assert settings.identity_attrop is not None  # noqa: S101 - asked only then
        attrop = self._attrop(settings.identity_attrop, settings, "identity_attrop")
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
            logger.warning("identity vectors: %s", report)
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
        with torch.inference_mode():
            moved, sigmas = settings.perturbation(
                wanted, plan.seed, who, which,
                n_identities=plan.identities, images=plan.images_per_identity,
            )  # fmt: skip
            accepted = [True] * len(who)
            if settings.image_attrop is not None:
                paint = net_paint(
                    self.method.net, self.method.config.generation_rows,
                    seed=plan.seed, identities=who, numbers=which,
                )  # fmt: skip
                done = self._attrop_of(settings, plan.folder).run(moved, wanted, paint)
                moved, accepted = done.vectors, done.accepted.tolist()
            pictures = self._paint(moved, row_draws(plan.seed, who, which, "render"), settings)
        facts = [
            {"sigma": round(sigma, 4), "accepted": ok}
            for sigma, ok in zip(sigmas.tolist(), accepted, strict=True)
        ]
        return Rendered(pictures, facts)

    def _paint(
        self, vectors: Tensor, draws: Draws, settings: Vec2FaceSynthesis
    ) -> NDArray[np.uint8]:
        net: Net = self._compiled() if settings.compile else self.method.net
        half = settings.precision == "bf16"
        # as `Vec2Face.generate`; masks are drawn outside of the compiled graph
        rows = self.method.config.generation_rows.draw(draws.fork("mask"))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            images = net(vectors, rows).image
        levels = (images.float().clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8)
        return levels.permute(0, 2, 3, 1).cpu().numpy()

    # frozen nets -------------------------------------------------------------------------------

    def _image_attrop(self, settings: Vec2FaceSynthesis, folder: Path) -> AttrOP:
        """AttrOP of pictures, by the very nets that the plan was made with.

        Raises:
            DataError: another net lies at a name that the settings give.
        """
        assert settings.image_attrop is not None  # noqa: S101 - asked only then
        planned, now = json.loads((folder / NETS).read_text("utf-8")), self._nets(settings)
        for role, content_hash in now.items():
            if planned.get(role) != content_hash:
                raise DataError(
                    f"the {role} net that the settings name has the sha256 {content_hash[:16]}…, "
                    f"the plan was made with {str(planned.get(role))[:16]}…",
                    "restore the former file, or make the data set again in another folder",
                )
        return self._attrop(settings.image_attrop, settings, "image_attrop")

    def _nets(self, settings: Vec2FaceSynthesis) -> dict[str, str]:
        return {
            "embedder": self.embedder(settings).hash,
            "quality": self._opened(settings.quality).hash,
        }

    def _attrop(self, wanted: AttrOpSettings, settings: Vec2FaceSynthesis, name: str) -> AttrOP:
        """AttrOP of the settings called `name`.

        Raises:
            UsageError: a target needs a net that is not named or gives no gradients.
        """
        if wanted.pose_target is not None:
            raise UsageError(
                f"{name}.pose_target {wanted.pose_target} needs a differentiable head-pose net, "
                "and no such weights can be named here",
                "leave it out, or call AttrOP from Python with a `Yaw` estimator of your net",
            )
        if wanted.quality_target is None:
            raise UsageError(f"{name} has no target", f"give --set {name}.quality_target=VALUE")
        if not settings.quality:
            raise UsageError(
                f"{name}.quality_target {wanted.quality_target} needs a quality net, and none is "
                "named",
                "name MagFace weights: --set quality=FILE "
                "(imported with `masquerade weights import iresnet`)",
            )
        embedder, quality = self.embedder(settings), self._opened(settings.quality)
        for net in (embedder, quality):
            if not net.differentiable:
                raise UsageError(
                    f"the extractor '{net.name}' gives no gradients, which {name} needs",
                    "use face-api or a weights file of iresnet",
                )
        frame, template = self.method.frame, self.method.template
        return AttrOP(
            wanted, lambda images: frame(embedder.embed(images, template)),
            FeatureNorm(lambda images: quality.embed(images, template)),
        )  # fmt: skip

    def embedder(self, settings: Vec2FaceSynthesis) -> Embedder:
        """The extractor of AttrOP and audit.

        Raises:
            UsageError: neither the settings nor the weights name one, or it is of another width.
        """
        name = settings.embedder or self.method.config.embedder
        if not name:
            raise UsageError(
                "these weights do not say which face extractor their vectors are of",
                "name it: --set embedder=FILE (imported with `masquerade weights import iresnet`)",
            )
        found: Embedder = self._opened(name)
        if found.width != self.method.config.rep_dim:
            raise UsageError(
                f"the extractor '{name}' gives vectors of {found.width} values, the weights take "
                f"{self.method.config.rep_dim}",
                "name the extractor that the weights were trained with",
            )
        return found

    def audit(self, dataset: "SynthesizedSet") -> dict[str, JsonValue]:
        """Separation, consistency and leakage of the pictures as the extractor sees them."""
        from .audit import audit_faces

        settings: Vec2FaceSynthesis = dataset.plan.for_rendering(dataset.folder).settings
        return audit_faces(
            dataset, self.embedder(settings), self.method.frame.get(),
            self.method.frame.centres.cpu().numpy(), template=self.method.template,
            settings=settings,
        )  # fmt: skip


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
