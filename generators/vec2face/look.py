"""What the extractor sees of a training step's pictures."""

# B pictures, S side.

from torch import Tensor

from ...modalities.image.faces.embedders import Embedder, View


class Look:
    """What an extractor sees of the pictures of one step, each batch of them once.

    Args:
        embedder: the extractor.
        template: of the pictures.
    """

    def __init__(self, embedder: Embedder, template: str) -> None:
        self._embedder, self._template = embedder, template
        self._seen: dict[int, tuple[Tensor, View]] = {}  # holds the pictures, so no id comes twice

    def taps(self, images: Tensor) -> list[Tensor]:
        """The feature maps of pictures (B, 3, S, S).

        Raises:
            UsageError: the extractor has none.
        """
        return self(images).taps or self._embedder.taps(images, self._template)

    def __call__(self, images: Tensor) -> View:
        """Vectors and feature maps of pictures (B, 3, S, S)."""
        if id(images) not in self._seen:
            self._seen[id(images)] = (images, self._embedder.view(images, self._template))
        return self._seen[id(images)][1]
