"""The settings of Vec2Face's training; the defaults are the official recipe."""

from typing import Literal

from pydantic import Field, model_validator

from ...core.masking import RowDropMasker
from ...core.perceptual import SSIM_WINDOW
from .augment import Jitter
from .config import GENERATION_ROWS, POSE_GENERATION_ROWS, TRAINING_ROWS, Vec2FaceConfig
from .discriminator import OFFICIAL_DIMS
from .losses import LossWeights
from .teacher import TeacherSettings


class Vec2FaceTraining(Vec2FaceConfig):
    """The network's settings and those of its training; the defaults are the official recipe."""

    embedder: str = ""  # E: a face extractor, such as face-api or a weights file of iresnet
    # the perceptual term: "vgg:VGG16_FILE,LPIPS_HEADS_FILE", or "embedder" = the distance of E's
    # own feature maps at three depths, our substitute where no such weights are at hand
    perceptual: str = ""
    frame: Literal["raw", "fitted"] = "raw"  # units of the vectors: E's own, or fitted on the data
    weights: LossWeights = LossWeights()
    id_start: float = Field(default=0.0, ge=0, le=1)  # share of the run before the identity term
    disc_start: int = Field(default=80, ge=0)  # epoch from which the adversary takes part
    disc_dims: tuple[int, ...] = OFFICIAL_DIMS
    official_adversary_gradient: bool = False  # parity switch, see `losses.judged`
    jitter: Jitter = Jitter()
    # ours, for few faces: σ of the noise added to the vectors that are drawn from (at their norm),
    # so that no picture can be known by heart from its own vector; the identity term keeps v
    vector_noise: float = Field(default=0.0, ge=0)
    teacher: TeacherSettings = TeacherSettings()  # ours, for few faces too
    training_rows: RowDropMasker = TRAINING_ROWS
    generation_rows: RowDropMasker = GENERATION_ROWS
    pose_generation_rows: RowDropMasker = POSE_GENERATION_ROWS  # where a pose condition is given
    # weights that training begins with (file or run folder); with `pose`, training is the second
    # stage of Vec2Face+: only adapters and pose net learn, on top of these
    start: str = ""

    @model_validator(mode="after")
    def _sizes(self) -> "Vec2FaceTraining":
        if self.image_size != 112:
            raise ValueError(
                f"channels {self.channels} make pictures of {self.image_size} pixels, aligned "
                "faces have 112: give five widths"
            )
        if self.is_taught and self.teacher.ssim and self.base_size < SSIM_WINDOW:
            raise ValueError(
                f"the teacher's pictures have base_size {self.base_size} pixels, SSIM needs "
                f"{SSIM_WINDOW}: give more, or teacher.ssim = 0"
            )
        return self

    @property
    def is_taught(self) -> bool:
        """Whether there is a teacher."""
        return bool(self.teacher.share or self.weights.teacher)
