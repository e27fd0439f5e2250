"""MIT (impedance) frames 0x15A-0x15F: five values packed into 64 bits. Pure."""

from __future__ import annotations

from typing import NamedTuple

from piper_bringup.can import frames
from piper_bringup.can.wire import Frame


class Mit(NamedTuple):
    """Impedance command of one joint: torque = kp (p - q) + kd (v - qd) + t."""

    p_rad: float
    v_rad_s: float
    kp: float  # [Nm/rad]
    kd: float  # [Nm s/rad]
    t_nm: float


_MIT_RANGES = ((-12.5, 12.5, 16), (-45.0, 45.0, 12), (0.0, 500.0, 12), (-5.0, 5.0, 12))
_TORQUE = (-8.0, 8.0, 8)  # and a four-bit checksum: firmware before S-V1.8-8
_TORQUE_WIDE = (-16.0, 16.0, 12)  # no checksum: S-V1.8-8 and later


def encode(joint: int, command: Mit, wide: bool = False) -> Frame:
    """MIT frame of joint 1..6; values outside the ranges saturate (the vendor's SDK wraps them)."""
    word = 0
    for value, (low, high, bits) in zip(command, (*_MIT_RANGES, _TORQUE_WIDE if wide else _TORQUE), strict=True):
        top = (1 << bits) - 1
        word = word << bits | min(max(round((value - low) / (high - low) * top), 0), top)
    data = word.to_bytes(8, "big") if wide else (word << 4).to_bytes(8, "big")
    return Frame(frames.MIT[joint - 1], data if wide else data[:7] + bytes([data[7] | _checksum(data)]))


def decode(data: bytes, wide: bool = False) -> Mit:
    """Command of an MIT frame. Raises ValueError for a length other than 8 or a wrong checksum."""
    if len(data) != 8:
        raise ValueError(f"an MIT frame has 8 data bytes, got {len(data)}")
    if not wide and data[7] & 0x0F != _checksum(data):
        raise ValueError(f"checksum of MIT frame {bytes(data).hex()} is {data[7] & 15:X}, expected {_checksum(data):X}")
    word = int.from_bytes(data, "big") >> (0 if wide else 4)
    values = []
    for low, high, bits in reversed((*_MIT_RANGES, _TORQUE_WIDE if wide else _TORQUE)):
        top = (1 << bits) - 1
        values.append(low + (word & top) * (high - low) / top)
        word >>= bits
    return Mit(*reversed(values))


def _checksum(data: bytes) -> int:
    check = 0
    for byte in data[:7]:
        check ^= byte
    return check & 0x0F
