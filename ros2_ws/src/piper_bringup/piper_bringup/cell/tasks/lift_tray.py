"""Both arms lift a tray by its sides and keep it level with a loose cube on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from piper_bringup.cell.motion import Grasp, Step
from piper_bringup.cell.predicates import held_by, level
from piper_bringup.cell.props.blocks import RED
from piper_bringup.cell.props.trays import FLOOR_M, TRAY, TRAY_GRIP_M, TRAY_M, TRAY_MJCF, inside, point
from piper_bringup.cell.reach import HELD_S, SIDE, lift_and_lower, upright_grasp
from piper_bringup.cell.task import Difficulty, Goal, Start, Task, pose, rotation
from piper_bringup.data.names import ARMS

if TYPE_CHECKING:
    from piper_bringup.cell.world import World

TILT_RAD = np.deg2rad(24)
HALF_M = FLOOR_M / 2
LIFT_M, LIFTED_M = 0.09, 0.06  # the script lifts by the first, the goal asks for the second
OPEN_M, SQUEEZE_M = 0.046, 0.004
CUBE_UP_M = HALF_M + RED.half_m  # its middle over the middle of the floor


def spawn(rng: np.random.Generator, difficulty: Difficulty) -> Start:
    x, y = (0.0, 0.06) + difficulty.spawn * rng.uniform(-1.0, 1.0, 2) * (0.04, 0.055)
    tray = pose(x, y, HALF_M, difficulty.yaw * rng.uniform(-1.0, 1.0) * np.deg2rad(15))
    cube = point(tray, (*rng.uniform(-1.0, 1.0, 2) * (0.06, 0.03), CUBE_UP_M))
    return Start({"tray": tray, RED.name: pose(*cube, rng.uniform(-1.0, 1.0) * difficulty.yaw)})


def _cube_stays(world: World) -> bool:
    return inside(world, RED.name, "tray", TRAY_M, CUBE_UP_M + 0.006) and level(world, RED.name, 12.0)


def _lifted(world: World) -> bool:
    high = world.pose("tray")[2] > HALF_M + LIFTED_M
    return high and level(world, "tray", 6.0) and _cube_stays(world) and held_by(world, "tray", *ARMS)


def _grasp(arm: str, start: Start) -> Grasp:
    """Across the side of `arm`, horizontally; the hand leans back towards the bases."""
    tray, (x, y, z) = start.poses["tray"], TRAY_GRIP_M
    along = rotation(tray[3:])[:, 1]
    return upright_grasp(point(tray, (SIDE[arm] * x, y, z)), along, TILT_RAD)


def script(start: Start, rng: np.random.Generator) -> tuple[Step, ...]:
    grasp = {arm: _grasp(arm, start) for arm in ARMS}
    above = {arm: at.moved((0, 0, 0.06)) for arm, at in grasp.items()}
    return lift_and_lower(grasp, above, LIFT_M, OPEN_M, SQUEEZE_M)


TASK = Task(
    name="lift_tray",
    instruction="Lift the tray with both arms and keep it level, so that the block stays.",
    mjcf=TRAY_MJCF + RED.mjcf,
    things=(TRAY, RED.thing),
    goals=(
        Goal("grasped", lambda world: held_by(world, "tray", *ARMS), for_s=0.1),
        Goal("lifted level", _lifted, for_s=HELD_S),
    ),
    spawn=spawn,
    script=script,
)
