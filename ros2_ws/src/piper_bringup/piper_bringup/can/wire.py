"""What travels on a virtual CAN segment.

One packet carries many frames: an arm's 5 ms tick is one packet to each listener, not twenty. A packet is a
run of fixed 24-byte records, so that a reader decodes it with one `iter_unpack`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

RECORD = struct.Struct("<qIBB2x8s")  # t_ns, arbitration id, flags, data length, data padded to 8 bytes
MAX_FRAMES = 256  # of one packet
MAX_PACKET = MAX_FRAMES * RECORD.size

EXTENDED = 0x01  # 29-bit identifier
REMOTE = 0x02  # remote transmission request; the data are zeros, only their length counts
ERROR = 0x04  # error frame
OWN = 0x08  # the receiver itself sent it (receive_own_messages)

HELLO = struct.Struct("<4sBBI8s")  # MAGIC, VERSION, options, process id, process token
MAGIC = b"SMPV"
VERSION = 1
WANTS_OWN = 0x01  # deliver my own frames to me
NO_LOOPBACK = 0x02  # keep my frames from the other handles of my process
WELCOME = MAGIC + bytes([VERSION])


class Frame(NamedTuple):
    """One CAN 2.0 frame; `t_ns` is the system clock when it appeared on the wire, 0 before that."""

    arbitration_id: int
    data: bytes
    t_ns: int = 0
    flags: int = 0


def pack(frames: Iterable[Frame], t_ns: int, flags: int = 0) -> bytes:
    """Packet of at most MAX_FRAMES frames, all stamped `t_ns`; `flags` is added to each frame's own.

    Raises ValueError for more than eight data bytes.
    """
    return b"".join(
        RECORD.pack(t_ns, frame.arbitration_id, frame.flags | flags, _length(frame), frame.data) for frame in frames
    )


def unpack(packet: bytes) -> list[Frame]:
    """Frames of a packet. Raises ValueError for a broken record or an impossible one."""
    if len(packet) % RECORD.size:
        raise ValueError(f"a packet of {len(packet)} bytes is not a multiple of {RECORD.size}")
    frames = []
    for t_ns, arbitration_id, flags, length, data in RECORD.iter_unpack(packet):
        if length > 8:
            raise ValueError(f"frame 0x{arbitration_id:X} claims {length} data bytes; CAN 2.0 carries 0 to 8")
        frames.append(Frame(arbitration_id, data[:length], t_ns, flags))
    return frames


def _length(frame: Frame) -> int:
    if len(frame.data) > 8:
        raise ValueError(f"frame 0x{frame.arbitration_id:X} has {len(frame.data)} data bytes; CAN 2.0 carries 0 to 8")
    return len(frame.data)
