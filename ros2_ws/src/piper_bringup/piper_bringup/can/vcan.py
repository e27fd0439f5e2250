"""python-can interface "smp_vcan": a handle on a virtual CAN segment of this machine.

    can.Bus(interface="smp_vcan", channel="can_left")

Installed through the entry point group `can.interface`, so that any python-can program, piper_sdk among them,
reaches an emulated arm by the name of its bus alone. Behaves as socketcan does where the two can be compared:
opening a segment that nobody hosts fails, and when its host dies, receiving and sending raise and `state`
turns to ERROR.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
import threading
import time
from collections.abc import Iterator
from math import ceil

import can

from piper_bringup.can import places, wire
from piper_bringup.can.places import SegmentError, live_segments
from piper_bringup.can.wire import Frame

ANSWER_S = 2.0  # a host that does not greet back within this time is taken for hung
LOOK_S = 0.05  # between looks at a connection that nobody uses
_TOKEN = secrets.token_bytes(8)  # with the process id: who we are to `local_loopback`
_READABLE = select.POLLIN | select.POLLRDHUP


class VcanBus(can.BusABC):
    """One handle; frames that other participants send after construction returns will be received.

    `receive_own_messages` delivers our own frames back to this handle. `local_loopback=False` keeps them from
    the other handles of this process (piper_sdk opens one for sending and one for receiving), while other
    processes hear them. `bitrate` and whatever else a caller passes for real adapters is accepted without
    effect.

    Raises can.CanInitializationError when nobody hosts `channel`; can.CanOperationError from `recv` and
    `send` once the segment is gone. Sending and receiving from several threads is safe.
    """

    def __init__(
        self,
        channel: str,
        can_filters: can.typechecking.CanFilters | None = None,
        receive_own_messages: bool = False,
        local_loopback: bool = True,
        **kwargs: object,
    ) -> None:
        self.channel = channel
        self.channel_info = f"smp_vcan segment {channel}"
        self._can_protocol = can.CanProtocol.CAN_20
        options = (wire.WANTS_OWN if receive_own_messages else 0) | (0 if local_loopback else wire.NO_LOOPBACK)
        self._sock = _join(channel, options)
        self._poll = select.poll()
        self._poll.register(self._sock, _READABLE)
        self._read_lock = threading.Lock()
        self._records: Iterator[tuple[int, int, int, int, bytes]] = iter(())
        self._left = 0  # records of the current packet not yet handed out
        self._lost = False
        self._look_again = 0.0
        super().__init__(channel=channel, can_filters=can_filters)

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """Puts one frame on the segment.

        As socketcan does, raises at once when the transmit queue is full (the host hangs), unless `timeout`
        [s] allows to wait. Raises can.CanOperationError; ValueError for CAN FD.
        """
        packet = wire.pack([_frame(msg)], 0)
        try:
            self._sock.send(packet)
        except BlockingIOError:
            self._send_when_free(packet, timeout or 0.0)
        except OSError as error:
            raise self._gone(error) from error

    def _send_when_free(self, packet: bytes, timeout: float) -> None:
        poll = select.poll()
        poll.register(self._sock, select.POLLOUT)
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            poll.poll(left * 1000)
            try:
                self._sock.send(packet)
                return
            except BlockingIOError:
                continue  # another thread was faster
            except OSError as error:
                raise self._gone(error) from error
        raise can.CanOperationError(f"{self.channel_info}: transmit queue full, its host does not read")

    def recv(self, timeout: float | None = None) -> can.Message | None:
        """As BusABC.recv; without filters to match it is a third of the work, 6000 times a second."""
        return super().recv(timeout) if self._filters else self._recv_internal(timeout)[0]

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        if not self._read_lock.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            return None, False  # another thread is waiting for frames
        try:
            if not self._left and not self._fetch(timeout):
                return None, False
            record = next(self._records)
            self._left -= 1
            if not self._left:
                self._drop_packet()
        finally:
            self._read_lock.release()
        return _message(record, self.channel), False

    def _fetch(self, timeout: float | None) -> bool:
        """Decodes the next packet, which stays in the kernel until its last frame is handed out: only so
        does select() on `fileno()` keep telling that frames are waiting."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            # Waiting first costs one system call less than trying first: between ticks nothing is there.
            if not self._poll.poll(None if left is None else ceil(left * 1000)) and not left:
                return False
            try:
                packet = self._sock.recv(wire.MAX_PACKET, socket.MSG_PEEK)
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._gone(error) from error
            if not packet:
                raise self._gone(None)
            self._records = wire.RECORD.iter_unpack(packet)
            self._left = len(packet) // wire.RECORD.size
            return True

    def _drop_packet(self) -> None:
        try:
            self._sock.recv(1)
        except OSError:
            self._lost = True  # the next recv says so

    def _gone(self, error: OSError | None) -> can.CanOperationError:
        if self._is_shutdown:
            return can.CanOperationError(f"{self.channel_info}: this handle is shut down")
        self._lost = True
        return can.CanOperationError(f"{self.channel_info} is gone: its host ended or went down ({error or 'closed'})")

    @property
    def state(self) -> can.BusState:
        """ACTIVE, or ERROR once the segment is gone or this handle is shut down.

        piper_sdk asks before every frame; `recv` and `send` notice at once, this at most LOOK_S later.
        """
        now = time.monotonic()
        if not self._lost and not self._left and now >= self._look_again:
            self._look_again = now + LOOK_S
            self._lost = _hung_up(self._sock)
        return can.BusState.ERROR if self._lost else can.BusState.ACTIVE

    def fileno(self) -> int:
        """For select(): readable while frames wait; -1 after shutdown."""
        return self._sock.fileno()

    def shutdown(self) -> None:
        """Leaves the segment; a thread blocked in `recv` wakes with can.CanOperationError. Idempotent."""
        if self._is_shutdown:
            return
        super().shutdown()
        self._lost = True
        with contextlib.suppress(OSError):  # the host may have closed first
            self._sock.shutdown(socket.SHUT_RDWR)
        with self._read_lock:
            self._left = 0
            self._sock.close()

    @staticmethod
    def _detect_available_configs() -> list[dict[str, str]]:
        return [{"interface": "smp_vcan", "channel": name} for name in live_segments()]


def _join(channel: str, options: int) -> socket.socket:
    try:
        path = places.socket_path(channel)
        if path.parent.exists():
            places.check_private(path.parent)
    except SegmentError as error:
        raise can.CanInitializationError(str(error)) from error
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.settimeout(ANSWER_S)
        sock.connect(os.fspath(path))
        sock.send(wire.HELLO.pack(wire.MAGIC, wire.VERSION, options, os.getpid(), _TOKEN))
        answer = sock.recv(64)
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        live = ", ".join(live_segments()) or "none"
        raise can.CanInitializationError(
            f"nobody hosts segment {channel} in {places.directory()}; segments up now: {live}"
        ) from None
    except OSError as error:
        sock.close()
        raise can.CanInitializationError(f"segment {channel} does not answer: {error}") from error
    if answer != wire.WELCOME:
        sock.close()
        raise can.CanInitializationError(f"segment {channel} is hosted by another version of this package")
    sock.setblocking(False)
    return sock


def _hung_up(sock: socket.socket) -> bool:
    if sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))


def _frame(msg: can.Message) -> Frame:
    if msg.is_fd:
        raise ValueError(f"frame 0x{msg.arbitration_id:X} is CAN FD; a segment carries CAN 2.0")
    limit = 0x1FFFFFFF if msg.is_extended_id else 0x7FF
    if not 0 <= msg.arbitration_id <= limit:
        raise ValueError(f"arbitration id 0x{msg.arbitration_id:X} is outside 0..0x{limit:X}")
    flags = (
        (wire.EXTENDED if msg.is_extended_id else 0)
        | (wire.REMOTE if msg.is_remote_frame else 0)
        | (wire.ERROR if msg.is_error_frame else 0)
    )
    return Frame(msg.arbitration_id, bytes(msg.dlc) if msg.is_remote_frame else bytes(msg.data), 0, flags)


def _message(record: tuple[int, int, int, int, bytes], channel: str) -> can.Message:
    t_ns, arbitration_id, flags, length, data = record
    return can.Message(  # by position: twice as fast as by name, and this runs 6000 times a second
        t_ns / 1e9,
        arbitration_id,
        bool(flags & wire.EXTENDED),
        bool(flags & wire.REMOTE),
        bool(flags & wire.ERROR),
        channel,
        length,
        bytearray(data[:length]),
        False,
        not flags & wire.OWN,
    )
