"""Who takes part in a virtual CAN segment: handles of other programs, ports in the hosting process."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from piper_bringup.can import wire
from piper_bringup.can.wire import Frame

INBOX_FRAMES = 8192  # of a port; the oldest are lost beyond that


@dataclass(eq=False)
class Client:
    """One connected handle, with its counters."""

    sock: socket.socket
    pid: int = 0
    token: bytes = b""
    options: int = 0
    joined: bool = False
    frames: int = 0  # delivered
    lost: int = 0  # not delivered, because it does not read fast enough

    def greet(self, packet: bytes) -> None:
        """Admits the client on its first packet. Raises ValueError or struct.error when it is not ours."""
        magic, version, self.options, self.pid, self.token = wire.HELLO.unpack(packet)
        if (magic, version) != (wire.MAGIC, wire.VERSION):
            raise ValueError(f"a client greets with {magic!r} version {version}")
        self.joined = True
        self.sock.send(wire.WELCOME)

    def hears(self, source: Client | Port) -> bool:
        """Whether frames of `source` are for this client."""
        if self is source:
            return bool(self.options & wire.WANTS_OWN)
        same_process = isinstance(source, Client) and (source.pid, source.token) == (self.pid, self.token)
        return self.joined and not (same_process and source.options & wire.NO_LOOPBACK)

    def deliver(self, packet: bytes, count: int) -> None:
        """Hands over a packet or counts it as lost; never waits."""
        try:
            self.sock.send(packet)
        except OSError:  # its buffer is full, or it just left and the serving thread will forget it
            self.lost += count
        else:
            self.frames += count


class Port:
    """A participant inside the hosting process. Made by `Segment.attach`."""

    def __init__(self, broadcast: Callable[[Sequence[Frame], Port], None]) -> None:
        self._broadcast = broadcast
        self._inbox: deque[Frame] = deque(maxlen=INBOX_FRAMES)
        self.lost = 0

    def send(self, frames: Sequence[Frame]) -> None:
        """Puts frames on the wire; nothing happens while the segment is down."""
        self._broadcast(frames, self)

    def receive(self) -> list[Frame]:
        """Everything that arrived since the last call, in order."""
        return [self._inbox.popleft() for _ in range(len(self._inbox))]

    def deliver(self, frames: Sequence[Frame]) -> None:
        """Puts frames into the inbox, or counts the oldest as lost."""
        self.lost += max(0, len(self._inbox) + len(frames) - INBOX_FRAMES)
        self._inbox.extend(frames)
