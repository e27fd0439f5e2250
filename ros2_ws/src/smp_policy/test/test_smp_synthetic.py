"""SMP end to end on data whose skills are known: property 19 of the method's reference, and its synthetic set (M7).

Two arms, fourteen actions, four phases an episode. Each phase moves along a direction of its own that turns with the
state; in the last phase demonstrators take either arm, and nothing in the state says which.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from smp_policy.smp import gate as gates
from smp_policy.smp.config import ExpertsConfig, tiny
from smp_policy.smp.encoder import Observation
from smp_policy.smp.indicators import effective_experts, normalised_mutual_information, switch_rate
from smp_policy.smp.policy import Losses, Segments, SkillMoEPolicy

torch.set_num_threads(1)

PHASES, PHASE_STEPS = 4, (11, 16)  # steps a phase, about 13: the heaviest skill should change at 0.074 of the steps
LENGTH = 4  # policy steps a segment
ROWS, ACTION = 16, 14


def directions() -> tuple[torch.Tensor, torch.Tensor]:
    """Where each phase moves, and what the state turns that towards: [5, 14] each; 0, 1 left, 2, 3 right, 4 left."""
    generator = torch.Generator().manual_seed(7)
    frames = [torch.linalg.qr(torch.randn(7, 7, generator=generator)).Q for _ in range(2)]
    rows = torch.zeros(2, 5, ACTION)
    for i, arm in enumerate((0, 0, 1, 1, 0)):
        rows[:, i, 7 * arm : 7 * arm + 7] = frames[arm].T[[i, i + 2 if i < 4 else 6]]
    return rows[0], rows[1]


def episode(generator: torch.Generator, jitter: float, phase_steps: tuple[int, int]) -> tuple[torch.Tensor, ...]:
    """States [T, 14], chunks [T, H, d], phases [T]."""
    along, aside = directions()
    steps = torch.randint(*phase_steps, (PHASES,), generator=generator)
    phase = torch.repeat_interleave(torch.arange(PHASES), steps)
    done = torch.cat([torch.arange(n) / n for n in steps])
    angle = 2.0 * torch.rand((), generator=generator) - 1.0
    state = 0.05 * torch.randn(len(phase), ACTION, generator=generator)
    round_the_clock = 2.0 * torch.pi * (phase + done) / PHASES
    state[:, 0], state[:, 1], state[:, 2] = round_the_clock.cos(), round_the_clock.sin(), angle
    other_arm = bool(torch.rand((), generator=generator) < 0.5)
    skill = torch.where((phase == 3) & other_arm, 4, phase)
    way = along[skill] * torch.cos(0.6 * angle) + aside[skill] * torch.sin(0.6 * angle)
    rising = torch.arange(1, ROWS + 1) / ROWS
    chunk = rising[:, None] * way[:, None, :]
    return state, chunk + jitter * torch.randn(chunk.shape, generator=generator), phase


def dataset(
    episodes: int, seed: int, jitter: float = 0.03, phase_steps: tuple[int, int] = PHASE_STEPS
) -> tuple[Segments, torch.Tensor]:
    """Every segment of ``episodes`` episodes, and the phase of each of their steps [N, L]."""
    generator = torch.Generator().manual_seed(seed)
    states, chunks, phases, starts = [], [], [], []
    for _ in range(episodes):
        state, chunk, phase = episode(generator, jitter, phase_steps)
        for t in range(len(phase) - LENGTH + 1):
            states.append(state[t : t + LENGTH])
            chunks.append(chunk[t : t + LENGTH])
            phases.append(phase[t : t + LENGTH])
            starts.append(t == 0)
    observation = Observation(torch.stack(states), torch.zeros(len(states), LENGTH, dtype=torch.int64))
    return Segments(observation, torch.stack(chunks), torch.tensor(starts)), torch.stack(phases)


def take(data: Segments, rows: torch.Tensor) -> Segments:
    observation = Observation(data.observation.proprio[rows], data.observation.task[rows])
    return Segments(observation, data.action[rows], data.starts[rows])


def train(policy: SkillMoEPolicy, data: Segments, steps: int, batch: int, lr: float) -> list[Losses]:
    """AdamW under a one-cycle schedule; the losses of the last twentieth of the steps."""
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(policy.parameters(), lr=lr, weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps)
    last = []
    for step in range(steps):
        rows = torch.randint(len(data.starts), (batch,), generator=generator)
        losses = policy.loss(take(data, rows), step / steps, generator)
        optimiser.zero_grad()
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step >= 0.95 * steps:
            last.append(losses)
    return last


@pytest.fixture(scope="module")
def trained() -> SkillMoEPolicy:
    torch.manual_seed(2)
    policy = SkillMoEPolicy(tiny())
    train(policy, dataset(episodes=60, seed=1)[0], steps=500, batch=16, lr=8e-3)
    return policy.eval()


@torch.no_grad()
def test_19_the_router_finds_the_phases_of_unseen_episodes(trained):
    data, phase = dataset(episodes=20, seed=2)
    gate = gates.mean(trained.router(trained.encoder(data.observation)))
    nmi = normalised_mutual_information(gate.argmax(-1).flatten(), phase.flatten())
    assert nmi > 0.5, f"gates and phases share {nmi:.2f} of their information"
    assert effective_experts(gate) > 4.0  # the phases, and the other arm of the last one: nothing has collapsed
    assert 0.04 < switch_rate(gate) < 0.15  # the phases change at 0.074 of the steps
    assert trained.basis.rank_losses == 0


@torch.no_grad()
def test_19_sampled_chunks_follow_the_demonstrations_and_the_last_phase_takes_one_arm(trained):
    data, phase = dataset(episodes=20, seed=2)
    now = Observation(data.observation.proprio[:, 0], data.observation.task[:, 0])
    action, wanted = trained.act(now, noise_for(now, trained)).action, data.action[:, 0]
    known = phase[:, 0] < 3
    error = (action - wanted)[known].square().sum() / wanted[known].square().sum()
    assert error < 0.4, f"{error:.2f} of the energy of what was demonstrated is missed"
    arms = action[~known].square().unflatten(-1, (2, 7)).sum((1, 3))  # energy of each arm
    larger = arms.amax(-1) / arms.sum(-1)
    assert larger.median() > 0.75  # one arm or the other, not half of each
    right = (arms[:, 1] > arms[:, 0]).float().mean()
    assert 0.1 < right < 0.9  # and both are taken


def noise_for(now: Observation, policy: SkillMoEPolicy) -> torch.Tensor:
    shape = (len(now.task), policy.config.rows, policy.config.experts)
    return torch.randn(shape, generator=torch.Generator().manual_seed(4))


def test_19_four_demonstrations_are_learned_by_heart():
    torch.manual_seed(0)
    policy = SkillMoEPolicy(replace(tiny(), experts=4, network=ExpertsConfig(width=64, blocks=2, time_width=16)))
    data, _ = dataset(episodes=4, seed=1, jitter=0.0, phase_steps=(5, 7))
    last = train(policy, data, steps=500, batch=32, lr=1e-2)
    assert torch.stack([x.health["residual"] for x in last]).mean() < 0.05
    assert torch.stack([x.coeff.detach() for x in last]).mean() < 0.08  # of the velocity, whose variance is 1
    now = Observation(data.observation.proprio[:, 0], data.observation.task[:, 0])
    action = policy.eval().act(now, noise_for(now, policy)).action
    assert (action - data.action[:, 0]).abs().mean() < 0.6 * data.action[:, 0].abs().mean()


def test_19_the_measure_of_agreement_is_that_of_its_definition():
    a = torch.tensor([0, 0, 1, 1, 2, 2])
    assert normalised_mutual_information(a, a + 3) == pytest.approx(1.0)
    assert normalised_mutual_information(a, torch.tensor([0, 1, 0, 1, 0, 1])) == pytest.approx(0.0, abs=1e-12)
    assert normalised_mutual_information(a, torch.zeros_like(a)) == 0.0
    b = torch.tensor([0, 0, 0, 1, 1, 1])
    shared = math.log(2) - math.log(2) / 3  # H(b) - H(b|a): only the middle label leaves b open
    assert normalised_mutual_information(a, b) == pytest.approx(2 * shared / (math.log(3) + math.log(2)))
