"""What an emulated arm shows on the wire: the periodic frames, 3040 a second together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from piper_bringup.can import frames
from piper_bringup.can.frames import Bit, Status
from piper_bringup.can.kinematics import flange_pose
from piper_bringup.can.motors import GRIPPER
from piper_bringup.can.wire import Frame

if TYPE_CHECKING:
    from piper_bringup.can.arm import EmulatedArm

TICK_S = 0.005  # 200 Hz groups every tick
SLOW_EVERY = 5  # 0x261-0x266 at 40 Hz
NM_PER_A = (1.18125, 1.18125, 1.18125, 0.95844, 0.95844, 0.95844)  # HARDWARE, 0x251-0x256
VOLTS, LOW_VOLTS = 24.0, 18.0
DRIVER_C, MOTOR_C, HOT_C = 35, 30, 95
REACHED_RAD = 0.002  # "target reached" in 0x2A1


@dataclass(frozen=True)
class Report:
    """Everything the periodic frames of one tick are made of; joints in the arm's own zero."""

    status: tuple[int, int, int, int, int, int, int]  # as frames.STATUS
    q_rad: Sequence[float]
    qd_rad_s: Sequence[float]
    tau_nm: Sequence[float]
    gripper_m: float
    gripper_effort_nm: float
    gripper_bits: int
    motor_bits: Sequence[int]
    silent_joints: frozenset[int]  # their drives' frames are missing (communication error)
    torque_factor: float  # of joints 1..3: 4 up to S-V1.8-2
    old_zero: bool


def arm_status(arm: EmulatedArm) -> int:
    """Byte 1 of 0x2A1: what the faults pretend, or the gravest reason's Status."""
    errors = arm.motors.errors
    reasons = (
        (arm.faults.arm_status, arm.faults.arm_status),
        (arm.estop, Status.EMERGENCY_STOP),
        (arm.faults.joint_comm, Status.JOINT_COMMUNICATION),
        (any(bits >> Bit.COLLISION & 1 for bits in errors), Status.COLLISION),
        (any(errors), Status.JOINT_ERROR),
        (arm.over_limit, Status.TARGET_OVER_LIMIT),
        (arm.no_solution, Status.NO_SOLUTION),
        (arm.teach == 1, Status.TEACH_RECORD),
    )
    return next((status for reason, status in reasons if reason), Status.NORMAL)


def snapshot(arm: EmulatedArm) -> Report:
    """What the arm shows now."""
    encoders, has_stroke = arm.encoders, arm.settings.stroke_mm > 0
    over = sum(1 << (8 + index) for index in arm.over_limit)
    lost = sum(1 << (joint - 1) for joint in arm.faults.joint_comm)
    misses = (abs(target - q) for target, q in zip(arm.motion.target_rad, encoders.q_rad, strict=True))
    moving = arm.tool.on_line or max(misses) > REACHED_RAD
    gripper_on = arm.motors.enabled[GRIPPER] << Bit.ENABLED
    ctrl = arm.ctrl if arm.faults.ctrl_mode < 0 else arm.faults.ctrl_mode
    return Report(
        status=(ctrl, arm.status, arm.move, arm.teach, moving, 0, over | lost),
        q_rad=encoders.q_rad,
        qd_rad_s=encoders.qd_rad_s,
        tau_nm=encoders.tau_nm,
        gripper_m=encoders.gripper_m if has_stroke else 0.0,
        gripper_effort_nm=encoders.gripper_effort_nm,
        gripper_bits=gripper_on | has_stroke << 7 | arm.faults.gripper_bits,
        motor_bits=[arm.motors.bits(index) for index in range(6)],
        silent_joints=arm.faults.joint_comm,
        torque_factor=arm.torque_factor,
        old_zero=arm.old_zero,
    )


def tick_frames(report: Report) -> list[Frame]:
    """The 200 Hz groups: 0x2A1-0x2A8 and 0x251-0x256."""
    x, y, z, rx, ry, rz = flange_pose(report.q_rad, report.old_zero)
    q = report.q_rad
    found = [
        frames.encode(frames.STATUS, *report.status),
        frames.encode(frames.POSE[0], x, y),
        frames.encode(frames.POSE[1], z, rx),
        frames.encode(frames.POSE[2], ry, rz),
        frames.encode(frames.JOINTS[0], q[0], q[1]),
        frames.encode(frames.JOINTS[1], q[2], q[3]),
        frames.encode(frames.JOINTS[2], q[4], q[5]),
        frames.encode(frames.GRIPPER, report.gripper_m, report.gripper_effort_nm, report.gripper_bits),
    ]
    for index, frame_id in enumerate(frames.MOTOR_FAST):
        if index + 1 not in report.silent_joints:
            nm_per_a = NM_PER_A[index] * (report.torque_factor if index < 3 else 1)
            current = report.tau_nm[index] / nm_per_a
            found.append(frames.encode(frame_id, report.qd_rad_s[index], current, q[index]))
    return found


def slow_frames(report: Report) -> list[Frame]:
    """The 40 Hz group: 0x261-0x266, voltage, temperatures and driver status."""
    found = []
    for index, frame_id in enumerate(frames.MOTOR_SLOW):
        if index + 1 in report.silent_joints:
            continue
        bits = report.motor_bits[index]
        volts = LOW_VOLTS if bits >> frames.Bit.LOW_VOLTAGE & 1 else VOLTS
        driver_c = HOT_C if bits >> frames.Bit.DRIVER_HOT & 1 else DRIVER_C
        motor_c = HOT_C if bits >> frames.Bit.MOTOR_HOT & 1 else MOTOR_C
        found.append(frames.encode(frame_id, volts, driver_c, motor_c, bits, 0))
    return found


def leader_frames(q_rad: Sequence[float], gripper_m: float, offset: int) -> list[Frame]:
    """What an arm in leader mode sends instead: the commands that make a follower copy it."""
    found = [
        frames.encode(frames.MODE, frames.Ctrl.CAN, frames.Move.J, 100, 0, 0, 0),
        frames.encode(frames.JOINT_TARGET[0], q_rad[0], q_rad[1]),
        frames.encode(frames.JOINT_TARGET[1], q_rad[2], q_rad[3]),
        frames.encode(frames.JOINT_TARGET[2], q_rad[4], q_rad[5]),
        frames.encode(frames.GRIPPER_TARGET, gripper_m, 1.0, 1, 0),
    ]
    return [frame._replace(arbitration_id=frame.arbitration_id + offset) for frame in found] if offset else found
