"""Bottles: bodies, grasps, and what is true of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from piper_bringup.cell import props
from piper_bringup.cell.motion import Grasp, Step
from piper_bringup.cell.predicates import held_by, let_go
from piper_bringup.cell.reach import backed, held_up, lying_grasp, move, other, outward, upright_grasp
from piper_bringup.cell.task import Start, Thing, pose, rotation
from piper_bringup.data.names import FOLDED_RAD

if TYPE_CHECKING:
    from piper_bringup.cell.world import World

Array = NDArray[np.float64]

TILT_RAD = np.deg2rad(35)  # of a grasp, up from straight down: what both wrists allow near and far
LYING_TILT_RAD = np.deg2rad(30)
LIFT_M, LIFTED_M = 0.10, 0.06  # scripts lift by the first, goals ask for the second
BACK_M = 0.09  # a grasp begins that far before it
_BELOW_TOP_M = 0.05  # of a grasp at most: the palm is 60 mm behind the pads
_SQUEEZE_M = 0.014  # closing is commanded that much further than the bottle is thick: about 40 N
_FOOT_M = 0.004  # half height of the square foot


@dataclass(frozen=True)
class Bottle:
    """A bottle of outer `radius_m` and `height_m`; its origin is the middle, its axis z."""

    name: str
    radius_m: float
    height_m: float
    rgba: str
    mass_kg: float = 0.15

    @property
    def thing(self) -> Thing:
        """What it is to the world."""
        return Thing(self.name, (2 * self.radius_m, 2 * self.radius_m, self.height_m))

    @property
    def mjcf(self) -> str:
        """A capsule, whose lower end is in a square foot that it stands on; the rest is only seen."""
        r, half = self.radius_m, self.height_m / 2
        rough = 'friction=".8 .02 .001" condim="4"'
        return props.free(
            self.name,
            f'<geom name="{self.name}" type="capsule" pos="0 0 .001" size="{r} {half - r - 0.001}"'
            f' mass="{self.mass_kg}" rgba="{self.rgba}" {rough}/>'
            f'<geom type="box" pos="0 0 {_FOOT_M - half}" size="{0.8 * r} {0.8 * r} {_FOOT_M}" rgba="{self.rgba}"'
            f" {rough}/>"
            f'<geom class="trim" type="cylinder" pos="0 0 {r / 2 - half / 2}" size="{r} {half / 2 + r / 2}"'
            f' rgba="{self.rgba}"/>'
            f'<geom class="trim" type="cylinder" pos="0 0 {half - 0.005}" size="{0.5 * r} .006" material="dark"/>'
            f'<geom class="trim" type="cylinder" size="{r + 5e-4} {0.25 * half}" rgba=".96 .95 .90 1"/>',
        )

    @property
    def open_m(self) -> float:
        """Opening to come round it with: 9 mm on each side, where the stroke has that."""
        return min(2 * self.radius_m + 0.018, 0.068)

    @property
    def squeeze_m(self) -> float:
        """Opening to command in order to hold it."""
        return max(2 * self.radius_m - _SQUEEZE_M, 0.0)

    def standing(self, x_m: float, y_m: float, on_m: float = 0.0) -> Array:
        """Pose (7,) upright on the table, or on what is `on_m` above it."""
        return pose(x_m, y_m, on_m + self.height_m / 2)

    def lying(self, x_m: float, y_m: float, yaw_rad: float) -> Array:
        """Pose (7,) on the table, neck towards `yaw_rad` from x."""
        sin, cos = np.sin(yaw_rad / 2), np.cos(yaw_rad / 2)
        # A quarter turn about y lays z along x, then `yaw_rad` about z.
        return np.array((x_m, y_m, self.radius_m, *(np.sqrt(0.5) * np.array((cos, -sin, cos, sin)))))

    def grasp(self, arm: str, at: Array) -> Grasp:
        """Of `arm`, for the bottle at pose `at` (7,): round its upper half standing, round its middle lying."""
        axis = rotation(at[3:])[:, 2]
        if axis[2] > 0.5:
            point = at[:3] + np.array((0.0, 0.0, max(0.1 * self.height_m, self.height_m / 2 - _BELOW_TOP_M)))
            return upright_grasp(point, outward(arm, point), TILT_RAD)
        point = at[:3] + np.array((0.0, 0.0, 0.005))  # fingertips clear of the table
        return lying_grasp(arm, point, axis, LYING_TILT_RAD)


def lifted(world: World, arm: str, name: str) -> bool:
    """Held by `arm` alone, at least LIFTED_M above where it was."""
    return bool(world.pose(name)[2] > world.start_pose(name)[2] + LIFTED_M and held_by(world, name, arm))


def put_back(world: World, name: str, within_m: float = 0.06) -> bool:
    """Let go of at the height and near the place where it began, as upright as it was there."""
    now, start = world.pose(name), world.start_pose(name)
    tilted = rotation(now[3:])[:, 2] @ rotation(start[3:])[:, 2] < np.cos(np.deg2rad(25))
    near = np.linalg.norm(now[:2] - start[:2]) < within_m and abs(now[2] - start[2]) < 0.008
    return bool(near and not tilted and let_go(world, name))


def lift_in_turn(held: Mapping[str, Bottle], start: Start, first: str) -> tuple[Step, ...]:
    """Arm `first` lifts the bottle that `held` names for it, then the other does; after a while both put them back."""
    second = other(first)
    grasp = {arm: bottle.grasp(arm, start.poses[bottle.name]) for arm, bottle in held.items()}
    before = {arm: backed(at, BACK_M) for arm, at in grasp.items()}
    up = {arm: at.moved((0.0, 0.0, LIFT_M)) for arm, at in grasp.items()}
    squeeze = {arm: bottle.squeeze_m for arm, bottle in held.items()}
    wide = {f"{arm}_opening_m": bottle.open_m for arm, bottle in held.items()}
    return (
        Step("reach", **move(first, before[first], held[first].open_m)),
        Step("reach", **move(first, grasp[first]), straight=True, seconds=0.6),
        Step("grasp", **move(first, None, squeeze[first]), seconds=0.4),
        Step("lift", **move(first, up[first]), straight=True, seconds=0.8),
        Step("reach", **move(second, before[second], held[second].open_m)),
        Step("reach", **move(second, grasp[second]), straight=True, seconds=0.6),
        Step("grasp", **move(second, None, squeeze[second]), seconds=0.4),
        Step("lift", **move(second, up[second]), straight=True, seconds=0.8),
        *held_up(),
        Step("return", **grasp, straight=True, seconds=0.9),
        Step("return", **wide, seconds=0.4),
        Step("return", **before, straight=True, seconds=0.6),
        Step("return", FOLDED_RAD, FOLDED_RAD, 0.0, 0.0),
    )
