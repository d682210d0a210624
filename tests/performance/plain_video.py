"""The standard way of a VideoMAE step, restated plainly: what speed is compared with.

All tubelets are embedded as a 3-D convolution, then most are dropped by boolean indexing; the
decoder's position table is expanded for the batch; every block runs on all tokens of its sequence;
attention spells out the softmax; the optimizer is not fused. `fused=True` changes only the
attention. It reads the very weights of our model, so that both give equal losses.
"""

# B clips, N tubelets, D width.

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from masquerade.core.masking import Mask
from masquerade.methods.video.videomae import VideoMAE


def attention(layer: nn.Module, x: Tensor, fused: bool) -> Tensor:
    """Self-attention without key bias, (B, N, D) → (B, N, D)."""
    batch, n, dim = x.shape
    bias = torch.cat([layer.q_bias, torch.zeros_like(layer.q_bias), layer.v_bias])
    qkv = F.linear(x, layer.qkv.weight, bias).reshape(batch, n, 3, layer.heads, -1)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    if fused:
        x = F.scaled_dot_product_attention(q, k, v)
    else:
        weight = (q * (dim // layer.heads) ** -0.5) @ k.transpose(-2, -1)
        x = weight.softmax(dim=-1) @ v
    return layer.proj(x.transpose(1, 2).reshape(batch, n, dim))


def run_blocks(blocks: nn.ModuleList, x: Tensor, fused: bool) -> Tensor:
    for block in blocks:
        x = x + attention(block.attn, block.norm1(x), fused)
        x = x + block.mlp(block.norm2(x))
    return x


class PlainVideoMAE(nn.Module):
    """The standard VideoMAE over the weights of one of ours."""

    def __init__(self, ours: VideoMAE, *, fused: bool = False) -> None:
        super().__init__()
        self.ours, self.fused = ours, fused
        c = ours.config
        size = (c.tubelet, c.patch_size, c.patch_size)
        weight = ours.encoder.embed.weight.detach()
        self.conv = nn.Conv3d(3, c.dim, size, size)
        self.conv.weight.data = weight.unflatten(1, (*size, 3)).permute(0, 4, 1, 2, 3).clone()
        self.conv.bias.data = ours.encoder.embed.bias.detach().clone()

    def forward(self, clips: Tensor, mask: Mask) -> Tensor:
        """The normalized-pixel loss of clips (B, 3, T, H, W)."""
        encoder, decoder = self.ours.encoder, self.ours.decoder
        hidden = mask.as_bool()
        decoded = torch.zeros_like(hidden).scatter(1, mask.predict, value=True)
        x = self.conv(clips).flatten(2).transpose(1, 2) + encoder.positions
        batch, _, dim = x.shape
        x = run_blocks(encoder.blocks, x[~hidden].reshape(batch, -1, dim), self.fused)
        x = decoder.embed(encoder.norm(x))
        width = x.shape[-1]
        places = decoder.positions.expand(batch, -1, -1)
        seen = x + places[~hidden].reshape(batch, -1, width)
        queries = decoder.mask_token + places[decoded].reshape(batch, -1, width)
        x = run_blocks(decoder.blocks, torch.cat([seen, queries], dim=1), self.fused)
        prediction = decoder.head(decoder.norm(x[:, -queries.shape[1] :]))
        return self.loss(clips, prediction, hidden, decoded)

    def loss(self, clips: Tensor, prediction: Tensor, hidden: Tensor, decoded: Tensor) -> Tensor:
        c = self.ours.config
        mean, std = (torch.tensor(v).to(clips)[:, None, None, None] for v in (c.mean, c.std))
        slots, rows, columns = c.grid
        shape = (len(clips), 3, slots, c.tubelet, rows, c.patch_size, columns, c.patch_size)
        pixels = (clips * std + mean).reshape(shape).permute(0, 2, 4, 6, 3, 5, 7, 1)
        tubelets = pixels.reshape(len(clips), slots * rows * columns, -1, 3)
        centred = tubelets - tubelets.mean(dim=-2, keepdim=True)
        target = centred / (tubelets.var(dim=-2, keepdim=True).sqrt() + 1e-6)
        wanted = target.flatten(2)[decoded].reshape(prediction.shape)
        error = ((prediction.float() - wanted) ** 2).mean(dim=-1)
        counted = hidden[decoded].reshape(error.shape)
        return (error * counted).sum() / counted.sum()

    def parameters_of_step(self) -> list[nn.Parameter]:
        """What the plain optimizer updates: the convolution in place of our linear embedding."""
        ours = [p for n, p in self.ours.named_parameters() if not n.startswith("encoder.embed")]
        return [*ours, *self.conv.parameters()]
