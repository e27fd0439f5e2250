"""Numbers of the driver: one frozen dataclass, whose field names are the parameter names (``__`` reads as ``.``)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from piper_bringup.data import names

FIRMWARE_MAX_SPEED_RAD_S = 3.0  # at 100 % (HARDWARE, "Speed 0..3.0 rad/s")


@dataclass(frozen=True)
class DriverConfig:
    """Defaults are the S-rules of the house; config/driver.yaml repeats those that a robot's owner may tune."""

    can_backend: str = "socketcan"  # any python-can interface; smp_vcan in simulation
    arms__left__can_channel: str = "can_left"
    arms__right__can_channel: str = "can_right"
    command_rate_hz: int = 100  # S28
    fifo_priority: int = 50  # SCHED_FIFO of the command thread, used when the system permits it
    speed_percent: float = 30.0  # S20; of 3 rad/s, caps limits.velocity_rad_s
    auto_enable: bool = False  # S16
    on_shutdown: str = "hold"  # S18: hold | park | park_and_disable
    required_firmware_min: str = ""  # e.g. S-V1.8-9; empty: any that answers

    limits__velocity_rad_s: float = 1.5  # S4
    limits__acceleration_rad_s2: float = 5.0  # S5
    limits__position_margin_rad: float = names.POSITION_MARGIN_RAD  # S2, inside published and firmware limits
    limits__reject_beyond_rad: float = 0.1  # a target further outside is a wrong command, not a rounding
    limits__first_point_rad: float = 0.35  # S6
    limits__tracking_error_rad: float = 0.35  # S7
    limits__park_velocity_rad_s: float = 0.4  # S18: 10-20 % speed
    limits__park_tolerance_rad: float = 0.05  # S15
    gripper__max_width: float = names.GRIPPER_MAX_M  # S21; 0.10 for V2 grippers
    gripper__effort_nm: float = 1.0  # S21
    gripper__velocity_m_s: float = 0.2
    gripper__acceleration_m_s2: float = 2.0
    gripper__reject_beyond_m: float = 0.01

    plan__commit_s: float = 0.05  # of the running plan, kept when a chunk arrives
    plan__blend_s: float = 0.125  # over which the chunk takes over: done before the next comes
    plan__max_horizon_s: float = 2.0  # a chunk that claims to know more is refused

    timeouts__chunk_age_s: float = 0.5  # S9
    timeouts__chunk_future_s: float = 0.05
    timeouts__chunk_period_s: float = 0.01  # faster chunks are a flood: refused
    timeouts__feedback_hold_s: float = 0.05  # S10
    timeouts__feedback_fault_s: float = 0.25  # S10
    timeouts__feedback_stable_s: float = 0.5  # uninterrupted feedback before a lost arm counts as back
    timeouts__tracking_s: float = 0.3  # S7
    timeouts__enable_s: float = 5.0  # S16
    timeouts__park_s: float = 20.0
    timeouts__reconnect_s: float = 1.0  # S23, doubled up to reconnect_max_s
    timeouts__reconnect_max_s: float = 10.0
    timeouts__clock_jump_s: float = 0.02  # wall clock against monotonic clock, per tick

    can_rate__warn_fps: int = 2400  # S11, of 3040
    can_rate__fault_fps: int = 1500
    temperature__warn_c: float = 65.0  # S26
    temperature__fault_c: float = 80.0

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"parameter {_dotted(name)} is {value}, valid: {low} to {high}")
        if self.on_shutdown not in SHUTDOWN_MODES:
            raise ValueError(f"parameter on_shutdown is {self.on_shutdown!r}, valid: {', '.join(SHUTDOWN_MODES)}")

    @staticmethod
    def defaults() -> dict[str, object]:
        """Parameter name -> default value."""
        return {_dotted(f.name): f.default for f in fields(DriverConfig)}

    @staticmethod
    def from_parameters(values: dict[str, object]) -> DriverConfig:
        """The configuration of these parameters. Raises ValueError naming what is out of range."""
        return DriverConfig(**{name.replace(".", "__"): value for name, value in values.items()})

    @property
    def period_ns(self) -> int:
        """Of the command loop."""
        return 1_000_000_000 // self.command_rate_hz

    def v_max(self, speed_percent: float) -> NDArray[np.float64]:
        """(14,) speed limits. Faster than the firmware's own speed setting would only build tracking error."""
        arm = min(self.limits__velocity_rad_s, speed_percent / 100.0 * FIRMWARE_MAX_SPEED_RAD_S)
        return columns(arm, self.gripper__velocity_m_s)

    @property
    def a_max(self) -> NDArray[np.float64]:
        """(14,) acceleration limits."""
        return columns(self.limits__acceleration_rad_s2, self.gripper__acceleration_m_s2)


SHUTDOWN_MODES = ("hold", "park", "park_and_disable")

# Hard maxima: the firmware's own (S4), and what the S-rules allow a parameter to loosen.
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("command_rate_hz", 50, 200),  # S28
    ("fifo_priority", 0, 99),
    ("speed_percent", 1.0, 100.0),
    ("limits__velocity_rad_s", 0.01, 3.0),
    ("limits__acceleration_rad_s2", 0.1, 5.0),
    ("limits__position_margin_rad", 0.0, 0.2),
    ("limits__reject_beyond_rad", 0.0, 0.5),
    ("limits__first_point_rad", 0.0, 0.35),
    ("limits__tracking_error_rad", 0.01, 0.35),
    ("limits__park_velocity_rad_s", 0.01, 0.6),
    ("limits__park_tolerance_rad", 0.0, 0.05),
    ("gripper__max_width", 0.001, 0.10),
    ("gripper__effort_nm", 0.0, 2.0),
    ("gripper__velocity_m_s", 0.001, 1.0),
    ("gripper__acceleration_m_s2", 0.01, 20.0),
    ("gripper__reject_beyond_m", 0.0, 0.05),
    ("plan__commit_s", 0.0, 0.5),
    ("plan__blend_s", 0.0, 1.0),
    ("plan__max_horizon_s", 0.1, 10.0),
    ("timeouts__chunk_age_s", 0.05, 0.5),
    ("timeouts__chunk_future_s", 0.0, 0.05),
    ("timeouts__feedback_hold_s", 0.01, 0.05),
    ("timeouts__feedback_fault_s", 0.05, 0.25),
    ("timeouts__tracking_s", 0.0, 0.3),
    ("timeouts__enable_s", 0.5, 5.0),
    ("timeouts__reconnect_s", 0.1, 10.0),
    ("timeouts__reconnect_max_s", 0.1, 60.0),
)


def columns(arm: float, gripper: float) -> NDArray[np.float64]:
    """(14,) with ``arm`` in every joint column and ``gripper`` in both gripper columns."""
    both = np.full(len(names.JOINTS), arm)
    both[list(names.GRIPPER_COLUMNS)] = gripper
    return both


def _dotted(field_name: str) -> str:
    return field_name.replace("__", ".")
