"""The standard way of a masked-autoencoder step, restated plainly: what speed is compared with.

All patches are embedded (as a convolution), then most are dropped; the decoder un-shuffles,
runs every block on all tokens, and its head predicts every patch; attention spells out the
softmax; the optimizer is not fused. `fused=True` changes only the attention.
It reads the very weights of our model, so that both give equal losses.
"""

# B samples, N tokens, D width.

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from masquerade.methods.image.mae import MAE


def attention(layer: nn.Module, x: Tensor, fused: bool) -> Tensor:
    """Self-attention, (B, N, D) → (B, N, D)."""
    batch, n, dim = x.shape
    qkv = layer.qkv(x).reshape(batch, n, 3, layer.heads, dim // layer.heads)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    if fused:
        x = F.scaled_dot_product_attention(q, k, v)
    else:
        weight = (q @ k.transpose(-2, -1)) * (dim // layer.heads) ** -0.5
        x = weight.softmax(dim=-1) @ v
    return layer.proj(x.transpose(1, 2).reshape(batch, n, dim))


def run_blocks(blocks: nn.ModuleList, x: Tensor, fused: bool) -> Tensor:
    for block in blocks:
        x = x + attention(block.attn, block.norm1(x), fused)
        x = x + block.mlp(block.norm2(x))
    return x


class PlainMAE(nn.Module):
    """The standard masked autoencoder over the weights of one of ours."""

    def __init__(self, ours: MAE, *, fused: bool = False) -> None:
        super().__init__()
        self.ours, self.fused = ours, fused
        size = ours.config.patch_size
        weight = ours.encoder.embed.weight.detach()
        self.conv = nn.Conv2d(3, len(weight), size, size)
        self.conv.weight.data = weight.unflatten(1, (size, size, 3)).permute(0, 3, 1, 2).clone()
        self.conv.bias.data = ours.encoder.embed.bias.detach().clone()
        self.mask_ratio = ours.config.masking.ratio

    def encode(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Latents, mask (1 = removed) and the ids that un-shuffle."""
        encoder = self.ours.encoder
        x = self.conv(images).flatten(2).transpose(1, 2) + encoder.positions[:, 1:]
        batch, n, dim = x.shape
        keep = int(n * (1 - self.mask_ratio))
        shuffle = torch.argsort(noise, dim=1)
        restore = torch.argsort(shuffle, dim=1)
        x = torch.gather(x, 1, shuffle[:, :keep].unsqueeze(-1).repeat(1, 1, dim))
        mask = torch.ones(batch, n, device=x.device)
        mask[:, :keep] = 0
        mask = torch.gather(mask, 1, restore)
        cls = (encoder.cls_token + encoder.positions[:, :1]).expand(batch, -1, -1)
        x = run_blocks(encoder.blocks, torch.cat([cls, x], dim=1), self.fused)
        return encoder.norm(x), mask, restore

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        """The normalized-pixel loss of images (B, 3, H, W) with noise (B, N)."""
        latent, mask, restore = self.encode(images, noise)
        decoder = self.ours.decoder
        x = decoder.embed(latent)
        batch, n = mask.shape
        tokens = decoder.mask_token.repeat(batch, n + 1 - x.shape[1], 1)
        body = torch.cat([x[:, 1:], tokens], dim=1)
        body = torch.gather(body, 1, restore.unsqueeze(-1).repeat(1, 1, body.shape[2]))
        x = torch.cat([x[:, :1], body], dim=1) + decoder.positions
        x = run_blocks(decoder.blocks, x, self.fused)
        prediction = decoder.head(decoder.norm(x))[:, 1:]
        return self.loss(images, prediction, mask)

    def loss(self, images: Tensor, prediction: Tensor, mask: Tensor) -> Tensor:
        size = self.ours.config.patch_size
        batch, _, height, width = images.shape
        x = images.reshape(batch, 3, height // size, size, width // size, size)
        target = torch.einsum("nchpwq->nhwpqc", x).reshape(batch, -1, size * size * 3)
        mean = target.mean(dim=-1, keepdim=True)
        var = target.var(dim=-1, keepdim=True)
        target = (target - mean) / (var + 1e-6) ** 0.5
        error = ((prediction.float() - target) ** 2).mean(dim=-1)
        return (error * mask).sum() / mask.sum()

    def parameters_of_step(self) -> list[nn.Parameter]:
        """What the plain optimizer updates: the conv in place of our linear embedding."""
        ours = [p for n, p in self.ours.named_parameters() if not n.startswith("encoder.embed")]
        return [*ours, *self.conv.parameters()]
