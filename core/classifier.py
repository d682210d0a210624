"""The fine-tuning model: a trunk, pooling, and a linear head."""

# B samples, N tokens, D width, C classes.

from torch import Tensor, nn

from .encoders import ViTEncoder, pool
from .layers import LN_EPS, drop
from .tokens import Tokens


class ViTClassifier(nn.Module):
    """A ViT encoder with a classification head (He et al., 2022, §A.1, official `models_vit`).

    Pooling "mean" averages the patch tokens of the last block and norms the mean (`fc_norm`
    replaces the encoder's norm); "cls" takes the normed class token. A position table that is
    stored with the weights becomes trainable.

    Args:
        encoder: the (pre-trained) trunk; it is used, not copied.
        n_classes: C.
        pooling: "mean" or "cls".
        dropout: of the features under the head.

    Raises:
        ValueError: the trunk has no class token to take.
    """

    # spared weight decay although they have more than one dimension (official fine-tuning)
    no_decay = ("encoder.positions", "encoder.cls_token")

    def __init__(
        self, encoder: ViTEncoder, n_classes: int, pooling: str = "mean", dropout: float = 0.0
    ) -> None:
        super().__init__()
        if pooling == "cls" and encoder.cls_token is None:
            raise ValueError("the trunk has no class token; choose the pooling 'mean'")
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = dropout
        encoder.train_positions()
        if pooling == "mean":
            self.fc_norm = nn.LayerNorm(encoder.dim, eps=LN_EPS)
            del encoder.norm
        self.head = nn.Linear(encoder.dim, n_classes)
        nn.init.trunc_normal_(self.head.weight, std=2e-5)
        nn.init.zeros_(self.head.bias)

    def features(self, tokens: Tokens) -> Tensor:
        """(B, D) features under the head."""
        if self.pooling == "mean":
            latents = self.encoder.encode(tokens, norm=False)
            return self.fc_norm(pool(latents, "mean", self.encoder.n_prefix))
        return pool(self.encoder.encode(tokens), "cls")

    def forward(self, tokens: Tokens) -> Tensor:
        """(B, C) logits of patches (B, N, P)."""
        return self.head(drop(self.features(tokens), self.dropout, self.training))

    def layer_id(self, name: str) -> int:
        """The layer of a parameter: 0 embedding, i + 1 block i, depth + 1 norm and head."""
        inner = name.removeprefix("encoder.")
        return self.encoder.layer_id(inner) if inner != name else len(self.encoder.blocks) + 1
