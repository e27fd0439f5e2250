"""The traps of piper_sdk 0.6.2 (HARDWARE §0): each is shown to exist, and not to bite us."""

from __future__ import annotations

import ast
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from piper_sdk import C_PiperInterface_V2
from rig import EmulatedSide, Rig

import piper_bringup.arm as arm_room
from piper_bringup.arm.clock import Clock
from piper_bringup.arm.link import Link, LinkError
from piper_bringup.arm.piper import Arm
from piper_bringup.arm.safety import Mode
from piper_bringup.can.settings import FACTORY_LIMITS

MOTION = {0x151, 0x155, 0x156, 0x157, 0x159}
GOOD = np.array([0.1, 1.0, -1.0, 0.0, 0.1, 0.0])


@pytest.fixture(scope="module")
def rig():
    with Rig() as rig:
        yield rig.enabled()


BAD = [(column, bad) for column in range(9) for bad in (np.nan, np.inf, -np.inf)]
BAD += [(column, bad) for column in range(7) for bad in (1e6, 4.0)]


def test_nan_never_reaches_a_bus():
    """With its own limits on, the SDK sends NaN as the lower limit of every joint."""
    side = EmulatedSide("left", np.zeros(6), powered=False)
    arm = Arm("left", side.channel, "smp_vcan", Clock(), 1.0, 10.0)
    arm.start()
    Rig.wait(lambda: arm.link.is_open)
    for column, bad in BAD:
        values = np.append(GOOD, [0.02, 1.0, 50.0])
        values[column] = bad
        with pytest.raises(ValueError, match="left: set-point"):
            arm.set_point(values[:6], values[6], values[7], values[8])
    assert arm.idle()
    arm.set_point(GOOD, 0.02, 1.0, 50.0)  # the counterpart: a good one does arrive
    Rig.wait(lambda: arm.idle())
    arm.stop()
    Rig.wait(lambda: len(side.port._inbox) >= 5)
    sent = [frame for frame in side.port.receive() if frame.arbitration_id in MOTION]
    side.segment.close()
    assert {frame.arbitration_id for frame in sent} == MOTION and len(sent) == 5
    assert sent[1].data[:4] == round(np.degrees(0.1) * 1000).to_bytes(4, "big", signed=True)


def test_wrong_shapes_are_refused(rig):
    for q in (np.zeros(5), np.zeros(7), np.zeros((6, 1)).T[:, :3].ravel()):
        with pytest.raises(ValueError):
            rig.arms["left"].set_point(q, 0.0, 1.0, 50.0)


def test_limits_of_one_arm_in_the_sdk_do_not_reach_the_other(rig):
    """SDK limits are global to the process and would clamp silently; ours are per arm and the SDK's stay off."""
    left, right = (rig.arms[name].link.sdk for name in ("left", "right"))
    try:
        left.SetSDKJointLimitParam("j1", -0.01, 0.01)
        assert right.GetSDKJointLimitParam("j1") == (-0.01, 0.01)  # the trap
        start = rig.core.motion.at.q.copy()
        rig.follow(lambda t: start + 0.2 * np.clip(t, 0, 1) * (np.arange(14) == 7), 1.5)
        assert rig.q()[7] == pytest.approx(start[7] + 0.2, abs=0.01)
    finally:
        left.SetSDKJointLimitParam("j1", -2.6179, 2.6179)
        rig.run(1.0)


def test_one_thread_sends_whoever_asks(rig):
    """0.6.2 shares one transmit message: two threads swap frames (HARDWARE §0.5)."""
    senders: dict[str, set[int]] = {name: set() for name in rig.arms}
    for name, arm in rig.arms.items():
        bus = arm.link.sdk.GetCanBus()
        send = bus.SendCanMessage

        def noted(*args, send=send, name=name, **kwargs):
            senders[name].add(threading.get_ident())
            return send(*args, **kwargs)

        bus.SendCanMessage = noted
    start = rig.core.motion.at.q.copy()
    askers = [threading.Thread(target=rig.core.ask, args=("set_speed", 70.0 + i)) for i in range(8)]
    for thread in askers:
        thread.start()
    rig.follow(lambda t: start, 1.0)
    for thread in askers:
        thread.join()
    assert all(len(threads) == 1 for threads in senders.values())
    assert len(set.union(*senders.values())) == 2
    rig.run(1.0)


def test_mit_has_no_way_to_the_bus():
    """JointMitCtrl wraps values that are out of range (+10 Nm becomes -6.12 Nm); S19: we never call it."""
    calls = set()
    for path in Path(arm_room.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                calls.add(node.attr)
    assert {"JointCtrl", "GripperCtrl", "EnableArm"} <= calls  # the walk does see the calls
    forbidden = {"JointMitCtrl", "EnablePiper", "ResetPiper", "MotorAngleLimitMaxSpdSet", "JointConfig"}
    assert not calls & forbidden


def test_zeros_before_the_first_frame_are_not_a_state():
    side = EmulatedSide("left", GOOD, powered=False)
    arm = Arm("left", side.channel, "smp_vcan", Clock(), 1.0, 10.0)
    arm.start()
    Rig.wait(lambda: arm.link.is_open)
    feedback = arm.feedback()
    assert np.array_equal(feedback.q_rad, np.zeros(6))  # what the SDK says
    assert feedback.arrived_ns == 0  # and what makes it worth nothing
    arm.stop()
    side.segment.close()


def test_values_of_an_earlier_connection_are_not_a_state(rig):
    link = rig.arms["left"].link
    assert link.arrived_ns
    fresh = Link(link.channel, "smp_vcan", Clock())  # the SDK hands out the same object again
    assert fresh.sdk is link.sdk
    assert not fresh.arrived_ns and not fresh.motor_limits and not fresh.firmware


def test_a_lost_bus_is_noticed_although_the_sdk_stays_connected():
    with Rig() as rig:
        rig.enabled()
        link = rig.arms["left"].link
        rig.sides["left"].segment.down()
        rig.wait(lambda: link.read_failed)
        assert link.sdk.get_connect_status()  # the trap; isOk() follows after 0.3 s of the wall clock
        rig.run(0.02)
        assert rig.mode() == Mode.FAULT


def test_every_motor_has_its_own_limits():
    """GetAllMotorAngleLimitMaxSpd() of 0.6.2 gives the last motor's limits for all six."""
    own = tuple(replace(limit, upper_rad=0.1 * (i + 1)) for i, limit in enumerate(FACTORY_LIMITS))
    with Rig(firmware={"limits": own}) as rig:
        rig.answered()
        assert rig.core.feedback["left"].limits[:, 1] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], abs=2e-3)


def test_the_whole_firmware_version_is_read():
    with Rig(firmware={"firmware": "S-V1.8-10"}) as rig:
        rig.answered()
        sdk = rig.arms["left"].link.sdk
        # Another trap: the SDK clears its text after it has asked, and so loses an answer that is quick. Ask again.
        Rig.wait(lambda: sdk.GetPiperFirmwareVersion() == "S-V1.8-1" or sdk.SearchPiperFirmwareVersion())
        assert rig.core.feedback["left"].firmware == "S-V1.8-10"


def test_a_bus_that_does_not_open_says_why():
    """CreateCanBus raises nothing for it."""
    link = Link("nobody_hosts_this", "smp_vcan", Clock())
    with pytest.raises(LinkError, match="nobody_hosts_this"):
        link.open()
    with pytest.raises(LinkError, match="no_such_interface"):
        Link("can_x", "no_such_interface", Clock()).open()


def test_a_missing_socketcan_interface_says_what_to_try():
    with pytest.raises(LinkError, match="ip -details link show can_that_is_not_there"):
        Link("can_that_is_not_there", "socketcan", Clock()).open()


def test_the_sdk_is_the_published_one():
    """No subclass, no patch: hooks are on the instance's public CAN object alone."""
    assert C_PiperInterface_V2.__module__ == "piper_sdk.interface.piper_interface_v2"
    assert type(Link("plain", "smp_vcan", Clock()).sdk) is C_PiperInterface_V2
