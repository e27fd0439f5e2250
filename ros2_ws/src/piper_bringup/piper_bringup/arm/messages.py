"""What the driver publishes, made from ticks, and the chunk it receives. Messages in and out, no node."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory

from piper_bringup.arm.chunk import MAX_ROWS, Chunk
from piper_bringup.arm.core import Core, Tick
from piper_bringup.arm.feedback import Feedback
from piper_bringup.arm.safety import Event, Mode
from piper_bringup.data import names
from smp_msgs.msg import ArmStatus, SafetyEvent

_JOINTS = list(names.JOINTS)
_MAX_CHUNK_BYTES = MAX_ROWS * 1024  # a row of 14 positions takes 144
_STAMP_TRUST_NS = 1_000_000_000  # some adapters stamp frames with a clock of their own


def header(t_ns: int, frame_id: str = "") -> Header:
    """A header stamped ``t_ns`` (system clock)."""
    out = Header(frame_id=frame_id)
    out.stamp.sec, out.stamp.nanosec = divmod(t_ns, 1_000_000_000)
    return out


def unpack_chunk(packed: bytes) -> Chunk:
    """The arrays of a serialised JointTrajectory; one far too long, or damaged, is not looked into, but counted."""
    if len(packed) > _MAX_CHUNK_BYTES:
        return Chunk(0, names.JOINTS, np.zeros(MAX_ROWS + 1, dtype=np.int64), np.zeros((0, 0)))
    try:
        return to_chunk(deserialize_message(packed, JointTrajectory))
    except Exception:  # RMWError, of no public module; UnicodeDecodeError: neither may end the driver
        return Chunk(0, (), np.zeros(0, dtype=np.int64), np.zeros((0, 0)))


def to_chunk(message: JointTrajectory) -> Chunk:
    """The arrays of a chunk message; rows that are not positions alone come out with a shape that is refused."""
    points = message.points[: MAX_ROWS + 1]
    stamp = message.header.stamp
    times = [p.time_from_start.sec * 1_000_000_000 + p.time_from_start.nanosec for p in points]
    same_length = len({len(p.positions) for p in points}) == 1
    positions_only = not any(p.velocities or p.accelerations or p.effort for p in points)
    q = np.array([p.positions for p in points]) if points and same_length and positions_only else np.zeros((0, 0))
    return Chunk(
        stamp.sec * 1_000_000_000 + stamp.nanosec,
        tuple(message.joint_names),
        np.array(times, dtype=np.int64),
        q,
    )


def joint_state(tick: Tick) -> JointState:
    """Both arms as measured, stamped with the older of their CAN times."""
    rows = tick.feedback.values()
    out = JointState(name=_JOINTS)
    out.header = header(min(_stamp_ns(f, tick) for f in rows))
    out.position = _doubles([x for f in rows for x in (*f.q_rad, f.gripper_m)])
    out.velocity = _doubles([x for f in rows for x in (*f.qd_rad_s, 0.0)])
    out.effort = _doubles([x for f in rows for x in (*f.tau_nm, f.gripper_effort_nm)])
    return out


def joint_command(tick: Tick, arm: str) -> JointState:
    """One arm's set-point as it was sent."""
    first = names.ARMS.index(arm) * names.ARM_DOF
    own = slice(first, first + names.ARM_DOF)
    return JointState(header=header(tick.wall_ns), name=_JOINTS[own], position=_doubles(tick.command[own]))


def arm_status(core: Core, tick: Tick, arm: str, lateness_ms: tuple[float, float, float]) -> ArmStatus:
    """Everything about one arm."""
    f = tick.feedback[arm]
    first = names.ARMS.index(arm) * names.ARM_DOF
    age_ms = (tick.mono_ns - f.arrived_ns) * 1e-6 if f.arrived_ns else -1.0
    return ArmStatus(
        header=header(tick.wall_ns, names.base_frame(arm)),
        arm=arm,
        mode=int(tick.mode),
        mode_name=tick.mode.name,
        reason=str(core.safety.reason),
        connected=f.is_open and f.arrived_ns > 0 and age_ms <= core.config.timeouts__feedback_fault_s * 1e3,
        motors_enabled=f.enabled.tolist(),
        gripper_enabled=f.gripper_enabled,
        ctrl_mode=f.ctrl_mode & 0xFF,
        arm_status=f.arm_status & 0xFF,
        move_mode=f.move_mode & 0xFF,
        teach_status=f.teach_status & 0xFF,
        motion_status=f.motion_status & 0xFF,
        err_code=f.err_code & 0xFFFF,
        motor_temp_c=f.motor_temp_c.tolist(),
        driver_temp_c=f.driver_temp_c.tolist(),
        voltage_v=f.voltage_v.tolist(),
        collision=_bit(f, 4),
        stall=_bit(f, 7),
        gripper_status=f.gripper_status & 0xFF,
        can_fps=core.fps(arm),
        feedback_age_ms=age_ms,
        speed_percent=core.motion.speed_percent,
        firmware=f.firmware,
        limit_lower_rad=core.motion.lower[first : first + 6].tolist(),
        limit_upper_rad=core.motion.upper[first : first + 6].tolist(),
        tracking_error_rad=core.tracking_error[first : first + 6].tolist(),
        clamped_position=core.motion.clamped["position"],
        clamped_velocity=core.motion.clamped["velocity"],
        clamped_acceleration=core.motion.clamped["acceleration"],
        rejected_chunks=core.rejected,
        send_failures=f.send_failures_total,
        reconnects=f.reconnects,
        lateness_p50_ms=lateness_ms[0],
        lateness_p99_ms=lateness_ms[1],
        lateness_max_ms=lateness_ms[2],
    )


def safety_event(event: Event, wall_minus_mono_ns: int) -> SafetyEvent:
    """One event of the state machine."""
    return SafetyEvent(
        header=header(event.t_ns + wall_minus_mono_ns),
        severity=int(event.severity),
        mode=event.mode.name,
        reason=str(event.reason),
        arm=event.arm,
        source=names.DRIVER_NODE,
        text=event.text,
        count=event.count,
    )


def diagnostics(core: Core, tick: Tick, lateness_ms: tuple[float, float, float], scheduler: str) -> DiagnosticArray:
    """State of the driver with every counter (S29, REP-107)."""
    status = DiagnosticStatus(name=names.DRIVER_NODE, hardware_id="piper", message=_sentence(core))
    status.level = _LEVELS.get(tick.mode, DiagnosticStatus.WARN)
    values: dict[str, object] = {
        "mode": tick.mode.name,
        "scheduler": scheduler,
        "lateness p50 / p99 / max [ms]": " / ".join(f"{ms:.2f}" for ms in lateness_ms),
        "rejected chunks": core.rejected,
        **{f"clamped by {name}": count for name, count in core.motion.clamped.items()},
        **{f"{arm} CAN frames/s": f"{core.fps(arm):.0f}" for arm in tick.feedback},
        **{f"{arm} failed sends": f.send_failures_total for arm, f in tick.feedback.items()},
        **{f"{reason} {arm}".strip(): count for (reason, arm), count in dict(core.safety.counts).items()},
    }
    status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticArray(header=header(tick.wall_ns), status=[status])


_LEVELS = {
    Mode.HOLD: DiagnosticStatus.OK,
    Mode.FOLLOW: DiagnosticStatus.OK,
    Mode.PARK: DiagnosticStatus.OK,
    Mode.FAULT: DiagnosticStatus.ERROR,
    Mode.ESTOP: DiagnosticStatus.ERROR,
    Mode.DISCONNECTED: DiagnosticStatus.ERROR,
}


def _sentence(core: Core) -> str:
    return f"{core.safety.mode.name}: {core.safety.reason}"


def _doubles(values: Iterable[float]) -> array:
    """What rclpy takes without looking at every element; at 300 messages a second that counts."""
    return array("d", values)


def _stamp_ns(feedback: Feedback, tick: Tick) -> int:
    """CAN time when it is on the system clock, otherwise the time of arrival on it."""
    if abs(tick.wall_ns - feedback.stamp_ns) < _STAMP_TRUST_NS:
        return feedback.stamp_ns
    return tick.wall_ns - (tick.mono_ns - feedback.arrived_ns)


def _bit(feedback: Feedback, bit: int) -> list[bool]:
    return (feedback.motor_bits >> bit & 1).astype(bool).tolist()
