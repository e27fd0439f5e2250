"""Listens to a virtual CAN segment; frames carry the time at which they appeared on the wire."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import can

from bench.private import wait_for
from piper_bringup.can.vcan import VcanBus

HELD_FRAMES = 4_000  # 10 s of two kinds of frame at 200 Hz
PATIENCE_S = 2.0


class Seen(NamedTuple):
    """One frame; t_ns is the segment's stamp, system clock."""

    t_ns: int
    arbitration_id: int
    data: bytes


class Sniffer:
    """Collects the frames of some identifiers from one segment on a thread; a context manager."""

    def __init__(self, channel: str, identifiers: tuple[int, ...], held: int = HELD_FRAMES) -> None:
        filters = [{"can_id": number, "can_mask": 0x7FF} for number in identifiers]
        self._bus = VcanBus(channel, can_filters=filters)
        self._seen: deque[Seen] = deque(maxlen=held)
        self._open = True
        self._thread = threading.Thread(target=self._run, name=f"sniffer {channel}", daemon=True)

    def __enter__(self) -> Sniffer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._thread.join()
        self._bus.shutdown()

    def wait(self, identifier: int, since_ns: int, wanted: Callable[[bytes], bool]) -> Seen:
        """The first frame stamped `since_ns` or later whose data are `wanted`; RuntimeError if none comes."""
        what = f"frame 0x{identifier:X} on {self._bus.channel}"
        wait_for(lambda: self._first(identifier, since_ns, wanted) is not None, what, PATIENCE_S)
        return self._first(identifier, since_ns, wanted)

    def newest(self, identifier: int) -> Seen | None:
        """The newest frame of this identifier."""
        frames = (frame for frame in reversed(self._seen.copy()) if frame.arbitration_id == identifier)
        return next(frames, None)

    def stamps(self, identifier: int) -> list[int]:
        """When the frames of this identifier appeared, of those that are held."""
        return [frame.t_ns for frame in self._seen.copy() if frame.arbitration_id == identifier]

    def _first(self, identifier: int, since_ns: int, wanted: Callable[[bytes], bool]) -> Seen | None:
        found = (f for f in self._seen.copy() if f.arbitration_id == identifier and f.t_ns >= since_ns)
        return next((frame for frame in found if wanted(frame.data)), None)

    def _run(self) -> None:
        while self._open:
            try:
                message = self._bus.recv(0.1)
            except can.CanOperationError:
                return  # the segment is gone: whoever waits for a frame says so
            if message is not None:
                t_ns = round(message.timestamp * 1e9)
                self._seen.append(Seen(t_ns, message.arbitration_id, bytes(message.data)))
