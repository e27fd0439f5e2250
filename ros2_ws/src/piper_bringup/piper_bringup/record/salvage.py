"""Reads an MCAP file that may end anywhere: every whole record of it, and every whole message of its last chunk.

Own framing, because readers of the `mcap` library trust the file to be whole. Format: mcap.dev/spec. A record is one
byte of opcode, its length as uint64, its body.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from mcap.opcode import Opcode
from mcap.writer import MCAP0_MAGIC

from piper_bringup.record.scanned import HEAD, OPCODES, UNREADABLE, Hear, Scan, take, torn

LONGEST = 256 << 20  # no writer makes longer records; a longer one is damage


class SalvageError(ValueError):
    """Not an MCAP file of ROS 2, or nothing in it; one sentence."""


def scan(
    path: Path,
    progress: Callable[[int], None] = lambda size: None,
    hear: Hear | None = None,
) -> Scan:
    """Read `path` as far as it is whole; `progress` is told the bytes of each record, `hear` of every
    message topic, log time [ns] and data, with the scan so far.

    Raises SalvageError where it is no MCAP file, OSError where it cannot be read.
    """
    found = Scan(hear=hear)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        begins = file.read(len(MCAP0_MAGIC))
        if MCAP0_MAGIC.startswith(begins) and begins != MCAP0_MAGIC:  # cut in its first bytes
            return found
        if begins != MCAP0_MAGIC:
            raise SalvageError(f"{path} does not begin like an MCAP file; nothing was changed")
        found.end = len(MCAP0_MAGIC)
        while found.end < size:
            before = found.end
            if not _step(file, size, found):
                break
            progress(found.end - before)
    return found


def _step(file: BinaryIO, size: int, found: Scan) -> bool:
    """One record; False where the file, its data section or what can be read of it ends."""
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return False
    opcode, length = HEAD.unpack(head)
    if opcode == Opcode.DATA_END:
        found.complete = _ends_well(file, size)
        return False
    if opcode not in OPCODES or length > LONGEST:
        found.damaged = f"byte {found.end} begins no record (opcode {opcode}, {length} bytes)"
        return False
    body = file.read(length) if length <= size - found.end else file.read()
    if len(body) < length:
        if opcode == Opcode.CHUNK:
            found.torn = torn(found, body)
        return False
    try:
        take(found, opcode, body)
    except UNREADABLE as error:
        found.damaged = f"the record at byte {found.end} (opcode {opcode}, {length} bytes) does not read: {error}"
        return False
    found.end += HEAD.size + length
    return True


def _ends_well(file: BinaryIO, size: int) -> bool:
    """Footer (20 bytes) and magic close the file, as every whole one has them."""
    tail = HEAD.size + 20 + len(MCAP0_MAGIC)
    if size < tail:
        return False
    file.seek(size - tail)
    last = file.read(tail)
    return last[: HEAD.size] == HEAD.pack(Opcode.FOOTER, 20) and last.endswith(MCAP0_MAGIC)
