"""Transformer layers: attention through the fused kernel, MLP, block, drop path."""

# B samples, N tokens, Q queries, D width, H heads.

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LN_EPS = 1e-6  # every transformer here uses it, as the masked autoencoder does


def drop(x: Tensor, rate: float, training: bool) -> Tensor:
    """`x` with values zeroed at `rate` and the rest scaled by 1/(1 − rate), in training only.

    It draws from torch's generator, which the trainer seeds at each step.
    """
    return F.dropout(x, rate) if training and rate else x


class DropPath(nn.Module):
    """Drop whole samples of a residual branch with probability `rate` (Huang et al., 2016).

    It draws from torch's generator, which the trainer seeds at each step.
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, …), scaled by 1/(1 − rate) where it is kept."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class Attention(nn.Module):
    """Self-attention with one fused qkv projection (rows in the order q, k, v).

    `dropout` is the rate at which attention weights, and values of the output, are dropped.
    Without `key_bias` queries and values have biases of their own and keys have none (Bao et al.,
    2022, BEiT): a key's bias moves all logits of a query alike, so softmax does not see it.
    """

    def __init__(
        self, dim: int, heads: int, dropout: float = 0.0, *, key_bias: bool = True
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"width {dim} does not divide into {heads} heads")
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(dim, 3 * dim, bias=key_bias)
        self.q_bias = None if key_bias else nn.Parameter(torch.zeros(dim))
        self.v_bias = None if key_bias else nn.Parameter(torch.zeros(dim))
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B, N, D) → (B, N, D); `bias` is added to the logits (broadcast to (B, H, N, N))."""
        if self.q_bias is None:
            return self.attend(self.qkv(x), bias)
        return self.attend(F.linear(x, self.qkv.weight, self._offset()), bias)

    def attend(self, qkv: Tensor, bias: Tensor | None = None) -> Tensor:
        """The output for projected (B, N, 3D) queries, keys and values."""
        q, k, v = self._split(qkv, 3)
        return self._merge(self._dot_product(q, k, v, bias))

    def attend_from(self, queries: Tensor, x: Tensor) -> Tensor:
        """The output at `queries` (B, Q, D) only, attending to all of `x` (B, N, D): (B, Q, D)."""
        dim = x.shape[-1]
        weight, offset = self.qkv.weight, self._offset()
        (q,) = self._split(F.linear(queries, weight[:dim], offset[:dim]), 1)
        k, v = self._split(F.linear(x, weight[dim:], offset[dim:]), 2)
        return self._merge(self._dot_product(q, k, v))

    def _offset(self) -> Tensor:
        """(3 D,) the biases of queries, keys and values."""
        if self.q_bias is None or self.v_bias is None:
            return self.qkv.bias
        return torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])

    def _dot_product(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        rate = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=rate)

    def _split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """(B, N, parts·D) → `parts` tensors (B, H, N, D/H)."""
        return x.unflatten(-1, (parts, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)

    def _merge(self, x: Tensor) -> Tensor:
        """(B, H, N, D/H) → (B, N, D), projected."""
        return drop(self.proj(x.transpose(1, 2).flatten(2)), self.dropout, self.training)


class CrossAttention(nn.Module):
    """Attention of queries to a context of another width; `key_bias` as of `Attention`."""

    def __init__(
        self, dim: int, heads: int, context_dim: int | None = None, *, key_bias: bool = True
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"width {dim} does not divide into {heads} heads")
        self.heads = heads
        self.q = nn.Linear(dim, dim, bias=key_bias)
        self.kv = nn.Linear(context_dim or dim, 2 * dim, bias=key_bias)
        self.q_bias = None if key_bias else nn.Parameter(torch.zeros(dim))
        self.v_bias = None if key_bias else nn.Parameter(torch.zeros(dim))
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, Q, D) and (B, N, C) → (B, Q, D)."""
        q, kv = self._projected(x, context)
        q = q.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = kv.unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    def _projected(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B, Q, D), and keys and values side by side (B, N, 2 D)."""
        if self.q_bias is None or self.v_bias is None:
            return self.q(x), self.kv(context)
        offset = torch.cat([torch.zeros_like(self.v_bias), self.v_bias])
        return (
            F.linear(x, self.q.weight, self.q_bias),
            F.linear(context, self.kv.weight, offset),
        )


class MLP(nn.Module):
    """Linear, exact GELU, Linear, with dropout after GELU and after the last one."""

    def __init__(self, dim: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) → (…, D)."""
        hidden = drop(F.gelu(self.fc1(x)), self.dropout, self.training)
        return drop(self.fc2(hidden), self.dropout, self.training)


class Block(nn.Module):
    """Pre-norm transformer block: x += Attention(LN(x)); x += MLP(LN(x)).

    Example:
        >>> Block(dim=8, heads=2)(torch.zeros(1, 3, 8)).shape
        torch.Size([1, 3, 8])
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_ratio: float = 4,
        drop_path: float = 0,
        dropout: float = 0,
        *,
        key_bias: bool = True,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=LN_EPS)
        self.attn = Attention(dim, heads, dropout, key_bias=key_bias)
        self.norm2 = nn.LayerNorm(dim, eps=LN_EPS)
        self.mlp = MLP(dim, int(dim * mlp_ratio), dropout)
        self.drop_path = DropPath(drop_path)

    def forward(
        self, x: Tensor, bias: Tensor | None = None, *, rows: Tensor | None = None
    ) -> Tensor:
        """The block's output.

        Args:
            x: (B, N, D), all that is attended to.
            bias: added to the attention's logits, broadcast to (B, H, N, N).
            rows: (B, Q, D), those rows of `x` whose output is wanted; None = all of them.

        Returns:
            (B, N, D), or (B, Q, D) equal to those rows of the whole output.
        """
        if rows is None:
            rows, attended = x, self.attn(self.norm1(x), bias)
        else:
            attended = self.attn.attend_from(self.norm1(rows), self.norm1(x))
        x = rows + self.drop_path(attended)
        return x + self.drop_path(self.mlp(self.norm2(x)))


def init_transformer(module: nn.Module) -> None:
    """Initialise Linear weights Xavier-uniform with zero biases (use with `Module.apply`)."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
