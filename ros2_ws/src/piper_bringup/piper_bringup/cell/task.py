"""What a task is: objects, where they appear, goals that physics must show in order, a script for the expert."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from piper_bringup.cell.motion import Step

if TYPE_CHECKING:
    from piper_bringup.cell.world import World

Array = NDArray[np.float64]
Poses = Mapping[str, Array]  # object name -> (7,) position [m] and quaternion w x y z in the world frame


@dataclass(frozen=True)
class Thing:
    """A free body of the task: MuJoCo body `name`, of outer `size_m` (3,)."""

    name: str
    size_m: tuple[float, float, float]


@dataclass(frozen=True)
class Goal:
    """Reached when `holds(world)` has been true for `for_s` of simulated time without a break."""

    name: str
    holds: Callable[[World], bool]
    for_s: float = 0.0


@dataclass(frozen=True)
class Task:
    """Goals count in their order: the second is looked at once the first is reached. All reached is success."""

    name: str
    instruction: str
    mjcf: str  # bodies of `things`, each with a free joint
    things: tuple[Thing, ...]
    goals: tuple[Goal, ...]
    spawn: Callable[[np.random.Generator], dict[str, Array]]  # pose (7,) of each thing at the start of an episode
    script: Callable[[Poses], tuple[Step, ...]]  # what the expert does, from the poses at the start


@dataclass(frozen=True)
class Progress:
    """How far an episode is: goals reached, and for how long the next one has held."""

    reached: int = 0
    held_s: float = 0.0

    def after(self, task: Task, world: World, dt_s: float) -> Progress:
        """Progress `dt_s` later, when the world looks like this."""
        if self.reached == len(task.goals):
            return self
        goal = task.goals[self.reached]
        if not goal.holds(world):
            return Progress(self.reached) if self.held_s else self
        held = self.held_s + dt_s
        return Progress(self.reached + 1) if held >= goal.for_s - 1e-9 else Progress(self.reached, held)


def pose(x_m: float, y_m: float, z_m: float, yaw_rad: float = 0.0) -> Array:
    """Pose (7,) standing upright on the table, turned by `yaw_rad`."""
    return np.array((x_m, y_m, z_m, np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)))


def rotation(quaternion_wxyz: Array) -> Array:
    """Rotation matrix (3, 3) of a unit quaternion (4,)."""
    w, x, y, z = quaternion_wxyz
    return np.array(
        (
            (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        )
    )
