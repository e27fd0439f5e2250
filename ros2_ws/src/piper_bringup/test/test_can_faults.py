"""Every fault of an emulated arm, on injected time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from can_rig import Bench

from piper_bringup.can import frames
from piper_bringup.can.drive import PlantState
from piper_bringup.can.faults import Faults, parse_faults
from piper_bringup.can.frames import Bit, Status

GOAL = np.array([0.5, 0.7, -0.6, 0.2, 0.3, -0.5])
CLEAR_ALL = frames.encode(frames.JOINT_CONFIG, 7, 0, 0, 0, frames.MAGIC_BYTE)


def _bits(bench: Bench) -> list[int]:
    return [bench.read(frame_id)[3] & ~(1 << Bit.ENABLED) for frame_id in frames.MOTOR_SLOW]


def test_a_mute_arm_sends_nothing_but_still_moves():
    bench = Bench().ready()
    bench.arm.faults = Faults(mute=True)
    bench.aim(GOAL)
    assert bench.run(2.0) == []
    assert bench.send(frames.encode(frames.ASK_MOTOR, 1, 1)) == []
    assert np.allclose(bench.q_rad, GOAL, atol=1e-4)


def test_muted_identifiers_are_missing_and_only_they():
    bench = Bench()
    bench.arm.faults = Faults(mute_ids=frozenset({0x2A6, 0x473}))
    heard = Counter(frame.arbitration_id for frame in bench.run(1.0))
    assert 0x2A6 not in heard and sum(heard.values()) == 3040 - 200
    assert bench.send(frames.encode(frames.ASK_MOTOR, 1, 1)) == []


def test_a_deaf_arm_ignores_commands_while_feedback_runs():
    bench = Bench().ready()
    bench.arm.faults = Faults(deaf=True)
    bench.aim(GOAL)
    bench.send(frames.encode(frames.STOP, 1, 0, 0, 0, 0, 0))
    assert len(bench.run(1.0)) == 3040
    assert np.allclose(bench.q_rad, 0.0) and bench.read(frames.STATUS)[1] == Status.NORMAL


def test_no_firmware_answer():
    bench = Bench()
    bench.arm.faults = Faults(no_firmware=True)
    bench.send(frames.encode(frames.FIRMWARE, 1, *[0] * 7))
    assert frames.FIRMWARE not in {frame.arbitration_id for frame in bench.run(0.1)}


def test_absurd_limits_are_answered_and_not_used():
    bench = Bench().ready()
    bench.arm.faults = Faults(absurd_limits=True)
    (answer,) = bench.send(frames.encode(frames.ASK_MOTOR, 1, 1))
    _, upper, lower, speed = frames.decode(frames.MOTOR_LIMITS, answer.data)
    assert upper < lower and speed == 0
    bench.aim(GOAL)
    bench.run(2.0)
    assert np.allclose(bench.q_rad, GOAL, atol=1e-4)


def test_frozen_encoders_repeat_their_values_while_the_arm_moves():
    bench = Bench().ready()
    bench.arm.faults = Faults(frozen_encoders=True)
    bench.aim(GOAL)
    assert len(bench.run(2.0)) == 2 * 3040
    assert bench.read(frames.JOINTS[0]) == (0, 0)
    assert np.allclose(bench.q_rad, GOAL, atol=1e-4)


def test_refused_enables_leave_those_motors_off():
    bench = Bench()
    bench.arm.faults = Faults(enable_refused=frozenset({3, 7}))
    bench.ready()
    bench.run(1.0)
    assert bench.arm.motors.enabled == [True, True, False, True, True, True, False]
    bench.send(frames.encode(frames.GRIPPER_TARGET, 0.05, 1.0, 1, 0))
    bench.run(0.1)
    assert not bench.arm.motors.enabled[6]


def test_a_lost_joint_is_reported_silent_and_stops_the_arm():
    bench = Bench().ready()
    bench.aim(GOAL)
    bench.run(0.1)
    at = bench.arm.encoders.q_rad.copy()
    bench.arm.faults = Faults(joint_comm=frozenset({2, 5}))
    heard = Counter(frame.arbitration_id for frame in bench.run(1.0))
    status = bench.read(frames.STATUS)
    assert status[1] == Status.JOINT_COMMUNICATION
    assert status[6] == 0b010010, "low byte: joint communication"
    assert {0x252, 0x255, 0x262, 0x265}.isdisjoint(heard)
    assert sum(heard.values()) == 3040 - 2 * 240
    assert np.max(np.abs(bench.q_rad - at)) < 0.1, "the arm stands"
    bench.aim(GOAL)
    bench.run(0.5)
    assert np.max(np.abs(bench.q_rad - at)) < 0.1, "and follows nothing"
    bench.arm.faults = Faults()
    bench.aim(GOAL)
    bench.run(2.0)
    assert bench.read(frames.STATUS)[1] == Status.NORMAL
    assert np.allclose(bench.q_rad, GOAL, atol=1e-4)


@pytest.mark.parametrize(
    ("fault", "bit", "status"),
    [
        (Faults(collision=frozenset({3})), Bit.COLLISION, Status.COLLISION),
        (Faults(stall=frozenset({3})), Bit.STALL, Status.JOINT_ERROR),
        (Faults(over_temperature=frozenset({3})), Bit.MOTOR_HOT, Status.JOINT_ERROR),
    ],
    ids=["collision", "stall", "over-temperature"],
)
def test_a_drive_error_stops_the_arm_and_stays_until_it_is_cleared(fault, bit, status):
    bench = Bench().ready()
    bench.aim(GOAL)
    bench.run(0.1)
    bench.arm.faults = fault
    bench.run(0.1)
    at = bench.q_rad.copy()
    bench.send(CLEAR_ALL)
    bench.run(0.1)
    assert _bits(bench) == [0, 0, 1 << bit, 0, 0, 0], "the cause is still there"
    bench.arm.faults = Faults()
    bench.aim(GOAL)
    bench.run(1.0)
    assert _bits(bench) == [0, 0, 1 << bit, 0, 0, 0], "latched"
    assert bench.read(frames.STATUS)[1] == status
    assert np.allclose(bench.q_rad, at, atol=0.02)
    bench.send(CLEAR_ALL)
    bench.aim(GOAL)
    bench.run(2.0)
    assert _bits(bench) == [0] * 6 and bench.read(frames.STATUS)[1] == Status.NORMAL
    assert np.allclose(bench.q_rad, GOAL, atol=1e-4)


def test_over_temperature_shows_in_the_temperatures():
    bench = Bench()
    bench.arm.faults = Faults(over_temperature=frozenset({4}))
    bench.run(0.05)
    assert [bench.read(frame_id)[2] for frame_id in frames.MOTOR_SLOW] == [30, 30, 30, 95, 30, 30]


def test_low_voltage_shows_in_every_drive_and_reset_clears_it():
    bench = Bench()
    bench.arm.faults = Faults(low_voltage=True)
    bench.run(0.05)
    assert _bits(bench) == [1] * 6
    assert bench.read(0x261)[0] == pytest.approx(18.0)
    bench.arm.faults = Faults()
    bench.send(frames.encode(frames.STOP, 2, 0, 0, 0, 0, 0))
    bench.run(0.05)
    assert _bits(bench) == [0] * 6 and bench.read(0x261)[0] == pytest.approx(24.0)


@pytest.mark.parametrize("status", [*range(1, 16), 0x55, 255])
def test_any_arm_status_and_control_mode_can_be_pretended(status):
    bench = Bench().ready()
    bench.arm.faults = Faults(arm_status=status, ctrl_mode=status)
    bench.aim(GOAL)
    bench.run(1.5)
    assert bench.read(frames.STATUS)[:2] == (status, status)
    assert np.allclose(bench.q_rad, GOAL, atol=1e-4), "it only says so"


@pytest.mark.parametrize("bit", [0, 1, 2, 3, 4, 5, 7])
def test_any_driver_bit_can_be_reported(bit):
    bench = Bench()
    bench.arm.faults = Faults(driver_bits=1 << bit, gripper_bits=1 << bit)
    bench.run(0.05)
    assert _bits(bench) == [1 << bit] * 6
    assert bench.read(frames.GRIPPER)[2] & 1 << bit


def test_an_unfinite_plant_is_refused():
    bench = Bench()
    broken = PlantState(np.full(6, np.nan), np.zeros(6), np.zeros(6), 0.0, 0.0)
    with pytest.raises(ValueError, match="not finite"):
        bench.arm.measured(broken)


def test_faults_are_parsed_from_words():
    assert parse_faults([]) == Faults()
    assert parse_faults(["mute", "collision=3,5", "mute_ids=0x2A1", "arm_status=0xE"]) == Faults(
        mute=True, collision=frozenset({3, 5}), mute_ids=frozenset({0x2A1}), arm_status=14
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bent"], "unknown fault 'bent'; valid are mute, "),
        (["collision"], "collision needs a value"),
        (["collision=7"], r"joints \[7\] do not exist"),
        (["stall=a"], "invalid literal"),
        (["arm_status=256"], "must fit in one byte"),
    ],
)
def test_wrong_words_are_refused_with_a_reason(words, message):
    with pytest.raises(ValueError, match=message):
        parse_faults(words)
