"""Where an arm stands for a grasp, and along a straight line between two: joint angles from inverse kinematics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piper_bringup.cell import kinematics
from piper_bringup.cell.kinematics import Pose
from piper_bringup.cell.scene import BASE_XY_M
from piper_bringup.data.names import POSITION_MARGIN_RAD

Array = NDArray[np.float64]

# Elbow up over the table: where inverse kinematics starts from, per arm.
READY_RAD = {"left": (-0.4, 1.6, -1.3, 0.0, 0.6, 0.0), "right": (0.4, 1.6, -1.3, 0.0, 0.6, 0.0)}
MARGIN_RAD = 0.03  # kept to every joint limit at the ends of a step; between them the driver's own margin
EASE_RAD = 0.04  # distance to the limits at which the jaws are turned the usual way, though the other had more

_WORLD_FROM_BASE = np.array(((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))  # bases face +y


class Unreachable(ValueError):
    """A script asks an arm for a pose that it cannot reach."""


@dataclass(frozen=True)
class Grasp:
    """Pads at `position_m` (3,) in the world, looking along `approach` (3,), closing along `jaw_axis` (3,).

    The two fingers are alike: the jaw axis may be taken with either sign, and the planner tries both.
    """

    position_m: Array
    approach: Array
    jaw_axis: Array

    def moved(self, by_m: Sequence[float]) -> Grasp:
        """The same grasp, `by_m` (3,) further in the world."""
        return Grasp(self.position_m + np.asarray(by_m, float), self.approach, self.jaw_axis)


Aim = Grasp | tuple[float, ...] | None  # of one arm in one step: pads there, six joint angles, or stay


def key_angles(arm: str, aims: Sequence[Aim], start_rad: Array) -> list[Array]:
    """Joint angles (6,) of one arm at each of `aims`, from `start_rad` (6,).

    One jaw sign for the whole episode: the usual one wherever it leaves EASE_RAD to the limits, so that starts
    alike are done alike; else the one that leaves more. Raises Unreachable when neither can follow.
    """
    chains, failures = [], []
    for sign in _signs(aims):
        try:
            chain = _chain(arm, aims, start_rad, sign)
        except Unreachable as failure:
            failures.append(failure)
            continue
        ease = _ease(aims, chain)
        if ease >= EASE_RAD:
            return chain
        chains.append((ease, chain))
    if not chains:
        raise failures[0]
    return max(chains, key=lambda found: found[0])[1]


def line(arm: str, start_rad: Array, end_rad: Array, progress: Array) -> Iterator[Array]:
    """Joint angles (6,) along the straight line of the pads between two postures, orientation turned evenly."""
    a, b = kinematics.forward(start_rad), kinematics.forward(end_rad)
    turn = kinematics.rotation_vector(b.rotation @ a.rotation.T)
    now = start_rad
    for s in progress:
        goal = Pose(a.position_m + s * (b.position_m - a.position_m), kinematics.rotation(s * turn) @ a.rotation)
        found = kinematics.solve(goal, now, POSITION_MARGIN_RAD)
        if found is None:
            raise Unreachable(
                f"the {arm} arm cannot follow the straight line from {np.round(a.position_m, 3)} to "
                f"{np.round(b.position_m, 3)} (base frame, m)"
            )
        now = found
        yield now


def _signs(aims: Sequence[Aim]) -> tuple[int, int]:
    """Both jaw signs, first the usual one: wrist camera above the hand (it sits on -x of the flange)."""
    for aim in aims:
        if isinstance(aim, Grasp):
            x_axis = kinematics.grasp_rotation(aim.approach, aim.jaw_axis)[:, 0]
            return (1, -1) if x_axis[2] < 1e-6 else (-1, 1)
    return 1, -1


def _ease(aims: Sequence[Aim], angles: Sequence[Array]) -> float:
    """Least distance [rad] to a limit at a grasp; the rest pose lies on its limits and says nothing."""
    found = [q_rad for aim, q_rad in zip(aims, angles, strict=True) if isinstance(aim, Grasp)]
    return kinematics.limit_distance(np.array(found)) if found else EASE_RAD


def _chain(arm: str, aims: Sequence[Aim], start_rad: Array, sign: int) -> list[Array]:
    now, hint, angles = np.array(start_rad), np.array(READY_RAD[arm]), []
    for aim in aims:
        if isinstance(aim, Grasp):
            found = kinematics.solve(_in_base(arm, aim, sign), hint, MARGIN_RAD)
            if found is None:
                raise Unreachable(
                    f"the {arm} arm cannot grasp at {np.round(aim.position_m, 3)} m looking along "
                    f"{np.round(aim.approach, 2)}, whichever way its jaws are turned"
                )
            now = hint = found
        elif aim is not None:
            now = np.array(aim)
        angles.append(now)
    return angles


def _in_base(arm: str, grasp: Grasp, sign: int) -> Pose:
    base = np.array((*BASE_XY_M[arm], 0.0))
    turn = _WORLD_FROM_BASE.T
    rotation = kinematics.grasp_rotation(grasp.approach, sign * np.asarray(grasp.jaw_axis))
    return Pose(turn @ (grasp.position_m - base), turn @ rotation)
