"""Hosts a virtual CAN segment: the wire that programs of one machine share without root or a kernel module.

Every frame that one participant sends reaches every other one, in one order, stamped as it appears on the
wire. Participants are client processes (`vcan.VcanBus`) and ports inside the hosting process, where the
emulated arm is plugged in. A client that does not read loses the newest frames once its socket is full (about
0.8 s of one arm's traffic): it never delays anybody, and the loss is counted for it alone. As with a real
adapter the wire dies with its host: clients see an error, and a new host starts a new wire.

Unix SEQPACKET sockets, because a datagram socket holds only net.unix.max_dgram_qlen packets, often ten.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence

from piper_bringup.can import places, wire
from piper_bringup.can.participants import Client, Port
from piper_bringup.can.places import SegmentError
from piper_bringup.can.wire import Frame

CLOCK_STEP_NS = 100_000_000  # a system clock set back further than this is followed, as the kernel's stamps would


class Segment:
    """Hosts segment `channel` from construction to `close()`; a context manager.

    `clock_ns` gives the time that frames are stamped with. Raises SegmentError when another process already
    hosts it, or its socket cannot be made.
    """

    def __init__(self, channel: str, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.channel = channel
        self._clock_ns = clock_ns
        self._path = places.socket_path(channel)
        places.make_directory()
        self._lock_file = places.claim(self._path)
        self._lock = threading.Lock()
        self._clients: list[Client] = []
        self._ports: list[Port] = []
        self.last_stamp_ns = 0  # of the latest frame
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._listener: socket.socket | None = None
        self._closed = False
        places.sweep(self._path.parent)
        try:
            self._listen()
        except OSError as error:
            for held in (self._selector, self._wake, self._waker):
                held.close()
            places.release(self._path, self._lock_file)
            raise SegmentError(f"segment {channel} cannot listen on {self._path}: {error}") from error
        self._thread = threading.Thread(target=self._serve, name=f"segment {channel}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Segment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_up(self) -> bool:
        """False between `down()` and `up()`, and after `close()`."""
        return self._listener is not None

    @property
    def clients(self) -> tuple[Client, ...]:
        """Connected handles with their counters."""
        with self._lock:
            return tuple(client for client in self._clients if client.joined)

    def attach(self) -> Port:
        """A new port in this process: an emulated arm, a monitor."""
        with self._lock:
            self._ports.append(Port(self._broadcast))
            return self._ports[-1]

    def down(self) -> None:
        """Bus loss while the process lives: every client is cut off, nobody can join until `up()`."""
        with self._lock:
            self._cut()

    def up(self) -> None:
        """Ends `down()`. Clients must open the bus again, as after plugging an adapter in."""
        with self._lock:
            if self._listener is None and not self._closed:
                self._listen()

    def close(self) -> None:
        """Ends the segment: clients get an error, the name is free again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._cut()
        self._waker.close()
        self._thread.join()
        self._selector.close()
        self._wake.close()
        places.release(self._path, self._lock_file)

    def _listen(self) -> None:
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            listener.bind(os.fspath(self._path))
            listener.listen(64)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ)

    def _cut(self) -> None:
        if self._listener is None:
            return
        self._path.unlink(missing_ok=True)
        for client in tuple(self._clients):
            self._forget(client)
        self._selector.unregister(self._listener)
        self._listener.close()
        self._listener = None

    def _forget(self, client: Client) -> None:
        self._clients.remove(client)
        self._selector.unregister(client.sock)
        client.sock.close()

    def _serve(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select():
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.data in self._clients:
                        self._read(key.data)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # the caller gave up in between
        sock.setblocking(False)
        client = Client(sock)
        self._clients.append(client)
        self._selector.register(sock, selectors.EVENT_READ, client)

    def _read(self, client: Client) -> None:
        try:
            packet = client.sock.recv(wire.MAX_PACKET)
            if not packet:
                self._forget(client)
            elif client.joined:
                self._relay(wire.unpack(packet), client)
            else:
                client.greet(packet)
        except BlockingIOError:
            return
        except (OSError, ValueError, struct.error):
            self._forget(client)  # it died, or it does not speak our record: not a participant

    def _broadcast(self, frames: Sequence[Frame], source: Client | Port) -> None:
        with self._lock:
            self._relay(frames, source)

    def _relay(self, frames: Sequence[Frame], source: Client | Port) -> None:
        if self._listener is None:
            return
        t_ns = self._stamp()
        for start in range(0, len(frames), wire.MAX_FRAMES):
            batch = frames[start : start + wire.MAX_FRAMES]
            packet = wire.pack(batch, t_ns)
            for client in self._clients:
                if client is source and client.hears(source):
                    client.deliver(wire.pack(batch, t_ns, wire.OWN), len(batch))
                elif client.hears(source):
                    client.deliver(packet, len(batch))
            others = [port for port in self._ports if port is not source]
            stamped = [Frame(frame.arbitration_id, frame.data, t_ns, frame.flags) for frame in batch if others]
            for port in others:
                port.deliver(stamped)

    def _stamp(self) -> int:
        now_ns = self._clock_ns()
        if now_ns < self.last_stamp_ns and self.last_stamp_ns - now_ns < CLOCK_STEP_NS:
            now_ns = self.last_stamp_ns
        self.last_stamp_ns = now_ns
        return now_ns
