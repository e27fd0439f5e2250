"""Scripted motion of both arms: rows of 14 targets on the 20 Hz grid, inside the driver's limits.

Pure numpy. Both arms start and finish each step together; a step is a minimum-jerk stretch from rest to rest,
stretched in time until every row holds the limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piper_bringup.cell import kinematics
from piper_bringup.cell.kinematics import Pose
from piper_bringup.cell.scene import BASE_XY_M
from piper_bringup.data.names import ARM_DOF, ARMS, DT_NS, GRIPPER_COLUMNS, JOINTS, POSITION_MARGIN_RAD, REST_RAD

Array = NDArray[np.float64]
DT_S = DT_NS * 1e-9

# What the driver would clamp (1.5 rad/s, 5 rad/s^2; gripper 0.2 m/s, 2 m/s^2), less 8 % for its own sampling.
MAX_STEP = np.full(len(JOINTS), 0.92 * 1.5 * DT_S)
MAX_BEND = np.full(len(JOINTS), 0.92 * 5.0 * DT_S**2)
MAX_STEP[list(GRIPPER_COLUMNS)] = 0.92 * 0.2 * DT_S
MAX_BEND[list(GRIPPER_COLUMNS)] = 0.92 * 2.0 * DT_S**2

# Elbow up over the table: where inverse kinematics starts from, per arm.
READY_RAD = {"left": (-0.4, 1.6, -1.3, 0.0, 0.6, 0.0), "right": (0.4, 1.6, -1.3, 0.0, 0.6, 0.0)}
MARGIN_RAD = 0.03  # kept to every joint limit at the ends of a step; between them the driver's own margin

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


@dataclass(frozen=True)
class Step:
    """One stretch of motion: a Grasp to go to, six joint angles, or None to stay; openings likewise.

    `straight` moves the pads on a straight line (both ends must be grasps), otherwise the joints go directly.
    `seconds` is the least time it takes.
    """

    left: Grasp | tuple[float, ...] | None = None
    right: Grasp | tuple[float, ...] | None = None
    left_opening_m: float | None = None
    right_opening_m: float | None = None
    straight: bool = False
    seconds: float = 0.1


def plan(steps: Sequence[Step], start: Array) -> Array:
    """Rows (T, 14) for `steps` from `start` (14,) at rest; row i is due (i + 1) * DT after the start.

    Raises Unreachable when an arm cannot follow with either sign of its jaw axis.
    """
    keys = {arm: _key_angles(arm, steps, arm_columns(start, arm)[:6]) for arm in ARMS}
    rows: list[Array] = []
    now = np.array(start, float)
    for i, step in enumerate(steps):
        end = now.copy()
        for arm in ARMS:
            arm_columns(end, arm)[:6] = keys[arm][i]
            opening = getattr(step, f"{arm}_opening_m")
            if opening is not None:
                arm_columns(end, arm)[6] = opening
        rows.extend(_stretch(step.straight, now, end, step.seconds))
        now = rows[-1]
    return np.array(rows)


def rest() -> Array:
    """Both arms folded, grippers closed (14,)."""
    return np.array((*REST_RAD, 0.0) * 2)


def holds_limits(rows: Array, start: Array) -> bool:
    """True when `rows` (T, 14), begun and ended at rest, stay inside speed and acceleration limits."""
    padded = np.vstack([start, start, rows, rows[-1:]])
    step = np.diff(padded, axis=0)
    return bool((np.abs(step) <= MAX_STEP).all() and (np.abs(np.diff(step, axis=0)) <= MAX_BEND).all())


def arm_columns(row: Array, arm: str) -> Array:
    """View of the seven columns of one arm in a row (14,)."""
    first = ARMS.index(arm) * ARM_DOF
    return row[first : first + ARM_DOF]


def _in_base(arm: str, grasp: Grasp, sign: int) -> Pose:
    base = np.array((*BASE_XY_M[arm], 0.0))
    turn = _WORLD_FROM_BASE.T
    rotation = kinematics.grasp_rotation(grasp.approach, sign * np.asarray(grasp.jaw_axis))
    return Pose(turn @ (grasp.position_m - base), turn @ rotation)


def _key_angles(arm: str, steps: Sequence[Step], start_rad: Array) -> list[Array]:
    """Joint angles (6,) of one arm at the end of each step, jaw sign chosen for the larger limit distance."""
    chains, failures = [], []
    for sign in (1, -1):
        try:
            chains.append(_chain(arm, steps, start_rad, sign))
        except Unreachable as failure:
            failures.append(failure)
    if not chains:
        raise failures[0]
    return max(chains, key=lambda chain: kinematics.limit_distance(np.array(chain)[_moving(arm, steps)]))


def _moving(arm: str, steps: Sequence[Step]) -> list[int]:
    """Steps that end in a grasp; the rest pose lies on its limits and says nothing about margins."""
    found = [i for i, step in enumerate(steps) if isinstance(getattr(step, arm), Grasp)]
    return found or [0]


def _chain(arm: str, steps: Sequence[Step], start_rad: Array, sign: int) -> list[Array]:
    now, hint, angles = np.array(start_rad), np.array(READY_RAD[arm]), []
    for step in steps:
        goal = getattr(step, arm)
        if isinstance(goal, Grasp):
            found = kinematics.solve(_in_base(arm, goal, sign), hint, MARGIN_RAD)
            if found is None:
                raise Unreachable(
                    f"the {arm} arm cannot grasp at {np.round(goal.position_m, 3)} m looking along "
                    f"{np.round(goal.approach, 2)}, whichever way its jaws are turned"
                )
            now = hint = found
        elif goal is not None:
            now = np.array(goal)
        angles.append(now)
    return angles


def _stretch(straight: bool, start: Array, end: Array, seconds: float) -> Array:
    """Rows (N, 14) from `start` to `end`, N as small as `seconds` and the limits allow."""
    distance = np.abs(end - start)
    count = max(int(np.ceil(seconds / DT_S - 1e-9)), int(np.ceil(1.875 * (distance / MAX_STEP).max())), 1)
    while True:
        rows = _min_jerk_rows(straight, start, end, count)
        if holds_limits(rows, start):
            return rows
        count += max(1, count // 16)


def _min_jerk_rows(straight: bool, start: Array, end: Array, count: int) -> Array:
    tau = np.arange(1, count + 1) / count
    progress = tau**3 * (10 - 15 * tau + 6 * tau**2)
    rows = start + progress[:, None] * (end - start)
    if straight:
        for arm in ARMS:
            low, high = arm_columns(start, arm)[:6], arm_columns(end, arm)[:6]
            if np.abs(high - low).max() > 1e-9:
                first = ARMS.index(arm) * ARM_DOF
                rows[:-1, first : first + 6] = list(_line(arm, low, high, progress[:-1]))
    return rows


def _line(arm: str, start_rad: Array, end_rad: Array, progress: Array) -> Iterator[Array]:
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
