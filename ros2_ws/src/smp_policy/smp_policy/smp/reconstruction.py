"""L_recon: how well basis and gate can explain a chunk, before any expert has learned (METHOD 1.7)."""

from __future__ import annotations

from torch import Tensor

from smp_policy.smp import gate as gates
from smp_policy.smp.basis import in_rows_of
from smp_policy.smp.layers import full_precision


def expected_error(action: Tensor, b: Tensor, u: Tensor, beta: Tensor, eps: float) -> Tensor:
    """E_q ||A - B (g * z_rec)||^2 with z_rec = B^T A / (E_q[g] + eps), in closed form: [...].

        ||(I - B B^T) A||^2 + sum_i (Var[g_i] + eps^2) / (E[g_i] + eps)^2 * ||U_i||^2

    action [..., H, d], b [..., d, K], u = A B [..., H, K], beta [..., K] of q. At the mean gate the fraction would
    cancel to nothing, q would learn nothing, and any rotation of B's columns would do as well. Sampled in closed form,
    the best gate is E[g_i] = |u_i| / sum_j |u_j|, which makes the squared gate the share of the action's energy.
    """
    g = gates.mean(beta)
    noise = (gates.variance(beta) + eps**2) / (g + eps).square()
    return outside(action, b, u) + (noise * u.square().sum(-2)).sum(-1)


def mean_gate_error(action: Tensor, b: Tensor, u: Tensor, beta: Tensor, eps: float) -> Tensor:
    """The same at the mean gate, as the paper writes it: the degenerate form that ablation A3 shows."""
    g = gates.mean(beta)
    return outside(action, b, u) + ((eps / (g + eps)).square() * u.square().sum(-2)).sum(-1)


@full_precision
def outside(action: Tensor, b: Tensor, u: Tensor) -> Tensor:
    """||(I - B B^T) A||^2, what no coefficients can reach: [...]."""
    return (in_rows_of(action, b.shape[-2]) - in_rows_of(u, b.shape[-1]) @ b.mT).square().sum((-2, -1))
