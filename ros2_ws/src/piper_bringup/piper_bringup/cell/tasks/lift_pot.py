"""Both arms lift a heavy pot by its upright handles and keep it level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from piper_bringup.cell.motion import Grasp, Step
from piper_bringup.cell.predicates import held_by, level
from piper_bringup.cell.props.trays import FLOOR_M, POT, POT_GRIP_M, POT_HEADING_RAD, POT_MJCF, point
from piper_bringup.cell.reach import HELD_S, SIDE, backed, lift_and_lower, upright_grasp
from piper_bringup.cell.task import Difficulty, Goal, Start, Task, pose, rotation
from piper_bringup.data.names import ARMS

if TYPE_CHECKING:
    from piper_bringup.cell.world import World

TILT_RAD = np.deg2rad(33)  # the handles are high and the hands come in from the side
HALF_M = FLOOR_M / 2
LIFT_M, LIFTED_M = 0.09, 0.06  # the script lifts by the first, the goal asks for the second
OPEN_M, SQUEEZE_M = 0.046, 0.004


def spawn(rng: np.random.Generator, difficulty: Difficulty) -> Start:
    x, y = (0.0, 0.07) + difficulty.spawn * rng.uniform(-1.0, 1.0, 2) * (0.04, 0.045)
    return Start({"pot": pose(x, y, HALF_M, difficulty.yaw * rng.uniform(-1.0, 1.0) * np.deg2rad(24))})


def _lifted(world: World) -> bool:
    high = world.pose("pot")[2] > HALF_M + LIFTED_M
    return high and level(world, "pot", 6.0) and held_by(world, "pot", *ARMS)


def _grasp(arm: str, start: Start) -> Grasp:
    """Of the handle on the side of `arm`, flat on its faces, the hand coming in from that side."""
    pot, (x, y, z) = start.poses["pot"], POT_GRIP_M
    inward = rotation(pot[3:]) @ (-SIDE[arm] * np.cos(POT_HEADING_RAD), np.sin(POT_HEADING_RAD), 0.0)
    return upright_grasp(point(pot, (SIDE[arm] * x, y, z)), inward, TILT_RAD)


def script(start: Start, rng: np.random.Generator) -> tuple[Step, ...]:
    grasp = {arm: _grasp(arm, start) for arm in ARMS}
    before = {arm: backed(at, 0.06) for arm, at in grasp.items()}
    return lift_and_lower(grasp, before, LIFT_M, OPEN_M, SQUEEZE_M)


TASK = Task(
    name="lift_pot",
    instruction="Lift the pot by its two handles with both arms and keep it level.",
    mjcf=POT_MJCF,
    things=(POT,),
    goals=(
        Goal("grasped", lambda world: held_by(world, "pot", *ARMS), for_s=0.1),
        Goal("lifted level", _lifted, for_s=HELD_S),
    ),
    spawn=spawn,
    script=script,
)
