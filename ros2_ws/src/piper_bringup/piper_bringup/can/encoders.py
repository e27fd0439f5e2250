"""What an emulated arm knows of its own joints: measured values in its own zero."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from piper_bringup.can.drive import PlantState
from piper_bringup.can.faults import Faults


class Encoders:
    """Six joints and the gripper. `q_rad` and `gripper_m` are relative to the zero the user set last."""

    def __init__(self, q_rad: Sequence[float], gripper_m: float) -> None:
        self.q_rad = [float(q) for q in q_rad]
        self.qd_rad_s = [0.0] * 6
        self.tau_nm = [0.0] * 6
        self.gripper_m = float(gripper_m)
        self.gripper_effort_nm = 0.0
        self.zero_rad = [0.0] * 6  # of the arm, in the plant's angles
        self.gripper_zero_m = 0.0
        if len(self.q_rad) != 6:
            raise ValueError(f"an arm has 6 joints, got {len(self.q_rad)} angles")

    def update(self, state: PlantState, faults: Faults) -> None:
        """Takes over what the plant did, as far as the faults let the controller see it.

        Raises ValueError for a state that is not finite.
        """
        q, qd, tau = state.q_rad.tolist(), state.qd_rad_s.tolist(), state.tau_nm.tolist()
        values = (*q, *qd, *tau, state.gripper_m, state.gripper_effort_nm)
        if not all(map(isfinite, values)):
            raise ValueError(f"the plant reports a state that is not finite: {state}")
        if faults.frozen_encoders:
            return
        for index in range(6):
            if index + 1 not in faults.joint_comm:
                self.q_rad[index] = q[index] - self.zero_rad[index]
                self.qd_rad_s[index], self.tau_nm[index] = qd[index], tau[index]
        self.gripper_m = float(state.gripper_m) - self.gripper_zero_m
        self.gripper_effort_nm = float(state.gripper_effort_nm)

    def set_zero(self, index: int) -> None:
        """Where joint `index` stands becomes its zero."""
        self.zero_rad[index] += self.q_rad[index]
        self.q_rad[index] = 0.0

    def set_gripper_zero(self) -> None:
        """Where the gripper stands becomes its zero."""
        self.gripper_zero_m += self.gripper_m
        self.gripper_m = 0.0
