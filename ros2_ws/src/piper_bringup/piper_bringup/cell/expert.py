"""Scripted demonstrations: plan a task's script on ground truth, play it through physics, say whether it worked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piper_bringup.arm import limits
from piper_bringup.arm.config import DriverConfig
from piper_bringup.arm.plan import Plan
from piper_bringup.can.report import TICK_S
from piper_bringup.cell import motion
from piper_bringup.cell.firmware import Firmware
from piper_bringup.cell.pushes import pushed
from piper_bringup.cell.world import World
from piper_bringup.data.names import ARM_DOF, ARMS, DT_NS, JOINT_LOWER_RAD, JOINT_UPPER_RAD

Array = NDArray[np.float64]

DRIVER = DriverConfig(speed_percent=100.0)  # as the simulated graph sets it
A_MAX, V_MAX = DRIVER.a_max, DRIVER.v_max(DRIVER.speed_percent)
COMMAND_NS = DRIVER.period_ns
TICKS_PER_COMMAND = round(COMMAND_NS * 1e-9 / TICK_S)
SETTLE_ROWS = 10  # for what was let go of to come to rest
_WAYS = 0x5CA1E  # with the seed of an episode: which of its ways the script takes


@dataclass(frozen=True)
class Demonstration:
    """One scripted episode; row i of `q` is due (i + 1) * DT after the start, at rest.

    What was seen belongs to the instant i * DT, before row i is due.
    """

    task: str
    seed: int
    q: Array  # (T, 14) targets in the order of names.JOINTS
    wanted: Array  # (T, 14) targets, had nothing pushed
    success: bool
    goals: tuple[str, ...]  # reached, in order
    phase: tuple[str, ...]  # (T,)
    state: Array  # (T, 14) measured
    objects: Array  # (T, SLOTS, 14) as World.slots()
    positions: Array  # (T, n) as World.positions(), to draw it


def demonstrate(task: str, seed: int, world: World | None = None) -> Demonstration:
    """The expert's episode of `task` for `seed`; starts and ends folded, grippers closed.

    `world`, if given, is a World of the same task to use again. Raises motion.Unreachable when the script asks
    for what an arm cannot do.
    """
    world = world if world is not None else World(task, seed)
    world.reset(seed)
    rng = np.random.default_rng((seed, _WAYS))
    steps = motion.jittered(world.task.script(world.start, rng), world.difficulty.expert_noise_m, rng)
    planned = motion.plan(steps, motion.rest())
    rows = np.vstack([planned.rows, np.repeat(planned.rows[-1:], SETTLE_ROWS, axis=0)])
    wanted = rows
    if world.difficulty.push_rad:
        near = np.concatenate([planned.near, np.ones(SETTLE_ROWS, bool)])
        rows = pushed(rows, near, world.difficulty.push_rad, rng)
    phase = planned.phase + planned.phase[-1:] * SETTLE_ROWS
    seen: list[tuple[Array, Array, Array]] = []
    play(world, rows, look=lambda: seen.append((measured(world), world.slots(), world.positions())))
    state, objects, positions = (np.array(column) for column in zip(*seen, strict=True))
    goals = world.goals_reached()
    return Demonstration(task, seed, rows, wanted, world.success(), goals, phase, state, objects, positions)


def play(world: World, rows: Array, start: Array | None = None, look: Callable[[], None] | None = None) -> None:
    """Drive both arms along `rows` (T, 14) from `start` (14,; rest); `look` is called DT before each row is due.

    As the driver does: a cubic through the rows, every limit, 100 set-points a second.
    """
    start = motion.rest() if start is None else start
    path = Plan.through(np.arange(len(rows) + 1) * DT_NS, np.vstack([start, rows]))
    arms = Arms(start)
    for t_ns in range(0, path.end_ns, COMMAND_NS):
        if look is not None and t_ns % DT_NS == 0:
            look()
        arms.command(world, path.at(t_ns + COMMAND_NS))


def measured(world: World) -> Array:
    """Joints and grippers of both arms as they stand (14,)."""
    states = [world.arm_state(arm) for arm in ARMS]
    return np.concatenate([(*state.q_rad, state.gripper_m) for state in states])


class Arms:
    """Both arms enabled at full speed: the driver's limits and the firmware's set-points, without bus and clock."""

    def __init__(self, start: Array) -> None:
        self._limits = _driver_limits()
        self._at, self._target = limits.SetPoint.at_rest(start), start
        effort_nm = DRIVER.gripper__effort_nm
        self._firmware = {arm: Firmware(motion.arm_columns(start, arm).tolist(), effort_nm) for arm in ARMS}

    @property
    def at(self) -> Array:
        """The set-points (14,) that the limits left."""
        return self._at.q

    def hold(self, q: Array) -> Array:
        """Stand still from now on: joints where they are measured (14,), grippers at their set-point; that place."""
        here = self._at.q.copy()
        for arm in ARMS:
            motion.arm_columns(here, arm)[:6] = motion.arm_columns(q, arm)[:6]
        self._at, self._target = limits.SetPoint.at_rest(here), here
        return here

    def command(self, world: World, target: Array) -> None:
        """One period of the driver towards `target` (14,), then the physics of that time."""
        dt_s = COMMAND_NS * 1e-9
        wanted = limits.approach(target, self._target, self._at, A_MAX, dt_s)
        self._target, self._at = target, limits.apply(wanted, self._at, self._limits, dt_s).to
        for arm, firmware in self._firmware.items():
            firmware.aim(motion.arm_columns(self._at.q, arm).tolist())
        for _ in range(TICKS_PER_COMMAND):
            for arm, firmware in self._firmware.items():
                world.drive(arm, firmware.tick())
            world.step(TICK_S)


def _driver_limits() -> tuple[limits.Limit, ...]:
    margin = DRIVER.limits__position_margin_rad
    low, high = np.zeros(2 * ARM_DOF), np.full(2 * ARM_DOF, DRIVER.gripper__max_width)
    for arm in ARMS:
        motion.arm_columns(low, arm)[:6] = np.array(JOINT_LOWER_RAD) + margin
        motion.arm_columns(high, arm)[:6] = np.array(JOINT_UPPER_RAD) - margin
    return limits.PositionLimit(low, high), limits.VelocityLimit(V_MAX), limits.AccelerationLimit(A_MAX)
