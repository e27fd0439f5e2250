"""What goes over the socket between us and a worker: one length and one msgpack map a message, both ways.

A frame is 4 bytes of length, big-endian, and so many bytes of msgpack. Arrays are extension 1: dtype and shape, then
their bytes as they lie in memory, so pictures are not encoded. A request is {"command": name, "arguments": {...}}, an
answer {"ok": {...}} or {"error": {"phase", "type", "message", "traceback"}}.

Workers import this too: Python 3.8, numpy and msgpack, nothing else.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

import msgpack
import numpy as np

MAX_BYTES = 64 * 1024 * 1024  # of a frame: four pictures of 640x480 are 4 MB
_LENGTH = struct.Struct(">I")
ERROR_KEYS = {"phase", "type", "message", "traceback"}
_ARRAY = 1  # msgpack extension
_KINDS = "biuf"  # booleans and numbers: an array of objects could be anything


class FrameError(ValueError):
    """What came is no frame of this protocol: cut, too large, or malformed. The stream is of no use any more."""


def pack(message: dict[str, Any]) -> bytes:
    """One frame, its length included.

    Raises FrameError for what cannot be sent: an array of objects, a value msgpack does not know, over MAX_BYTES.
    """
    try:
        body = msgpack.packb(message, default=_encode)
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError(f"a message cannot be sent: {error}") from error
    if len(body) > MAX_BYTES:
        raise FrameError(f"a message of {len(body)} bytes cannot be sent; at most {MAX_BYTES}")
    return _LENGTH.pack(len(body)) + body


def unpack(body: bytes | bytearray) -> dict[str, Any]:
    """The message of a frame without its length; arrays are read-only. Raises FrameError."""
    try:
        message = msgpack.unpackb(body, ext_hook=_decode)
    except FrameError:
        raise
    except Exception as error:  # msgpack has no common base for what it raises
        raise FrameError(f"a frame of {len(body)} bytes is malformed: {error!r}") from error
    if not isinstance(message, dict):
        raise FrameError(f"a frame holds {type(message).__name__}, not a map")
    return message


def send(sock: socket.socket, frame: bytes, deadline_s: float | None = None) -> None:
    """Send what `pack` made, by `deadline_s` of time.monotonic().

    Raises TimeoutError, after which the stream is of no use any more; OSError where the other end is gone.
    """
    sock.settimeout(_left_s(deadline_s))
    sock.sendall(frame)


def receive(sock: socket.socket, deadline_s: float | None = None) -> dict[str, Any]:
    """The next message, by `deadline_s` of time.monotonic().

    Raises EOFError when the other end closed between two frames, FrameError, TimeoutError, OSError.
    """
    head = _read(sock, _LENGTH.size, deadline_s)
    if not head:
        raise EOFError("the other end closed the connection")
    if len(head) < _LENGTH.size:
        raise FrameError(f"a frame was cut after {len(head)} of the {_LENGTH.size} bytes of its length")
    (length,) = _LENGTH.unpack(head)
    if length > MAX_BYTES:
        raise FrameError(f"a frame says it has {length} bytes; at most {MAX_BYTES}")
    body = _read(sock, length, deadline_s)
    if len(body) < length:
        raise FrameError(f"a frame was cut after {len(body)} of {length} bytes")
    return unpack(body)


def _read(sock: socket.socket, size: int, deadline_s: float | None) -> bytearray:
    """`size` bytes, fewer where the other end closed."""
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        sock.settimeout(_left_s(deadline_s))
        count = sock.recv_into(view[got:])
        if count == 0:
            break
        got += count
    view.release()
    del data[got:]
    return data


def _left_s(deadline_s: float | None) -> float | None:
    if deadline_s is None:
        return None
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("timed out")
    return left_s


def _encode(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"no way to send {type(value).__name__}")
    if value.dtype.kind not in _KINDS:
        raise TypeError(f"no way to send an array of {value.dtype}")
    head = msgpack.packb([value.dtype.str, list(value.shape)])
    return msgpack.ExtType(_ARRAY, b"".join((bytes((len(head),)), head, value.tobytes())))


def _decode(code: int, data: bytes) -> np.ndarray:
    if code != _ARRAY or not data:
        raise FrameError(f"a frame holds extension {code} of {len(data)} bytes, which is no array")
    start = 1 + data[0]
    try:
        name, shape = msgpack.unpackb(data[1:start])
        dtype = np.dtype(name)
        if dtype.kind not in _KINDS or any(type(size) is not int or size < 0 for size in shape):
            raise ValueError(f"dtype {name!r}, shape {shape!r}")
        return np.frombuffer(data, dtype, offset=start).reshape(shape)
    except Exception as error:
        raise FrameError(f"a frame holds an array that is none: {error}") from error
