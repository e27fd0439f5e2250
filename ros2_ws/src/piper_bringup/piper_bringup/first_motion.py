"""The first motion of real arms: one joint after the other, a little way and back, slowly. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piper_bringup.arm.safety import Mode
from piper_bringup.data import names
from smp_msgs.msg import ArmStatus

MOST_SPEED_PERCENT = 10.0
AWAY_RAD, AWAY_M = 0.15, 0.02
HALF_ROWS = 40  # 2 s there, 2 s back
PAUSE_ROWS = 10
_STEPS = (("gripper", AWAY_M), ("joint6", AWAY_RAD), ("joint1", AWAY_RAD))  # the smallest mass first
_MIDDLE = {
    "gripper": names.GRIPPER_MAX_M / 2,
    "joint6": (names.JOINT_LOWER_RAD[5] + names.JOINT_UPPER_RAD[5]) / 2,
    "joint1": (names.JOINT_LOWER_RAD[0] + names.JOINT_UPPER_RAD[0]) / 2,
}


@dataclass(frozen=True)
class Motion:
    """What moves when."""

    q: NDArray[np.float64]  # (T, 14)
    said: tuple[tuple[int, str], ...]  # first row of a step, what it is


def motion(at: NDArray[np.float64]) -> Motion:
    """From `at` (14,), where the arms hold, through every step and back to it; towards the middle of each range."""
    rows, said = [], []
    for arm in names.ARMS:
        for joint, away in _STEPS:
            column = names.JOINTS.index(f"{arm}_{joint}")
            goal = at.copy()
            goal[column] += away if at[column] <= _MIDDLE[joint] else -away
            unit = "m" if joint == "gripper" else "rad"
            said.append((len(rows), f"{arm} {joint}: {goal[column] - at[column]:+g} {unit} and back"))
            rows += [*_between(at, goal), *_between(goal, at), *[at] * PAUSE_ROWS]
    return Motion(np.array(rows), tuple(said))


def against(statuses: Mapping[str, ArmStatus], commanders: int) -> str:
    """Why nothing is moved; empty: nothing speaks against it. commanders: who else publishes chunks."""
    if missing := [arm for arm in names.ARMS if arm not in statuses]:
        return f"nothing heard of the {missing[0]} arm; is {names.DRIVER_NODE} running?"
    for arm, status in statuses.items():
        if status.mode != Mode.HOLD:
            return f"the {arm} arm is in {status.mode_name} ({status.reason}), and has to hold: enable first"
        if status.speed_percent > MOST_SPEED_PERCENT:
            return f"speed is {status.speed_percent:g} %: set_speed {MOST_SPEED_PERCENT:g} first"
    return "somebody else commands the arms: end it first" if commanders else ""


def _between(start: NDArray[np.float64], goal: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """HALF_ROWS rows of minimum jerk."""
    s = np.linspace(0.0, 1.0, HALF_ROWS)
    return list(start + np.outer(s**3 * (10 - 15 * s + 6 * s**2), goal - start))
