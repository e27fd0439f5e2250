"""What the driver spares piper_sdk's parser changes nothing that is read from it."""

from __future__ import annotations

import numpy as np
import pytest
from rig import Rig

from piper_bringup.arm.clock import Clock
from piper_bringup.arm.link import Link
from piper_bringup.can import wire
from piper_bringup.can.wire import Frame

# Joints 1 and 2 at zero, as piper_sdk reads it: whatever is missing counts as zero.
NOT_FROM_AN_ARM = {
    "empty": Frame(0x2A5, b""),
    "short": Frame(0x2A5, bytes(4)),
    "remote": Frame(0x2A5, bytes(8), flags=wire.REMOTE),
    "error": Frame(0x2A5, bytes(8), flags=wire.ERROR),
    "extended": Frame(0x2A5, bytes(8), flags=wire.EXTENDED),
}


@pytest.fixture
def rig():
    with Rig() as rig:
        yield rig.enabled()


def follow_all_joints(rig: Rig, seconds: float) -> None:
    start = rig.core.motion.at.q.copy()
    direction = np.array([1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 0.0] * 2)
    rig.follow(lambda t: start + 0.3 * t * direction, seconds)


@pytest.mark.parametrize("phase", [0, 1])
def test_speeds_are_read_although_one_motor_says_none(rig, phase):
    """Whichever of its frames was the last: 0x251 used to clock the reading of all six."""
    for _ in range(phase):
        rig.ns += 5_000_000
        rig._step_arms()
    rig.sides["left"].fault(mute_ids=frozenset({0x251}))
    follow_all_joints(rig, 0.6)
    assert np.all(np.abs(rig.arms["left"].feedback().qd_rad_s[1:]) > 0.1)


def test_what_is_read_is_what_came_last(rig):
    parsed = []
    for arm in rig.arms.values():
        bus = arm.link.sdk.GetCanBus()
        heard = bus.callback_function
        bus.callback_function = lambda message, heard=heard: (parsed.append(message.arbitration_id), heard(message))
    follow_all_joints(rig, 0.5)
    for arm, side in rig.sides.items():
        feedback, firmware = rig.arms[arm].feedback(), side.firmware.encoders
        assert np.abs(feedback.q_rad - firmware.q_rad).max() < 1e-5  # 0.001 degree
        assert np.abs(feedback.qd_rad_s - firmware.qd_rad_s).max() < 0.05  # at most one 5 ms step behind
    assert len(parsed) > 0.5 * 2 * 3000  # they did come, at the full rate
    rig.run(1.0)  # at rest again
    for arm, side in rig.sides.items():
        assert np.abs(rig.arms[arm].feedback().qd_rad_s - side.firmware.encoders.qd_rad_s).max() < 2e-3


@pytest.mark.parametrize("kind", NOT_FROM_AN_ARM)
def test_a_frame_that_no_arm_sends_is_not_read(rig, kind):
    follow_all_joints(rig, 0.5)
    arm, port = rig.arms["left"], rig.sides["left"].port
    before, frames = arm.feedback().q_rad, arm.link.frames
    port.send([NOT_FROM_AN_ARM[kind], Frame(0x2A2, bytes(8))])
    rig.wait(lambda: arm.link.frames > frames)
    assert np.array_equal(arm.feedback().q_rad, before)


def test_a_bus_that_uses_its_buffer_again_does_not_hide_what_changed():
    link = Link("reused_buffer", "smp_vcan", Clock())
    data = bytearray(8)
    assert link._is_news(0x2A5, data) and not link._is_news(0x2A5, data)
    data[0] = 1
    assert link._is_news(0x2A5, data)
