"""What one arm says: the newest of its CAN frames, as the SDK has decoded them, in one snapshot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piper_bringup.arm.clock import Clock
from piper_bringup.arm.link import FEEDBACK_IDS, LEADER_IDS, SILENCE_NS, Link

Vector = NDArray[np.float64]

MDEG = 180.0 / np.pi * 1000.0  # 0.001 deg per rad
MOTOR_ENABLED_BIT = 6
_WATCHED_IDS = (0x2A1, 0x2A5, 0x2A6, 0x2A7, 0x2A8)  # status, joints 12 34 56, gripper
_JOINT_IDS = (0x2A5, 0x2A6, 0x2A7)
_MOTOR_IDS = tuple(range(0x261, 0x267))


@dataclass(frozen=True)
class Feedback:
    """What one arm said last. ``arrived_ns`` is 0, and the rest means nothing, before every part has come once."""

    arrived_ns: int  # monotonic; of the part that is oldest: status, joints, gripper
    motors_arrived_ns: int  # monotonic; of the motor status that is oldest
    stamp_ns: int  # CAN time of the oldest joint frame, system clock
    frames: int  # received so far
    q_rad: Vector  # (6,)
    qd_rad_s: Vector  # (6,)
    tau_nm: Vector  # (6,)
    gripper_m: float
    gripper_effort_nm: float
    gripper_status: int  # bits of 0x2A8: 0 low voltage .. 5 driver error, 6 enabled, 7 homed
    ctrl_mode: int
    arm_status: int
    move_mode: int
    teach_status: int
    motion_status: int
    err_code: int
    motor_bits: NDArray[np.int64]  # (6,) 0x261-6: 0 low voltage .. 5 driver error, 6 enabled, 7 stall
    motor_temp_c: Vector  # (6,)
    driver_temp_c: Vector  # (6,)
    voltage_v: Vector  # (6,)
    limits: Vector | None  # (6, 3) min [rad], max [rad], speed [raw], the arm's own answer; None until complete
    firmware: str
    leader: bool  # only commands and no feedback on the wire: the arm is left as a leader
    is_open: bool
    failed: bool  # the bus reported an error on reading
    link_error: str
    send_failures: int  # in a row
    send_failures_total: int
    sending_since_ns: int  # monotonic, 0 when the sender is idle
    reconnects: int

    @property
    def enabled(self) -> NDArray[np.bool_]:
        """(6,) joints under power."""
        return (self.motor_bits >> MOTOR_ENABLED_BIT & 1).astype(bool)

    @property
    def gripper_enabled(self) -> bool:
        """Whether the gripper is under power."""
        return bool(self.gripper_status >> MOTOR_ENABLED_BIT & 1)


@dataclass
class Sending:
    """What the thread that sends says of itself: it alone writes here, any may read."""

    error: str = "not opened yet"
    since_ns: int = 0  # monotonic, 0 when idle
    reconnects: int = 0


def read(link: Link, sending: Sending, clock: Clock) -> Feedback:
    """What the arm of `link` said last, decoded by the SDK."""
    sdk = link.sdk
    arrived, stamps = link.arrived_ns, link.stamp_ns
    joints = sdk.GetArmJointMsgs().joint_state
    gripper = sdk.GetArmGripperMsgs().gripper_state
    status = sdk.GetArmStatus().arm_status
    fast = sdk.GetArmHighSpdInfoMsgs()
    slow = sdk.GetArmLowSpdInfoMsgs()
    high = [getattr(fast, f"motor_{i}") for i in range(1, 7)]
    low = [getattr(slow, f"motor_{i}") for i in range(1, 7)]
    complete = all(i in arrived for i in (*_WATCHED_IDS, *_MOTOR_IDS))
    return Feedback(
        arrived_ns=min(arrived[i] for i in _WATCHED_IDS) if complete else 0,
        motors_arrived_ns=min(arrived[i] for i in _MOTOR_IDS) if complete else 0,
        stamp_ns=min(stamps.get(i, 0) for i in _JOINT_IDS),
        frames=link.frames,
        q_rad=np.array([getattr(joints, f"joint_{i}") for i in range(1, 7)]) / MDEG,
        qd_rad_s=np.array([m.motor_speed for m in high]) * 1e-3,
        tau_nm=np.array([m.effort for m in high]) * 1e-3,
        gripper_m=gripper.grippers_angle * 1e-6,
        gripper_effort_nm=gripper.grippers_effort * 1e-3,
        gripper_status=int(gripper.status_code),
        ctrl_mode=int(status.ctrl_mode),
        arm_status=int(status.arm_status),
        move_mode=int(status.mode_feed),
        teach_status=int(status.teach_status),
        motion_status=int(status.motion_status),
        err_code=int(status.err_code),
        motor_bits=np.array([m.foc_status_code for m in low]),
        motor_temp_c=np.array([m.motor_temp for m in low], dtype=float),
        driver_temp_c=np.array([m.foc_temp for m in low], dtype=float),
        voltage_v=np.array([m.vol for m in low]) * 0.1,
        limits=_limits(link),
        firmware=link.firmware,
        leader=_is_leader(arrived, clock.mono_ns()),
        is_open=link.is_open,
        failed=link.read_failed,
        link_error=sending.error,
        send_failures=link.send_failures,
        send_failures_total=link.send_failures_total,
        sending_since_ns=sending.since_ns,
        reconnects=sending.reconnects,
    )


def _limits(link: Link) -> Vector | None:
    answers = dict(link.motor_limits)
    if not all(i in answers for i in range(1, 7)):
        return None
    raw = np.array([answers[i] for i in range(1, 7)], dtype=float)
    raw[:, :2] *= np.pi / 1800.0  # 0.1 deg
    return raw


def _is_leader(arrived_ns: dict[int, int], now_ns: int) -> bool:
    """Commands are on the wire that we did not send, and no feedback with them."""

    def seen(ids) -> bool:
        return any(now_ns - arrived_ns.get(i, 0) < SILENCE_NS for i in ids if i in arrived_ns)

    return seen(LEADER_IDS) and not seen(FEEDBACK_IDS)
