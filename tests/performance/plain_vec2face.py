"""The official way of Vec2Face's generation, restated plainly: what speed is compared with.

Attention spells out its product, subtracts the row's maximum and takes the softmax in float32; the
swish is x · sigmoid(x); the image is enlarged before it is convolved; rows are taken and put back
by boolean indices. `fused=True` changes only the attention. It reads the very weights of our
network, so that both give equal pictures.
"""

# B samples, N tokens, D width, R the 49 rows.

from math import ceil

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from masquerade.generators.vec2face.model import Vec2FaceNet


def attention(layer: nn.Module, x: Tensor, *, fused: bool) -> Tensor:
    """Self-attention, (B, N, D) → (B, N, D)."""
    batch, n, dim = x.shape
    width = dim // layer.heads
    q, k, v = layer.qkv(x).reshape(batch, n, 3, layer.heads, width).permute(2, 0, 3, 1, 4)
    if fused:
        x = F.scaled_dot_product_attention(q, k, v)
    else:
        weight = ((q @ k.transpose(-2, -1)) * width**-0.5).float()
        weight = weight - weight.max(dim=-1, keepdim=True).values
        x = weight.softmax(dim=-1).to(v.dtype) @ v
    return layer.proj(x.transpose(1, 2).reshape(batch, n, dim))


def swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def residual(block: nn.Module, x: Tensor) -> Tensor:
    h = block.conv1(swish(block.norm1(x)))
    h = block.conv2(swish(block.norm2(h)))
    return h + (block.nin_shortcut(h) if block.changes_width else x)


def enlarged(layer: nn.Module, x: Tensor) -> Tensor:
    return layer.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class PlainVec2Face(nn.Module):
    """The official generator over the weights of one of ours (no dropout, no pose).

    Args:
        ours: the network.
        r_min: the share of rows dropped.
        fused: use the fused attention.
    """

    def __init__(self, ours: Vec2FaceNet, r_min: float, *, fused: bool = False) -> None:
        super().__init__()
        self.ours, self.r_min, self.fused = ours, r_min, fused

    def forward(self, vectors: Tensor, noise: Tensor, rates: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) of vectors (B, d) with mask noise (B, R) and rates (B,)."""
        net = self.ours
        token = net.project(vectors)
        rows = net.expand(token.unsqueeze(-1)).permute(0, 2, 1)
        target = torch.cat([token.unsqueeze(1), rows], dim=1).clone().detach()  # of the token loss
        drop, hidden = self.masks(noise, rates)
        rows = rows.clone()
        rows[hidden] = token.unsqueeze(1).repeat(1, rows.shape[1], 1)[hidden]
        first = torch.zeros_like(drop[:, :1])
        kept = ~torch.cat([first, drop], dim=1)
        hidden = torch.cat([first, hidden], dim=1)
        x = torch.cat([token.unsqueeze(1), rows], dim=1) + net.positions
        batch, n, dim = x.shape
        x = net.embed_norm(x)[kept].reshape(batch, -1, dim)
        x = net.decoder_embed(net.norm(self.run(net.blocks, x)))
        filler = x[:, :1].repeat(1, n, 1)
        whole = filler.clone()
        whole[kept] = x.reshape(-1, dim)
        whole = torch.where(hidden.unsqueeze(-1), filler, whole) + net.decoder_positions
        logits = net.decoder_norm(self.run(net.decoder_blocks, whole))
        assert logits.shape == target.shape
        return self.paint(net.to_map(logits[:, 1:].reshape(batch, 7, 7, dim)).permute(0, 3, 1, 2))

    def masks(self, noise: Tensor, rates: Tensor) -> tuple[Tensor, Tensor]:
        """Which rows are dropped and hidden (B, R): those of noise up to the n-th smallest."""
        ordered = noise.sort(dim=1).values
        n_drop = ceil(noise.shape[1] * self.r_min)
        n_hidden = torch.ceil(noise.shape[1] * rates).long()
        drop = noise <= ordered[:, n_drop - 1 : n_drop]
        return drop, noise <= ordered.gather(1, n_hidden[:, None] - 1)

    def run(self, blocks: nn.ModuleList, x: Tensor) -> Tensor:
        for block in blocks:
            x = x + attention(block.attn, block.norm1(x), fused=self.fused)
            hidden = F.gelu(block.mlp.fc1(block.norm2(x)))
            x = x + block.mlp.fc2(hidden)
        return x

    def paint(self, z: Tensor) -> Tensor:
        decoder = self.ours.image_decoder
        x = decoder.conv_in(z)
        x = residual(decoder.mid.block_2, residual(decoder.mid.block_1, x))
        for level in reversed(decoder.up):
            for block in level.block:
                x = residual(block, x)
            if level.upsample is not None:
                x = enlarged(level.upsample, x)
        return decoder.conv_out(swish(decoder.norm_out(x)))
