"""What an emulated arm shows on the wire: the periodic frames, 3040 a second together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from piper_bringup.can import frames
from piper_bringup.can.kinematics import flange_pose
from piper_bringup.can.wire import Frame

TICK_S = 0.005  # 200 Hz groups every tick
SLOW_EVERY = 5  # 0x261-0x266 at 40 Hz
NM_PER_A = (1.18125, 1.18125, 1.18125, 0.95844, 0.95844, 0.95844)  # HARDWARE, 0x251-0x256
VOLTS, LOW_VOLTS = 24.0, 18.0
DRIVER_C, MOTOR_C, HOT_C = 35, 30, 95


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
    return (
        [frame._replace(arbitration_id=frame.arbitration_id + offset) for frame in found] if offset else found
    )
