"""One arm inside a MuJoCo model: turns a firmware's Drive into servos, brakes and limp joints, and reads it back."""

from __future__ import annotations

from math import isfinite

import mujoco
import numpy as np
from numpy.typing import NDArray

from piper_bringup.can.drive import Drive, PlantState, Power
from piper_bringup.cell import piper_mjcf
from piper_bringup.data.names import ARM_JOINTS

Array = NDArray[np.float64]

# Assumptions, to be replaced by measurements on an arm: gearbox friction holds the wrists of an unpowered arm but
# neither shoulder nor elbow; shorted windings let an arm sink at a few tenths of a radian a second.
OFF_FRICTION_NM = (1.0, 0.8, 0.8, 0.9, 1.5, 0.5)
DAMPED_NM_S = (25.0, 40.0, 25.0, 8.0, 8.0, 4.0)
SERVO_DAMPING_NM_S = 1.0
GRIPPER_N_PER_NM = 40.0  # the driver's default of 1 Nm gives the 40 N that AgileX rates the gripper for
GRIPPER_OFF_FRICTION_N = 2.0


class ArmModel:
    """Indices of one arm in `model`, and the two directions of the wall between firmware and dynamics."""

    def __init__(self, model: mujoco.MjModel, arm: str) -> None:
        self._model = model
        joints = [model.joint(f"{arm}_{name}") for name in ARM_JOINTS]
        fingers = [model.joint(f"{arm}_finger{i}") for i in (1, 2)]
        self._joint = np.array([joint.id for joint in joints])
        self.qpos = np.array([joint.qposadr[0] for joint in joints])
        self.dof = np.array([joint.dofadr[0] for joint in joints])
        self.finger_qpos = np.array([finger.qposadr[0] for finger in fingers])
        self._finger_dof = np.array([finger.dofadr[0] for finger in fingers])
        self._servo = np.array([model.actuator(f"{arm}_{name}").id for name in ARM_JOINTS])
        self._gripper = model.actuator(f"{arm}_gripper").id
        self._gain = model.actuator_gainprm[:, 0].copy()
        self._bias = model.actuator_biasprm[:, 1:3].copy()
        self._torque = model.jnt_actfrcrange[self._joint].copy()
        self._set: tuple[bytes, bool, float] | None = None

    def apply(self, data: mujoco.MjData, drive: Drive) -> None:
        """Make the model do what `drive` says; the parameters of the model change only when the power does."""
        if not all(map(isfinite, (*drive.q_rad, drive.gripper_m, drive.gripper_effort_nm))):
            raise ValueError(f"drive is not finite: q_rad {drive.q_rad}, gripper {drive.gripper_m} m")
        data.ctrl[self._servo] = drive.q_rad
        data.ctrl[self._gripper] = drive.gripper_m
        power = np.asarray(drive.power)
        wanted = (power.tobytes(), drive.gripper_on, drive.gripper_effort_nm)
        if wanted != self._set:
            self._set_joints(power)
            self._set_gripper(drive.gripper_on, drive.gripper_effort_nm)
            self._set = wanted

    def _set_joints(self, power: NDArray[np.int64]) -> None:
        """Servo: gains and gravity compensation. Otherwise neither: a motor without current has no torque."""
        model, servo = self._model, power == Power.SERVO
        model.actuator_gainprm[self._servo, 0] = np.where(servo, self._gain[self._servo], 0.0)
        model.actuator_biasprm[self._servo, 1:3] = np.where(servo[:, None], self._bias[self._servo], 0.0)
        # Gravity compensation acts through the motor (actuatorgravcomp), so a zero torque range removes it too.
        model.jnt_actfrcrange[self._joint] = np.where(servo[:, None], self._torque, 0.0)
        model.dof_damping[self.dof] = np.where(power == Power.DAMPED, DAMPED_NM_S, SERVO_DAMPING_NM_S)
        model.dof_frictionloss[self.dof] = np.where(power == Power.OFF, OFF_FRICTION_NM, 0.0)

    def _set_gripper(self, on: bool, effort_nm: float) -> None:
        model, force = self._model, min(abs(effort_nm) * GRIPPER_N_PER_NM, piper_mjcf.GRIPPER_FORCE_N)
        model.actuator_gainprm[self._gripper, 0] = self._gain[self._gripper] if on else 0.0
        model.actuator_biasprm[self._gripper, 1:3] = self._bias[self._gripper] if on else 0.0
        model.actuator_forcerange[self._gripper] = (-force, force)
        model.dof_frictionloss[self._finger_dof] = 0.0 if on else GRIPPER_OFF_FRICTION_N

    def copy_state(self, data: mujoco.MjData, other: ArmModel, other_data: mujoco.MjData) -> None:
        """Positions and speeds of the same arm in another model."""
        data.qpos[self.qpos], data.qvel[self.dof] = other_data.qpos[other.qpos], other_data.qvel[other.dof]
        data.qpos[self.finger_qpos] = other_data.qpos[other.finger_qpos]
        data.qvel[self._finger_dof] = other_data.qvel[other._finger_dof]

    def state(self, data: mujoco.MjData) -> PlantState:
        """What the joints do now; torques are those of the motors, gravity compensation included."""
        return PlantState(
            q_rad=data.qpos[self.qpos].copy(),
            qd_rad_s=data.qvel[self.dof].copy(),
            tau_nm=data.qfrc_actuator[self.dof].copy(),
            gripper_m=float(data.qpos[self.finger_qpos].sum()),
            gripper_effort_nm=float(data.actuator_force[self._gripper]) / GRIPPER_N_PER_NM,
        )
