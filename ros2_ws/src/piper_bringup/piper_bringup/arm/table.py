"""The driver's start-up table: what it listens to, what it says, and the limits it keeps."""

from __future__ import annotations

from piper_bringup.arm.config import DriverConfig
from piper_bringup.data import names


def startup_table(config: DriverConfig) -> str:
    """Aligned lines, one fact each."""
    v_max = config.v_max(config.speed_percent)
    rows = [
        (
            "CAN",
            f"{config.can_backend}: left {config.arms__left__can_channel}, right {config.arms__right__can_channel}",
        ),
        ("command loop", f"{config.command_rate_hz} Hz"),
        (
            "chunks in",
            f"{names.TOPIC_ACTION_CHUNK}  {names.HORIZON} rows of {names.DT_NS / 1e6:.0f} ms, 14 joints",
        ),
        ("out", f"{names.TOPIC_JOINT_STATES} 100 Hz, /<arm>/joint_command 100 Hz, /<arm>/arm_status 10 Hz"),
        ("speed", f"{config.speed_percent:.0f} %: joints {v_max[0]:.2f} rad/s, grippers {v_max[6]:.2f} m/s"),
        ("acceleration", f"{config.limits__acceleration_rad_s2:.1f} rad/s^2"),
        ("positions", f"published and firmware limits less {config.limits__position_margin_rad} rad"),
        (
            "chunk refused",
            f"older than {config.timeouts__chunk_age_s} s, or {config.limits__first_point_rad} rad away",
        ),
        (
            "feedback",
            f"hold after {config.timeouts__feedback_hold_s * 1e3:.0f} ms, fault after "
            f"{config.timeouts__feedback_fault_s * 1e3:.0f} ms",
        ),
        (
            "tracking",
            f"fault over {config.limits__tracking_error_rad} rad for {config.timeouts__tracking_s} s",
        ),
        ("grippers", f"0 to {config.gripper__max_width * 1e3:.0f} mm, {config.gripper__effort_nm} Nm"),
        ("enable", "by itself once" if config.auto_enable else "only by service ~/enable"),
        ("on shutdown", config.on_shutdown),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {what}" for name, what in rows)
