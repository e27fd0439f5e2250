"""Where the command of both arms stands and where it goes next: along a plan, within every limit. No arms, no modes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from piper_bringup.arm import limits
from piper_bringup.arm.config import DriverConfig, columns
from piper_bringup.arm.feedback import Feedback
from piper_bringup.arm.plan import Plan, standing
from piper_bringup.data import names

Vector = NDArray[np.float64]


class Motion:
    """The set-point of both arms, tick by tick. Whoever sends it says when it may move."""

    def __init__(self, config: DriverConfig) -> None:
        self._config = config
        self._a_max = config.a_max
        self.clamped = dict.fromkeys(("position", "velocity", "acceleration"), 0)
        self.bound(
            np.tile([*names.JOINT_LOWER_RAD, 0.0], 2),
            np.tile([*names.JOINT_UPPER_RAD, config.gripper__max_width], 2),
            config.speed_percent,
        )
        self.at = limits.SetPoint.at_rest(np.zeros(len(names.JOINTS)))  # last set-point, meaningless until latched
        self._target_before = self.at.q
        self.plan: Plan | None = None

    def bound(self, lower: Vector, upper: Vector, speed_percent: float) -> None:
        """Limits from now on: positions (14,) each, and the firmware's speed setting [%]."""
        self.lower, self.upper, self.speed_percent = lower, upper, speed_percent
        inner = columns(self._config.limits__position_margin_rad, 0.0)
        self._limits: tuple[limits.Limit, ...] = (
            limits.PositionLimit(lower + inner, upper - inner),
            limits.VelocityLimit(self._config.v_max(speed_percent)),
            limits.AccelerationLimit(self._a_max),
        )

    def latch(self, feedback: Mapping[str, Feedback], *, grippers_too: bool = False) -> None:
        """Hold from here: joints at the position measured now, grippers at their last target (S8, S17)."""
        q = self.at.q.copy()
        for i, arm in enumerate(feedback.values()):
            first = i * names.ARM_DOF
            joints = slice(first, first + 6)
            # A folded arm reads a hair outside its limits, and the firmware refuses targets that are outside.
            inside = np.clip(arm.q_rad, self.lower[joints], self.upper[joints])
            # No arm stands far outside: that is a broken frame, and its nearest limit is nowhere to go to.
            believed = np.abs(arm.q_rad - inside) <= self._config.limits__reject_beyond_rad
            q[joints] = np.where(believed, inside, q[joints])
            if grippers_too:
                q[first + 6] = np.clip(arm.gripper_m, 0.0, self._config.gripper__max_width)
        self.at = limits.SetPoint.at_rest(q)
        self._target_before = q

    @property
    def end_ns(self) -> int:
        """When the running plan ends; 0 without one."""
        return self.plan.end_ns if self.plan else 0

    def running(self, due_ns: int) -> Plan:
        """The plan; without one, that of standing here."""
        return self.plan if self.plan is not None else standing(self.at.q, due_ns)

    def covers(self, due_ns: int) -> bool:
        """Whether the plan says where to be at ``due_ns``."""
        return self.plan is not None and due_ns <= self.plan.end_ns

    def step(self, due_ns: int, *, moving: bool) -> Vector:
        """The next set-point (14,), limited. moving: along the plan; otherwise on to where it was going."""
        target = self.plan.at(due_ns) if self.plan is not None and moving else self._target_before
        dt_s = self._config.period_ns * 1e-9
        wanted = limits.approach(target, self._target_before, self.at, self._a_max, dt_s)
        limited = limits.apply(wanted, self.at, self._limits, dt_s)
        self._target_before, self.at = target, limited.to
        if moving:
            for name, joints in limited.clamped.items():
                self.clamped[name] += int(np.count_nonzero(joints))
        return self.at.q
