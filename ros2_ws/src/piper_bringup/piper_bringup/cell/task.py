"""What a task is: objects, where they appear, goals that physics must show in order, a script for the expert.

A task file defines `TASK`. Positions are metres in the world frame: table top at z = 0, both arms face +y.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from piper_bringup.cell.motion import Step

if TYPE_CHECKING:
    from piper_bringup.cell.world import World

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Difficulty:
    """How far episodes of a task differ from each other; the defaults are the benchmark's."""

    spawn: float = 1.0
    """Scales the area in which objects appear, 0 to 1.5."""
    yaw: float = 1.0
    """Scales the angles by which objects are turned, 0 to 1.5."""
    distractors: int = 0
    """Objects that do not matter on the table, 0 to 3."""
    friction: float = 0.0
    """Friction of every object varies by this share, 0 to 0.5."""
    mass: float = 0.0
    """Mass of every object varies by this share, 0 to 0.5."""
    expert_noise_m: float = 0.0
    """Standard deviation of the expert's free waypoints, 0 to 0.02."""

    push_rad: float = 0.0
    """Standard deviation by which the expert's joints are pushed off its way now and then, 0 to 0.2."""

    def __post_init__(self) -> None:
        bounds = {"spawn": 1.5, "yaw": 1.5, "distractors": 3, "friction": 0.5, "mass": 0.5}
        bounds |= {"expert_noise_m": 0.02, "push_rad": 0.2}
        for name, high in bounds.items():
            if not 0 <= getattr(self, name) <= high:
                raise ValueError(f"difficulty {name} is {getattr(self, name)}, valid: 0 to {high}")


class Kind(Enum):
    """How the body of a thing is held."""

    FREE = "free"  # a free joint of the same name
    FIXED = "fixed"  # mocap="true": stands where `spawn` puts it
    SLIDE = "slide"  # inside another body, on a slide joint of the same name: a drawer, a button


@dataclass(frozen=True)
class Thing:
    """MuJoCo body `name` of outer `size_m` (3,); a row of World.slots() each, four at most in an episode."""

    name: str
    size_m: tuple[float, float, float]
    kind: Kind = Kind.FREE


@dataclass(frozen=True)
class Start:
    """How an episode begins.

    A free or fixed thing that is not in `poses` is absent from the episode: it waits out of sight.
    """

    poses: dict[str, Array]  # name -> (7,) position [m] and quaternion w x y z
    openings: dict[str, float] = field(default_factory=dict)  # name of a slide -> joint position [m], else 0


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
    mjcf: str  # bodies of `things`
    things: tuple[Thing, ...]
    goals: tuple[Goal, ...]
    spawn: Callable[[np.random.Generator, Difficulty], Start]
    script: Callable[[Start, np.random.Generator], tuple[Step, ...]]  # what the expert does; chance picks among ways


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
