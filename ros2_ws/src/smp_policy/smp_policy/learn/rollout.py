"""One closed-loop episode in the cell, in process: the policy's chunks through the driver's plan, limits and rates.

The timing is the robot's: a chunk belongs to the instant of its observation, takes effect a while later, and is
refused, or spliced into the running plan, as the driver does it. Rows that will be executed before that are handed to
the policy as committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piper_bringup.cell import motion
from piper_bringup.cell.expert import COMMAND_NS, measured
from piper_bringup.cell.render import Renderer
from piper_bringup.cell.world import PhysicsError, World
from piper_bringup.data import images, names
from smp_policy.learn.driver import Driver
from smp_policy.run.chunk import COMMIT_NS
from smp_policy.run.policy import Chunk, Policy, Query

__all__ = ["COMMIT_NS", "STRIDE_NS", "Rollout", "rollout"]

STRIDE_NS = names.REPLAN_ROWS * names.DT_NS


@dataclass(frozen=True, eq=False)
class Rollout:
    """How an episode went, policy step by policy step (S of them) and command by command (C)."""

    task: str
    seed: int
    success: bool
    goals: tuple[str, ...]  # reached, in order
    progress: float  # share of the task's goals reached
    seconds: float  # simulated
    gate: NDArray[np.float32]  # (S, K)
    active: NDArray[np.bool_]  # (S, K)
    router: NDArray[np.float32]  # (S, K)
    q: NDArray[np.float64]  # (S, 14) measured
    chunk: NDArray[np.float64]  # (S, H, 14)
    target: NDArray[np.float64]  # (C, 14) of the plan, 100 a second, before limits
    latency_s: NDArray[np.float64]  # (S,) of Policy.act
    broke: str = ""  # why the physics ended the episode before its time; empty: it did not
    fault: str = ""  # why the driver did
    refused: int = 0  # chunks that the driver would not follow


def rollout(
    policy: Policy,
    world: World,
    seed: int,
    limit_s: float = 20.0,
    delay_ns: int = names.DT_NS,
    renderer: Renderer | None = None,
    look: Callable[[], None] | None = None,
) -> Rollout:
    """The episode of `seed` of the task of `world`, until it succeeds or `limit_s` is over.

    delay_ns: from observation to chunk, simulated; a multiple of the command period, below the stride.
    look: called every DT, to film it.
    A policy that drives the physics into a bad state, or an arm so hard against something that the driver gives up,
    has failed, there and then. Raises ContractError.
    """
    if delay_ns % COMMAND_NS or not 0 <= delay_ns < STRIDE_NS:
        raise ValueError(f"delay_ns is {delay_ns}; valid: multiples of {COMMAND_NS} from 0 to below {STRIDE_NS}")
    world.reset(seed)
    policy.reset(seed)
    driver = Driver(motion.rest())
    schedule = driver.schedule
    steps: list[tuple[Chunk, NDArray, float]] = []
    targets, waiting, broke = [], None, ""
    for t_ns in range(0, int(limit_s * 1e9), COMMAND_NS):
        if look is not None and t_ns % names.DT_NS == 0:
            look()
        if t_ns % STRIDE_NS == 0:
            committed = schedule.committed(t_ns, t_ns + delay_ns)
            query = _query(world, schedule.plan.at(t_ns), committed, renderer, policy)
            began_s = time.perf_counter()
            chunk = policy.act(query)
            steps.append((chunk, query.q, time.perf_counter() - began_s))
            waiting = t_ns, chunk.q
        if waiting is not None and waiting[0] + delay_ns == t_ns:
            driver.take(*waiting, t_ns)
            waiting = None
        try:
            targets.append(driver.command(world, t_ns))
        except PhysicsError as error:
            broke = str(error)
            break
        if world.success() or driver.fault:
            break
    return _summary(world, seed, t_ns + COMMAND_NS, steps, targets, broke, driver)


def _query(
    world: World, target: NDArray, committed: NDArray | None, renderer: Renderer | None, policy: Policy
) -> Query:
    pictures = None if renderer is None else renderer.render(world.positions())
    return Query(
        task=world.task.name,
        q=measured(world),
        target=target,
        objects=world.slots() if policy.contract.needs_objects else None,
        images=None if pictures is None else {camera: images.take(rgb) for camera, rgb in pictures.items()},
        committed=committed,
    )


def _summary(world: World, seed: int, t_ns: int, steps: list, targets: list, broke: str, driver: Driver) -> Rollout:
    chunks, q, latency_s = zip(*steps, strict=True)
    goals = world.goals_reached()
    return Rollout(
        task=world.task.name,
        seed=seed,
        success=world.success(),
        goals=goals,
        progress=len(goals) / len(world.task.goals),
        seconds=t_ns * 1e-9,
        gate=np.stack([chunk.gate for chunk in chunks]),
        active=np.stack([chunk.active for chunk in chunks]),
        router=np.stack([chunk.router for chunk in chunks]),
        q=np.stack(q),
        chunk=np.stack([chunk.q for chunk in chunks]),
        target=np.stack(targets),
        latency_s=np.array(latency_s),
        broke=broke,
        fault=driver.fault,
        refused=len(driver.refused),
    )
