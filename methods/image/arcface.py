"""ArcFace: training of face recognition with an angular margin (Deng et al., CVPR 2019).

Not a masked model: the supervised counterpart that Vec2Face needs twice, as the frozen extractor
that it draws faces for, and as what is trained on its faces to see what they are worth (arXiv
2409.02979; the trainer is HaiyuWu/SOTA-Face-Recognition-Train-and-Test). An IResNet turns a face
into a raw vector; the cosines between vectors and class weights, the own one made harder by a
margin, go through a softmax. Other margins: CosFace, AdaFace, MagFace (`core/margins.py`); very
many identities: `core/partial_fc.py`.

Differs from that trainer: PReLU slopes and the last layer's bias are not decayed (one rule for all
methods), and bf16 stands for fp16 with loss scaling.
"""

# B faces, D width of the embedding, C identities.

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...core.draws import Draws
from ...core.errors import UsageError
from ...core.iresnet import SIDE, IResNet, IResNetConfig
from ...core.keymap import Key
from ...core.margins import AnyMargin, ArcMargin
from ...core.masking import Mask
from ...core.method import Method, StepOutput
from ...core.modality import Source
from ...core.partial_fc import PartialFC
from ...core.step import StepContext
from ...core.tokens import Batch, Tokens
from ...core.training.distributed import World
from ...modalities.image.faces.augmentation import FaceAugment
from ...modalities.image.faces.checking import check_template
from ...modalities.image.faces.templates import ARCFACE_112


class ArcFaceConfig(IResNetConfig):
    """The net's settings and those of its training; the defaults are ArcFace on IResNet-100."""

    margin: AnyMargin = ArcMargin()
    sample_rate: Annotated[float, Field(gt=0, le=1)] = 1.0  # of the identities, in each softmax
    augment: FaceAugment = FaceAugment()


class ArcFace(Method):
    """A face net and the class weights that it is trained with.

    Args:
        config: the settings.
        n_classes: C; 0 = the net alone, until `build_for` sees the data.

    Example:
        >>> config = ArcFaceConfig(layers=(1, 1, 1, 1), widths=(4, 4, 4, 8), dim=6)
        >>> faces, whose = {"image": torch.rand(4, 3, 112, 112)}, torch.tensor([0, 1, 2, 0])
        >>> batch = Batch(faces, torch.arange(4), whose)
        >>> output = ArcFace(config, n_classes=3)(batch, Draws(0, batch.ids), StepContext())
        >>> sorted(output.parts)
        ['accuracy', 'cosine']
    """

    slug = "arcface"
    modality = "image"
    template: ClassVar[str] = ARCFACE_112
    Config = ArcFaceConfig
    KEYMAP: ClassVar[tuple[Key, ...]] = (Key("*", "net.*"),)
    OURS: ClassVar[tuple[str, ...]] = ("head.",)
    SHARDED: ClassVar[str | None] = "head"

    def __init__(self, config: ArcFaceConfig, *, n_classes: int = 0) -> None:
        super().__init__(config)
        self.net = IResNet(config)
        self.head: PartialFC | None = None
        if n_classes:
            self._add_head(n_classes, World())

    def _add_head(self, n_classes: int, world: World) -> None:
        config = self.config
        self.head = PartialFC(
            n_classes, config.dim, config.margin, sample_rate=config.sample_rate,
            seed=torch.initial_seed(), world=world,
        )  # fmt: skip

    @classmethod
    def data_defaults(cls, config: ArcFaceConfig) -> dict[str, Any]:  # type: ignore[override]
        """Aligned faces as they are, in [-1, 1], flipped at random."""
        half = (0.5, 0.5, 0.5)
        return {
            "size": SIDE, "augment": "flip", "eval_crop": 1.0,
            "mean": half, "std": half, "reduced_decode": False,
        }  # fmt: skip

    def check_source(self, source: Source) -> None:
        """Refuse pictures without identities, and those of another template."""
        if source.labels is None:
            raise UsageError(
                f"{source.name} does not say whose faces it holds",
                "give a folder with a sub-folder per identity, or a synthesized set",
            )
        check_template(source, self.template)

    def build_for(self, source: Source, world: World) -> None:
        """Add the class weights of the source's identities, this process's share of them."""
        self._add_head(len(source.classes), world)

    def forward(
        self,
        batch: Batch,
        draws: Draws,
        step: StepContext,
        *,
        mask: Mask | None = None,  # noqa: ARG002 - nothing is masked
    ) -> StepOutput:
        """The margin softmax loss of the batch's faces, and of MagFace its norms' term.

        Raises:
            UsageError: a single face, of which batch norm can learn nothing.
        """
        if self.head is None or batch.labels is None:
            raise ValueError("training needs class weights and labels")
        if self.training and len(batch) < 2:
            raise UsageError(
                "one face in a micro-batch: batch norm needs at least two",
                "raise train.batch_size or lower train.accumulate",
            )
        faces = batch["image"]
        if self.training:
            faces = self.config.augment(faces, draws.fork("augment"))
        vectors = self.net(faces)
        with torch.autocast(vectors.device.type, enabled=False):
            loss, parts = self.head(vectors, batch.labels, draws.fork("classes").step(step.step))
        return StepOutput(loss, parts)

    def features(self, batch: Batch) -> Tensor:
        """(B, D) raw vectors, their norms kept."""
        return self.net(batch["image"]).float()

    def reconstruction(self, batch: Batch, output: StepOutput) -> Tokens:
        """Nothing can be reconstructed.

        Raises:
            UsageError: always.
        """
        raise UsageError("the method 'arcface' predicts no input", "choose a masked method")

    # official containers -----------------------------------------------------------------------

    @classmethod
    def unwrapped(cls, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """The net's part of a published state, without class weights."""
        return IResNet.unwrapped(state)

    @classmethod
    def wrapped(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """A published file's content: the bare state of the net."""
        return IResNet.wrapped(state)

    @classmethod
    def container_of(cls, names: set[str]) -> str:
        """The one container: the whole net."""
        return IResNet.container_of(names)

    @classmethod
    def derive(cls, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """The settings that the shapes of the net's weights fix."""
        return IResNet.derive(shapes)

    @classmethod
    def from_container(
        cls,
        container: str,  # noqa: ARG003 - there is one container
        config: ArcFaceConfig,
        shapes: Mapping[str, tuple[int, ...]],
    ) -> "ArcFace":
        """The module that weights of these shapes fill: with as many classes as they have."""
        return cls(config, n_classes=shapes.get("head.weight", (0,))[0])
