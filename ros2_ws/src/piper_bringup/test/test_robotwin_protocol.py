"""Frames between us and a RoboTwin worker: what goes in comes out, and nothing else comes out."""

import contextlib
import socket
import struct
import threading
import time

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from piper_bringup.robotwin import protocol

DTYPES = st.sampled_from(["u1", "<i4", ">i8", "<f4", "<f8", "?"])
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@pytest.fixture
def ends():
    a, b = socket.socketpair()
    with a, b:
        yield a, b


def soon():
    return time.monotonic() + 30.0


@given(array=DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, SHAPES)))
def test_an_array_comes_out_as_it_went_in(array):
    back = protocol.unpack(protocol.pack({"a": array})[4:])["a"]
    assert back.dtype == array.dtype and back.shape == array.shape and back.tobytes() == array.tobytes()


def test_an_array_that_does_not_lie_in_one_piece_comes_out_whole():
    rgba = np.arange(4 * 6 * 4, dtype=np.uint8).reshape(4, 6, 4)
    np.testing.assert_array_equal(protocol.unpack(protocol.pack({"a": rgba[:, ::-1, :3]})[4:])["a"], rgba[:, ::-1, :3])


def test_what_is_no_array_comes_out_as_it_went_in():
    message = {
        "s": "é",
        "n": None,
        "b": [True, 1, -2.5],
        "m": {"k": b"raw"},
        "np": np.float64(0.5),
        "npb": np.bool_(True),
    }
    assert protocol.unpack(protocol.pack(message)[4:]) == message


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_map_or_one_named_error(data):
    with contextlib.suppress(protocol.FrameError):
        assert isinstance(protocol.unpack(data), dict)


@given(cut=st.integers(0, 10_000), flip=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_damaged_frame_is_a_map_or_one_named_error(cut, flip, value):
    body = bytearray(protocol.pack({"a": np.zeros((3, 4), np.float32), "b": [1, "x"]})[4:])
    body[flip % len(body)] = value
    with contextlib.suppress(protocol.FrameError):
        assert isinstance(protocol.unpack(body[: cut % len(body) + 1]), dict)


@pytest.mark.parametrize(
    "array",
    [
        msgpack.packb(["|O", [1]]) + bytes(8),
        msgpack.packb(["<f8", [2]]) + bytes(8),
        msgpack.packb(["<f8", [-1]]) + bytes(8),
        msgpack.packb(["<f8", [2**62, 2**62]]) + bytes(8),
        msgpack.packb(["[('a','<f8')]", [1]]) + bytes(8),
        b"",
    ],
    ids=["objects", "too few", "negative", "overflow", "structured", "empty"],
)
def test_an_array_that_is_none_is_refused(array):
    head = array[: len(array) - 8] if array else b""
    body = msgpack.packb({"a": msgpack.ExtType(1, bytes((len(head),)) + head + array[len(head) :])})
    with pytest.raises(protocol.FrameError, match="an array that is none"):
        protocol.unpack(body)


@pytest.mark.parametrize("value", [object(), np.array([object()]), 2**70, {1, 2}])
def test_what_cannot_be_sent_is_said_before_anything_is_sent(value):
    with pytest.raises(protocol.FrameError, match="cannot be sent"):
        protocol.pack({"a": value})


def test_a_message_too_large_is_not_sent():
    with pytest.raises(protocol.FrameError, match="at most"):
        protocol.pack({"a": np.zeros(protocol.MAX_BYTES + 1, np.uint8)})


def test_frames_follow_each_other(ends):
    for number in range(3):
        protocol.send(ends[0], protocol.pack({"n": number}), soon())
    assert [protocol.receive(ends[1], soon())["n"] for _ in range(3)] == [0, 1, 2]


def test_a_picture_larger_than_the_socket_holds_goes_through(ends):
    picture = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    sender = threading.Thread(target=lambda: protocol.send(ends[0], protocol.pack({"rgb": picture}), soon()))
    sender.start()
    np.testing.assert_array_equal(protocol.receive(ends[1], soon())["rgb"], picture)
    sender.join(timeout=30)


@pytest.mark.parametrize("size", [1, 3, 4, 10])
def test_a_cut_frame_is_said(ends, size):
    ends[0].sendall(protocol.pack({"a": np.zeros(10)})[:size])
    ends[0].close()
    with pytest.raises(protocol.FrameError, match="cut after"):
        protocol.receive(ends[1], soon())


def test_an_oversized_frame_is_refused_before_it_is_read(ends):
    ends[0].sendall(struct.pack(">I", protocol.MAX_BYTES + 1))
    with pytest.raises(protocol.FrameError, match="at most"):
        protocol.receive(ends[1], soon())


def test_what_is_no_map_is_refused(ends):
    body = msgpack.packb([1, 2])
    ends[0].sendall(struct.pack(">I", len(body)) + body)
    with pytest.raises(protocol.FrameError, match="list, not a map"):
        protocol.receive(ends[1], soon())


def test_an_end_between_two_frames_is_no_error_of_the_frames(ends):
    ends[0].close()
    with pytest.raises(EOFError):
        protocol.receive(ends[1], soon())


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\x08abc"])
def test_what_does_not_come_in_time_is_a_timeout(ends, sent):
    ends[0].sendall(sent)
    with pytest.raises(TimeoutError):
        protocol.receive(ends[1], time.monotonic() + 0.05)


def test_what_nobody_reads_is_a_timeout(ends):
    with pytest.raises(TimeoutError):
        protocol.send(ends[0], protocol.pack({"a": np.zeros(10_000_000, np.uint8)}), time.monotonic() + 0.05)
