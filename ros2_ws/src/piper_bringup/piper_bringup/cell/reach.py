"""How the arms of the cell go to things: grasps that their wrists allow, and steps said per arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piper_bringup.cell.motion import Grasp, Step
from piper_bringup.cell.scene import BASE_XY_M
from piper_bringup.data.names import ARMS, FOLDED_RAD

Array = NDArray[np.float64]

SIDE = {"left": -1.0, "right": 1.0}  # of the table, along x
HELD_S = 0.5  # how long goals ask for what was lifted to stay up
_DOWN = np.array((0.0, 0.0, -1.0))


def other(arm: str) -> str:
    """The arm that `arm` is not."""
    return ARMS[1 - ARMS.index(arm)]


def move(arm: str, goal: Grasp | tuple[float, ...] | None = None, opening_m: float | None = None) -> dict[str, Any]:
    """The part of a Step that one arm does: `Step("reach", **move("left", grasp, 0.06), **move("right"))`."""
    return {arm: goal, f"{arm}_opening_m": opening_m}


def outward(arm: str, position_m: Array) -> Array:
    """Horizontal unit vector (3,) from the base of `arm` towards `position_m` (3,)."""
    away = np.array((*(position_m[:2] - BASE_XY_M[arm]), 0.0))
    return away / np.linalg.norm(away)


def upright_grasp(position_m: Array, heading: Array, tilt_rad: float) -> Grasp:
    """Of something that stands: looks along `heading` (3,; horizontal), `tilt_rad` up from straight down.

    The jaws close horizontally, so that what stands is neither tilted nor turned by them.
    """
    return Grasp(position_m, np.cos(tilt_rad) * _DOWN + np.sin(tilt_rad) * heading, np.cross(_DOWN, heading))


def lying_grasp(arm: str, position_m: Array, axis: Array, tilt_rad: float) -> Grasp:
    """Of something that lies along `axis` (3,; horizontal): jaws across it, looking away from the base.

    Tilted along the axis only, by `tilt_rad` where that points away from the base, by less where it does not.
    """
    away = float(axis @ outward(arm, position_m))
    tilt = tilt_rad * away
    return Grasp(position_m, np.cos(tilt) * _DOWN + np.sin(tilt) * axis, np.cross(_DOWN, axis))


def backed(grasp: Grasp, by_m: float) -> Grasp:
    """The same grasp, `by_m` before it is reached along its own approach."""
    return grasp.moved(-by_m * np.asarray(grasp.approach))


def held_up() -> tuple[Step, ...]:
    """What was lifted stays up: for as long as goals ask, and a little longer before the way home begins."""
    return Step("lift", seconds=HELD_S + 0.3), Step("return", seconds=0.3)


def lift_and_lower(
    grasp: Mapping[str, Grasp], before: Mapping[str, Grasp], lift_m: float, open_m: float, squeeze_m: float
) -> tuple[Step, ...]:
    """Both arms go by `before` to their `grasp`, lift and hold; on the way home they put down again."""
    lifted = {arm: at.moved((0, 0, lift_m)) for arm, at in grasp.items()}
    return (
        Step("reach", **before, left_opening_m=open_m, right_opening_m=open_m),
        Step("reach", **grasp, straight=True, seconds=0.6),
        Step("grasp", left_opening_m=squeeze_m, right_opening_m=squeeze_m, seconds=0.4),
        Step("lift", **lifted, straight=True, seconds=1.0),
        *held_up(),
        Step("return", **grasp, straight=True, seconds=1.0),
        Step("return", left_opening_m=open_m, right_opening_m=open_m, seconds=0.4),
        Step("return", **before, straight=True, seconds=0.5),
        Step("return", FOLDED_RAD, FOLDED_RAD, 0.0, 0.0),
    )
