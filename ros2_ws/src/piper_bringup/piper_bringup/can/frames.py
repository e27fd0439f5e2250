"""The PiPER's CAN frames: one table of identifiers and layouts, values in SI units. Pure.

Written from the protocol tables (HARDWARE §b and the vendor's interface document): big-endian, eight data
bytes, unused ones zero. `encode` saturates a value that its field cannot hold, as the electronics do;
`decode` pads short data with zeros. Angles are radians, gripper openings metres; mode, code and bit fields
are plain integers.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import IntEnum
from operator import mul

from piper_bringup.can.wire import Frame

# Commands. The block 0x150-0x15F moves to 0x160 or 0x170 by the offset of ROLE.
STOP, MODE = 0x150, 0x151
POSE_TARGET = (0x152, 0x153, 0x154)
JOINT_TARGET = (0x155, 0x156, 0x157)
ARC_POINT = 0x158
GRIPPER_TARGET = 0x159
MIT = (0x15A, 0x15B, 0x15C, 0x15D, 0x15E, 0x15F)
LIGHT, LEADER_HOME = 0x121, 0x191
ROLE, ENABLE = 0x470, 0x471
ASK_MOTOR, SET_MOTOR_LIMITS, JOINT_CONFIG = 0x472, 0x474, 0x475
ASK_PARAMETER, SET_END_LIMITS = 0x477, 0x479
SET_CRASH_LEVELS, SET_GRIPPER_PARAMETER = 0x47A, 0x47D
FIRMWARE = 0x4AF  # asked with data[0] = 1; answered with text in several frames

# Feedback. The block 0x2A1-0x2A8 moves to 0x2B1 or 0x2C1 by the offset of ROLE.
STATUS = 0x2A1
POSE = (0x2A2, 0x2A3, 0x2A4)
JOINTS = (0x2A5, 0x2A6, 0x2A7)
GRIPPER = 0x2A8
MOTOR_FAST = (0x251, 0x252, 0x253, 0x254, 0x255, 0x256)
MOTOR_SLOW = (0x261, 0x262, 0x263, 0x264, 0x265, 0x266)
MOTOR_LIMITS, MOTOR_ACCELERATION = 0x473, 0x47C
ANSWER, END_LIMITS, CRASH_LEVELS, GRIPPER_PARAMETER = 0x476, 0x478, 0x47B, 0x47E

FEEDBACK_BLOCK = (STATUS, *POSE, *JOINTS, GRIPPER)
COMMAND_BLOCK = range(STOP, MIT[-1] + 1)

MAGIC_BYTE = 0xAE  # "yes, really" of set-zero, clear-errors and acceleration settings
KEEP = 0x7FFF  # "leave as it is" of 16-bit settings
LEADER_CODE, FOLLOWER_CODE = 0xFA, 0xFC  # of ROLE
HIGH_FOLLOW = 0xAD  # byte 3 of MODE


class Ctrl(IntEnum):
    """Control mode, byte 0 of STATUS and MODE."""

    STANDBY, CAN, TEACH = 0, 1, 2
    LEADER = 6


class Move(IntEnum):
    """Move mode, byte 2 of STATUS, byte 1 of MODE. M_WIDE is the MIT mode of firmware S-V1.8-8 and later."""

    P, J, L, C, M, CPV, M_WIDE = range(7)


class Status(IntEnum):
    """Arm status, byte 1 of STATUS."""

    NORMAL, EMERGENCY_STOP, NO_SOLUTION, SINGULARITY, TARGET_OVER_LIMIT, JOINT_COMMUNICATION = range(6)
    BRAKE, COLLISION, TEACH_OVERSPEED, JOINT_ERROR, OTHER, TEACH_RECORD = range(6, 12)
    TEACH_EXECUTION, TEACH_PAUSE, CONTROLLER_HOT, RESISTOR_HOT = range(12, 16)


class Bit(IntEnum):
    """Bits of the driver status: byte 5 of MOTOR_SLOW, byte 6 of GRIPPER (4 there: sensor, 7: homed)."""

    LOW_VOLTAGE, MOTOR_HOT, OVERCURRENT, DRIVER_HOT, COLLISION, DRIVER_ERROR, ENABLED, STALL = range(8)


_MDEG = math.pi / 180_000  # [rad] 0.001 degree
_DDEG = math.pi / 1_800  # [rad] 0.1 degree
_UM = 1e-6  # [m] 0.001 mm
_MILLI = 1e-3
_RANGES = {"B": (0, 255), "b": (-128, 127), "H": (0, 65535), "h": (-32768, 32767), "i": (-(2**31), 2**31 - 1)}


@dataclass(frozen=True)
class Layout:
    """Big-endian fields of one frame and the SI value of one count of each; scale 1 means a plain integer."""

    format: str
    scales: tuple[float, ...]

    def __post_init__(self) -> None:
        packer = struct.Struct(f">{self.format}")
        if packer.size != 8:
            raise ValueError(f"layout {self.format} has {packer.size} bytes, a PiPER frame has 8")
        object.__setattr__(self, "_packer", packer)
        object.__setattr__(self, "_factors", tuple(1 / scale for scale in self.scales))
        object.__setattr__(self, "_ranges", tuple(_RANGES[field] for field in self.format if field in _RANGES))

    def pack(self, values: tuple[float, ...]) -> bytes:
        """SI values to eight bytes. Raises ValueError for NaN or a wrong number of values."""
        if len(values) != len(self._factors):
            raise ValueError(f"layout {self.format} has {len(self._factors)} fields, got {len(values)} values")
        try:
            return self._packer.pack(*map(round, map(mul, values, self._factors)))
        except struct.error:  # some field cannot hold its value
            counts = [round(value * factor) for value, factor in zip(values, self._factors, strict=True)]
            bounded = zip(counts, self._ranges, strict=True)
            return self._packer.pack(*(min(max(count, low), high) for count, (low, high) in bounded))

    def unpack(self, data: bytes) -> tuple[float, ...]:
        """Eight bytes (fewer are padded with zeros) to SI values."""
        counts = self._packer.unpack(bytes(data[:8]).ljust(8, b"\0"))
        return tuple(n if s == 1 else n * s for n, s in zip(counts, self.scales, strict=True))


def _integers(pattern: str) -> Layout:
    return Layout(pattern, (1,) * sum(field in _RANGES for field in pattern))


_POSE_LAYOUTS = (Layout("ii", (_UM, _UM)), Layout("ii", (_UM, _MDEG)), Layout("ii", (_MDEG, _MDEG)))
_JOINT_PAIR = Layout("ii", (_MDEG, _MDEG))

LAYOUTS: dict[int, Layout] = {
    STATUS: _integers("BBBBBBH"),  # ctrl, arm status, move, teach, motion (0 reached), trajectory, error bits
    **dict(zip(POSE, _POSE_LAYOUTS, strict=True)),  # x, y | z, rx | ry, rz
    **dict.fromkeys(JOINTS, _JOINT_PAIR),
    GRIPPER: Layout("ihBx", (_UM, _MILLI, 1)),  # opening, effort [Nm], bits
    **dict.fromkeys(MOTOR_FAST, Layout("hhi", (_MILLI, _MILLI, _MILLI))),  # speed, current [A], position
    **dict.fromkeys(MOTOR_SLOW, Layout("HhbBH", (0.1, 1, 1, 1, _MILLI))),  # volt, driver C, motor C, bits, bus A
    STOP: _integers("BBBBHH"),  # emergency stop, trajectory, teach, index, name, crc
    MODE: _integers("BBBBBBxx"),  # ctrl, move, speed %, high follow, dwell [s], installation
    **dict(zip(POSE_TARGET, _POSE_LAYOUTS, strict=True)),
    **dict.fromkeys(JOINT_TARGET, _JOINT_PAIR),
    ARC_POINT: _integers("Bxxxxxxx"),
    GRIPPER_TARGET: Layout("iHBB", (_UM, _MILLI, 1, 1)),  # opening, effort [Nm], code, set zero
    LIGHT: _integers("BBBBBBBB"),
    LEADER_HOME: _integers("BBBxxxxx"),
    ROLE: _integers("BBBBxxxx"),  # role, feedback offset, command offset, leader target offset
    ENABLE: _integers("BBxxxxxx"),  # motor, 1 off or 2 on
    ASK_MOTOR: _integers("BBxxxxxx"),  # motor, 1 limits or 2 acceleration
    MOTOR_LIMITS: Layout("BhhHx", (1, _DDEG, _DDEG, 1)),  # motor, upper, lower, speed (unit disputed: counts)
    SET_MOTOR_LIMITS: _integers("BhhHx"),  # motor, upper, lower [0.1 deg], speed; KEEP leaves one
    JOINT_CONFIG: _integers("BBBHBxx"),  # motor, zero, use acceleration, acceleration [0.01 rad/s^2], clear
    ANSWER: _integers("BBBxxxxx"),  # low byte of the command, zero set, trajectory index
    ASK_PARAMETER: _integers("BBBBBxxx"),  # enquiry, setting, 0x48x feedback, load valid, load
    END_LIMITS: Layout("HHHH", (_MILLI,) * 4),  # m/s, rad/s, m/s^2, rad/s^2
    SET_END_LIMITS: _integers("HHHH"),  # the same in counts; KEEP leaves one
    CRASH_LEVELS: _integers("BBBBBBxx"),
    SET_CRASH_LEVELS: _integers("BBBBBBxx"),
    MOTOR_ACCELERATION: Layout("BHxxxxx", (1, _MILLI)),  # motor, rad/s^2
    GRIPPER_PARAMETER: _integers("BBBxxxxx"),  # teach range %, stroke [mm], friction
    SET_GRIPPER_PARAMETER: _integers("BBBxxxxx"),
    FIRMWARE: _integers("BBBBBBBB"),
}


def encode(frame_id: int, *values: float) -> Frame:
    """Frame `frame_id` from its values in SI units, in the order of LAYOUTS. Raises KeyError, ValueError."""
    return Frame(frame_id, LAYOUTS[frame_id].pack(values))


def decode(frame_id: int, data: bytes) -> tuple[float, ...]:
    """Values of frame `frame_id` in SI units. Raises KeyError for an identifier that is not in LAYOUTS."""
    return LAYOUTS[frame_id].unpack(data)
