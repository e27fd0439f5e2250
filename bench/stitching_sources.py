"""What chunks are made of in the stitching table: motion that is known, or recorded runs of a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from piper_bringup.arm.plan import Plan
from piper_bringup.cell.expert import COMMAND_NS, measured
from piper_bringup.cell.world import World
from piper_bringup.data.names import DT_NS, HORIZON, JOINTS
from smp_policy.learn.rollout import rollout
from smp_policy.run.chunk import Floats
from smp_policy.run.policy import Backend, Policy, Query

WAVES, SLOWEST_HZ, FASTEST_HZ = 4, 0.05, 0.5
SPEED_RAD_S = 0.3  # each wave's; a demonstration's joints move at 0.2 to 0.5
STANDS_S, ONSET_S = 0.5, 1.0  # a first chunk is to come before anything moves
ERROR_RAD = 0.02  # every joint of a chunk is off by up to that much


@dataclass(frozen=True)
class Waves:
    """Motion that is known at any time, and chunks of it that are each off by a constant (RUNTIME A4).

    Told committed rows, a chunk goes over from what those are off to its own error, row by row until its last.
    """

    seed: int
    seconds: float

    @cached_property
    def _waves(self) -> tuple[NDArray, NDArray, NDArray]:
        rng = np.random.default_rng((self.seed, 0))
        hz = rng.uniform(SLOWEST_HZ, FASTEST_HZ, (WAVES, len(JOINTS)))
        return hz, rng.uniform(0.0, 2 * np.pi, hz.shape), SPEED_RAD_S / (2 * np.pi * hz)

    @property
    def until_ns(self) -> int:
        """Length of the motion."""
        return round(self.seconds * 1e9)

    def intent(self, t_ns: NDArray[np.int64]) -> Floats:
        """(n, 14) what is meant at t_ns (n,)."""
        hz, phase, size = self._waves
        t_s = np.asarray(t_ns)[:, None, None] * 1e-9
        grown = np.clip((t_s - STANDS_S) / ONSET_S, 0.0, 1.0)
        return (size * np.sin(2 * np.pi * hz * t_s + phase) * grown**2 * (3 - 2 * grown)).sum(1)

    def meant(self, t_ns: NDArray[np.int64], _: Floats) -> Floats:
        """(n, 14) at t_ns (n,), wherever the arms are."""
        return self.intent(t_ns)

    def chunk(self, t_obs_ns: int, target: Floats, committed: Floats | None) -> Floats:
        """(H, 14) rows for an observation of t_obs_ns; equal seeds and stamps draw equal errors."""
        truth = self.intent(t_obs_ns + DT_NS * np.arange(1, HORIZON + 1))
        error = np.random.default_rng((self.seed, 1, t_obs_ns)).uniform(-ERROR_RAD, ERROR_RAD, truth.shape[1])
        n = 0 if committed is None else min(len(committed), HORIZON)
        if n == 0:
            return truth + error
        known = committed[n - 1] - truth[n - 1]
        new = np.linspace(0.0, 1.0, HORIZON - n + 1)[1:, None]  # (H - n, 1), RTC's linear mask
        return np.vstack([committed[:n], truth[n:] + (1.0 - new) * known + new * error])


@dataclass(frozen=True)
class Run:
    """A recorded episode: what was seen every DT, and the targets then. Chunks are the model's own.

    The model is asked anew for each method, with the same noise: about the objects as they were, and about arms that
    are as far from their recorded place as the method's targets are from the recorded ones.
    """

    task: str
    seed: int
    backend: Backend
    state: Floats  # (T, 14)
    slots: NDArray[np.float64]  # (T, slots, fields)
    target: Floats  # (T, 14) in force

    @property
    def until_ns(self) -> int:
        """Of what there are observations of."""
        return (len(self.state) - 1) * DT_NS

    @cached_property
    def _way(self) -> Plan:
        return self._through(self.target)

    def intent(self, t_ns: NDArray[np.int64]) -> Floats:
        """(n, 14) at t_ns (n,): what the model would do on the recorded way had it just looked, and no noise."""
        return np.stack([self._way.at(int(t)) for t in t_ns])

    def meant(self, t_ns: NDArray[np.int64], motion: Floats) -> Floats:
        """(n, 14) at t_ns (n,), every COMMAND_NS: as `intent`, but about arms whose set-points are `motion` (n, 14)."""
        targets = np.vstack([self.target[:1], motion])[:: DT_NS // COMMAND_NS][: len(self.state)]
        plan = self._through(targets)
        return np.stack([plan.at(int(t)) for t in t_ns])

    def _through(self, targets: Floats) -> Plan:
        """Through the first row that the model finds likeliest, asked at every DT with these (T, 14) in force."""
        rows = np.stack([self._first_row(i, target) for i, target in enumerate(targets)])
        return Plan.through(DT_NS * np.arange(len(rows) + 1), np.vstack([targets[0], rows]))

    def chunk(self, t_obs_ns: int, target: Floats, committed: Floats | None) -> Floats:
        """(H, 14) for the observation of t_obs_ns; the noise is that of the stamp."""
        policy = Policy(self.backend, seed=self.seed + t_obs_ns // DT_NS)
        known = None if committed is None else committed[: self.backend.contract.config.rows]
        return policy.act(self._query(t_obs_ns // DT_NS, target, known)).q

    def _query(self, i: int, target: Floats, committed: Floats | None = None) -> Query:
        q = self.state[i] + (target - self.target[i])
        return Query(self.task, q, target, objects=self.slots[i], committed=committed)

    def _first_row(self, i: int, target: Floats) -> Floats:
        inputs = Policy(self.backend).inputs(self._query(i, target))
        answer = self.backend.infer(inputs._replace(noise=np.zeros_like(inputs.noise)))
        return self.backend.contract.normaliser.decode(answer.action, target)[0]


def record(backend: Backend, task: str, seed: int) -> Run:
    """A closed-loop episode in process, through the driver's plan and limits, chunks one DT late."""
    world, seen = World(task), []
    result = rollout(Policy(backend), world, seed, look=lambda: seen.append((measured(world), world.slots())))
    state, slots = (np.array(column) for column in zip(*seen, strict=True))
    due = np.vstack([state[:1], result.target])  # one at 0, then one a period
    return Run(task, seed, backend, state, slots, due[:: DT_NS // COMMAND_NS][: len(state)])
