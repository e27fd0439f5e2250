"""Settings of an emulated arm: limits, collision levels, gripper; the conversation of 0x472-0x47E."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import degrees, radians

from piper_bringup.can import frames
from piper_bringup.can.faults import Faults
from piper_bringup.can.wire import Frame

SPEED_UNIT_RAD_S = 0.001  # of 0x473 and 0x474 as the SDK has it; AgileX confirmed 0.01 in piper_sdk issue 122
_END_LIMITS = (0.5, 0.13, 0.8, 0.2)  # factory end-effector limits: m/s, rad/s, m/s^2, rad/s^2 [assumption]


@dataclass(frozen=True)
class MotorLimits:
    """Limits of one joint that the firmware keeps in flash."""

    lower_rad: float
    upper_rad: float
    speed_rad_s: float = 3.0
    acceleration: float = 5.0  # [rad/s^2]


# Firmware defaults (HARDWARE, "Limits found").
FACTORY_LIMITS = tuple(
    MotorLimits(radians(low), radians(high))
    for low, high in ((-150, 150), (0, 180), (-170, 0), (-100, 100), (-70, 70), (-120, 120))
)


def version_tuple(firmware: str) -> tuple[int, int, int]:
    """(1, 8, 10) of "S-V1.8-10". Raises ValueError for another form."""
    match = re.fullmatch(r"S-V(\d+)\.(\d+)-(\d+)", firmware)
    if not match:
        raise ValueError(f"firmware {firmware!r} is not of the form S-V1.8-9")
    major, minor, patch = map(int, match.groups())
    return major, minor, patch


class Settings:
    """What a host may read and write; `handle` answers the configuration frames."""

    def __init__(self, firmware: str, limits: tuple[MotorLimits, ...], stroke_m: float) -> None:
        version_tuple(firmware)
        if len(limits) != 6:
            raise ValueError(f"an arm has 6 joints, got limits of {len(limits)}")
        self.firmware = firmware
        self.limits = list(limits)
        self.stroke_mm = round(stroke_m * 1000)
        self.crash_levels = (1,) * 6
        self.end_limits = _END_LIMITS
        self._teach_range, self._friction = 100, 1

    @property
    def stroke_m(self) -> float:
        """Opening of the gripper; 0 when it was never set: then it neither moves nor reports (Q&A 1)."""
        return self.stroke_mm / 1000

    def handle(self, frame_id: int, values: tuple[float, ...], faults: Faults) -> list[Frame]:
        """Answers one of 0x472, 0x474, 0x477, 0x479, 0x47A, 0x47D; `values` as decoded."""
        if frame_id == frames.ASK_MOTOR:
            return self._about_motor(*values, absurd=faults.absurd_limits)
        if frame_id == frames.SET_MOTOR_LIMITS:
            self._set_limits(*values)
        elif frame_id == frames.SET_END_LIMITS:
            self.end_limits = tuple(
                old if new == frames.KEEP else new / 1000 for old, new in zip(self.end_limits, values, strict=True)
            )
        elif frame_id == frames.SET_CRASH_LEVELS:
            if all(level <= 8 for level in values):
                self.crash_levels = values
        elif frame_id == frames.SET_GRIPPER_PARAMETER:
            self._set_gripper(*values)
        elif frame_id == frames.ASK_PARAMETER:
            return self._parameter(values[0], values[1])
        return [acknowledge(frame_id)]

    def set_acceleration(self, number: int, hundredths: int) -> None:
        """Acceleration part of 0x475 [0.01 rad/s^2], motor 1..6 or 7 for all; ignored beyond 5 rad/s^2."""
        if 0 <= hundredths <= 500:
            for index in range(6) if number == 7 else (number - 1,):
                self.limits[index] = replace(self.limits[index], acceleration=hundredths / 100)

    def firmware_answer(self) -> list[Frame]:
        """Version text in frames of eight bytes, hardware first, the software version ending with a NUL."""
        text = b"H-V1.2-1" + self.firmware.encode("ascii") + b"\0"
        text = text.ljust(-(-len(text) // 8) * 8, b"\0")
        return [Frame(frames.FIRMWARE, text[i : i + 8]) for i in range(0, len(text), 8)]

    def _about_motor(self, number: int, content: int, absurd: bool) -> list[Frame]:
        if not 1 <= number <= 6:
            return []
        limits = self.limits[number - 1]
        if content == 1:
            if absurd:
                return [frames.encode(frames.MOTOR_LIMITS, number, radians(-900), radians(900), 0)]
            speed = round(limits.speed_rad_s / SPEED_UNIT_RAD_S)
            return [frames.encode(frames.MOTOR_LIMITS, number, limits.upper_rad, limits.lower_rad, speed)]
        if content == 2:
            return [frames.encode(frames.MOTOR_ACCELERATION, number, limits.acceleration)]
        return []

    def _set_limits(self, number: int, upper: int, lower: int, speed: int) -> None:
        if not 1 <= number <= 6:
            return
        old = self.limits[number - 1]
        new = replace(
            old,
            upper_rad=old.upper_rad if upper == frames.KEEP else radians(upper / 10),
            lower_rad=old.lower_rad if lower == frames.KEEP else radians(lower / 10),
            speed_rad_s=old.speed_rad_s if speed == frames.KEEP else speed * SPEED_UNIT_RAD_S,
        )
        if new.lower_rad < new.upper_rad and abs(degrees(new.upper_rad)) <= 360 and new.speed_rad_s <= 3.0:
            self.limits[number - 1] = new

    def _set_gripper(self, teach_range: int, stroke_mm: int, friction: int) -> None:
        if 100 <= teach_range <= 200:
            self._teach_range = teach_range
        if stroke_mm in (70, 100):
            self.stroke_mm = stroke_mm
        if 1 <= friction <= 10:
            self._friction = friction

    def _parameter(self, enquiry: int, setting: int) -> list[Frame]:
        if setting == 1:
            self.end_limits = _END_LIMITS
        elif setting == 2:
            self.limits = list(FACTORY_LIMITS)
        if enquiry == 1:
            return [frames.encode(frames.END_LIMITS, *self.end_limits)]
        if enquiry == 2:
            return [frames.encode(frames.CRASH_LEVELS, *self.crash_levels)]
        if enquiry == 4:
            return [frames.encode(frames.GRIPPER_PARAMETER, self._teach_range, self.stroke_mm, self._friction)]
        return [acknowledge(frames.ASK_PARAMETER)]


def acknowledge(frame_id: int, zero_set: bool = False) -> Frame:
    """0x476: a setting arrived."""
    return frames.encode(frames.ANSWER, frame_id & 0xFF, zero_set, 0)
