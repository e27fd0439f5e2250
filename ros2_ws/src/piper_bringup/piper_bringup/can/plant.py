"""Built-in dynamics of an emulated arm when no physics engine owns them: first-order lag, sag and a gripper.

All constants are assumptions about a real arm, chosen plausible and stated here.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

import numpy as np

from piper_bringup.can.drive import Drive, PlantState, Power
from piper_bringup.data.names import JOINT_LOWER_RAD, JOINT_UPPER_RAD, REST_RAD

TIME_CONSTANT_S = 0.04  # of the position loop
FALL_RAD_S = 0.8  # an unpowered joint falls this fast
SINK_RAD_S = 0.1  # a damped one
SAGS = (1, 2, 4)  # indices of the joints that carry weight in most poses
STIFFNESS_NM = (60.0, 60.0, 60.0, 15.0, 15.0, 15.0)  # [Nm/rad] torque estimate of the position loop
GRIPPER_M_S = 0.1
GRIPPER_TIME_CONSTANT_S = 0.03
GRIPPER_LIMIT_M = 0.1  # the widest gripper made
GRIPPER_NM_PER_M = 50.0  # effort while the jaws are off their target


class FirstOrderPlant:
    """Six joints and a gripper. `step` advances them by one tick."""

    def __init__(self, q_rad: Sequence[float] = REST_RAD, gripper_m: float = 0.0) -> None:
        self._q = [float(q) for q in q_rad]
        self._gripper_m = float(gripper_m)
        # An arm that starts outside the usual limits must not be pushed.
        self._lower = [min(low, q) for low, q in zip(JOINT_LOWER_RAD, self._q, strict=True)]
        self._upper = [max(high, q) for high, q in zip(JOINT_UPPER_RAD, self._q, strict=True)]

    def step(self, drive: Drive, dt_s: float) -> PlantState:
        """State after `dt_s` under `drive`: powered joints follow with a lag, damped ones sink and unpowered
        ones fall towards the folded pose."""
        gain = 1 - exp(-dt_s / TIME_CONSTANT_S)
        before, torques = tuple(self._q), [0.0] * 6
        for index, (goal, power) in enumerate(zip(drive.q_rad.tolist(), drive.power.tolist(), strict=True)):
            q = before[index]
            if power == Power.SERVO:
                torques[index] = STIFFNESS_NM[index] * (goal - q)
                q += gain * (goal - q)
            elif index in SAGS:
                step = dt_s * (SINK_RAD_S if power == Power.DAMPED else FALL_RAD_S)
                q += min(max(REST_RAD[index] - q, -step), step)
            self._q[index] = min(max(q, self._lower[index]), self._upper[index])
        effort = self._step_gripper(drive, dt_s)
        return PlantState(
            q_rad=np.array(self._q),
            qd_rad_s=np.array([(q - was) / dt_s for q, was in zip(self._q, before, strict=True)]),
            tau_nm=np.array(torques),
            gripper_m=self._gripper_m,
            gripper_effort_nm=effort,
        )

    def _step_gripper(self, drive: Drive, dt_s: float) -> float:
        if not drive.gripper_on:
            return 0.0
        error = min(max(drive.gripper_m, 0.0), GRIPPER_LIMIT_M) - self._gripper_m
        step = error * (1 - exp(-dt_s / GRIPPER_TIME_CONSTANT_S))
        self._gripper_m += min(max(step, -GRIPPER_M_S * dt_s), GRIPPER_M_S * dt_s)
        return min(max(error * GRIPPER_NM_PER_M, -drive.gripper_effort_nm), drive.gripper_effort_nm)
