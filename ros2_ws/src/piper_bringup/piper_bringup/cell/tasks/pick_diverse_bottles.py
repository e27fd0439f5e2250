"""As pick_dual_bottles, but each arm finds one of three bottles, standing or lying."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from piper_bringup.cell.motion import Step
from piper_bringup.cell.props import bottles
from piper_bringup.cell.props.bottles import Bottle
from piper_bringup.cell.reach import HELD_S, SIDE, outward
from piper_bringup.cell.task import Array, Difficulty, Goal, Start, Task
from piper_bringup.data.names import ARMS

if TYPE_CHECKING:
    from piper_bringup.cell.world import World

_COLOURS = {"left": ".14 .40 .52 1", "right": ".60 .34 .10 1"}
BOTTLES = {
    arm: (
        Bottle(f"{arm}_tall", 0.024, 0.16, rgba, 0.20),
        Bottle(f"{arm}_slim", 0.017, 0.12, rgba, 0.10),
        Bottle(f"{arm}_wide", 0.029, 0.10, rgba, 0.18),
    )
    for arm, rgba in _COLOURS.items()
}


def spawn(rng: np.random.Generator, difficulty: Difficulty) -> Start:
    poses = {}
    for arm, kinds in BOTTLES.items():
        bottle = kinds[rng.integers(len(kinds))]
        poses[bottle.name] = _pose(arm, bottle, rng, difficulty)
    return Start(poses)


def _pose(arm: str, bottle: Bottle, rng: np.random.Generator, difficulty: Difficulty) -> Array:
    """Standing, or lying with its neck away from the arm's base, give or take 50 degrees."""
    x, y, yaw = rng.uniform(-1.0, 1.0, 3) * (0.06, 0.06, np.deg2rad(50))
    x_m, y_m = 0.2 * SIDE[arm] + difficulty.spawn * x, 0.10 + difficulty.spawn * y
    if rng.random() < 0.5:
        return bottle.standing(x_m, y_m)
    away = outward(arm, np.array((x_m, y_m)))
    return bottle.lying(x_m, y_m, np.arctan2(away[1], away[0]) + difficulty.yaw * yaw)


def _present(start: Start) -> dict[str, Bottle]:
    """The bottle of each arm in this episode."""
    return {arm: next(b for b in kinds if b.name in start.poses) for arm, kinds in BOTTLES.items()}


def _lifted(world: World) -> list[bool]:
    return [bottles.lifted(world, arm, bottle.name) for arm, bottle in _present(world.start).items()]


def script(start: Start, rng: np.random.Generator) -> tuple[Step, ...]:
    """Either arm goes first, by chance."""
    return bottles.lift_in_turn(_present(start), start, str(rng.choice(ARMS)))


TASK = Task(
    name="pick_diverse_bottles",
    instruction="Lift both bottles, standing or lying, and hold them up together.",
    mjcf="".join(bottle.mjcf for kinds in BOTTLES.values() for bottle in kinds),
    things=tuple(bottle.thing for kinds in BOTTLES.values() for bottle in kinds),
    goals=(
        Goal("one lifted", lambda world: any(_lifted(world)), for_s=0.1),
        Goal("both lifted", lambda world: all(_lifted(world)), for_s=HELD_S),
    ),
    spawn=spawn,
    script=script,
)
