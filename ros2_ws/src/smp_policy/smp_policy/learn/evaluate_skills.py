"""What the skills of a policy are, measured on demonstrations: do gates follow phases, who moves which arm when.

Open loop: the policy is asked at every policy step of a recorded episode, and its answer held against what the expert
did. Demonstrations that it was not trained on say more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from piper_bringup.data import names
from piper_bringup.data.episode import Episode, EpisodeError, read
from piper_bringup.data.episode_files import find
from smp_policy.learn.data import meant
from smp_policy.learn.pictures import seen_in
from smp_policy.run.contract import Contract
from smp_policy.smp import gate as gates
from smp_policy.smp import indicators
from smp_policy.smp.encoder import Observation
from smp_policy.smp.policy import SkillMoEPolicy
from smp_policy.smp.select import select

BATCH = 256  # policy steps encoded at once: pictures of more would not fit a small machine
STEPS_A_PHASE = 24  # that a knock-out is measured on


@dataclass(frozen=True, eq=False)
class Steps:
    """M policy steps of demonstrations: what the policy sees, and what the expert did."""

    observation: Observation  # [M, ...]
    action: Tensor  # [M, H, 14] normalised
    phase: NDArray[np.int64]  # (M,) row of `phases`; -1: unknown
    episode: NDArray[np.int64]  # (M,)
    task: NDArray[np.int64]  # (M,)
    phases: tuple[str, ...]  # "task: phase"


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network makes of M policy steps."""

    s: Tensor  # [M, E]
    b: Tensor  # [M, 14, K]
    u: Tensor  # [M, H, K] the expert's action in skill coordinates
    gate: Tensor  # [M, K] the router's mean
    posterior: Tensor  # [M, K] q's mean
    active: Tensor  # [M, K] bool


def chosen(paths: Sequence[Path], tasks: Sequence[str], each: int, with_images: bool) -> list[Episode]:
    """The first ``each`` successful episodes of every task. Raises EpisodeError where a task has none."""
    files: dict[str, list[Path]] = {task: [] for task in tasks}
    for path in tqdm(find(paths), "reading", unit="file", disable=None):
        episode = read(path, images=False)
        if episode.success and episode.task in files and len(files[episode.task]) < each:
            files[episode.task].append(path)
    if missing := [task for task in tasks if not files[task]]:
        raise EpisodeError(f"no successful episode of {missing[0]} in {', '.join(map(str, paths))}")
    return [read(path, images=with_images) for task in tasks for path in files[task]]


def steps_of(episodes: Sequence[Episode], contract: Contract) -> Steps:
    """Policy steps of episodes, at the stride that the policy was trained with."""
    phases = tuple(dict.fromkeys(f"{e.task}: {name}" for e in episodes for name in e.phases))
    rows = [np.arange(0, len(e), contract.stride) for e in episodes]
    parts = [_seen_by(e, row, contract) for e, row in zip(episodes, rows, strict=True)]
    proprio, slots, pictures, action = (
        None if column[0] is None else torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)
    )
    episode = np.repeat(np.arange(len(episodes)), [len(row) for row in rows])
    task = np.array([contract.task_number(e.task) for e in episodes])[episode]
    return Steps(
        observation=Observation(proprio, torch.from_numpy(task), slots, pictures),
        action=action,
        phase=np.concatenate([_phases(e, row, phases) for e, row in zip(episodes, rows, strict=True)]),
        episode=episode,
        task=task,
        phases=phases,
    )


def _seen_by(e: Episode, row: NDArray[np.int64], contract: Contract) -> tuple:
    """Normalised proprioception, slots or None, pictures or None, and chunks, at rows 0, stride, ... of an episode."""
    normaliser = contract.normaliser
    chunk = meant(e)[np.minimum(row[:, None] + np.arange(contract.config.rows), len(e) - 1)]
    if contract.needs_objects and e.objects is None:
        raise EpisodeError(f"objects: none in an episode of {e.task}; the model reads the cell's ground truth")
    return (
        normaliser.proprio(e.state[row], e.target[row]),
        normaliser.slots(e.objects[row]) if contract.needs_objects else None,
        seen_in(e, contract.cameras, contract.stride) if contract.cameras else None,
        normaliser.encode(chunk, e.target[row]),
    )


def _phases(e: Episode, row: NDArray[np.int64], phases: tuple[str, ...]) -> NDArray[np.int64]:
    if e.phase is None:
        return np.full(len(row), -1)
    return np.array([phases.index(f"{e.task}: {name}") for name in e.phases])[e.phase[row]]


@torch.no_grad()
def look(network: SkillMoEPolicy, steps: Steps) -> Seen:
    """Encode, route and select at every step, with the network's own selection."""
    config = network.config
    s = torch.cat([network.encoder(part) for part in _batches(steps.observation)])
    b = network.basis(s)
    u = network.coordinates(steps.action, b)
    gate = gates.mean(network.router(s))
    posterior = gates.mean(network.posterior(gates.posterior_input(s, steps.action, u)))
    return Seen(s, b, u, gate, posterior, select(gate, b, config.arms, config.selection))


def _batches(observation: Observation) -> list[Observation]:
    starts = range(0, len(observation.proprio), BATCH)
    return [Observation(*(None if x is None else x[i : i + BATCH] for x in observation)) for i in starts]


@dataclass(frozen=True)
class Facts:
    """Numbers of `look`, over the steps of one task or of all."""

    nmi: float
    """Of heaviest gate and phase; within one task, knowing the task explains nothing."""
    dropped: float
    """Share of the expert's action energy in coordinates of experts that selection leaves out."""
    residual: float
    """Share that no coordinate reaches."""
    gain: float
    """Router over posterior, weighted by |u|: below 1 motion would come out short if q had divided the targets."""
    active: float
    n_eff: float


def facts(steps: Steps, seen: Seen, where: NDArray[np.bool_]) -> Facts:
    """Over the policy steps that `where` (M,) names."""
    at, known = torch.from_numpy(where), torch.from_numpy(where & (steps.phase >= 0))
    u, energy = seen.u[at], steps.action[at].square().sum()
    heaviest, phase = seen.gate[known].argmax(-1), torch.from_numpy(steps.phase)[known]
    return Facts(
        nmi=float(indicators.normalised_mutual_information(heaviest, phase)) if len(phase) else float("nan"),
        dropped=float(indicators.dropped_energy(u, seen.active[at])),
        residual=float((energy - u.square().sum()) / energy),
        gain=float(indicators.gain(u, seen.gate[at], seen.posterior[at])),
        active=float(seen.active[at].float().sum(-1).mean()),
        n_eff=float(indicators.effective_experts(seen.gate[at])),
    )


@dataclass(frozen=True, eq=False)
class KnockOut:
    """What goes wrong without an expert. Shares of the mean action energy of the task, both arms together."""

    phases: tuple[str, ...]  # P of them, in which a step was measured
    whole: NDArray[np.float64]  # (P, 2) open-loop error of each arm with the experts that selection chose
    rise: NDArray[np.float64]  # (P, K, 2) by how much it grows where one of those is struck out


@torch.no_grad()
def knock_out(network: SkillMoEPolicy, steps: Steps, seen: Seen) -> KnockOut:
    """Denoise with every active expert, then with each struck out in turn: same noise, same everything else."""
    k, kept = network.config.experts, _some_of_each_phase(steps)
    arms = network.config.arms
    target, active = steps.action[kept], seen.active[kept]
    noise = torch.randn(len(kept), *network.config.coefficients, generator=torch.Generator().manual_seed(0))
    whole = _error(_answer(network, seen, kept, active, noise), target, arms)  # (m, 2)
    rise = np.zeros((len(kept), k, 2))
    for i in range(k):
        has = active[:, i].nonzero().squeeze(-1)
        if len(has):
            left = active[has].clone()
            left[:, i] = False
            without = _error(_answer(network, seen, kept[has.numpy()], left, noise[has]), target[has], arms)
            rise[has.numpy(), i] = without - whole[has.numpy()]
    energy = steps.action.square().sum((-2, -1)).numpy()
    scale = np.array([energy[steps.task == task].mean() for task in steps.task[kept]])
    whole, rise = whole / scale[:, None], rise / scale[:, None, None]
    numbers = np.unique(steps.phase[kept])
    mean_of = lambda x: np.stack([x[steps.phase[kept] == p].mean(0) for p in numbers])  # noqa: E731
    return KnockOut(tuple(steps.phases[p] for p in numbers), mean_of(whole), mean_of(rise))


def _some_of_each_phase(steps: Steps) -> NDArray[np.int64]:
    """(m,) steps, evenly spread over those of every phase."""
    spread = np.linspace(0.0, 1.0, STEPS_A_PHASE)
    each = [np.flatnonzero(steps.phase == p) for p in np.unique(steps.phase[steps.phase >= 0])]
    return np.unique(np.concatenate([rows[np.rint(spread * (len(rows) - 1)).astype(int)] for rows in each]))


def _answer(network: SkillMoEPolicy, seen: Seen, rows: NDArray, active: Tensor, noise: Tensor) -> Tensor:
    """Chunks [m, H, 14] of the steps `rows` by the experts `active` [m, K]."""
    s, gate, b = seen.s[rows], seen.gate[rows], seen.b[rows]
    index = active.any(0).nonzero().squeeze(-1)
    z = network.denoise(s, gate, b, active, noise, index) if len(index) else torch.zeros_like(noise)
    return network.decode(z, gate, b)


def _error(answer: Tensor, target: Tensor, arms: tuple[int, ...]) -> NDArray[np.float64]:
    """(m, 2) squared error of each arm's columns, over all rows of a chunk."""
    return torch.stack([e.square().sum((-2, -1)) for e in (answer - target).split(list(arms), -1)], -1).double().numpy()


def purity(basis: NDArray[np.floating], weight: NDArray[np.floating]) -> float:
    """How far directions belong to one arm: 1 all of it, 0.5 both alike.

    basis (S, 14, K); the mean of max(||b_left||^2, ||b_right||^2) weighted by (S, K).
    """
    left = left_share(basis)
    return float((np.maximum(left, 1.0 - left) * weight).sum() / weight.sum())


def left_share(basis: NDArray[np.floating]) -> NDArray[np.float64]:
    """(S, K): how much of each unit direction lies in the left arm's columns."""
    return (basis[:, : names.ARM_DOF].astype(np.float64) ** 2).sum(1)
