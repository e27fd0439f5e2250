"""MOVE P and MOVE L of the emulated arm: inverse kinematics and straight lines. Pure.

How the firmware solves them is not published; these do what they are documented to do: P ends in the pose by way
of the joints, L goes there in a straight line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piper_bringup.can.kinematics import chain
from piper_bringup.can.settings import MotorLimits

POSITION_M, ANGLE_RAD = 1e-5, 1e-4  # a solution is as near as this
_DAMPING = 1e-3
_STEP_RAD = 0.3  # largest step of one iteration
_SEEDS = ((0.0, 1.2, -1.2, 0.0, 0.6, 0.0), (0.0, 1.6, -1.0, 0.0, -0.3, 0.0), (0.0, 0.8, -1.6, 0.0, 1.0, 1.57))

Rotation = NDArray[np.float64]  # (3, 3)


def rotation_matrix(roll: float, pitch: float, yaw: float) -> Rotation:
    """Rotation about the fixed axes x, then y, then z [rad]."""
    (cr, cp, cy), (sr, sp, sy) = np.cos((roll, pitch, yaw)), np.sin((roll, pitch, yaw))
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def rotation_vector(rotation: Rotation) -> NDArray[np.float64]:
    """Axis times angle [rad] of a rotation."""
    angle = np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1.0, 1.0))
    axis = rotation[[2, 0, 1], [1, 2, 0]] - rotation[[1, 2, 0], [2, 0, 1]]
    if angle > np.pi - 1e-4:  # the antisymmetric part vanishes: take the axis from the symmetric one
        column = (rotation + np.eye(3))[:, np.argmax(np.diag(rotation))]
        return angle * column / np.linalg.norm(column)
    return axis / 2 if angle < 1e-8 else axis * angle / (2 * np.sin(angle))


def turned(vector: NDArray[np.float64], share: float) -> Rotation:
    """Rotation by `share` of a rotation vector."""
    angle = np.linalg.norm(vector)
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(share * angle) * cross + (1 - np.cos(share * angle)) * cross @ cross


def solve(
    position_m: NDArray[np.float64],
    rotation: Rotation,
    q_rad: Sequence[float],
    limits: Sequence[MotorLimits],
    old_zero: bool = False,
    iterations: int = 60,
) -> list[float] | None:
    """Joint angles (6) inside the limits that put the flange there, nearest to `q_rad`; None when there are none."""
    lower, upper = [limit.lower_rad for limit in limits], [limit.upper_rad for limit in limits]
    q = np.clip(q_rad, lower, upper)
    for _ in range(iterations):
        links = chain(q.tolist(), old_zero)
        miss = np.concatenate(
            [position_m - links[-1].origin, rotation_vector(rotation @ np.array(links[-1].rotation).T)]
        )
        if np.linalg.norm(miss[:3]) < POSITION_M and np.linalg.norm(miss[3:]) < ANGLE_RAD:
            return q.tolist()
        axes = np.array([[row[2] for row in link.rotation] for link in links])
        arms = np.array(links[-1].origin) - [link.origin for link in links]
        jacobian = np.vstack([np.cross(axes, arms).T, axes.T])
        step = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + _DAMPING**2 * np.eye(6), miss)
        q = np.clip(q + step * min(1.0, _STEP_RAD / max(np.max(np.abs(step)), 1e-9)), lower, upper)
    return None


def solve_from_anywhere(
    position_m: NDArray[np.float64],
    rotation: Rotation,
    q_rad: Sequence[float],
    limits: Sequence[MotorLimits],
    old_zero: bool = False,
) -> list[float] | None:
    """`solve`, from a few other postures when it does not get there from `q_rad`."""
    facing = float(np.arctan2(position_m[1], position_m[0]))
    for seed in (q_rad, *((facing, *seed[1:]) for seed in _SEEDS)):
        if (found := solve(position_m, rotation, seed, limits, old_zero)) is not None:
            return found
    return None


@dataclass(frozen=True)
class Line:
    """A straight way of the flange, turning evenly on the way."""

    start_m: NDArray[np.float64]
    start_rotation: Rotation
    goal_m: NDArray[np.float64]
    turn: NDArray[np.float64]  # rotation vector from start to goal

    @property
    def length(self) -> float:
        """Metres, or radians x 0.1 m where it turns more than it travels."""
        return max(float(np.linalg.norm(self.goal_m - self.start_m)), 0.1 * float(np.linalg.norm(self.turn)))

    def at(self, share: float) -> tuple[NDArray[np.float64], Rotation]:
        """Position and rotation after `share` 0..1 of the way."""
        position = self.start_m + share * (self.goal_m - self.start_m)
        return position, turned(self.turn, share) @ self.start_rotation


def line(q_rad: Sequence[float], goal_m: NDArray[np.float64], rotation: Rotation, old_zero: bool = False) -> Line:
    """From where the joints put the flange to a goal pose."""
    flange = chain(q_rad, old_zero)[-1]
    start = np.array(flange.rotation)
    return Line(np.array(flange.origin), start, goal_m, rotation_vector(rotation @ start.T))
