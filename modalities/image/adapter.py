"""The image adapter: a file becomes a normalized (3, S, S) tensor; predictions become pictures.

Layout: float32, RGB, channel first, (value / 255 − mean) / std. One pipeline serves folders,
tars, arrays and packs, so the same pixels give the same tensors bit for bit. The one exception
is a JPEG whose crop is at least twice the size asked for: `reduced_decode` then decodes it
smaller (several times faster, visibly equal); switch it off for bit-equality with a pack.
"""

# B images, S side, N patches, p patch side.

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from ...core.config import Config as BaseConfig
from ...core.draws import Draws
from ...core.modality import Modality, Sample, Source
from ...core.tokens import Batch, Tokens
from ..pixels import denormalize, normalize
from .cropping import centre, cut, random_box, whole
from .decoding import Picture
from .patches import grid_of, patchify, unpatchify

Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Image(Modality):
    """RGB images.

    Example:
        >>> import numpy as np
        >>> image = Image(Image.Config(size=8, augment="none", eval_crop=1.0))
        >>> white = Sample("white", np.full((20, 30, 3), 255, np.uint8))
        >>> image.prepare(white, None)["image"].shape
        torch.Size([3, 8, 8])
    """

    slug = "image"

    class Config(BaseConfig):
        """Size and augmentation.

        Attributes:
            size: side of the prepared square, in pixels.
            augment: in training "crop_flip" (RandomResizedCrop and flip), "flip" (the centre
                crop, flipped at random), or "none".
            train_crop_scale: share of the area that a training crop takes.
            ratio: width / height of a training crop.
            flip: whether "crop_flip" also flips.
            eval_crop: side of the centre crop / short side (224 of 256); 1 = all of it.
            mean: subtracted per channel, of values in 0…1 (ImageNet's by default).
            std: divided by per channel.
            reduced_decode: decode large JPEGs at a reduced scale.
        """

        size: int = Field(224, ge=1, le=8192)
        augment: Literal["crop_flip", "flip", "none"] = "crop_flip"
        train_crop_scale: tuple[Share, Share] = (0.2, 1.0)
        ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
        flip: bool = True
        eval_crop: float = Field(224 / 256, gt=0, le=1)
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
        std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
        reduced_decode: bool = True

        @model_validator(mode="after")
        def _ordered(self) -> "Image.Config":
            for name in ("train_crop_scale", "ratio"):
                low, high = getattr(self, name)
                if low > high:
                    raise ValueError(f"{name} goes from {low} down to {high}")
            return self

    @classmethod
    def open(cls, path: Path) -> Source:
        """The images at a path: folder, tar shards, .npz (`file.npz#test`), pack or one file.

        Raises:
            DataError: nothing there that can be read.
        """
        from .sources import open_source

        return open_source(path)

    def prepare(self, sample: Sample, draws: Draws | None) -> dict[str, Tensor]:
        """One image as {"image": (3, S, S) float32 normalized}.

        Args:
            sample: content `Encoded` or a uint8 array (H, W), (H, W, 1), (H, W, 3|4).
            draws: one row for the training crop and flip; None = the centre crop.

        Raises:
            DataError: the picture is damaged; names the file.
        """
        pixels = self._view(Picture(sample.content, sample.key), draws)
        if draws is not None and self._flips(draws):
            pixels = pixels.flip(-1)
        return {"image": self.normalize(pixels.contiguous())}

    @classmethod
    def whole(cls, sample: Sample, short_side: int | None = None) -> NDArray[np.uint8]:
        """All of a picture, upright: (H, W, 3) uint8.

        Raises:
            DataError: the picture is damaged; names the file.
        """
        return whole(Picture(sample.content, sample.key), short_side)

    def _view(self, picture: Picture, draws: Draws | None) -> Tensor:
        """(3, S, S) uint8: what training or evaluation sees of a picture, before the flip."""
        config: Image.Config = self.config
        reduced = config.reduced_decode
        if draws is None or config.augment != "crop_flip":
            return centre(picture, config.size, config.eval_crop, reduced_decode=reduced)
        crop = draws.fork("crop")
        box = random_box(picture.size, config.train_crop_scale, config.ratio, crop)
        return cut(picture, box, config.size, reduced_decode=reduced)

    def _flips(self, draws: Draws) -> bool:
        config: Image.Config = self.config
        wanted = config.augment == "flip" or (config.augment == "crop_flip" and config.flip)
        return wanted and bool(draws.fork("flip").uniform()[0] < 0.5)

    def normalize(self, pixels: Tensor) -> Tensor:
        """uint8 (…, 3, H, W) → float32, (value / 255 − mean) / std."""
        return normalize(pixels, self.config.mean, self.config.std)

    def denormalize(self, images: Tensor) -> Tensor:
        """Normalized (…, 3, H, W) → float32 in 0…1, clipped."""
        return denormalize(images, self.config.mean, self.config.std)

    @staticmethod
    def tokenize(images: Tensor | Batch, patch_size: int) -> Tokens:
        """The patches of images (B, 3, H, W) or of a batch: (B, N, p p 3) on their grid.

        Raises:
            UsageError: the patch size does not divide the sides.
        """
        pixels = images["image"] if isinstance(images, Batch) else images
        height, width = pixels.shape[-2:]
        return Tokens(patchify(pixels, patch_size), grid=grid_of((height, width), patch_size))

    @staticmethod
    def restore(tokens: Tokens) -> Tensor:
        """The images (B, 3, H, W) of patch tokens, in the tokens' units.

        Raises:
            UsageError: the tokens are no grid of RGB patches.
        """
        rows, columns = tokens.grid if tokens.grid is not None else (1, tokens.count)
        return unpatchify(tokens.values, (rows, columns))

    def draw(self, batch: Batch, tokens: Tokens, hidden: Tensor, path: Path) -> Path:
        """Write a PNG, a row per image: input | masked (hidden patches grey) | reconstruction."""
        from .drawing import write_rows

        side = round((tokens.values.shape[-1] / 3) ** 0.5)
        images = self.denormalize(batch["image"])
        patches = patchify(images, side)
        masked = patches.masked_fill(hidden[:, :, None].to(patches.device), 0.5)
        grid = grid_of((images.shape[-2], images.shape[-1]), side)
        columns = {
            "input": images,
            "masked": unpatchify(masked, grid),
            "reconstruction": self.denormalize(self.restore(tokens)),
        }
        return write_rows(columns, path)
