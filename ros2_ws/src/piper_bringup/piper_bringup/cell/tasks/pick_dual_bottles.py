"""Each arm lifts the bottle on its side, one after the other; both are held up together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from piper_bringup.cell.motion import Step
from piper_bringup.cell.props import bottles
from piper_bringup.cell.props.bottles import Bottle
from piper_bringup.cell.reach import HELD_S, SIDE
from piper_bringup.cell.task import Difficulty, Goal, Start, Task
from piper_bringup.data.names import ARMS

if TYPE_CHECKING:
    from piper_bringup.cell.world import World

BOTTLES = {
    "left": Bottle("left_bottle", 0.024, 0.15, ".16 .45 .30 1"),
    "right": Bottle("right_bottle", 0.024, 0.15, ".62 .16 .14 1"),
}


def spawn(rng: np.random.Generator, difficulty: Difficulty) -> Start:
    poses = {}
    for arm, bottle in BOTTLES.items():
        x, y = difficulty.spawn * rng.uniform(-1.0, 1.0, 2) * (0.07, 0.07)
        poses[bottle.name] = bottle.standing(0.2 * SIDE[arm] + x, 0.10 + y)
    return Start(poses)


def script(start: Start, rng: np.random.Generator) -> tuple[Step, ...]:
    """Either arm goes first, by chance."""
    return bottles.lift_in_turn(BOTTLES, start, str(rng.choice(ARMS)))


def _lifted(world: World) -> list[bool]:
    return [bottles.lifted(world, arm, bottle.name) for arm, bottle in BOTTLES.items()]


TASK = Task(
    name="pick_dual_bottles",
    instruction="Lift both bottles, one arm after the other, and hold them up together.",
    mjcf="".join(bottle.mjcf for bottle in BOTTLES.values()),
    things=tuple(bottle.thing for bottle in BOTTLES.values()),
    goals=(
        Goal("one lifted", lambda world: any(_lifted(world)), for_s=0.1),
        Goal("both lifted", lambda world: all(_lifted(world)), for_s=HELD_S),
    ),
    spawn=spawn,
    script=script,
)
