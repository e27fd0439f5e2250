"""Scripted motion of both arms: rows of 14 targets on the 20 Hz grid, inside the driver's limits.

Pure numpy. Both arms start and finish each step together; a step is a minimum-jerk stretch from rest to rest,
stretched in time until every row holds the limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from piper_bringup.cell import postures
from piper_bringup.cell.postures import Aim, Grasp, Unreachable
from piper_bringup.data.names import ARM_DOF, ARMS, DT_NS, GRIPPER_COLUMNS, JOINTS, REST_RAD

__all__ = ["Grasp", "Planned", "Step", "Unreachable", "jittered", "plan", "rest"]

Array = NDArray[np.float64]
DT_S = DT_NS * 1e-9

# What the driver would clamp (1.5 rad/s, 5 rad/s^2; gripper 0.2 m/s, 2 m/s^2), less 8 % for its own sampling.
MAX_STEP = np.full(len(JOINTS), 0.92 * 1.5 * DT_S)
MAX_BEND = np.full(len(JOINTS), 0.92 * 5.0 * DT_S**2)
MAX_STEP[list(GRIPPER_COLUMNS)] = 0.92 * 0.2 * DT_S
MAX_BEND[list(GRIPPER_COLUMNS)] = 0.92 * 2.0 * DT_S**2


@dataclass(frozen=True)
class Step:
    """One stretch of motion: a Grasp to go to, six joint angles, or None to stay; openings likewise.

    `phase` names the part of the task that it belongs to, in one word: what a skill should be about.
    `straight` moves the pads on a straight line (both ends must be grasps), otherwise the joints go directly.
    `seconds` is the least time it takes.
    """

    phase: str
    left: Aim = None
    right: Aim = None
    left_opening_m: float | None = None
    right_opening_m: float | None = None
    straight: bool = False
    seconds: float = 0.1


@dataclass(frozen=True)
class Planned:
    """Rows (T, 14), row i due (i + 1) * DT after the start, and the phase (T,) that each belongs to."""

    rows: Array
    phase: tuple[str, ...]
    near: NDArray[np.bool_]  # (T,) on a straight line to or from something, or gripping: no room for a detour


def plan(steps: Sequence[Step], start: Array) -> Planned:
    """The motion of `steps` from `start` (14,) at rest.

    Raises Unreachable when an arm cannot follow with either sign of its jaw axis.
    """
    keys = {
        arm: postures.key_angles(arm, [getattr(step, arm) for step in steps], arm_columns(start, arm)[:6])
        for arm in ARMS
    }
    rows: list[Array] = []
    phase: list[str] = []
    near: list[bool] = []
    now = np.array(start, float)
    for i, step in enumerate(steps):
        end = now.copy()
        for arm in ARMS:
            arm_columns(end, arm)[:6] = keys[arm][i]
            opening = getattr(step, f"{arm}_opening_m")
            if opening is not None:
                arm_columns(end, arm)[6] = opening
        rows.extend(_stretch(step.straight, now, end, step.seconds))
        phase.extend([step.phase] * (len(rows) - len(phase)))
        near.extend([step.straight or _grips(step)] * (len(rows) - len(near)))
        now = rows[-1]
    return Planned(np.array(rows), tuple(phase), np.array(near))


def _grips(step: Step) -> bool:
    """A gripper moves while both arms stand still."""
    return step.left is None and step.right is None and (step.left_opening_m, step.right_opening_m) != (None, None)


def jittered(steps: Sequence[Step], noise_m: float, rng: np.random.Generator) -> tuple[Step, ...]:
    """`steps` with their free waypoints (grasps that are not approached straight) moved by `noise_m`, one sigma."""
    if noise_m == 0.0:
        return tuple(steps)

    def moved(aim: Aim) -> Aim:
        return aim.moved(rng.normal(0.0, noise_m, 3)) if isinstance(aim, Grasp) else aim

    return tuple(s if s.straight else replace(s, left=moved(s.left), right=moved(s.right)) for s in steps)


def rest() -> Array:
    """Both arms folded, grippers closed (14,)."""
    return np.array((*REST_RAD, 0.0) * 2)


def arm_columns(row: Array, arm: str) -> Array:
    """View of the seven columns of one arm in a row (14,)."""
    first = ARMS.index(arm) * ARM_DOF
    return row[first : first + ARM_DOF]


def _excess(rows: Array, start: Array) -> float:
    """How many times longer `rows` would have to take, about, to hold the limits; at most 1 when they do."""
    padded = np.vstack([start, start, rows, rows[-1:]])
    step = np.diff(padded, axis=0)
    speed, bend = (np.abs(step) / MAX_STEP).max(), (np.abs(np.diff(step, axis=0)) / MAX_BEND).max()
    return float(max(speed, np.sqrt(bend)))


def _stretch(straight: bool, start: Array, end: Array, seconds: float) -> Array:
    """Rows (N, 14) from `start` to `end`, N as small as `seconds` and the limits allow."""
    distance = np.abs(end - start)
    count = max(int(np.ceil(seconds / DT_S - 1e-9)), int(np.ceil(1.875 * (distance / MAX_STEP).max())), 1)
    while True:
        rows = _min_jerk_rows(straight, start, end, count)
        excess = _excess(rows, start)
        if excess <= 1.0:
            return rows
        count = max(count + 1, int(count * min(excess, 1.3)))


def _min_jerk_rows(straight: bool, start: Array, end: Array, count: int) -> Array:
    tau = np.arange(1, count + 1) / count
    progress = tau**3 * (10 - 15 * tau + 6 * tau**2)
    rows = start + progress[:, None] * (end - start)
    if straight:
        for arm in ARMS:
            low, high = arm_columns(start, arm)[:6], arm_columns(end, arm)[:6]
            if np.abs(high - low).max() > 1e-9:
                first = ARMS.index(arm) * ARM_DOF
                rows[:-1, first : first + 6] = list(postures.line(arm, low, high, progress[:-1]))
    return rows
