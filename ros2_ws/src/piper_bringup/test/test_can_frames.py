"""Frames, MIT packing, wire packets and kinematics: pure functions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from piper_sdk.kinematics.piper_fk import C_PiperForwardKinematics

from piper_bringup.can import frames, mit, wire
from piper_bringup.can.kinematics import flange_pose
from piper_bringup.can.wire import Frame


@settings(deadline=None)
@given(st.sampled_from(sorted(frames.LAYOUTS)), st.binary(min_size=8, max_size=8))
def test_decoding_then_encoding_gives_the_same_counts(frame_id, data):
    values = frames.decode(frame_id, data)
    assert frames.decode(frame_id, frames.encode(frame_id, *values).data) == pytest.approx(values, abs=1e-12)
    again = frames.encode(frame_id, *frames.decode(frame_id, frames.encode(frame_id, *values).data))
    assert again == frames.encode(frame_id, *values)


def test_layouts_of_the_documented_tables():
    assert frames.encode(0x155, math.radians(10), math.radians(-20)).data.hex() == "00002710ffffb1e0"
    assert frames.encode(0x159, 0.05, 1.0, 1, 0).data.hex() == "0000c35003e80100"
    assert frames.encode(0x151, 1, 1, 30, 0xAD, 0, 0).data.hex() == "01011ead00000000"
    assert frames.encode(0x471, 7, 2).data.hex() == "0702000000000000"
    assert frames.encode(0x473, 1, math.radians(150), math.radians(-150), 3000).data.hex() == "0105dcfa240bb800"
    assert frames.encode(0x2A8, 0.07, 0.5, 0b11000000).data.hex() == "0001117001f4c000"
    assert frames.encode(0x261, 24.0, 35, 30, 0x40, 0).data.hex() == "00f000231e400000"


def test_a_field_saturates_instead_of_wrapping():
    assert frames.encode(frames.MOTOR_FAST[0], 100.0, -100.0, 0).data[:4] == bytes.fromhex("7fff8000")
    assert frames.encode(frames.JOINTS[0], 1e9, -1e9).data == bytes.fromhex("7fffffff80000000")


def test_nan_is_refused_and_short_data_are_padded():
    with pytest.raises(ValueError, match="NaN"):
        frames.encode(frames.JOINTS[0], math.nan, 0.0)
    assert frames.decode(frames.ENABLE, b"\x07") == (7, 0)


def test_a_layout_of_another_length_is_refused():
    with pytest.raises(ValueError, match="9 bytes"):
        frames.Layout("iiB", (1, 1, 1))


_COMMANDS = st.builds(
    mit.Mit,
    st.floats(-12.5, 12.5),
    st.floats(-45, 45),
    st.floats(0, 500),
    st.floats(-5, 5),
    st.floats(-8, 8),
)


@settings(deadline=None)
@given(_COMMANDS, st.integers(1, 6), st.booleans())
def test_mit_round_trip_within_one_count(command, joint, wide):
    frame = mit.encode(joint, command, wide)
    assert frame.arbitration_id == 0x159 + joint
    counts = (25 / 65535, 90 / 4095, 500 / 4095, 10 / 4095, 32 / 4095 if wide else 16 / 255)
    error = np.abs(np.subtract(mit.decode(frame.data, wide), command))
    assert np.all(error <= np.array(counts) / 2 + 1e-9)


def test_mit_saturates_where_the_sdk_wraps():
    assert mit.decode(mit.encode(1, mit.Mit(0, 0, 600, 10, 10)).data)[2:] == pytest.approx((500, 5, 8))


@settings(deadline=None)
@given(_COMMANDS, st.integers(0, 7), st.integers(0, 3))
def test_mit_checksum_covers_the_low_half_of_every_byte(command, byte, bit):
    data = bytearray(mit.encode(1, command).data)
    data[byte] ^= 1 << bit
    with pytest.raises(ValueError, match="checksum"):
        mit.decode(bytes(data))


def test_mit_frame_of_another_length_is_refused():
    with pytest.raises(ValueError, match="8 data bytes, got 3"):
        mit.decode(b"abc")


def test_packet_round_trip():
    sent = [Frame(0x2A5, b"12345678"), Frame(0x1FFFFFFF, b"", 0, wire.EXTENDED), Frame(1, b"\0\0", 0, wire.REMOTE)]
    got = wire.unpack(wire.pack(sent, t_ns=77))
    assert got == [frame._replace(t_ns=77) for frame in sent]
    assert wire.unpack(wire.pack(sent, 0, wire.OWN))[0].flags == wire.OWN


def test_broken_packets_are_refused():
    with pytest.raises(ValueError, match="multiple"):
        wire.unpack(b"x" * 25)
    with pytest.raises(ValueError, match="9 data bytes"):
        wire.unpack(wire.RECORD.pack(0, 1, 0, 9, b""))
    with pytest.raises(ValueError, match="9 data bytes"):
        wire.pack([Frame(1, b"123456789")], 0)


@settings(deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6), st.booleans())
def test_kinematics_agree_with_the_sdk(q, old_zero):
    theirs = C_PiperForwardKinematics(0 if old_zero else 1).CalFK(list(q))[-1]
    ours = flange_pose(q, old_zero)
    assert np.allclose(ours[:3], np.array(theirs[:3]) / 1000, atol=1e-9)
    difference = np.subtract(ours[3:], np.radians(theirs[3:]))
    assert np.allclose(np.angle(np.exp(1j * difference)), 0, atol=1e-6)


def test_zero_pose_is_the_published_one():
    x, y, z, _, pitch, _ = flange_pose([0.0] * 6)
    assert (x, y, z) == pytest.approx((0.0561, 0.0, 0.2133), abs=1e-4)
    assert math.degrees(pitch) == pytest.approx(85.0, abs=1e-6)
