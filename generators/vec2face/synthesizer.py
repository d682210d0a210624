"""Vec2Face as a generator of data sets: identities sampled apart, each drawn many times.

sample → separate → (quality pass) → identity vectors; vector + perturbation (→ AttrOP) → picture.
Vectors are in the units of the embedding frame that the weights carry.
"""

# B rows, d vector width, n identities.

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, JsonValue
from torch import Tensor

from ...core.config import Config
from ...core.errors import UsageError, WeightsError
from ...core.metrics.cosines import MaxCosine, max_cosine
from ...core.weights import find_weights, weights_hash
from ...methods.weights import load_method
from ...modalities.image.faces.embedders import Embedder, open_embedder
from ..generator import Generator, Progress, Rendered, RenderPlan
from .attrop import AttrOP, AttrOpReport, net_paint
from .attrop_losses import AttrOpSettings
from .certificate import certify, read_identities, write_identities
from .estimators import FeatureNorm
from .method import Vec2Face
from .perturbation import Perturbation, row_draws
from .sampling import GaussianSampler, PcaGaussianSampler, Sampler, read_centres
from .separation import Separated, SeparationSettings, separate

if TYPE_CHECKING:
    from ..engine.dataset import SynthesizedSet

SHIPPED = Path(__file__).parent / "weights" / "demo.safetensors"
_BATCH = 64  # rows of the quality pass


class Vec2FaceSynthesis(Config):
    """How a data set is made; the defaults are HSFace's with the released sampler's τ.

    Attributes:
        sampler: "pca": a Gaussian with mean and covariance of real class centres; "gaussian":
            independent values with the deviation of the official vectors.
        centres: a file of raw class centres (.npy, or the .parquet of `masquerade embed`); empty =
            those that the weights carry.
        separation: how far apart identities must be.
        perturbation: how much the pictures of one identity differ.
        identity_attrop: the quality pass over identity vectors, or none.
        image_attrop: attributes of every picture, or none.
        embedder: the extractor of AttrOP and of the audit; empty = that of the weights.
        quality: an extractor whose feature norm is a quality (MagFace weights), for AttrOP.
        precision: of the network.
    """

    sampler: Literal["pca", "gaussian"] = "pca"
    centres: str = ""
    separation: SeparationSettings = SeparationSettings()
    perturbation: Perturbation = Perturbation()
    identity_attrop: AttrOpSettings | None = None
    image_attrop: AttrOpSettings | None = None
    embedder: str = ""
    quality: str = ""
    precision: Literal["fp32", "bf16"] = "fp32"
    std: float = Field(default=1.0, gt=0)  # of the sampler "gaussian"


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

    @classmethod
    def open(cls, weights: Path | None, device: str) -> "Synthesizer":
        """The generator of a weights file or run folder; None = the shipped demo weights.

        Raises:
            WeightsError: no weights there, or those of another method.
        """
        path = find_weights(SHIPPED if weights is None else weights)
        method = load_method(path, expect="vec2face")
        if not isinstance(method, Vec2Face):
            raise WeightsError(f"{path} holds no Vec2Face generator")
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

    # identities --------------------------------------------------------------------------------

    def prepare(
        self,
        n_identities: int,
        settings: Vec2FaceSynthesis,
        seed: int,
        folder: Path,
        progress: Progress,
    ) -> dict[str, JsonValue]:
        """Write identities.npy and certificate.json.

        Raises:
            UsageError: τ cannot be met, or centres are needed and absent.
        """
        sampler = self._sampler(settings)
        found = separate(sampler, n_identities, settings.separation, seed=seed, progress=progress)
        facts: dict[str, JsonValue] = {}
        if settings.identity_attrop is not None:
            found, facts = self._quality_pass(found, settings, seed)
        frame = self.method.frame.get()
        frame.check(found.vectors, "identity vectors")
        certificate = certify(found, sampler, settings.separation, seed)
        write_identities(folder, found.vectors, certificate)
        return {"certificate": str(certificate), **facts}

    def _sampler(self, settings: Vec2FaceSynthesis) -> Sampler:
        frame = self.method.frame.get()
        if settings.sampler == "gaussian":
            return GaussianSampler(width=frame.width, std=settings.std)
        if settings.centres:
            raw = read_centres(Path(settings.centres))
            frame.check(frame.to_frame(raw), settings.centres)
            return PcaGaussianSampler.fit(frame.to_frame(raw))
        if len(self.method.frame.centres) < 2:
            raise UsageError(
                "these weights carry no class centres, from which identities are sampled",
                "give real ones with --set centres=FILE.npy (or .parquet of `masquerade embed`), "
                "or take --set sampler=gaussian",
            )
        return PcaGaussianSampler.fit(self.method.frame.centres.cpu().numpy())

    def _quality_pass(
        self, found: Separated, settings: Vec2FaceSynthesis, seed: int
    ) -> tuple[Separated, dict[str, JsonValue]]:
        """Identity vectors moved once by AttrOP; those that would come too close stay as drawn."""
        assert settings.identity_attrop is not None  # noqa: S101 - asked only then
        attrop = self._attrop(settings.identity_attrop, settings)
        results = []
        for start in range(0, len(found.vectors), _BATCH):
            rows = torch.arange(start, min(start + _BATCH, len(found.vectors)))
            vectors = torch.from_numpy(found.vectors[rows.numpy()]).to(self.device)
            paint = net_paint(
                self.method.net, self.method.config.generation_rows, seed=seed,
                identities=rows.to(self.device), numbers=torch.zeros_like(rows).to(self.device),
            )  # fmt: skip
            results.append(attrop.run(vectors, vectors, paint))
        moved = torch.cat([result.vectors for result in results]).cpu().numpy()
        kept, largest = apart(found.vectors, moved, settings.separation.tau)
        report = AttrOpReport.of(results, settings.identity_attrop)
        facts: dict[str, JsonValue] = {
            "identity_attrop": str(report),
            "identities_left_as_drawn": int((kept == found.vectors).all(axis=1).sum()),
        }
        return Separated(kept, found.candidates, found.tried, largest), facts

    # pictures ----------------------------------------------------------------------------------

    def render(
        self, plan: RenderPlan, identities: NDArray[np.int64], numbers: NDArray[np.int64]
    ) -> Rendered:
        """The pictures of some rows."""
        settings: Vec2FaceSynthesis = plan.settings
        vectors = self._identities(plan.folder)[identities]
        who, which = (
            torch.from_numpy(np.asarray(x)).to(self.device) for x in (identities, numbers)
        )
        wanted = torch.from_numpy(np.array(vectors)).to(self.device)
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
                done = self._attrop(settings.image_attrop, settings).run(moved, wanted, paint)
                moved, accepted = done.vectors, done.accepted.tolist()
            pictures = self._paint(moved, row_draws(plan.seed, who, which, "render"), settings)
        facts = [
            {"sigma": round(sigma, 4), "accepted": ok}
            for sigma, ok in zip(sigmas.tolist(), accepted, strict=True)
        ]
        return Rendered(pictures, facts)

    def _paint(self, vectors: Tensor, draws: Any, settings: Vec2FaceSynthesis) -> NDArray[np.uint8]:  # noqa: ANN401
        half = settings.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            images = self.method.generate(vectors, draws)
        levels = (images.float().clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8)
        return levels.permute(0, 2, 3, 1).cpu().numpy()

    def _attrop(self, wanted: AttrOpSettings, settings: Vec2FaceSynthesis) -> AttrOP:
        quality = None
        if settings.quality:
            net = self._opened(settings.quality)
            quality = FeatureNorm(lambda images: net.embed(images, self.method.template))
        frame, embedder = self.method.frame, self.embedder(settings)
        return AttrOP(
            wanted, lambda images: frame(embedder.embed(images, self.method.template)), quality
        )

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
            tau=settings.separation.tau,
        )  # fmt: skip


def apart(
    drawn: NDArray[np.float32], moved: NDArray[np.float32], tau: float
) -> tuple[NDArray[np.float32], MaxCosine | None]:
    """`moved` vectors (n, d), with those that reach `tau` put back to where they were `drawn`.

    Drawn vectors are apart from each other, so this ends: at worst with all of them put back.

    Returns:
        The vectors, and their largest cosine (None for a single one).
    """
    kept = moved.copy()
    while len(kept) > 1:
        largest = max_cosine(kept)
        if largest.value < tau:
            return kept, largest
        kept[[largest.first, largest.second]] = drawn[[largest.first, largest.second]]
    return kept, None
