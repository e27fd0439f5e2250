"""What is wrong with an arm, read from its feedback: one pure function a question (S3, S10, S11, S24, S26)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from piper_bringup.arm.config import DriverConfig
from piper_bringup.arm.feedback import Feedback
from piper_bringup.arm.safety import Finding, Reason, Severity

ARM_ESTOP = 1
ARM_STATUS_FAULTS = {
    4: "target over a joint limit",
    5: "joint communication error",
    6: "a joint brake is not released",
    7: "collision",
    9: "joint status error",
    0xE: "over-temperature",
    0xF: "over-temperature",
}
ARM_STATUS_WARNINGS = {
    2: "no solution",
    3: "singularity",
    8: "teaching overspeed",
    0xA: "other error",
    0xFF: "a status unknown to piper_sdk",
}
# Values of ctrl_mode in which somebody else commands the arm; 0 standby and 1 CAN are ours.
FOREIGN_MODES = {
    2: (Reason.TEACH_MODE, "teach mode: its button was pressed, it follows a hand"),
    5: (Reason.TEACH_MODE, "remote control mode"),
    6: (Reason.LEADER_MODE, "leader (linkage teaching) mode"),
    7: (Reason.TEACH_MODE, "offline trajectory mode"),
}
MOTOR_BITS = {
    0: "low voltage",
    1: "motor over-temperature",
    2: "driver over-current",
    3: "driver over-temperature",
    4: "collision",
    5: "driver error",
    7: "stall",
}
GRIPPER_FAULT_BITS = {1: "motor over-temperature", 3: "driver over-temperature", 5: "driver error"}
GRIPPER_WARNING_BITS = {0: "low voltage", 2: "over-current", 4: "sensor error"}
_ABSURD_RAD = 2 * np.pi  # S3
OUTSIDE_RAD = 0.01  # S17: no more than this may enabling move an arm


def age_ns(feedback: Feedback, now_ns: int) -> int:
    """Time since the oldest part of the feedback came; a large number before the first."""
    return now_ns - feedback.arrived_ns if feedback.arrived_ns else 1 << 62


def is_live(feedback: Feedback, now_ns: int, config: DriverConfig) -> bool:
    """Whether everything the arm says is fresh enough to act on."""
    fresh = age_ns(feedback, now_ns) <= config.timeouts__feedback_hold_s * 1e9
    motors = now_ns - feedback.motors_arrived_ns <= config.timeouts__feedback_fault_s * 1e9
    return feedback.is_open and not feedback.failed and fresh and motors


def lost(arm: str, feedback: Feedback, now_ns: int, config: DriverConfig) -> Finding | None:
    """The bus or the arm is gone (S10)."""
    if not feedback.is_open or feedback.failed:
        return _fault(Reason.BUS_LOST, arm, f"CAN bus of the {arm} arm is lost; opening it again with back-off")
    if feedback.leader:
        return foreign_mode(arm, feedback)
    limit_ns = config.timeouts__feedback_fault_s * 1e9
    if age_ns(feedback, now_ns) > limit_ns or now_ns - feedback.motors_arrived_ns > limit_ns:
        limit_ms = config.timeouts__feedback_fault_s * 1e3
        return _fault(Reason.FEEDBACK_LOST, arm, f"no complete feedback from the {arm} arm for {limit_ms:.0f} ms")
    return None


def stale(arm: str, feedback: Feedback, now_ns: int, config: DriverConfig) -> Finding | None:
    """Feedback is late (S10): hold, it may come back."""
    age = age_ns(feedback, now_ns)
    if age <= config.timeouts__feedback_hold_s * 1e9:
        return None
    text = f"feedback of the {arm} arm is {age * 1e-6:.0f} ms old, at most {config.timeouts__feedback_hold_s * 1e3:.0f}"
    return Finding(Severity.HOLD, Reason.FEEDBACK_STALE, arm, text)


def foreign_mode(arm: str, feedback: Feedback) -> Finding | None:
    """Somebody else commands the arm (S24): nothing may be sent to it."""
    if feedback.leader:
        return _fault(
            Reason.LEADER_MODE, arm, f"the {arm} arm sends commands and no feedback: it is set up as a leader"
        )
    if feedback.ctrl_mode in FOREIGN_MODES:
        reason, what = FOREIGN_MODES[feedback.ctrl_mode]
        return _fault(reason, arm, f"the {arm} arm is in {what}")
    return None


def faults(arm: str, feedback: Feedback, config: DriverConfig) -> Iterator[Finding]:
    """Faults that the arm itself reports (S24, S26)."""
    if feedback.arm_status == ARM_ESTOP:
        yield _fault(Reason.ARM_ESTOP, arm, f"the {arm} arm reports an emergency stop; leave it with reset_estop")
    if feedback.arm_status in ARM_STATUS_FAULTS:
        yield _fault(Reason.ARM_STATUS, arm, f"{arm} arm: {ARM_STATUS_FAULTS[feedback.arm_status]}")
    broken = [i + 1 for i in range(6) if feedback.err_code >> i & 1]
    if broken:
        yield _fault(Reason.JOINT_COMMUNICATION, arm, f"{arm} arm: no communication with joint {_list(broken)}")
    bits = feedback.motor_bits.tolist()
    for bit, what in MOTOR_BITS.items():
        joints = [i + 1 for i in range(6) if bits[i] >> bit & 1]
        if joints:
            yield _fault(Reason.MOTOR_FAULT, arm, f"{arm} arm: {what} at joint {_list(joints)}")
    for bit, what in GRIPPER_FAULT_BITS.items():
        if feedback.gripper_status >> bit & 1:
            yield _fault(Reason.GRIPPER_FAULT, arm, f"{arm} gripper: {what}")
    hottest = _hottest(feedback)
    if hottest > config.temperature__fault_c:
        yield _fault(Reason.OVER_TEMPERATURE, arm, f"{arm} arm: {hottest:.0f} C, at most {config.temperature__fault_c}")


def warnings(arm: str, feedback: Feedback, config: DriverConfig) -> Iterator[Finding]:
    """What a person should look at soon."""
    if feedback.arm_status in ARM_STATUS_WARNINGS:
        text = f"{arm} arm: {ARM_STATUS_WARNINGS[feedback.arm_status]}"
        yield Finding(Severity.WARN, Reason.ARM_STATUS, arm, text)
    for bit, what in GRIPPER_WARNING_BITS.items():
        if feedback.gripper_status >> bit & 1:
            yield Finding(Severity.WARN, Reason.GRIPPER_FAULT, arm, f"{arm} gripper: {what}")
    hottest = _hottest(feedback)
    if config.temperature__warn_c < hottest <= config.temperature__fault_c:
        yield Finding(Severity.WARN, Reason.TEMPERATURE_HIGH, arm, f"{arm} arm: {hottest:.0f} C")


def power_lost(arm: str, feedback: Feedback) -> Finding | None:
    """A joint that should hold has no power."""
    off = [i + 1 for i, on in enumerate(feedback.enabled.tolist()) if not on]
    if not off:
        return None
    return _fault(Reason.MOTOR_POWER_LOST, arm, f"{arm} arm: joint {_list(off)} lost its power")


def rate(arm: str, fps: float | None, config: DriverConfig) -> Finding | None:
    """Too few CAN frames (S11); ``fps`` is None until a second has been counted."""
    if fps is None or fps >= config.can_rate__warn_fps:
        return None
    text = f"{arm} arm: {fps:.0f} CAN frames/s, a healthy arm sends 3040"
    severity = Severity.FAULT if fps < config.can_rate__fault_fps else Severity.WARN
    return Finding(severity, Reason.CAN_RATE_LOW, arm, text)


def absurd_limits(arm: str, feedback: Feedback) -> Finding | None:
    """Limits that the arm answers and no PiPER can have (S3; pyAgxArm issue 55)."""
    if feedback.limits is None:
        return _fault(Reason.LIMITS_ABSURD, arm, f"the {arm} arm has not answered its joint limits yet")
    for joint, (low, high, speed) in enumerate(feedback.limits, start=1):
        if high <= low or max(abs(low), abs(high)) > _ABSURD_RAD or speed <= 0:
            text = f"{arm} joint {joint} answers limits {low:.2f}..{high:.2f} rad, speed {speed:.0f}"
            return _fault(Reason.LIMITS_ABSURD, arm, f"{text}: not those of a PiPER; check its firmware")
    return None


def outside(arm: str, q_rad, lower, upper, beyond_rad: float = OUTSIDE_RAD) -> Finding | None:
    """An arm so far outside its limits that holding it there is refused by the firmware, and pushing it by us."""
    away = np.maximum(lower - q_rad, q_rad - upper)
    worst = int(np.argmax(away))
    if away[worst] <= beyond_rad:
        return None
    text = f"{arm} joint {worst + 1} stands at {q_rad[worst]:.3f} rad, limits {lower[worst]:.3f} to {upper[worst]:.3f}"
    return _fault(Reason.OUTSIDE_LIMITS, arm, f"{text}: move it inside by hand")


def old_firmware(arm: str, feedback: Feedback, config: DriverConfig) -> Finding | None:
    """Firmware older than required, or unknown where a version is required."""
    wanted = config.required_firmware_min
    if not wanted or (feedback.firmware and version(feedback.firmware) >= version(wanted)):
        return None
    has = feedback.firmware or "not answered its version yet"
    text = f"the {arm} arm has {'firmware ' if feedback.firmware else ''}{has}, at least {wanted} is required"
    return _fault(Reason.FIRMWARE_REFUSED, arm, text)


def version(firmware: str) -> tuple[int, ...]:
    """S-V1.8-10 -> (1, 8, 10). Raises ValueError for any other form."""
    try:
        return tuple(int(part) for part in firmware.removeprefix("S-V").replace("-", ".").split("."))
    except ValueError:
        raise ValueError(f"{firmware!r} is no PiPER firmware version, expected one like S-V1.8-9") from None


def _fault(reason: Reason, arm: str, text: str) -> Finding:
    return Finding(Severity.FAULT, reason, arm, text)


def _hottest(feedback: Feedback) -> float:
    return max(*feedback.motor_temp_c.tolist(), *feedback.driver_temp_c.tolist())


def _list(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
