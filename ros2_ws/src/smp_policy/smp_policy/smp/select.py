"""Which experts denoise: the fewest that cover the gate's mass, or the k heaviest (METHOD 1.5).

With the squared gate as mass, and gates in proportion to coordinates, a share tau of the mass is a share tau of the
action's energy: ||a_full - a_S||^2 = sum over i outside S of g_i^2 z_i^2. Sums are float64, ties fall to the lower
index, so that the same gates select the same experts everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from smp_policy.smp.basis import reach
from smp_policy.smp.config import Selection


def coverage(mass: Tensor, tau: float) -> Tensor:
    """The shortest prefix, heaviest first, with at least ``tau`` of the mass: [..., K] -> [..., K] bool."""
    m, order = _heaviest_first(mass)
    before = m.cumsum(-1) - m  # mass already covered when an expert's turn comes
    keep = before < tau * m.sum(-1, keepdim=True)
    # tau = 0, or no mass at all: the heaviest still acts.
    keep = torch.cat((torch.ones_like(keep[..., :1]), keep[..., 1:]), dim=-1)
    return torch.zeros_like(keep).scatter(-1, order, keep)


def top_k(mass: Tensor, k: int) -> Tensor:
    """The ``k`` heaviest, [..., K] bool."""
    order = _heaviest_first(mass)[1][..., :k]
    return torch.zeros_like(mass, dtype=torch.bool).scatter(-1, order, torch.ones_like(order, dtype=torch.bool))


def _heaviest_first(mass: Tensor) -> tuple[Tensor, Tensor]:
    """Masses in descending order, float64, and whose they are; of equal ones the lower index comes first."""
    if torch.onnx.is_in_onnx_export():  # a stable sort does not export; ONNX's TopK breaks ties just so
        return torch.topk(mass.double(), mass.shape[-1], dim=-1)
    return torch.sort(mass.double(), dim=-1, descending=True, stable=True)


def arm_masses(mass: Tensor, b: Tensor, arms: tuple[int, ...]) -> Tensor:
    """Mass of each expert in each arm's rows: [..., K], B [..., d, K] -> [..., arms, K]; sums over arms to ``mass``."""
    b = reach(b, sum(arms), mass.shape[-1])
    share = torch.stack([rows.square().sum(-2) for rows in b.split(list(arms), dim=-2)], dim=-2)
    return mass.unsqueeze(-2) * share


def select(gate: Tensor, b: Tensor, arms: tuple[int, ...], selection: Selection) -> Tensor:
    """Active experts, [..., K] bool, from the gate's mean [..., K] and the basis [..., d, K]."""
    mass = gate.double() ** selection.power
    if selection.rule == "all":
        return torch.ones_like(gate, dtype=torch.bool)
    if selection.rule == "top_k":
        return top_k(mass, selection.k)
    if selection.per_arm:
        return coverage(arm_masses(mass, b, arms), selection.tau).any(-2)
    return coverage(mass, selection.tau)
