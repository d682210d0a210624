"""Vec2Face as a method: the training step of the generator on aligned faces.

Wu et al., ICLR 2025 (arXiv 2409.02979). A frozen recognition net E turns a real face into a vector;
the generator draws the face again from that vector alone (`model.py`), and is judged by pixels,
a perceptual distance, SSIM, its own feature map, the identity that E sees in the picture, and, from
epoch `disc_start` on, a discriminator. Vec2Face+ has no discriminator and other weights.

Our vectors are computed from the pictures at each step, where the official code reads them from a
store: without augmentation the numbers are the same, and augmented pictures get vectors of their
own.
"""

# B pictures, d vector width, C identities, S side of the picture.

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...core.draws import Draws
from ...core.errors import UsageError
from ...core.keymap import Key
from ...core.masking import Mask, RowDropMasker, RowMask
from ...core.method import Method, StepOutput
from ...core.modality import Source
from ...core.perceptual import LPIPS, FeaturePerceptual, Perceptual
from ...core.step import StepContext
from ...core.tokens import Batch, Tokens
from ...modalities.image import Image
from ...modalities.image.faces.checking import check_template
from ...modalities.image.faces.embedders import Embedder, open_embedder
from ...modalities.image.faces.points import PointsOf
from ...modalities.image.faces.templates import ARCFACE_112
from . import keymap
from .config import N_ROWS
from .discriminator import Discriminator
from .frame import Frame
from .frame_buffers import FrameBuffers
from .landmark_picture import landmark_picture
from .look import Look
from .losses import (
    LossWeights,
    adversary_is_on,
    discriminator_loss,
    generator_loss,
    judged,
)
from .model import Vec2FaceNet
from .perturbation import perturbed
from .pose import train_pose_only
from .start import load_start
from .survey import Survey
from .teacher import Teacher, teaching_loss
from .training_settings import Vec2FaceTraining

_PATCH = 16  # the 7 × 7 rows seen as patches of the picture
_IMPORT_AGAIN = "import weights of others again with"


class Vec2Face(Method):
    """The generator with its frozen extractor, its adversary and the frame of its vectors.

    Args:
        config: the settings.
        centres: C, class centres kept with the weights (0 before training).
        adversary: whether there is a discriminator; None = where its weight is not 0.
    """

    slug = "vec2face"
    modality = "image"
    template: ClassVar[str] = ARCFACE_112
    Config = Vec2FaceTraining
    ADVERSARY: ClassVar[str | None] = "discriminator"
    KEYMAP: ClassVar[tuple[Key, ...]] = keymap.KEYMAP
    OURS: ClassVar[tuple[str, ...]] = ("frame.",)

    def __init__(
        self, config: Vec2FaceTraining, *, centres: int = 0, adversary: bool | None = None
    ) -> None:
        super().__init__(config)
        self.net = Vec2FaceNet(config)
        wanted = config.weights.gan > 0 if adversary is None else adversary
        self.discriminator = Discriminator(config.disc_dims) if wanted else None
        self.frame = FrameBuffers(config.rep_dim, centres)
        if config.pose:
            train_pose_only(self.net)
        # kept out of the module tree: they are nobody's weights but their own file's
        self._frozen: dict[str, Any] = {}

    @classmethod
    def data_defaults(cls, config: Vec2FaceTraining) -> dict[str, Any]:  # type: ignore[override]
        """Aligned faces as they are, in [-1, 1]."""
        half = (0.5, 0.5, 0.5)
        return {
            "size": config.image_size, "augment": "none", "eval_crop": 1.0,
            "mean": half, "std": half, "reduced_decode": False,
        }  # fmt: skip

    # frozen parts ------------------------------------------------------------------------------

    def embedder(self) -> Embedder:
        """E, on the weights' device.

        Raises:
            UsageError: none is named, or it is of another width or gives no gradients.
        """
        found = self._frozen.get("embedder")
        if found is None:
            # a resumed run opens it inside a step: its building must not move torch's generator
            with torch.random.fork_rng(devices=[]):
                found = self._frozen["embedder"] = self._open_embedder()
        return found.to(self.device)

    def _open_embedder(self) -> Embedder:
        name = self.config.embedder
        if not name:
            raise UsageError(
                "vec2face needs a face extractor, and none is named",
                "run `masquerade pretrain` with --set embedder=NAME (face-api of 128 values, or a "
                f"weights file of iresnet), or {_IMPORT_AGAIN} --set method.embedder=NAME",
            )
        found = open_embedder(name)
        if found.width != self.config.rep_dim:
            raise UsageError(
                f"the extractor '{name}' gives vectors of {found.width} values, "
                f"method.rep_dim is {self.config.rep_dim}",
                f"add --set method.rep_dim={found.width}",
            )
        if not found.differentiable:
            raise UsageError(
                f"the extractor '{name}' gives no gradients, which the identity term needs",
                "use face-api or a weights file of iresnet",
            )
        return found

    def perceptual(self, look: "Look") -> Perceptual:
        """The perceptual distance that the settings name; `look` serves the substitute.

        Raises:
            UsageError: none is named.
        """
        name, _, files = self.config.perceptual.partition(":")
        vgg, _, heads = files.partition(",")
        if name == "embedder" and not files:
            return FeaturePerceptual(look.taps)
        if name == "vgg" and vgg and heads:
            if "lpips" not in self._frozen:
                with torch.random.fork_rng(devices=[]):
                    self._frozen["lpips"] = LPIPS.open(Path(vgg), Path(heads))
            return self._frozen["lpips"].to(self.device)
        raise UsageError(
            f"setting 'method.perceptual': expected vgg:VGG16_FILE,LPIPS_HEADS_FILE or 'embedder', "
            f"got {self.config.perceptual!r}",
            "name your VGG-16 and LPIPS weights, take the substitute with "
            "--set perceptual=embedder, or leave the term out with --set weights.lpips=0; "
            f"{_IMPORT_AGAIN} --set method.perceptual=embedder",
        )

    def embed(self, images: Tensor) -> Tensor:
        """(B, d) vectors of pictures (B, 3, S, S) in [-1, 1], in the frame's units."""
        return self.frame(self.embedder().embed(images, self.template))

    # training ----------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> "Vec2Face":  # noqa: FBT001, FBT002 - torch's signature
        """As usual; under a pose stage the network stays in eval mode (official code)."""
        super().train(mode)
        if self.config.pose:
            self.net.eval()
        return self

    def check_source(self, source: Source) -> None:
        """Refuse pictures of another template, and settings that name no such nets."""
        check_template(source, self.template)
        self.embedder()
        if self.config.weights.lpips > 0:
            self.perceptual(Look(self.embedder(), self.template))

    def fit(self, batches: Iterable[Batch]) -> None:
        """Take the frame, the identities' centres and the base image from the training faces."""
        config = self.config
        self.embedder()  # a wrong name must be said before the first step
        if config.start:
            load_start(self, Path(config.start))
        elif config.pose:
            raise UsageError(
                "the pose stage begins with trained weights of vec2face, and none are named",
                "add --set start=FILE, a weights file or run folder of the first stage",
            )
        fresh = not config.start and (config.frame == "fitted" or config.base == "mean")
        if not (fresh or self.refits):
            return
        seen = Survey.of(
            batches, lambda images: self.embedder().embed(images, self.template),
            side=config.base_size if self.refits else None, mirrored=config.jitter.flip > 0,
        )  # fmt: skip
        if fresh and config.frame == "fitted":
            self.frame.put(Frame.fit(seen.raw), seen.raw, seen.labels)
        if fresh and config.base == "mean":
            self.net.set_base(seen.mean.to(self.device))
        if seen.lessons is not None:
            raw, pictures, people = seen.lessons
            self._frozen["teacher"] = Teacher(
                self.frame(raw.to(self.device)), pictures.to(self.device), config.teacher,
                None if people is None else people.to(self.device),
            )  # fmt: skip

    @property
    def refits(self) -> bool:
        """Whether there is a teacher, which weights do not hold."""
        return self.config.is_taught

    def forward(
        self, batch: Batch, draws: Draws, step: StepContext, *, mask: Mask | None = None
    ) -> StepOutput:
        """The generator's loss, and the adversary's (§ Objective of the card; official code)."""
        config = self.config
        if mask is None and step.progress < config.teacher.share:
            return self._lesson(draws, step)
        pictures = config.jitter(batch["image"], draws.fork("jitter"))
        look = Look(self.embedder(), self.template)
        with torch.no_grad(), torch.autocast(pictures.device.type, enabled=False):
            vectors = self.frame(look(pictures).vectors)
        rows = self._rows(draws, step) if mask is None else _as_rows(mask)
        condition, seen = self._pose(pictures)
        drawn_from = self._noisy(vectors, draws)
        generated = self.net(drawn_from, rows, condition)
        playing = self.discriminator is not None and adversary_is_on(step.epoch, config.disc_start)
        loss, parts = generator_loss(
            generated, pictures, vectors,
            features=lambda images: self.frame(look(images).vectors),
            perceptual=self.perceptual(look) if config.weights.lpips > 0 else _unused,
            weights=self._weights(step),
            judge=self._judge if playing else None,
            taught=self._taught(drawn_from, rows) if config.weights.teacher else None,
        )  # fmt: skip
        against = self._against(pictures, generated.image.detach(), playing=playing)
        if against is not None:
            parts = {**parts, "disc": against}
        parts = {**parts, **seen}
        return StepOutput(
            loss, {k: v.detach() for k, v in parts.items()}, adversary_loss=against,
            prediction=Image.tokenize(generated.image.detach(), _PATCH).values,
            mask=Mask.from_bool(rows.drop_bool).predicting_all(),
        )  # fmt: skip

    def _taught(self, vectors: Tensor, rows: RowMask) -> Tensor:
        teacher: Teacher = self._frozen["teacher"]
        return teacher(vectors, rows.mask_bool)

    def _lesson(self, draws: Draws, step: StepContext) -> StepOutput:
        """A step that learns from the teacher alone; vectors are drawn, so no face is looked at."""
        vectors = self._frozen["teacher"].some(draws.fork("lesson"))
        rows = self._rows(draws, step)
        generated = self.net(vectors, rows)
        taught = self._taught(vectors, rows)
        loss = teaching_loss(generated.image, taught, self.config.teacher.ssim)
        return StepOutput(
            loss, {"teacher": loss.detach()},
            prediction=Image.tokenize(generated.image.detach(), _PATCH).values,
            mask=Mask.from_bool(rows.drop_bool).predicting_all(),
        )  # fmt: skip

    def _noisy(self, vectors: Tensor, draws: Draws) -> Tensor:
        sigma = self.config.vector_noise
        if not sigma:
            return vectors
        noise = draws.fork("vector-noise").normal(vectors.shape[1]).to(vectors.device)
        return perturbed(vectors, sigma * noise)

    def _rows(self, draws: Draws, step: StepContext) -> RowMask:
        """One rate for the whole batch, as in the official code; places by sample."""
        masker: RowDropMasker = self.config.training_rows
        return masker.draw(draws, rate=masker.rates(draws.step(step.step)))

    def _pose(self, pictures: Tensor) -> tuple[Tensor | None, dict[str, Tensor]]:
        """The pose condition (B, 1, D) of pictures, and the share whose points were not found."""
        if self.net.pose is None:
            return None, {}
        if "points" not in self._frozen:
            with torch.random.fork_rng(devices=[]):
                self._frozen["points"] = PointsOf(self.template)
        points, found = self._frozen["points"](pictures)
        return self.net.pose(landmark_picture(points)), {"no_points": 1 - found.float().mean()}

    def _weights(self, step: StepContext) -> LossWeights:
        weights: LossWeights = self.config.weights
        waiting = step.progress < self.config.id_start
        return weights.model_copy(update={"id": 0.0}) if waiting else weights

    def _judge(self, images: Tensor) -> Tensor:
        assert self.discriminator is not None  # noqa: S101 - asked only where it plays
        official = self.config.official_adversary_gradient
        return judged(self.discriminator, images, official_adversary_gradient=official)

    def _against(self, real: Tensor, made: Tensor, *, playing: bool) -> Tensor | None:
        if self.discriminator is None:
            return None
        if not playing:
            # its loss times 0: no gradient, but weight decay from the first step, as officially
            return torch.stack([p.sum() for p in self.discriminator.parameters()]).sum() * 0.0
        return discriminator_loss(self.discriminator(real), self.discriminator(made))

    # use ---------------------------------------------------------------------------------------

    def generate(self, vectors: Tensor, draws: Draws, condition: Tensor | None = None) -> Tensor:
        """Pictures (B, 3, S, S), not clipped, of vectors (B, d) in the frame's units.

        Masking stays on; mask and rate are drawn per row, so a picture depends on its row alone.
        A condition (B, 1, D) of `pose_condition` has rates of its own.
        """
        rows = self.drawing_rows(posed=condition is not None).draw(draws.fork("mask"))
        return self.net(vectors, rows, condition).image

    def drawing_rows(self, *, posed: bool) -> RowDropMasker:
        """The mask rates at which pictures are drawn, with a pose condition or without one."""
        config = self.config
        rows: RowDropMasker = config.pose_generation_rows if posed else config.generation_rows
        return rows

    def features(self, batch: Batch) -> Tensor:
        """(B, D): the mean latent of all 49 rows, none masked, of each picture's own vector."""
        vectors = self.embed(batch["image"])
        token, rows = self.net.expand_vectors(vectors)
        nothing = torch.zeros(len(rows), N_ROWS, dtype=torch.bool, device=rows.device)
        keep = torch.arange(N_ROWS, device=rows.device).expand(len(rows), -1)
        return self.net.encode(token, rows, RowMask(keep, nothing, nothing))[:, 1:].mean(1).float()

    def reconstruction(self, batch: Batch, output: StepOutput) -> Tokens:
        """The drawn pictures, as patches of the size of a row's field."""
        if output.mask is None or output.prediction is None:
            raise ValueError("the output holds no prediction")
        tokens = Image.tokenize(batch, _PATCH)
        drawn = output.mask.put_predicted(tokens.values, output.prediction.float())
        return Tokens(drawn, grid=tokens.grid)

    # containers --------------------------------------------------------------------------------

    @classmethod
    def unwrapped(cls, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """The weights of a published file's parts under one set of names."""
        return keymap.unwrap(state)

    @classmethod
    def wrapped(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """A published file's content of weights under the official names."""
        return dict(keymap.wrap(state))

    @classmethod
    def container_of(cls, names: set[str]) -> str:
        """Generator, or plus (Vec2Face+)."""
        return keymap.container_of(names)

    @classmethod
    def derive(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """The settings that the shapes of official weights fix."""
        dims = keymap.derive_discriminator(shapes)
        return {**keymap.derive(shapes), **({} if dims is None else {"disc_dims": dims})}

    @classmethod
    def from_container(
        cls, container: str, config: Vec2FaceTraining, shapes: Mapping[str, tuple[int, ...]]
    ) -> "Vec2Face":
        """The module that weights of these shapes (under the official names or ours) fill."""
        centres = shapes.get("frame.centres", (0,))[0]
        adversary = any(name.startswith(("disc.", "discriminator.")) for name in shapes)
        return cls(config, centres=centres, adversary=adversary)


def _as_rows(mask: Mask) -> RowMask:
    hidden = mask.as_bool()
    return RowMask(mask.visible.sort(dim=1).values, hidden, hidden)


def _unused(images: Tensor, targets: Tensor) -> Tensor:
    raise AssertionError("a term of weight 0 is not computed")
