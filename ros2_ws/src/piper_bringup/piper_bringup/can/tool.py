"""Cartesian commands of an emulated arm: collects the three frames of a pose, moves the flange there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from piper_bringup.can import cartesian
from piper_bringup.can.frames import Move
from piper_bringup.can.motion import Motion
from piper_bringup.can.setpoint import approach
from piper_bringup.can.settings import MotorLimits

LINE_ITERATIONS = 20  # of the inverse kinematics, from one point of a line to the next


class Tool:
    """State of MOVE P and MOVE L."""

    def __init__(self, old_zero: bool) -> None:
        self._old_zero = old_zero
        self._parts: list[tuple[float, ...] | None] = [None] * 3
        self._goal: tuple | None = None
        self._line: cartesian.Line | None = None
        self._way, self._speed = 0.0, 0.0

    @property
    def on_line(self) -> bool:
        """A straight line is being followed."""
        return self._line is not None

    def stop(self) -> None:
        """Forgets the goal."""
        self._parts, self._goal, self._line = [None] * 3, None, None

    def target(
        self, part: int, values: Sequence[float], move: Move, motion: Motion, limits: Sequence[MotorLimits]
    ) -> bool:
        """Frame `part` 0..2 of a pose; with the third one the motion starts. False: no solution."""
        self._parts[part] = tuple(values)
        if part != 2 or None in self._parts:
            return True
        pose = (move, *(value for pair in self._parts for value in pair))
        if pose == self._goal:
            return True
        position, rotation = np.array(pose[1:4]), cartesian.rotation_matrix(*pose[4:])
        if move == Move.L:
            self._line = cartesian.line(motion.set_rad, position, rotation, self._old_zero)
            self._way = self._speed = 0.0
        else:
            found = cartesian.solve_from_anywhere(position, rotation, motion.target_rad, limits, self._old_zero)
            if found is None:
                return False
            self._line, motion.target_rad = None, found
        self._goal = pose
        return True

    def step(
        self, motion: Motion, limits: Sequence[MotorLimits], speed_m_s: float, acceleration: float, dt_s: float
    ) -> bool:
        """One tick along the line: the joints' targets. False: the line leaves what the arm can reach."""
        line = self._line
        if line is None:
            return True
        before = self._way
        self._way, self._speed = approach(before, self._speed, line.length, speed_m_s, acceleration, dt_s)
        found = self._solve(line, motion, limits)
        if found is not None and (excess := _excess(found, motion.set_rad, limits, dt_s)) > 1:
            self._way = before + (self._way - before) / excess  # slower where a joint could not keep up
            self._speed /= excess
            found = self._solve(line, motion, limits)
        if found is None:
            self.stop()
            motion.stop()
            return False
        motion.target_rad = found
        if self._way == line.length and np.allclose(motion.set_rad, found, atol=1e-9):
            self._line = None
        return True

    def _solve(self, line: cartesian.Line, motion: Motion, limits: Sequence[MotorLimits]) -> list[float] | None:
        share = self._way / line.length if line.length > 0 else 1.0
        return cartesian.solve(*line.at(share), motion.set_rad, limits, self._old_zero, LINE_ITERATIONS)


def _excess(q_rad: Sequence[float], before_rad: Sequence[float], limits: Sequence[MotorLimits], dt_s: float) -> float:
    """How many times too fast the fastest joint would be."""
    return max(
        abs(q - before) / (limit.speed_rad_s * dt_s) if limit.speed_rad_s > 0 else 1.0
        for q, before, limit in zip(q_rad, before_rad, limits, strict=True)
    )
