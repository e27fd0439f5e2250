"""Skill directions: a bounded, state-adaptive, orthonormal basis B(s) (Eq. 2).

The paper orthonormalises W(s) by thin QR with the signs of diag(R) made positive. That factor is unique wherever W has
full column rank, so Gram-Schmidt computes the very same B. Classical Gram-Schmidt with one re-orthogonalisation (CGS2)
stays orthonormal to a few float32 ulps even at cond(W) = 1e6, is made of plain products (no LAPACK signs, exports to
ONNX), and its float32 gradient is nearer to float64 than that of QR.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smp_policy.smp.config import BasisConfig
from smp_policy.smp.layers import full_precision, mlp

# A column shorter than this times eps, once what earlier columns explain is taken off, is rounding, not a direction.
RANK_LOSS_ULPS = 4.0


@full_precision
def orthonormalise(w: Tensor, full_rank: bool = False) -> Tensor:
    """B with B^T B = I, span(B[:, :j]) = span(W[:, :j]) and diag(B^T W) > 0: [..., d, K] -> [..., d, K].

    Equal to QR with the signs of diag(R) made positive. A column without a direction of its own (zero, or a
    combination of earlier ones) gets the coordinate axis that earlier columns cover least, so that B is always
    orthonormal and finite; ``full_rank`` promises that there is none such, and spares looking. Half precision is
    computed in float32, also under autocast. ValueError for K > d.
    """
    d, k = w.shape[-2:]
    if k > d:
        raise ValueError(f"{k} orthonormal columns do not exist in {d} dimensions: K may be at most d")
    b = w[..., :0]
    for j in range(k):
        column = w[..., j : j + 1]
        left = _off(column, b)
        left = left if full_rank else _replaced_if_lost(left, column, b)
        left = _off(left, b)
        b = torch.cat((b, left * torch.rsqrt(_square(left))), dim=-1)
    return b


def _replaced_if_lost(left: Tensor, column: Tensor, b: Tensor) -> Tensor:
    """``left``, or an axis where next to nothing of ``column`` is left outside span(b); all [..., d, 1]."""
    lost = _square(left) <= (RANK_LOSS_ULPS * torch.finfo(column.dtype).eps) ** 2 * _square(column)
    return torch.where(lost, _least_covered_axis(b), left)


def _off(column: Tensor, b: Tensor) -> Tensor:
    # Products and sums, not matmuls: at these sizes half the time of batched ones.
    return column - (b * (b * column).sum(-2, keepdim=True)).sum(-1, keepdim=True) if b.shape[-1] else column


def _square(column: Tensor) -> Tensor:
    return (column * column).sum(-2, keepdim=True)


def _least_covered_axis(b: Tensor) -> Tensor:
    """[..., d, 1]. Its part outside span(b) has squared length at least 1 - j/d, hence never vanishes."""
    axis = b.detach().square().sum(-1).argmin(-1)
    return torch.eye(b.shape[-2], dtype=b.dtype, device=b.device)[axis].unsqueeze(-1)


def rank_lost(w: Tensor, b: Tensor) -> Tensor:
    """Columns of W that had no direction of their own, [..., K] bool: there, and only there, b_j^T w_j is no length."""
    w = w.to(b.dtype)
    return (b * w).sum(-2) <= RANK_LOSS_ULPS * torch.finfo(b.dtype).eps * w.norm(dim=-2)


class BoundedBasis(nn.Module):
    """W(s) = orth(W0) + rho * D(s) / sqrt(1 + ||D(s)||_F^2) and B(s) = orth(W(s)).

    The adaptive part is shorter than rho in Frobenius norm whatever the features, so (Weyl) every singular value of W
    lies in [1 - rho, 1 + rho]: rank is never lost, gradients stay bounded, and the basis cannot rotate so far that it
    does the work of the gate. rho = 0 is the paper's fixed-basis ablation; unbounded (A2c), nothing of this holds. W0
    alone could lose rank: ``rank_losses`` counts the columns, over training steps, that did; anything but 0 deserves a
    look.
    """

    def __init__(self, features: int, action: int, experts: int, config: BasisConfig) -> None:
        super().__init__()
        if experts > action:
            raise ValueError(f"experts = {experts} exceeds the action dimension {action}: no orthonormal basis exists")
        if not 0.0 <= config.rho < 1.0:
            raise ValueError(f"basis.rho = {config.rho} must lie in [0, 1): at 1 the basis may lose rank")
        self.rho, self.bounded = config.rho, config.bounded
        self.shape = (action, experts)
        self.w0 = nn.Parameter(torch.randn(action, experts))
        self.head = mlp(features, config.width, config.depth, action * experts)
        if config.centre == "principal":
            self.w0.requires_grad_(False)  # `learn.train` puts them there
        self.register_buffer("rank_losses", torch.zeros((), dtype=torch.int64), persistent=False)

    @full_precision
    def weight(self, s: Tensor) -> Tensor:
        """W(s): [..., E] -> [..., d, K]."""
        centre = orthonormalise(self.w0)
        if self.training:
            self.rank_losses += rank_lost(self.w0.detach(), centre.detach()).sum()
        d = self.head(s).unflatten(-1, self.shape)
        if not self.bounded:
            return centre + d
        return centre + self.rho * torch.rsqrt(1.0 + d.square().sum((-2, -1), keepdim=True)) * d

    def forward(self, s: Tensor) -> Tensor:
        """B(s): [..., E] -> [..., d, K]."""
        return orthonormalise(self.weight(s), full_rank=self.bounded)


def in_rows_of(x: Tensor, width: int) -> Tensor:
    """The same numbers in rows of ``width``: [..., n, m] -> [..., n m / width, width].

    All that ablation A8 needs. A basis of [..., H d, K] sees chunks in rows of H d. With r K directions, coordinates in
    rows of K are r to a row of the chunk: expert i owns directions i, K + i, 2 K + i, .. and one gate scales all.
    """
    return x if x.shape[-1] == width else x.flatten(-2).unflatten(-1, (-1, width))


@full_precision
def coordinates(action: Tensor, b: Tensor) -> Tensor:
    """U = A B, the action in skill coordinates: [..., H, d], [..., d, K] -> [..., H, K]."""
    return in_rows_of(action, b.shape[-2]) @ b


@full_precision
def decode(z: Tensor, weight: Tensor, b: Tensor) -> Tensor:
    """A = (weight * Z) B^T (Eq. 1, every row with the same gate and basis).

    z [..., H, K], weight [..., K], b [..., d, K] -> [..., H, d]. The weight is the gate plus the epsilon by which
    targets were divided.
    """
    return in_rows_of(weight.unsqueeze(-2) * z, b.shape[-1]) @ b.transpose(-2, -1)  # .mT does not export


@full_precision
def reach(b: Tensor, action: int, experts: int) -> Tensor:
    """How far experts reach into each action, columns of length 1: [..., D, C] -> [..., d, K].

    An expert with one direction of a row has that direction; else it is the root of their mean square, over a chunk's
    rows summed.
    """
    if b.shape[-2:] == (action, experts):
        return b
    squares = b.square().unflatten(-1, (-1, experts)).mean(-2)  # [..., D, K]
    return squares.unflatten(-2, (-1, action)).sum(-3).sqrt()
