"""Both arms lift a 36 cm bar and keep it level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from piper_bringup.cell.motion import Grasp, Step
from piper_bringup.cell.reach import HELD_S, held_up
from piper_bringup.cell.task import Difficulty, Goal, Start, Task, Thing, pose, rotation
from piper_bringup.data.names import ARMS, FOLDED_RAD

if TYPE_CHECKING:
    from piper_bringup.cell.world import World

SIZE_M = (0.36, 0.026, 0.036)
HALF_HEIGHT_M = SIZE_M[2] / 2
GRIP_M = 0.12  # from the middle of the bar to each grasp
TILT_RAD = np.deg2rad(28)  # jaws look inward along the bar; straight down, the wrists run into their limits
LIFT_M, LIFTED_M = 0.10, 0.07  # the script lifts by the first, the goal asks for the second
OPEN_M, SQUEEZE_M = 0.06, 0.012

_X, _Y, _Z = SIZE_M[0] / 2, SIZE_M[1] / 2, SIZE_M[2] / 2
MJCF = f"""
<body name="bar">
  <freejoint name="bar"/>
  <geom name="bar" type="box" size="{_X} {_Y} {_Z}" mass=".4" rgba=".93 .42 .10 1" friction=".8 .02"/>
  <geom class="trim" type="box" size=".012 {_Y + 5e-4} {_Z + 5e-4}" rgba=".97 .93 .85 1"/>
  <geom class="trim" type="box" pos="{_X - 0.008} 0 0" size=".0085 {_Y + 5e-4} {_Z + 5e-4}" material="dark"/>
  <geom class="trim" type="box" pos="{-_X + 0.008} 0 0" size=".0085 {_Y + 5e-4} {_Z + 5e-4}" material="dark"/>
</body>"""


def spawn(rng: np.random.Generator, difficulty: Difficulty) -> Start:
    x, y, yaw = rng.uniform(-1.0, 1.0, 3) * (0.02, 0.04, 0.12)
    wide = difficulty.spawn
    return Start({"bar": pose(wide * x, 0.04 + wide * y, HALF_HEIGHT_M, difficulty.yaw * yaw)})


def _level(world: World) -> bool:
    """Long axis within 8 degrees of the horizontal."""
    return abs(rotation(world.pose("bar")[3:])[2, 0]) < np.sin(np.deg2rad(8))


def _grasped(world: World) -> bool:
    return all(world.grasped(arm, "bar") for arm in ARMS)


def _lifted(world: World) -> bool:
    return world.pose("bar")[2] > HALF_HEIGHT_M + LIFTED_M and _level(world) and _grasped(world)


def script(start: Start, rng: np.random.Generator) -> tuple[Step, ...]:
    centre, turn = start.poses["bar"][:3], rotation(start.poses["bar"][3:])
    along, across = turn[:, 0], turn[:, 1]

    def grasp(side: int) -> Grasp:
        approach = np.array((0.0, 0.0, -np.cos(TILT_RAD))) - side * np.sin(TILT_RAD) * along
        return Grasp(centre + side * GRIP_M * along + (0.0, 0.0, 0.004), approach, across)

    left, right = grasp(-1), grasp(1)
    above = {"left": left.moved((0, 0, 0.08)), "right": right.moved((0, 0, 0.08))}
    lifted = {"left": left.moved((0, 0, LIFT_M)), "right": right.moved((0, 0, LIFT_M))}
    return (
        Step("reach", **above, left_opening_m=OPEN_M, right_opening_m=OPEN_M),
        Step("reach", left, right, straight=True, seconds=0.8),
        Step("grasp", left_opening_m=SQUEEZE_M, right_opening_m=SQUEEZE_M, seconds=0.6),
        Step("lift", **lifted, straight=True, seconds=1.2),
        *held_up(),
        Step("return", left, right, straight=True, seconds=1.2),
        Step("return", left_opening_m=OPEN_M, right_opening_m=OPEN_M, seconds=0.4),
        Step("return", **above, straight=True, seconds=0.6),
        Step("return", FOLDED_RAD, FOLDED_RAD, 0.0, 0.0),
    )


TASK = Task(
    name="lift_bar",
    instruction="Lift the bar with both arms and keep it level.",
    mjcf=MJCF,
    things=(Thing("bar", SIZE_M),),
    goals=(
        Goal("grasped", _grasped, for_s=0.1),
        Goal("lifted level", _lifted, for_s=HELD_S),
    ),
    spawn=spawn,
    script=script,
)
