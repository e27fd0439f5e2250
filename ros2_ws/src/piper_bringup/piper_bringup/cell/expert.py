"""Scripted demonstrations: plan a task's script on ground truth, play it through physics, say whether it worked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piper_bringup.arm.plan import Plan
from piper_bringup.can.drive import Drive, Power
from piper_bringup.can.motion import Motion
from piper_bringup.can.report import TICK_S
from piper_bringup.can.settings import FACTORY_LIMITS
from piper_bringup.cell import motion
from piper_bringup.cell.world import World
from piper_bringup.data.names import ARMS, DT_NS

Array = NDArray[np.float64]

COMMAND_NS = 10_000_000  # the driver's command loop
TICKS_PER_COMMAND = round(COMMAND_NS * 1e-9 / TICK_S)
GRIPPER_EFFORT_NM = 1.0  # the driver's default
SETTLE_S = 0.5


@dataclass(frozen=True)
class Demonstration:
    """One scripted episode."""

    task: str
    seed: int
    q: Array  # (T, 14) targets in the order of names.JOINTS; row i is due (i + 1) * DT after the start, at rest
    success: bool
    goals: tuple[str, ...]  # reached, in order


def demonstrate(task: str, seed: int, world: World | None = None) -> Demonstration:
    """The expert's episode of `task` for `seed`; starts and ends folded, grippers closed.

    `world`, if given, is a World of the same task to use again. Raises motion.Unreachable when the script asks
    for what an arm cannot do.
    """
    world = world if world is not None else World(task, seed)
    world.reset(seed)
    rows = motion.plan(world.task.script(world.poses()), motion.rest())
    play(world, rows)
    return Demonstration(task, seed, rows, world.success(), world.goals_reached())


def play(world: World, rows: Array, start: Array | None = None, settle_s: float = SETTLE_S) -> None:
    """Drive both arms along `rows` (T, 14) from `start` (14,; rest), then hold the last row for `settle_s`.

    As the driver does: a cubic through the rows, sent 100 times a second.
    """
    start = motion.rest() if start is None else start
    firmware = Firmware(start)
    path = Plan.through(np.arange(len(rows) + 1) * DT_NS, np.vstack([start, rows]))
    for t_ns in range(COMMAND_NS, path.end_ns + COMMAND_NS, COMMAND_NS):
        target = path.at(t_ns)
        for _ in range(TICKS_PER_COMMAND):
            firmware.tick(world, target)
    for _ in range(round(settle_s / TICK_S)):
        firmware.tick(world, rows[-1])


class Firmware:
    """Both arms enabled at full speed: the set-point generator of the emulated arm without its wire."""

    _POWER = np.full(6, int(Power.SERVO))

    def __init__(self, start: Array) -> None:
        self._motions = {arm: Motion(motion.arm_columns(start, arm)[:6].tolist()) for arm in ARMS}

    def tick(self, world: World, target: Array) -> None:
        """5 ms towards `target` (14,): set-points move, then physics."""
        for arm, generator in self._motions.items():
            columns = motion.arm_columns(target, arm)
            generator.target_rad = columns[:6].tolist()
            for index, limits in enumerate(FACTORY_LIMITS):
                generator.plan(index, limits, 1.0, TICK_S)
            q_rad = np.array(generator.set_rad)
            world.drive(arm, Drive(q_rad, self._POWER, float(columns[6]), GRIPPER_EFFORT_NM, True))
        world.step(TICK_S)
