"""S-rules about power: enabling, emergency stop, disabling (HARDWARE §d)."""

from __future__ import annotations

import time

import numpy as np
import pytest
from rig import READY_RAD, Rig

from piper_bringup.arm.safety import Mode, Reason
from piper_bringup.data import names

ENABLE, ESTOP, JOINTS, GRIPPER = 0x471, 0x150, (0x155, 0x156, 0x157), 0x159
MIT = range(0x15A, 0x160)


@pytest.fixture
def rig():
    with Rig() as rig:
        yield rig


def heard(rig: Rig, frame_id: int) -> list[bytes]:
    """Payloads of one identifier on both buses."""
    return [data for side in rig.sides.values() for i, data in side.heard if i == frame_id]


def powered(rig: Rig) -> bool:
    return all(fb.enabled.all() for fb in rig.core.feedback.values())


def test_s16_nothing_is_enabled_or_sent_without_being_asked():
    with Rig(powered=False) as rig:
        rig.run(3.0)
        assert rig.mode() == Mode.DISABLED
        ids = {i for side in rig.sides.values() for i, _ in side.heard}
        assert ids <= {0x472, 0x4AF}  # questions about limits and firmware, nothing else
        assert not any(fb.enabled.any() for fb in rig.core.feedback.values())


def test_s16_joints_are_enabled_singly_and_the_gripper_stays():
    with Rig(powered=False, firmware={"gripper_m": 0.04}) as rig:
        rig.run(1.3)
        sagged = rig.q()
        assert rig.ask("enable") == (True, "enabled")
        assert {data[0] for data in heard(rig, ENABLE)} == {1, 2, 3, 4, 5, 6}
        assert {data[1] for data in heard(rig, ENABLE)} == {2}
        assert powered(rig)
        rig.run(0.5)
        assert np.abs(rig.q() - sagged).max() < 0.01


def test_s16_auto_enable_happens_once():
    with Rig(auto_enable=True, powered=False) as rig:
        rig.run(2.5)
        assert rig.mode() == Mode.HOLD and powered(rig)
        assert rig.ask("estop")[0]
        assert rig.ask("reset_estop", True)[0]
        rig.run(2.0)
        assert rig.mode() == Mode.DISABLED
        assert not any(fb.enabled.any() for fb in rig.core.feedback.values())


def test_s16_a_joint_without_power_is_named_after_the_time_out():
    with Rig(powered=False, timeouts__enable_s=1.0) as rig:
        rig.sides["right"].fault(enable_refused=frozenset({4}))
        rig.run(1.3)
        success, message = rig.ask("enable")
        assert not success and "right joint 4" in message
        assert rig.mode() == Mode.DISABLED


def test_s03_absurd_limits_refuse_enabling(rig):
    rig.sides["left"].fault(absurd_limits=True)
    rig.answered()
    success, message = rig.ask("enable")
    assert not success and "left joint" in message and "limits" in message
    assert not heard(rig, ENABLE) and not heard(rig, JOINTS[0])
    assert Reason.ENABLE_REFUSED in rig.reasons()


def test_s17_an_arm_a_hair_outside_its_limits_is_held_and_one_far_outside_refused():
    folded = np.array([0.0, -0.004, 0.004, 0.0, 0.0, 0.0])
    with Rig(q_rad=folded, powered=False) as rig:
        rig.enabled()
        rig.run(0.3)
        assert rig.mode() == Mode.HOLD  # the firmware refuses targets outside with arm_status 4
        assert np.abs(rig.q()[:6] - folded).max() < 0.01
    with Rig(q_rad=[0.0, -0.05, 0.0, 0.0, 0.0, 0.0]) as rig:
        rig.run(1.3)
        success, message = rig.ask("enable")
        assert not success and "left joint 2" in message and "by hand" in message
        assert not heard(rig, JOINTS[0])


@pytest.mark.parametrize("firmware", ["S-V1.7-3", ""])
def test_firmware_that_is_unknown_or_too_old_is_refused_where_a_version_is_required(firmware):
    with Rig(required_firmware_min="S-V1.8-9", firmware={"firmware": firmware or "S-V1.8-9"}) as rig:
        for side in rig.sides.values():
            side.fault(no_firmware=not firmware)
        if firmware:
            rig.answered()
        else:
            rig.run(1.3)
        success, message = rig.ask("enable")
        assert not success and "S-V1.8-9 is required" in message and firmware in message
        assert not heard(rig, ENABLE)


def test_s13_an_emergency_stop_is_on_both_buses_before_the_next_tick(rig):
    rig.enabled()
    start = rig.core.motion.at.q.copy()
    rig.follow(lambda t: start + 0.5 * t * (np.arange(14) == 0), 0.5)
    ticks = len(rig.ticks)
    rig.core.ask("estop")
    rig.wait(lambda: all(arm.idle() for arm in rig.arms.values()))
    rig._step_arms()
    assert len(rig.ticks) == ticks
    rig.wait(
        lambda: all(
            any(f.arbitration_id == ESTOP for f in side.port._inbox) or (ESTOP, bytes([1] + [0] * 7)) in side.heard
            for side in rig.sides.values()
        )
    )
    rig._step_arms()
    for side in rig.sides.values():
        assert (ESTOP, bytes([1, 0, 0, 0, 0, 0, 0, 0])) in side.heard
    rig.run(0.05)
    assert rig.mode() == Mode.ESTOP
    assert all(fb.arm_status == 1 for fb in rig.core.feedback.values())  # readable within 50 ms


def test_s13_nothing_follows_the_stop_frame(rig):
    """Neither what waited before it nor the set-point of a tick that was under way."""
    rig.enabled()
    for arm in rig.arms.values():
        arm._wake.acquire()  # the sender waits while these are handed over
        arm.enable_joint(3)
        arm.estop()
        arm.set_point(READY_RAD, 0.02, 1.0, 50.0)
        arm._wake.release()
    rig.wait(lambda: all(arm.idle() for arm in rig.arms.values()))
    for side in rig.sides.values():
        side.heard.clear()
        rig.wait(lambda side=side: side.step(rig.ns) >= 0 and ESTOP in {i for i, _ in side.heard})
        time.sleep(0.05)  # what might follow would be on its way
        side.step(rig.ns)
        assert [i for i, _ in side.heard][-1] == ESTOP
        assert ENABLE not in {i for i, _ in side.heard}


def test_s13_s14_an_emergency_stop_is_latched_and_left_only_by_an_operator(rig):
    rig.enabled()
    assert rig.ask("estop") == (True, "both arms confirm the emergency stop")
    for side in rig.sides.values():
        side.heard.clear()
    rig.follow(lambda t: rig.core.motion.at.q + 0.1, 1.0)
    assert rig.mode() == Mode.ESTOP
    assert not any(i in JOINTS for side in rig.sides.values() for i, _ in side.heard)
    for request in ("enable", "park", "hold", "clear_errors", "disable"):
        assert not rig.ask(request)[0]
    success, message = rig.ask("reset_estop", False)
    assert not success and "drop" in message
    assert rig.mode() == Mode.ESTOP and not any(data[0] == 2 for data in heard(rig, ESTOP))
    assert rig.ask("reset_estop", True)[0]
    rig.run(0.5)
    assert rig.mode() == Mode.DISABLED and not powered(rig)
    assert rig.ask("enable")[0] and rig.mode() == Mode.HOLD and powered(rig)


def test_s13_an_arm_that_missed_the_frame_is_stopped_as_soon_as_it_hears(rig):
    rig.enabled()
    rig.sides["right"].fault(deaf=True)
    success, message = rig.ask("estop")
    assert not success and "right" in message
    assert rig.mode() == Mode.ESTOP
    rig.sides["right"].fault()
    rig.run(0.3)
    assert rig.core.feedback["right"].arm_status == 1


def test_an_emergency_stop_pressed_on_one_arm_stops_both(rig):
    rig.enabled()
    rig.sides["left"].firmware.receive(ESTOP, bytes([1, 0, 0, 0, 0, 0, 0, 0]), 0)
    rig.run(0.05)
    assert rig.mode() == Mode.FAULT
    assert Reason.ARM_ESTOP in rig.reasons()
    assert not rig.ask("clear_errors")[0]
    assert rig.ask("reset_estop", True)[0]
    rig.run(0.2)
    assert rig.mode() == Mode.DISABLED
    assert rig.core.feedback["right"].enabled.all()  # the other arm was not dropped


def test_s15_disabling_is_refused_where_an_arm_would_drop(rig):
    rig.enabled()
    success, message = rig.ask("disable")
    assert not success and "park" in message
    assert powered(rig)
    assert rig.ask("park", seconds=20)[0]
    assert np.abs(rig.q()[:6]).max() <= 0.05
    assert rig.ask("disable") == (True, "disabled")
    assert not powered(rig)
    assert {data[0] for data in heard(rig, ENABLE) if data[1] == 1} <= set(range(1, 7))


def test_s18_parking_is_slow_and_can_be_stopped(rig):
    rig.enabled()
    first = len(rig.sent)
    request = rig.core.ask("park")
    rig.run(1.5)
    assert rig.mode() == Mode.PARK
    speed = np.abs(np.diff(np.array(rig.sent[first:]), axis=0)).max() / 0.01
    assert 0.1 < speed <= 0.41
    assert rig.ask("hold")[0]
    assert rig.mode() == Mode.HOLD and request.result == (False, "interrupted by hold")
    here = rig.q()
    rig.run(0.5)
    assert np.abs(rig.q() - here).max() < 0.02
    assert rig.ask("estop")[0]


def test_s18_parking_closes_the_grippers_slowly(rig):
    """A parked arm stands where episodes begin: a policy that finds its grippers half open thinks that it holds."""
    rig.enabled()
    start = rig.core.motion.at.q.copy()
    rig.follow(lambda t: start + 0.05 * min(t / 0.5, 1.0) * np.isin(np.arange(14), (6, 13)), 1.0)
    assert rig.ask("hold")[0]
    first = len(rig.sent)
    assert rig.sent[-1][6] == pytest.approx(0.05, abs=1e-3)
    assert rig.ask("park", seconds=20)[0]
    gripper_m = np.array(rig.sent[first:])[:, [6, 13]]
    assert np.abs(gripper_m[-1]).max() < 1e-6 and np.abs(rig.q()[[6, 13]]).max() < 1e-3
    assert -0.0205 < np.diff(gripper_m, axis=0).min() / 0.01 < -0.015
    assert np.diff(gripper_m, axis=0).max() < 1e-6


def test_s19_when_the_driver_falls_silent_the_firmware_holds(rig):
    rig.enabled()
    start = rig.core.motion.at.q.copy()
    rig.follow(lambda t: start + 0.8 * t * (np.arange(14) == 0), 0.6)
    last = rig.sent[-1][:6]
    for _ in range(200):  # a second without ticks, as after kill -9
        rig.ns += 5_000_000
        rig._step_arms()
    assert rig.q()[:6] == pytest.approx(last, abs=0.01)
    assert not any(i in MIT for side in rig.sides.values() for i, _ in side.heard)


def test_s21_gripper_commands_keep_their_range_and_effort(rig):
    rig.enabled()
    start = rig.core.motion.at.q.copy()
    wide = start.copy()
    wide[[6, 13]] = 0.079  # within the 0.01 m that is clamped rather than refused
    rig.follow(lambda t: wide, 1.5)
    frames = heard(rig, GRIPPER)
    widths = [int.from_bytes(f[0:4], "big", signed=True) * 1e-6 for f in frames]
    assert max(widths) == pytest.approx(names.GRIPPER_MAX_M)
    assert min(widths) >= 0
    assert {int.from_bytes(f[4:6], "big") for f in frames} == {1000}
    assert {f[6] for f in frames} == {1} and {f[7] for f in frames} == {0}  # enabled, and never "set zero"
    speed = np.abs(np.diff(np.array([q[6] for q in rig.sent if q is not None]))).max() / 0.01
    assert speed <= 0.2 + 1e-9


def test_a_restarted_driver_takes_over_an_arm_that_holds(rig):
    """Motors are on from before: no motion, disabled until asked, then held where it stands."""
    rig.run(1.3)
    assert rig.mode() == Mode.DISABLED and powered(rig)
    before = rig.q()
    assert np.abs(before[:6] - READY_RAD).max() < 0.02
    assert rig.ask("enable")[0]
    rig.run(0.5)
    assert rig.q() == pytest.approx(before, abs=1e-3)
    assert not heard(rig, ENABLE)


def test_s16_the_measured_target_is_sent_before_the_first_joint_gets_power():
    with Rig(powered=False) as rig:
        rig.run(1.3)
        assert rig.ask("enable")[0]
        for side in rig.sides.values():
            ids = [i for i, _ in side.heard]
            assert ids.index(JOINTS[0]) < ids.index(ENABLE) and ids.index(0x151) < ids.index(ENABLE)


def test_s14_an_arm_that_was_never_stopped_is_not_reported_as_reset(rig):
    rig.enabled()
    rig.sides["left"].segment.down()
    rig.wait(lambda: rig.arms["left"].link.read_failed)
    success, message = rig.ask("estop")
    assert not success and "left" in message
    success, message = rig.ask("reset_estop", True)
    assert not success and "left" in message
    assert rig.mode() == Mode.ESTOP
    rig.sides["left"].segment.up()
    rig.run(4.0)
    assert rig.core.feedback["left"].arm_status == 1  # stopped as soon as it was back
    assert rig.ask("reset_estop", True)[0]
    assert not any(fb.enabled.any() for fb in rig.core.feedback.values())


def test_s16_a_gripper_wider_than_configured_refuses_enabling():
    with Rig(firmware={"gripper_m": 0.095, "gripper_stroke_m": 0.1}) as rig:
        rig.run(1.3)
        success, message = rig.ask("enable")
        assert not success and "gripper.max_width" in message
        assert not heard(rig, GRIPPER)


def test_hold_stops_an_enable_that_is_under_way():
    with Rig(powered=False) as rig:
        rig.sides["right"].fault(enable_refused=frozenset({4}))
        rig.run(1.3)
        enabling = rig.core.ask("enable")
        rig.run(0.5)
        assert rig.mode() == Mode.ENABLING
        assert rig.ask("hold")[0]
        assert rig.mode() == Mode.DISABLED and not enabling.result[0]


def test_a_parked_arm_stays_parked_although_chunks_go_on(rig):
    rig.enabled()
    assert rig.ask("park", seconds=20)[0]
    here = rig.core.motion.at.q.copy()
    rig.follow(lambda t: here + 0.1 * t * (np.arange(14) == 1), 0.6)
    assert rig.mode() == Mode.HOLD and Reason.CHUNK_NOT_WANTED in rig.reasons()
    assert rig.ask("disable")[0]
