"""S-rules about what the arms say, and what they stop saying (HARDWARE §d)."""

from __future__ import annotations

import struct
import time
from dataclasses import replace

import can
import numpy as np
import pytest
from rig import Rig

from piper_bringup.arm import watch
from piper_bringup.arm.safety import Mode, Reason, Severity
from piper_bringup.can.wire import Frame


@pytest.fixture
def rig():
    with Rig() as rig:
        yield rig.enabled()


def moving(rig: Rig, seconds: float = 0.6):
    start = rig.core.motion.at.q.copy()
    both = (np.arange(14) == 0) | (np.arange(14) == 7)
    rig.follow(lambda t: start + both * 0.5 * t, seconds)
    assert rig.mode() == Mode.FOLLOW


def stand_still(rig: Rig, seconds: float = 1.0) -> float:
    """How far any joint still moves from here on."""
    before = rig.q()
    rig.run(seconds)
    return float(np.abs(rig.q() - before)[[0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]].max())


@pytest.mark.parametrize("ids", [frozenset(), frozenset({0x2A7}), frozenset({0x2A1}), frozenset({0x2A8})])
def test_s10_late_feedback_holds_and_then_is_a_fault(rig, ids):
    moving(rig)
    rig.sides["left"].fault(mute=not ids, mute_ids=ids)
    rig.run(0.04)
    assert rig.mode() == Mode.FOLLOW
    rig.run(0.03)
    assert rig.mode() == Mode.HOLD and rig.core.safety.reason == Reason.FEEDBACK_STALE
    rig.run(0.3)
    assert rig.mode() == Mode.FAULT and rig.core.safety.reason == Reason.FEEDBACK_LOST
    assert stand_still(rig, 0.5) < 0.06
    rig.sides["left"].fault()
    rig.run(3.0)  # at least one reconnect where the whole arm was mute
    assert rig.mode() == Mode.DISABLED
    assert Reason.FEEDBACK_BACK in rig.reasons()


def test_s10_feedback_that_comes_back_in_time_is_followed_again(rig):
    moving(rig)
    rig.sides["right"].fault(mute=True)
    rig.run(0.1)
    assert rig.mode() == Mode.HOLD
    rig.sides["right"].fault()
    rig.run(0.1)
    moving(rig, 0.5)


def test_s10_motor_status_alone_going_silent_is_a_fault(rig):
    moving(rig)
    rig.sides["left"].fault(mute_ids=frozenset({0x263}))
    rig.run(0.35)
    assert rig.mode() == Mode.FAULT and rig.core.safety.reason == Reason.FEEDBACK_LOST


def test_s08_a_broken_frame_is_no_place_to_hold_at(rig):
    moving(rig)
    link, before = rig.arms["left"].link, rig.core.motion.at.q.copy()
    frames = link.frames
    rig.sides["left"].port.send([Frame(0x2A5, struct.pack(">ii", 2_900_000, -2_900_000))])  # 2900 degrees
    rig.wait(lambda: link.frames > frames)
    rig.core.ask("hold")
    rig.tick()
    assert rig.mode() == Mode.FAULT and rig.core.safety.reason == Reason.OUTSIDE_LIMITS
    assert np.abs(rig.core.motion.at.q - before).max() < 0.1  # and not at the nearest limits


def test_s24_an_arm_made_a_leader_in_mid_motion_is_named(rig):
    moving(rig)
    rig.sides["right"].firmware.receive(0x470, bytes([0xFA, 0, 0, 0, 0, 0, 0, 0]), rig.ns)
    rig.run(1.6)
    assert rig.mode() == Mode.FAULT
    assert next(e for e in rig.events if e.reason == Reason.LEADER_MODE).arm == "right"
    rig.sides["right"].firmware.receive(0x470, bytes([0xFC, 0, 0, 0, 0, 0, 0, 0]), rig.ns)
    rig.run(2.0)
    assert rig.mode() == Mode.DISABLED


def test_s11_a_thin_stream_warns_and_then_faults(rig):
    rig.run(1.2)
    assert rig.core.fps("left") == pytest.approx(3040, rel=0.01)
    rig.sides["left"].fault(mute_ids=frozenset(range(0x251, 0x257)))  # 1840/s
    rig.run(1.3)
    assert rig.mode() == Mode.HOLD
    assert Reason.CAN_RATE_LOW in rig.reasons()
    rig.sides["left"].fault(mute_ids=frozenset([*range(0x251, 0x257), 0x2A2, 0x2A3, 0x2A4]))  # 1240/s
    rig.run(1.3)
    assert rig.mode() == Mode.FAULT and rig.core.safety.reason == Reason.CAN_RATE_LOW


FAULTS = {
    "over limit": ({"arm_status": 4}, Reason.ARM_STATUS),
    "joint communication status": ({"arm_status": 5}, Reason.ARM_STATUS),
    "brake": ({"arm_status": 6}, Reason.ARM_STATUS),
    "collision status": ({"arm_status": 7}, Reason.ARM_STATUS),
    "joint status": ({"arm_status": 9}, Reason.ARM_STATUS),
    "hot 0xE": ({"arm_status": 0xE}, Reason.ARM_STATUS),
    "hot 0xF": ({"arm_status": 0xF}, Reason.ARM_STATUS),
    "joint communication": ({"joint_comm": frozenset({5})}, Reason.JOINT_COMMUNICATION),
    "collision": ({"collision": frozenset({2})}, Reason.MOTOR_FAULT),
    "stall": ({"stall": frozenset({6})}, Reason.MOTOR_FAULT),
    "low voltage": ({"low_voltage": True}, Reason.MOTOR_FAULT),
    "over-current": ({"driver_bits": 1 << 2}, Reason.MOTOR_FAULT),
    "driver error": ({"driver_bits": 1 << 5}, Reason.MOTOR_FAULT),
    "hot": ({"over_temperature": frozenset({1})}, Reason.MOTOR_FAULT),
    "gripper driver": ({"gripper_bits": 1 << 5}, Reason.GRIPPER_FAULT),
}


@pytest.mark.parametrize("case", FAULTS)
def test_s24_what_an_arm_reports_stops_both(rig, case):
    faults, reason = FAULTS[case]
    moving(rig)
    rig.sides["right"].fault(**faults)
    rig.run(0.06)
    assert rig.mode() == Mode.FAULT
    assert reason in rig.reasons()
    assert next(e for e in rig.events if e.reason == reason).arm == "right"
    assert stand_still(rig, 0.5) < 0.06
    assert not rig.ask("enable")[0]
    assert not rig.ask("clear_errors")[0]  # the cause is still there


def test_s24_a_status_that_the_sdk_does_not_know_changes_nothing(rig):
    """An unknown enum value killed the reader of piper_sdk 0.4.1."""
    moving(rig)
    rig.sides["left"].fault(arm_status=0x55)
    rig.run(0.1)
    assert rig.mode() == Mode.FOLLOW
    assert rig.core.feedback["left"].arm_status == 0xFF  # the SDK's word for it
    rig.sides["left"].fault(arm_status=7)
    rig.run(0.05)
    assert rig.mode() == Mode.FAULT


@pytest.mark.parametrize("mode", sorted(watch.FOREIGN_MODES))
def test_s24_an_arm_commanded_by_somebody_else_gets_nothing(rig, mode):
    """Teach button, leader mode: no frame that could take the arm out of somebody's hand."""
    moving(rig)
    side = rig.sides["left"]
    side.fault(ctrl_mode=mode)
    rig.run(0.05)
    assert rig.mode() == Mode.FAULT
    rig.run(0.05)
    side.heard.clear()
    rig.run(0.5)
    assert not {i for i, _ in side.heard} & {0x151, 0x155, 0x156, 0x157, 0x159, 0x471}
    assert {i for i, _ in rig.sides["right"].heard} & {0x155}  # the other arm is held
    assert not rig.ask("clear_errors")[0]


def test_s24_an_arm_left_as_a_leader_is_named():
    with Rig(firmware={"leader": True}) as rig:
        rig.run(2.5)
        assert rig.mode() == Mode.DISCONNECTED
        event = next(e for e in rig.events if e.reason == Reason.LEADER_MODE)
        assert "leader" in event.text
        assert not rig.ask("enable")[0]


def test_motors_that_lose_their_power_are_a_fault(rig):
    moving(rig)
    rig.sides["right"].firmware.receive(0x471, bytes([3, 1, 0, 0, 0, 0, 0, 0]), 0)
    rig.run(0.06)
    assert rig.mode() == Mode.FAULT and rig.core.safety.reason == Reason.MOTOR_POWER_LOST
    assert "joint 3" in next(e for e in rig.events if e.reason == Reason.MOTOR_POWER_LOST).text


def test_a_cleared_fault_follows_only_after_an_enable(rig):
    moving(rig)
    rig.sides["left"].fault(arm_status=7)
    rig.run(0.06)
    rig.sides["left"].fault()
    rig.run(0.06)
    assert rig.mode() == Mode.FAULT  # latched
    assert rig.ask("clear_errors")[0]
    here = rig.core.motion.at.q.copy()
    rig.follow(lambda t: here + 0.2 * t * (np.arange(14) == 0), 0.6)
    assert rig.mode() == Mode.HOLD
    assert rig.ask("enable")[0]
    moving(rig)


def test_s26_temperatures_warn_and_fault(rig):
    feedback, config = rig.core.feedback["left"], rig.config
    warm = replace(feedback, driver_temp_c=np.full(6, 70.0))
    hot = replace(feedback, motor_temp_c=np.array([20, 20, 81, 20, 20, 20.0]))
    assert [f.reason for f in watch.warnings("left", warm, config)] == [Reason.TEMPERATURE_HIGH]
    assert not list(watch.faults("left", warm, config))
    found = list(watch.faults("left", hot, config))
    assert [f.reason for f in found] == [Reason.OVER_TEMPERATURE] and found[0].severity == Severity.FAULT


def test_s22_three_failed_sends_are_a_fault(rig):
    moving(rig)

    def refuse(message, timeout=None):
        raise can.CanOperationError("transmit buffer full")

    rig.arms["left"].link.sdk.GetCanBus().send_bus.send = refuse
    rig.run(0.05)
    assert rig.mode() == Mode.FAULT and rig.core.safety.reason == Reason.SEND_FAILED
    assert rig.core.feedback["left"].send_failures_total >= 3
    assert stand_still(rig, 0.3) < 0.06


def test_s22_a_send_that_blocks_does_not_stop_the_other_arm(rig):
    moving(rig)
    bus = rig.arms["left"].link.sdk.GetCanBus().send_bus
    send, released = bus.send, []

    def block(message, timeout=None):
        rig.wait(lambda: bool(released), 30.0)
        return send(message, timeout)

    bus.send, rig.patience_s = block, 0.002
    rig.run(0.4)
    assert rig.mode() == Mode.FAULT and rig.core.safety.reason == Reason.SEND_BLOCKED
    rig.sides["right"].heard.clear()
    rig.run(0.1)
    assert 0x155 in {i for i, _ in rig.sides["right"].heard}
    released.append(True)


def test_s23_a_lost_bus_is_opened_again_and_comes_back_disabled(rig):
    moving(rig)
    side = rig.sides["left"]
    side.segment.down()
    rig.wait(lambda: rig.arms["left"].link.read_failed)
    rig.run(0.02)
    assert rig.mode() == Mode.FAULT and rig.core.safety.reason == Reason.BUS_LOST
    assert stand_still(rig, 1.0) < 0.06
    side.segment.up()
    rig.run(4.0)
    assert rig.mode() == Mode.DISABLED
    assert rig.core.feedback["left"].reconnects >= 1
    side.heard.clear()
    rig.run(0.5)
    assert not {i for i, _ in side.heard} & {0x155, 0x156, 0x157, 0x471}
    assert rig.ask("enable")[0]
    moving(rig)


def test_s23_the_back_off_doubles_up_to_ten_seconds(rig):
    arm, side = rig.arms["left"], rig.sides["left"]
    tries, real = [], arm.link.open

    def counted() -> None:
        tries.append(rig.ns)
        real()

    arm.link.open = counted
    side.segment.down()
    rig.wait(lambda: arm.link.read_failed)
    for _ in range(300):  # 30 s of the injected clock; the arm's own thread looks every 20 ms of real time
        rig.ns += 100_000_000
        time.sleep(0.03)
    gaps = np.diff(tries) * 1e-9
    assert gaps == pytest.approx([2, 4, 8, 10][: len(gaps)], abs=0.35)
    assert len(gaps) >= 3


def test_s24_the_other_arm_is_watched_while_one_is_away(rig):
    """The right arm's teach button is pressed while the left bus is gone: nothing may pull it out of the hand."""
    moving(rig)
    rig.sides["left"].segment.down()
    rig.wait(lambda: rig.arms["left"].link.read_failed)
    rig.run(0.1)
    assert rig.mode() == Mode.FAULT
    side = rig.sides["right"]
    side.fault(ctrl_mode=2)
    rig.run(0.1)
    assert Reason.TEACH_MODE in rig.reasons()
    side.heard.clear()
    rig.run(0.4)
    assert not {i for i, _ in side.heard} & {0x151, 0x155, 0x156, 0x157, 0x159}


def test_an_exception_in_a_sender_reopens_the_bus_instead_of_ending_the_thread(rig):
    arm = rig.arms["left"]

    def broken() -> None:
        raise RuntimeError("boom")

    arm._do(broken)
    rig.run(3.0)
    assert rig.mode() == Mode.DISABLED and {Reason.BUS_LOST, Reason.FEEDBACK_LOST} & set(rig.reasons())
    assert rig.ask("enable")[0]
