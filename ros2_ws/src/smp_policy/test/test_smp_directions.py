"""Ablation A8: experts with several directions, and directions of whole chunks. Both are a matter of shapes alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Dirichlet

from smp_policy.smp import gate as gates
from smp_policy.smp.basis import coordinates, decode, in_rows_of, orthonormalise, reach
from smp_policy.smp.config import Selection, SMPConfig, state, tiny
from smp_policy.smp.encoder import Observation
from smp_policy.smp.policy import Segments, SkillMoEPolicy
from smp_policy.smp.reconstruction import expected_error
from smp_policy.smp.select import arm_masses
from smp_policy.smp.transfer import RouterOnly

torch.set_num_threads(1)

N, L, H, D, ARMS = 5, 2, 16, 14, (7, 7)
PAIRS = replace(tiny(), experts=7, basis=replace(tiny().basis, rank=2))  # 7 x 2 = 14: nothing is out of reach
CHUNKS = replace(tiny(), basis=replace(tiny().basis, spans="chunk"))
BOTH = pytest.mark.parametrize("config", [PAIRS, CHUNKS], ids=["rank 2", "chunk basis"])


def made(config: SMPConfig) -> SkillMoEPolicy:
    torch.manual_seed(0)
    policy = SkillMoEPolicy(config)
    torch.nn.init.normal_(policy.experts.out.w, std=0.1)
    return policy


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def observation(*lead: int, config: SMPConfig = PAIRS) -> Observation:
    c = config.encoder
    slots = random(*lead, c.slots, c.slot_fields, seed=3) if c.slots else None
    return Observation(random(*lead, c.proprio, seed=1), torch.arange(math.prod(lead)).view(lead) % c.tasks, slots)


def segments(config: SMPConfig = PAIRS) -> Segments:
    shown = observation(N, L, config=config)
    return Segments(shown, random(N, L, config.rows, config.action, seed=2), torch.arange(N) < 2)


def loss(policy: SkillMoEPolicy, batch: Segments):
    return policy.loss(batch, 1.0, torch.Generator().manual_seed(3))


# -- the method as it is -----------------------------------------------------------------------------------------------


def test_without_the_ablation_no_number_is_laid_out_anew():
    action, b, policy = random(N, H, D), orthonormalise(random(N, D, 8)), made(tiny())
    gate = torch.softmax(random(N, 8), -1)
    assert in_rows_of(action, D) is action and reach(b, D, 8) is b
    u = policy.coordinates(action, b)
    assert torch.equal(u, action @ b)
    assert torch.equal(policy.decode(u, gate, b), ((gate + 1e-2).unsqueeze(-2) * u) @ b.mT)
    assert tiny().directions == (14, 8) and tiny().coefficients == (16, 8)


# Found by the code before there was a choice; from machine to machine float32 adds a little otherwise.
BEFORE = {
    "tiny": (1.32353, 72.5967, 5.24836, 4.17744, 817.242),
    "state": (2.94422, 69.708, 5.02383, 5.01638, 1328.48),
}


@pytest.mark.parametrize("config", [tiny(), state()], ids=["tiny", "state"])
def test_without_the_ablation_losses_and_samples_are_what_they_were(config, request):
    policy = made(config)
    terms = loss(policy, segments(config))
    action = policy.eval().act(observation(N, config=config), random(N, H, 8)).action
    found = [*(getattr(terms, name).item() for name in ("coeff", "recon", "gate", "align")), action.abs().sum().item()]
    assert found == pytest.approx(BEFORE[request.node.callspec.id], rel=1e-3)


# -- directions of whole chunks ----------------------------------------------------------------------------------------


def test_a_chunk_basis_is_a_basis_of_one_long_row():
    long = replace(tiny(), rows=1, action=H * D, arms=(H * 7, H * 7))
    one, other = made(CHUNKS), made(long)
    assert all(torch.equal(x, other.state_dict()[name]) for name, x in one.state_dict().items())
    batch = segments()
    found, wanted = loss(one, batch), loss(other, batch._replace(action=batch.action.flatten(-2).unsqueeze(-2)))
    for term in ("coeff", "gate", "align"):
        assert torch.equal(getattr(found, term), getattr(wanted, term)), term
    torch.testing.assert_close(found.recon * H, wanted.recon)  # a mean over rows, of which the other has one
    seen, noise = observation(N), random(N, 1, 8)
    answers = [policy.eval().act(seen, noise) for policy in (one, other)]
    assert answers[0].action.shape == (N, H, D)
    assert torch.equal(answers[0].action.flatten(-2), answers[1].action.squeeze(-2))


def test_committed_rows_are_taken_over_and_guide_no_chunk_basis():
    policy, seen, noise, prefix = made(CHUNKS).eval(), observation(N), random(N, 1, 8), random(N, H, D, seed=4)
    committed = (torch.arange(H) < 4).expand(N, H)
    free, told = policy.act(seen, noise), policy.act(seen, noise, prefix=prefix, committed=committed)
    assert torch.equal(told.action[:, :4], prefix[:, :4]) and torch.equal(told.action[:, 4:], free.action[:, 4:])


# -- experts of several directions -------------------------------------------------------------------------------------


def test_an_experts_directions_are_scaled_by_its_gate_and_go_with_it():
    """Struck out, expert i takes what directions i and 7 + i said, and nothing else."""
    policy, b = made(PAIRS), orthonormalise(random(N, D, 14))
    gate, action = torch.softmax(random(N, 7), -1), random(N, H, D)
    u = policy.coordinates(action, b)
    assert u.shape == (N, 2 * H, 7)
    z = policy.target(u, gate)
    torch.testing.assert_close(policy.decode(z, gate, b), action, rtol=0, atol=1e-5)  # 14 directions: all of it
    for i in range(7):
        own, left = b[..., [i, 7 + i]], torch.arange(7) != i
        wanted = action - action @ own @ own.mT
        torch.testing.assert_close(policy.decode(z * left, gate, b), wanted, rtol=0, atol=1e-5)


def test_8_of_blocks_too_the_closed_form_is_the_average_over_sampled_gates():
    torch.manual_seed(0)
    b, action = orthonormalise(torch.randn(D, 8).double()), torch.randn(3, D).double()
    beta, eps = 1.0 + 6.0 * torch.rand(4).double(), 1e-2
    u = in_rows_of(coordinates(action, b), 4)
    g = Dirichlet(beta).sample((200_000,))
    sampled = (action - in_rows_of(decode(u / (beta / beta.sum() + eps), g, b), D)).square().sum((-2, -1)).mean()
    torch.testing.assert_close(expected_error(action, b, u, beta, eps), sampled, rtol=0.01, atol=0)


def test_committed_rows_are_denoised_in_company_of_the_rest_in_all_directions():
    policy, seen, noise = made(PAIRS).eval(), observation(N), random(N, 2 * H, 7)
    policy.standard.update(random(64, 2 * H, 7), torch.ones(64, 7, dtype=torch.bool))
    prefix, committed = 0.05 * random(N, H, D, seed=4), (torch.arange(H) < 4).expand(N, H)
    every = Selection(rule="all")
    told = policy.act(seen, noise, prefix=prefix, committed=committed, selection=every)
    b = policy.basis(policy.encoder(seen))
    torch.testing.assert_close(policy.decode(told.z, told.gate, b)[:, :4], prefix[:, :4], rtol=0, atol=1e-5)
    assert (told.action - policy.act(seen, noise, selection=every).action)[:, 4:].abs().max() > 1e-4


# -- what holds for both -----------------------------------------------------------------------------------------------


@BOTH
def test_every_part_learns_and_every_selection_acts(config):
    policy = made(config)
    loss(policy, segments()).total.backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for n, p in policy.named_parameters() if "w0" not in n)
    assert RouterOnly(made(config))(segments()).total.isfinite()
    noise = random(N, *config.coefficients)
    for selection in (Selection(), Selection(per_arm=True), Selection(rule="top_k", k=3), Selection(rule="all")):
        decision = policy.eval().act(observation(N), noise, selection=selection)
        assert decision.action.shape == (N, H, D) and decision.action.isfinite().all()
        assert (decision.z.abs().amax(1) > 0).equal(decision.active)
    with pytest.raises(ValueError, match="noise: expected"):
        policy.act(observation(N), random(N, H, 8))


@BOTH
def test_5_decoding_gives_back_the_action_within_the_span(config):
    policy = made(config)
    s, action = policy.encoder(observation(N)), random(N, H, D)
    b, gate = policy.basis(s), gates.mean(policy.router(s))
    seen = action.reshape(N, -1, b.shape[-2])
    wanted = (seen @ b @ b.mT).reshape(N, H, D)
    found = policy.decode(policy.target(policy.coordinates(action, b), gate), gate, b)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


@BOTH
def test_reach_of_an_expert_is_one_in_all_and_arms_share_its_mass(config):
    k, b = config.experts, orthonormalise(random(N, *config.directions))
    reached, mass = reach(b, D, k), torch.rand(N, k)
    assert reached.shape == (N, D, k)
    torch.testing.assert_close(reached.square().sum(-2), torch.ones(N, k))
    torch.testing.assert_close(arm_masses(mass, b, ARMS).sum(-2), mass)


def test_an_expert_with_a_direction_in_each_arm_belongs_to_both():
    axes = torch.eye(D)
    b = axes[:, [0, 1, 8, 2]]  # of two experts: 0 has columns 0 and 2, 1 columns 1 and 3
    torch.testing.assert_close(arm_masses(torch.ones(2), b, ARMS), torch.tensor([[0.5, 1.0], [0.5, 0.0]]))
    chunk = torch.zeros(2 * D, 1)
    chunk[[0, D + 9]] = 0.5**0.5  # a row of the left arm, then one of the right
    torch.testing.assert_close(arm_masses(torch.ones(1), chunk, ARMS), torch.tensor([[0.5], [0.5]]))
