"""An IResNet as a face extractor: imported weights of the net, or a run of ArcFace."""

# B images, D width of the embedding.

from torch import Tensor

from ....core.config import build
from ....core.errors import WeightsError
from ....core.fit import compare
from ....core.hashing import sha256_file
from ....core.iresnet import IResNet, IResNetConfig
from ....core.training.run_folder import training_data_of
from ....core.weights import WeightsFile
from .embedders import Embedder, View
from .templates import ARCFACE_112

TRAINED = "arcface"  # the method that trains the net
_INSIDE = "net."  # where that method keeps it, beside the class weights


class IResNetEmbedder(Embedder):
    """An IResNet as extractor.

    Args:
        name: what people call it.
        net: the net.
        content_hash: the sha256 of its weights file.
        training_data: the data sets that it was trained on, as declared.
    """

    def __init__(
        self, name: str, net: IResNet, content_hash: str, training_data: tuple[str, ...] = ()
    ) -> None:
        super().__init__(
            name, content_hash, net.config.dim, ARCFACE_112,
            differentiable=True, training_data=training_data,
        )  # fmt: skip
        self.net = net
        self.freeze()

    @classmethod
    def of_file(cls, file: WeightsFile, name: str) -> "IResNetEmbedder":
        """The extractor that one of our weights files holds: a net, or a run that trained one.

        Raises:
            WeightsError: it does not fit.
        """
        settings, state = dict(file.header.get("config", {})), file.state
        if file.header["method"] == TRAINED:
            settings = {k: v for k, v in settings.items() if k in IResNetConfig.model_fields}
            state = {k.removeprefix(_INSIDE): v for k, v in state.items() if k.startswith(_INSIDE)}
        net = IResNet(build(IResNetConfig, settings, "method"))
        report = compare(net, state)
        if not report.fits:
            raise WeightsError(f"{file.path} does not fit:\n{report}", "import the weights again")
        net.load_state_dict(state)
        return cls(name, net, sha256_file(file.path), training_data_of(file.path))

    def chips_to_vectors(self, chips: Tensor) -> Tensor:
        """(B, D) of faces (B, 3, 112, 112) in [-1, 1]."""
        return self.net(chips)

    def view(self, images: Tensor, template: str) -> View:
        """Vectors, and the maps of the first three stages: sides 56, 28 and 14."""
        maps = self.net.maps(self._chips(images, template))
        return View(self.net.head(maps[-1]).float(), maps[:3])
