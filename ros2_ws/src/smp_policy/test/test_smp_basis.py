"""The basis: properties 1 to 5 of the method's reference. The oracle is LAPACK QR, its signs fixed, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smp_policy.smp.basis import BoundedBasis, coordinates, decode, orthonormalise, rank_lost
from smp_policy.smp.config import BasisConfig

torch.set_num_threads(1)

D, K = 14, 8
EPS32 = torch.finfo(torch.float32).eps


def signed_qr(w: Tensor) -> Tensor:
    q, r = torch.linalg.qr(w)
    return q * torch.diagonal(r, dim1=-2, dim2=-1).sign().unsqueeze(-2)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def conditioned(cond: float, seed: int = 0) -> Tensor:
    """[14, 8] float64 with singular values spread evenly, in logarithm, from 1 down to 1 / cond."""
    u, v = signed_qr(random(D, K, seed=seed)), signed_qr(random(K, K, seed=seed + 1))
    return u * torch.logspace(0, -math.log10(cond), K, dtype=torch.float64) @ v.mT


def departure(b: Tensor) -> float:
    return (b.double().mT @ b.double() - torch.eye(b.shape[-1], dtype=torch.float64)).abs().max().item()


@given(st.lists(st.integers(1, 3), max_size=3), st.integers(1, D), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_1_columns_are_orthonormal_whatever_the_leading_shape(lead, columns, seed):
    w = random(*lead, D, columns, seed=seed)
    assert departure(orthonormalise(w.float())) < 2e-6 and departure(orthonormalise(w)) < 1e-12
    assert orthonormalise(w).shape == w.shape


@pytest.mark.parametrize("cond", [1e1, 1e3, 1e4, 1e6])
def test_1_bad_condition_costs_no_orthonormality(cond):
    assert departure(orthonormalise(conditioned(cond).float())) < 2e-6


def test_1_more_columns_than_dimensions_are_refused():
    with pytest.raises(ValueError, match="15 orthonormal columns do not exist in 14 dimensions"):
        orthonormalise(random(D, 15))
    with pytest.raises(ValueError, match="exceeds the action dimension"):
        BoundedBasis(4, D, 15, BasisConfig())


def test_1_half_precision_and_autocast_are_computed_in_float32():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        b = orthonormalise(random(5, D, K).bfloat16())
        adaptive = BoundedBasis(6, D, K, BasisConfig(width=8))(random(5, 6).bfloat16())
    assert b.dtype == adaptive.dtype == torch.float32
    assert departure(b) < 2e-6 and departure(adaptive) < 2e-6


def test_2_every_column_keeps_the_side_of_its_own_and_the_triangle_gives_w_back():
    w = random(200, D, K)
    b = orthonormalise(w)
    r = b.mT @ w
    assert torch.diagonal(r, dim1=-2, dim2=-1).min() > 0.0
    torch.testing.assert_close(b @ r.triu(), w, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("columns", [K, D])
def test_2_columns_without_a_direction_are_replaced_and_counted(dtype, columns):
    w = random(D, columns, dtype=dtype)
    w[:, 0], w[:, 2], w[:, 5] = 0.0, -2.0 * w[:, 1], w[:, 3] + w[:, 4]
    w.requires_grad_()
    b = orthonormalise(w)
    assert departure(b) < (2e-6 if dtype == torch.float32 else 1e-12)
    assert rank_lost(w, b).nonzero().flatten().tolist() == [0, 2, 5]
    (b * random(D, columns, seed=1, dtype=dtype)).sum().backward()
    assert torch.isfinite(w.grad).all()


def test_2_the_module_counts_lost_rank_of_its_centre_and_goes_on():
    basis = BoundedBasis(4, D, K, BasisConfig(width=8))
    assert (departure(basis(random(3, 4).float())) < 2e-6) and basis.rank_losses == 0
    with torch.no_grad():
        basis.w0[:, 3] = basis.w0[:, 1]
    assert (departure(basis(random(3, 4).float())) < 2e-6) and basis.rank_losses == 1


def test_3_no_column_flips_between_neighbours_where_raw_qr_does():
    w0, w1 = random(D, K, seed=3), random(D, K, seed=4)
    path = torch.lerp(w0, w1, torch.linspace(0, 1, 2001, dtype=torch.float64).view(-1, 1, 1))

    def flips(b: Tensor) -> int:
        return ((b[1:] * b[:-1]).sum(-2) < 0).sum().item()

    assert flips(orthonormalise(path)) == 0
    assert flips(torch.linalg.qr(path).Q) > 0  # the path does pass where LAPACK turns signs


def test_3_change_of_the_basis_is_bounded_by_that_of_w():
    w = random(300, D, K)
    dw = 1e-6 * random(300, D, K, seed=1)
    moved = (orthonormalise(w + dw) - orthonormalise(w)).norm(dim=(-2, -1))
    bound = math.sqrt(2) * dw.norm(dim=(-2, -1)) / torch.linalg.svdvals(w)[:, -1]
    assert (moved <= 1.1 * bound).all()


def test_3_halving_the_steps_along_a_trajectory_halves_those_of_the_basis():
    torch.manual_seed(0)
    basis = BoundedBasis(6, D, K, BasisConfig(width=32)).double().eval()

    def largest_step(points: int) -> float:
        t = torch.linspace(0, 2 * torch.pi, points, dtype=torch.float64)
        s = torch.stack([f(n * t) for n in (1, 2, 3) for f in (torch.sin, torch.cos)], dim=-1)
        return basis(s).diff(dim=0).norm(dim=(-2, -1)).max().item()

    coarse, fine = largest_step(401), largest_step(801)
    assert coarse < 0.2 and 1.8 < coarse / fine < 2.2


def test_4_gradient_is_that_of_finite_differences():
    w = random(2, 6, 4).requires_grad_()
    assert torch.autograd.gradcheck(orthonormalise, w)


@pytest.mark.parametrize("cond", [3.0, 1e2, 1e3])
def test_4_values_and_gradients_are_those_of_sign_fixed_qr(cond):
    w, pull = conditioned(cond, seed=5), random(D, K, seed=6)

    def gradient(f, at: Tensor) -> Tensor:
        at = at.clone().requires_grad_()
        return torch.autograd.grad((f(at) * pull.to(at.dtype)).sum(), at)[0]

    torch.testing.assert_close(orthonormalise(w), signed_qr(w), rtol=0, atol=1e-12 * cond)
    assert (orthonormalise(w.float()) - signed_qr(w)).abs().max() <= 4 * EPS32 * cond
    exact = gradient(signed_qr, w)
    assert (gradient(orthonormalise, w) - exact).norm() <= 1e-12 * cond * exact.norm()
    assert (gradient(orthonormalise, w.float()) - exact).norm() <= 4 * EPS32 * cond * exact.norm()


@pytest.mark.parametrize("rho", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_4_condition_is_bounded_for_any_features(rho, scale):
    torch.manual_seed(1)
    basis = BoundedBasis(6, D, K, BasisConfig(rho=rho, width=16))
    with torch.no_grad():
        basis.head[-1].weight *= scale  # an adversary who also owns the head
    values = torch.linalg.svdvals(basis.weight(scale * random(500, 6).float()).double())
    assert values.min() >= 1.0 - rho - 1e-5 and values.max() <= 1.0 + rho + 1e-5
    assert (values[:, 0] / values[:, -1]).max() <= (1.0 + rho) / (1.0 - rho) * (1.0 + 1e-4)


def test_4_without_an_adaptive_part_the_basis_is_the_same_everywhere():
    b = BoundedBasis(6, D, K, BasisConfig(rho=0.0))(random(5, 6).float())
    assert torch.equal(b, b[:1].expand_as(b))
    with pytest.raises(ValueError, match=r"basis.rho = 1.0 must lie in \[0, 1\)"):
        BoundedBasis(6, D, K, BasisConfig(rho=1.0))


def test_4_without_a_bound_the_basis_turns_as_far_as_its_network_says_and_stays_orthonormal():
    torch.manual_seed(0)
    basis, s = BoundedBasis(6, D, K, BasisConfig(width=8, bounded=False)), random(5, 6).float()
    with torch.no_grad():
        basis.head[-1].weight *= 1e3
    assert torch.equal(basis.weight(s), orthonormalise(basis.w0) + basis.head(s).unflatten(-1, (D, K)))
    assert (basis.weight(s) - orthonormalise(basis.w0)).flatten(1).norm(dim=1).min() > 10.0
    b = basis(s)
    assert (b.mT @ b - torch.eye(K)).abs().max() < 1e-5


def test_5_decoder_is_an_isometry_and_a_sum_of_rank_one_skills():
    b, z, g = orthonormalise(random(3, D, K)), random(3, 16, K, seed=1), torch.rand(3, K, dtype=torch.float64)
    action = decode(z, g, b)
    torch.testing.assert_close(action.square().sum(-1), (g.unsqueeze(-2) * z).square().sum(-1), rtol=1e-12, atol=0)
    one_by_one = [g[:, i, None, None] * z[:, :, i : i + 1] * b[:, None, :, i] for i in range(K)]
    torch.testing.assert_close(action, sum(one_by_one), rtol=0, atol=1e-12)


def test_5_encoding_undoes_decoding_and_the_gate_divides_out():
    b, action = orthonormalise(random(3, D, K)), random(3, 16, D, seed=1)
    g, eps = torch.rand(3, K, dtype=torch.float64), 1e-2
    inside = coordinates(action, b) @ b.mT
    u = coordinates(inside, b)
    torch.testing.assert_close(decode(u, torch.ones_like(g), b), inside, rtol=0, atol=1e-12)
    torch.testing.assert_close(decode(u / (g + eps).unsqueeze(-2), g + eps, b), inside, rtol=0, atol=1e-12)
