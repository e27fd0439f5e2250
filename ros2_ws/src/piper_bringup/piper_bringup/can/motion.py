"""Set-points of an emulated arm's six joints: targets in, limited motion out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from piper_bringup.can.mit import Mit
from piper_bringup.can.setpoint import approach
from piper_bringup.can.settings import MotorLimits


class Motion:
    """Angles in the arm's own zero [rad]."""

    def __init__(self, q_rad: Sequence[float]) -> None:
        self.target_rad = list(q_rad)
        self.set_rad = list(q_rad)
        self.speed_rad_s = [0.0] * 6
        self.mit: list[Mit | None] = [None] * 6

    def hold(self, q_rad: Sequence[float], indices: Iterable[int] = range(6)) -> None:
        """Stay where the joints are."""
        for index in indices:
            self.set_rad[index] = self.target_rad[index] = q_rad[index]
            self.speed_rad_s[index] = 0.0
            self.mit[index] = None

    def stop(self) -> None:
        """Go no further than where the set-points are now."""
        self.target_rad = list(self.set_rad)
        self.mit = [None] * 6

    def shift(self, index: int, by_rad: float) -> None:
        """The joint's zero moves: the same places have other angles."""
        self.target_rad[index] += by_rad
        self.set_rad[index] += by_rad
        self.mit[index] = None

    def plan(self, index: int, limits: MotorLimits, speed: float, dt_s: float) -> None:
        """Position mode: towards the target with limited speed (`speed` of the joint's) and acceleration."""
        self.set_rad[index], self.speed_rad_s[index] = approach(
            self.set_rad[index],
            self.speed_rad_s[index],
            self.target_rad[index],
            limits.speed_rad_s * speed,
            limits.acceleration,
            dt_s,
        )

    def follow(self, index: int, target_rad: float, speed_rad_s: float, dt_s: float) -> None:
        """Straight to a target, only the speed limited."""
        step = speed_rad_s * dt_s
        moved = min(max(target_rad - self.set_rad[index], -step), step)
        self.set_rad[index] += moved
        self.speed_rad_s[index] = moved / dt_s
