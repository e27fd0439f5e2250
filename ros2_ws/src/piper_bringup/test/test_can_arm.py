"""The emulated firmware on injected time: modes, power, motion, settings, leader mode."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from can_rig import Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from piper_bringup.can import frames, mit
from piper_bringup.can.arm import EmulatedArm
from piper_bringup.can.drive import Power
from piper_bringup.can.frames import Ctrl, Move, Status
from piper_bringup.can.kinematics import flange_pose
from piper_bringup.can.motors import ENABLE_LATENCY_S
from piper_bringup.can.report import TICK_S
from piper_bringup.can.wire import Frame

GOAL = np.array([0.5, 0.7, -0.6, 0.2, 0.3, -0.5])
RAISED = (0.0, 1.0, -1.0, 0.0, 0.5, 0.0)


def test_feedback_runs_at_exactly_the_documented_rates():
    counts = Counter(frame.arbitration_id for frame in Bench().run(2.0))
    fast = {*range(0x2A1, 0x2A9), *range(0x251, 0x257)}
    slow = set(range(0x261, 0x267))
    assert set(counts) == fast | slow
    assert {counts[frame_id] for frame_id in fast} == {400}
    assert {counts[frame_id] for frame_id in slow} == {80}
    assert sum(counts.values()) == 2 * 3040


def test_a_fresh_arm_stands_by_without_power():
    bench = Bench()
    bench.run(0.05)
    assert bench.read(frames.STATUS) == (Ctrl.STANDBY, Status.NORMAL, Move.J, 0, 0, 0, 0)
    assert [bench.read(frame_id)[3] for frame_id in frames.MOTOR_SLOW] == [0] * 6
    assert list(bench.arm.drive.power) == [Power.OFF] * 6


def test_enabling_takes_its_latency_and_holds_where_the_arm_is():
    bench = Bench(q_rad=RAISED)
    bench.run(0.1)
    fallen = bench.q_rad.copy()
    bench.send(frames.encode(frames.ENABLE, 7, 2))
    bench.run(ENABLE_LATENCY_S - TICK_S)
    assert not any(bench.arm.motors.enabled)
    bench.run(1.0)
    assert all(bench.arm.motors.enabled)
    assert np.max(np.abs(bench.q_rad - fallen)) < 0.8 * 0.1, "it fell a little more, then stood"
    stands = bench.q_rad.copy()
    bench.run(1.0)
    assert np.allclose(bench.q_rad, stands)


@pytest.mark.parametrize("number", [7, 0xFF])
def test_all_motors_include_the_gripper_and_single_ones_do_not(number):
    bench = Bench()
    bench.send(frames.encode(frames.ENABLE, 3, 2))
    bench.run(0.05)
    assert bench.arm.motors.enabled == [False, False, True, False, False, False, False]
    bench.send(frames.encode(frames.ENABLE, number, 2))
    bench.run(0.05)
    assert all(bench.arm.motors.enabled)
    bench.send(frames.encode(frames.ENABLE, number, 1))
    assert not any(bench.arm.motors.enabled)


def test_a_joint_move_arrives_exactly_and_says_so():
    bench = Bench().ready()
    bench.aim(GOAL)
    bench.run(0.1)
    assert bench.read(frames.STATUS)[4] == 1, "not reached yet"
    bench.run(2.0)
    assert np.allclose(bench.q_rad, GOAL, atol=1e-5)
    assert bench.read(frames.STATUS)[4] == 0
    shown = [value for frame_id in frames.JOINTS for value in bench.read(frame_id)]
    assert np.allclose(shown, GOAL, atol=2e-5)


@pytest.mark.parametrize("percent", [10, 50, 100])
def test_speed_percent_limits_every_joint(percent):
    bench = Bench().ready(percent)
    bench.aim([2.0, 2.0, -2.0, 1.5, 1.0, 2.0])
    fastest = 0.0
    for _ in range(200):
        bench.run(TICK_S)
        fastest = max(fastest, np.max(np.abs(bench.state.qd_rad_s)))
    assert fastest <= 3.0 * percent / 100 + 1e-9
    assert fastest > 0.8 * min(3.0 * percent / 100, 2.5), "and it does use its speed"


def test_the_last_target_is_kept_when_commands_stop():
    bench = Bench().ready()
    bench.aim(GOAL)
    bench.run(5.0)
    assert np.allclose(bench.q_rad, GOAL, atol=1e-5)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda bench: bench.send(frames.encode(frames.ENABLE, 7, 1)),
        lambda bench: bench.mode(ctrl=0),
        lambda bench: bench.mode(move=Move.L),
        lambda bench: bench.send(frames.encode(frames.STOP, 1, 0, 0, 0, 0, 0)),
        lambda bench: bench.send(frames.encode(frames.STOP, 0, 0, 1, 0, 0, 0)),
        lambda bench: bench.send(frames.encode(frames.ROLE, frames.LEADER_CODE, 0, 0, 0)),
    ],
    ids=["disabled", "standby", "other move mode", "emergency stop", "teaching", "leader"],
)
def test_targets_are_ignored_when_the_arm_must_not_follow(spoil):
    bench = Bench().ready()
    spoil(bench)
    bench.aim(GOAL)
    bench.run(1.0)
    assert np.allclose(bench.q_rad, 0.0, atol=1e-9)


def test_a_disabled_joint_does_not_jump_to_an_old_target_when_enabled():
    bench = Bench()
    bench.mode()
    bench.aim(GOAL)
    bench.send(frames.encode(frames.ENABLE, 7, 2))
    bench.run(1.0)
    assert np.allclose(bench.q_rad, 0.0)


def test_repeating_the_mode_frame_does_not_disturb_a_move():
    bench = Bench().ready()
    bench.aim(GOAL)
    for _ in range(50):
        bench.mode()
        bench.run(0.02)
    assert np.allclose(bench.q_rad, GOAL, atol=1e-5)


@settings(deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_impossible_mode_frames_are_ignored_whole(ctrl, move, speed):
    bench = Bench()
    before = (bench.arm.ctrl, bench.arm.move, bench.arm.speed)
    bench.mode(speed, move, ctrl=ctrl)
    after = (bench.arm.ctrl, bench.arm.move, bench.arm.speed)
    if ctrl > 1 or move > 6 or speed > 100:
        assert after == before
    else:
        assert after == (ctrl, move, speed / 100)


@pytest.mark.parametrize("joint", range(6))
def test_a_target_over_its_limit_is_refused_and_reported(joint):
    bench = Bench().ready()
    limit = bench.arm.settings.limits[joint]
    over = np.zeros(6)
    over[joint] = limit.upper_rad + math.radians(0.1)
    bench.aim(over)
    bench.run(0.5)
    status = bench.read(frames.STATUS)
    assert status[1] == Status.TARGET_OVER_LIMIT
    assert status[6] == 1 << (8 + joint), "high byte: angle limits"
    assert np.allclose(bench.q_rad, 0.0)
    bench.aim(np.zeros(6))
    bench.run(0.05)
    assert bench.read(frames.STATUS)[1] == Status.NORMAL


def test_emergency_stop_damps_latches_and_reset_drops_and_wants_two_enables():
    bench = Bench(q_rad=RAISED).ready()
    bench.send(frames.encode(frames.STOP, 1, 0, 0, 0, 0, 0))
    bench.run(1.0)
    assert bench.read(frames.STATUS)[1] == Status.EMERGENCY_STOP
    sunk = RAISED[1] - bench.q_rad[1]
    assert 0.05 < sunk < 0.15, "damped: sinks slowly"
    bench.aim(GOAL)
    bench.mode()
    bench.send(frames.encode(frames.STOP, 0, 0, 0, 0, 0, 0))
    assert list(bench.arm.drive.power) == [Power.DAMPED] * 6, "nothing but reset ends it"
    bench.send(frames.encode(frames.STOP, 2, 0, 0, 0, 0, 0))
    before = bench.q_rad[1]
    bench.run(0.5)
    assert before - bench.q_rad[1] == pytest.approx(0.4, abs=0.01), "unpowered: falls"
    assert bench.read(frames.STATUS)[:2] == (Ctrl.STANDBY, Status.NORMAL)
    bench.send(frames.encode(frames.ENABLE, 7, 2))
    bench.run(0.1)
    assert not any(bench.arm.motors.enabled[:6])
    bench.send(frames.encode(frames.ENABLE, 7, 2))
    bench.run(0.1)
    assert all(bench.arm.motors.enabled)


def test_a_disabled_arm_cannot_be_enabled_while_stopped():
    bench = Bench()
    bench.send(frames.encode(frames.STOP, 1, 0, 0, 0, 0, 0))
    bench.send(frames.encode(frames.ENABLE, 7, 2))
    bench.run(0.1)
    assert not any(bench.arm.motors.enabled)


def test_gripper_opens_closes_clamps_and_switches_off():
    bench = Bench()
    bench.send(frames.encode(frames.GRIPPER_TARGET, 0.05, 1.0, 1, 0))
    bench.run(2.0)
    opening, _, bits = bench.read(frames.GRIPPER)
    assert opening == pytest.approx(0.05, abs=1e-5)
    assert bits == 0b11000000, "enabled and homed"
    bench.send(frames.encode(frames.GRIPPER_TARGET, 0.5, 1.0, 1, 0))
    bench.run(2.0)
    assert bench.read(frames.GRIPPER)[0] == pytest.approx(0.07, abs=1e-5), "the stroke ends there"
    bench.send(frames.encode(frames.GRIPPER_TARGET, 0.0, 1.0, 0, 0))
    bench.run(1.0)
    opening, _, bits = bench.read(frames.GRIPPER)
    assert (opening, bits) == (pytest.approx(0.07, abs=1e-5), 0b10000000), "code 0 only disables"


def test_gripper_zero_moves_the_scale():
    bench = Bench(gripper_m=0.02)
    bench.send(frames.encode(frames.GRIPPER_TARGET, 0, 0, 0, frames.MAGIC_BYTE))
    bench.run(0.02)
    assert bench.read(frames.GRIPPER)[0] == pytest.approx(0.0, abs=1e-6)
    bench.send(frames.encode(frames.GRIPPER_TARGET, 0.01, 1.0, 1, 0))
    bench.run(1.0)
    assert bench.state.gripper_m == pytest.approx(0.03, abs=1e-5)


def test_a_gripper_whose_stroke_was_never_set_neither_moves_nor_reports():
    bench = Bench(gripper_stroke_m=0.0)
    bench.send(frames.encode(frames.GRIPPER_TARGET, 0.05, 1.0, 1, 0))
    bench.run(1.0)
    assert bench.read(frames.GRIPPER)[0] == 0.0
    assert bench.state.gripper_m == 0.0
    bench.send(frames.encode(frames.SET_GRIPPER_PARAMETER, 100, 100, 1))
    bench.send(frames.encode(frames.GRIPPER_TARGET, 0.09, 1.0, 1, 0))
    bench.run(2.0)
    assert bench.read(frames.GRIPPER)[0] == pytest.approx(0.09, abs=1e-5)


def test_high_follow_skips_the_acceleration_limit():
    plain, follow = Bench().ready(100), Bench().ready(100, follow=frames.HIGH_FOLLOW)
    for bench in (plain, follow):
        bench.aim([1.0, 1.0, -1.0, 1.0, 1.0, 1.0])
        bench.run(0.1)
    assert follow.arm.motion.set_rad[0] == pytest.approx(0.3)
    assert plain.arm.motion.set_rad[0] == pytest.approx(0.5 * 5.0 * 0.1**2, rel=0.1)


@pytest.mark.parametrize(("firmware", "wide"), [("S-V1.8-2", False), ("S-V1.8-9", True)])
def test_mit_frames_drive_the_joints_in_mit_mode_only(firmware, wide):
    bench = Bench(firmware=firmware).ready(move=Move.M)
    for joint in range(1, 7):
        bench.send(mit.encode(joint, mit.Mit(GOAL[joint - 1], 0, 10, 0.8, 0), wide))
    bench.run(1.5)
    assert np.allclose(bench.q_rad, GOAL, atol=5e-4)
    bench.mode(move=Move.J)
    for joint in range(1, 7):
        bench.send(mit.encode(joint, mit.Mit(0, 0, 10, 0.8, 0), wide))
    bench.run(1.0)
    assert np.allclose(bench.q_rad, GOAL, atol=5e-4)


def test_an_mit_frame_with_a_bad_checksum_is_ignored():
    bench = Bench(firmware="S-V1.8-2").ready(move=Move.M)
    frame = mit.encode(1, mit.Mit(0.5, 0, 10, 0.8, 0))
    bench.send(frame._replace(data=frame.data[:7] + bytes([frame.data[7] ^ 1])))
    bench.run(0.5)
    assert np.allclose(bench.q_rad, 0.0)


def test_old_firmware_reverses_mit_joints_1_2_4_6():
    bench = Bench(firmware="S-V1.6-3", q_rad=(0, 1.0, -1.0, 0, 0, 0)).ready(move=Move.M)
    for joint in (1, 3, 4):
        bench.send(mit.encode(joint, mit.Mit(-0.4, 0, 10, 0.8, 0)))
    bench.run(2.0)
    assert bench.q_rad[[0, 2, 3]] == pytest.approx([0.4, -0.4, 0.4], abs=5e-4)


def test_mit_without_stiffness_lets_the_joint_sink():
    bench = Bench(q_rad=RAISED).ready(move=Move.M_WIDE)
    bench.send(mit.encode(2, mit.Mit(1.0, 0, 0, 0.8, 0), wide=True))
    bench.run(1.0)
    assert bench.arm.drive.power[1] == Power.DAMPED
    assert 0.05 < RAISED[1] - bench.q_rad[1] < 0.15


def _pose_of(q_rad) -> tuple[float, ...]:
    return flange_pose([float(q) for q in q_rad])


def _aim_at(bench: Bench, pose) -> None:
    for index, frame_id in enumerate(frames.POSE_TARGET):
        bench.send(frames.encode(frame_id, *pose[2 * index : 2 * index + 2]))


def test_move_p_ends_in_the_pose():
    bench = Bench(q_rad=RAISED).ready(move=Move.P)
    _aim_at(bench, _pose_of(GOAL))
    bench.run(2.0)
    assert np.allclose(_pose_of(bench.q_rad)[:3], _pose_of(GOAL)[:3], atol=1e-4)
    assert bench.read(frames.STATUS)[1:5] == (Status.NORMAL, Move.P, 0, 0)


def test_move_l_goes_in_a_straight_line_at_limited_speed():
    bench = Bench(q_rad=GOAL).ready(move=Move.L)
    start, goal = np.array(_pose_of(bench.q_rad)), np.array(_pose_of(bench.q_rad))
    goal[1] += 0.1
    _aim_at(bench, goal)
    fastest, before = 0.0, start[:3]
    for tick in range(400):
        bench.run(TICK_S)
        now = np.array(_pose_of(bench.arm.motion.set_rad)[:3])
        assert np.allclose(now[[0, 2]], start[[0, 2]], atol=1e-4), f"off the line in tick {tick}"
        fastest, before = max(fastest, np.linalg.norm(now - before) / TICK_S), now
    assert np.allclose(_pose_of(bench.q_rad)[:3], goal[:3], atol=1e-4)
    assert 0.1 < fastest < 0.55
    assert bench.read(frames.STATUS)[4] == 0


@pytest.mark.parametrize(("move", "pose"), [(Move.P, (2.0, 0, 0.2, 0, 0, 0)), (Move.C, (0.2, 0, 0.2, 0, 1.5, 0))])
def test_a_pose_out_of_reach_and_an_arc_are_answered_with_no_solution(move, pose):
    bench = Bench(q_rad=RAISED).ready(move=move)
    stands = bench.q_rad.copy()
    _aim_at(bench, pose)
    bench.run(0.5)
    assert bench.read(frames.STATUS)[1] == Status.NO_SOLUTION
    assert np.allclose(bench.q_rad, stands)
    bench.mode(move=Move.J)
    bench.run(0.05)
    assert bench.read(frames.STATUS)[1] == Status.NORMAL


def test_a_line_out_of_reach_stops_on_the_way():
    bench = Bench(q_rad=RAISED).ready(move=Move.L)
    goal = np.array(_pose_of(bench.q_rad))
    goal[0] += 1.0
    _aim_at(bench, goal)
    bench.run(3.0)
    assert bench.read(frames.STATUS)[1] == Status.NO_SOLUTION
    stands = bench.q_rad.copy()
    bench.run(1.0)
    assert np.allclose(bench.q_rad, stands, atol=1e-4)


def test_pose_frames_of_a_stopped_arm_do_nothing():
    bench = Bench(q_rad=RAISED).ready(move=Move.P)
    _aim_at(bench, _pose_of(GOAL))
    bench.run(0.1)
    bench.mode(ctrl=0, move=Move.P)
    stands = bench.run(0.5) and bench.q_rad.copy()
    _aim_at(bench, _pose_of(GOAL))
    bench.run(1.0)
    assert np.allclose(bench.q_rad, stands)


def test_settings_are_answered_acknowledged_and_kept():
    bench = Bench()
    answers = bench.send(frames.encode(frames.SET_MOTOR_LIMITS, 2, 900, frames.KEEP, 1500))
    assert answers == [frames.encode(frames.ANSWER, 0x74, 0, 0)]
    (limits,) = bench.send(frames.encode(frames.ASK_MOTOR, 2, 1))
    assert frames.decode(frames.MOTOR_LIMITS, limits.data) == pytest.approx((2, math.radians(90), 0, 1500))
    bench.send(frames.encode(frames.JOINT_CONFIG, 2, 0, frames.MAGIC_BYTE, 250, 0))
    (acceleration,) = bench.send(frames.encode(frames.ASK_MOTOR, 2, 2))
    assert frames.decode(frames.MOTOR_ACCELERATION, acceleration.data) == pytest.approx((2, 2.5))
    bench.send(frames.encode(frames.SET_CRASH_LEVELS, 1, 2, 3, 4, 5, 8))
    (levels,) = bench.send(frames.encode(frames.ASK_PARAMETER, 2, 0, 0, 0, 3))
    assert frames.decode(frames.CRASH_LEVELS, levels.data) == (1, 2, 3, 4, 5, 8)
    bench.send(frames.encode(frames.SET_END_LIMITS, 600, frames.KEEP, 900, frames.KEEP))
    (ends,) = bench.send(frames.encode(frames.ASK_PARAMETER, 1, 0, 0, 0, 3))
    assert frames.decode(frames.END_LIMITS, ends.data)[::2] == pytest.approx((0.6, 0.9))
    (gripper,) = bench.send(frames.encode(frames.ASK_PARAMETER, 4, 0, 0, 0, 3))
    assert frames.decode(frames.GRIPPER_PARAMETER, gripper.data) == (100, 70, 1)
    bench.send(frames.encode(frames.ASK_PARAMETER, 0, 2, 0, 0, 3))
    assert math.degrees(bench.arm.settings.limits[1].upper_rad) == pytest.approx(180), "factory defaults again"


def test_impossible_settings_change_nothing():
    bench = Bench()
    before = list(bench.arm.settings.limits)
    bench.send(frames.encode(frames.SET_MOTOR_LIMITS, 1, -900, 900, frames.KEEP))
    bench.send(frames.encode(frames.SET_MOTOR_LIMITS, 1, frames.KEEP, frames.KEEP, 9000))
    bench.send(frames.encode(frames.JOINT_CONFIG, 1, 0, frames.MAGIC_BYTE, 600, 0))
    bench.send(frames.encode(frames.SET_CRASH_LEVELS, 9, 0, 0, 0, 0, 0))
    assert bench.arm.settings.limits == before
    assert bench.arm.settings.crash_levels == (1,) * 6
    assert bench.send(frames.encode(frames.ASK_MOTOR, 9, 1)) == []


def test_set_zero_moves_the_joints_scale_without_moving_the_joint():
    bench = Bench(q_rad=(0.3, 0, 0, 0, 0, 0)).ready()
    (answer,) = bench.send(frames.encode(frames.JOINT_CONFIG, 1, frames.MAGIC_BYTE, 0, 0, 0))
    assert frames.decode(frames.ANSWER, answer.data) == (0x75, 1, 0)
    bench.run(0.5)
    assert bench.q_rad[0] == pytest.approx(0.3)
    assert bench.read(frames.JOINTS[0])[0] == pytest.approx(0.0, abs=1e-6)
    bench.aim([0.1, 0, 0, 0, 0, 0])
    bench.run(1.0)
    assert bench.q_rad[0] == pytest.approx(0.4, abs=1e-5)


@pytest.mark.parametrize("firmware", ["S-V1.8-2", "S-V1.8-10"])
def test_the_firmware_text_arrives_one_frame_a_tick(firmware):
    bench = Bench(firmware=firmware)
    assert bench.send(frames.encode(frames.FIRMWARE, 1, *[0] * 7)) == []
    texts = []
    for _ in range(6):
        found = [frame.data for frame in bench.run(TICK_S) if frame.arbitration_id == frames.FIRMWARE]
        assert len(found) <= 1
        texts += found
    whole = b"".join(texts)
    assert whole[whole.index(b"S-V") :].split(b"\0")[0].decode() == firmware


@pytest.mark.parametrize("firmware", ["1.8-9", "S-V1.8", "S-V1.8-9b", ""])
def test_a_firmware_text_of_another_form_is_refused(firmware):
    with pytest.raises(ValueError, match=r"S-V1\.8-9"):
        EmulatedArm(firmware=firmware)


def test_torque_is_reported_as_current_with_the_firmwares_factor():
    currents = {}
    for firmware in ("S-V1.8-2", "S-V1.8-9"):
        bench = Bench(firmware=firmware).ready()
        bench.aim(GOAL)
        bench.run(0.1)
        currents[firmware] = [bench.read(frame_id)[1] for frame_id in frames.MOTOR_FAST]
        factor = np.array([1.18125] * 3 + [0.95844] * 3) * (4 if firmware == "S-V1.8-2" else 1) ** np.array(
            [1, 1, 1, 0, 0, 0]
        )
        assert currents[firmware] == pytest.approx(bench.state.tau_nm / factor, abs=1e-3)
    assert currents["S-V1.8-2"][0] == pytest.approx(currents["S-V1.8-9"][0] / 4, abs=1e-3)


def test_a_leader_looks_dead_sends_commands_only_and_yields_to_a_hand():
    bench = Bench()
    bench.send(frames.encode(frames.ROLE, frames.LEADER_CODE, 0, 0, 0))
    bench.arm.guide(GOAL, 0.03)
    heard = Counter(frame.arbitration_id for frame in bench.run(2.0))
    assert heard == {0x151: 400, 0x155: 400, 0x156: 400, 0x157: 400, 0x159: 400}
    assert np.allclose(bench.q_rad, GOAL, atol=1e-4)
    sent = [value for frame_id in frames.JOINT_TARGET for value in bench.read(frame_id)]
    assert np.allclose(sent, GOAL, atol=1e-4)
    assert bench.read(frames.GRIPPER_TARGET)[0] == pytest.approx(0.03, abs=1e-4)
    for frame in (frames.encode(frames.ENABLE, 7, 2), frames.encode(frames.ASK_MOTOR, 1, 1)):
        assert bench.send(frame) == []
    bench.send(frames.encode(frames.ROLE, frames.FOLLOWER_CODE, 0, 0, 0))
    assert 0x2A1 in {frame.arbitration_id for frame in bench.run(0.05)}


def test_a_follower_copies_its_leader():
    leader, follower = Bench(leader=True), Bench().ready()
    leader.arm.guide(GOAL, 0.03)
    for _ in range(600):
        for frame in leader.run(TICK_S):
            follower.send(frame)
        follower.run(TICK_S)
    assert np.allclose(follower.q_rad, GOAL, atol=1e-4)
    assert follower.state.gripper_m == pytest.approx(0.03, abs=1e-4)


def test_a_leader_goes_home_and_comes_back():
    bench = Bench(leader=True)
    bench.arm.guide(GOAL, 0.0)
    bench.run(1.0)
    bench.send(frames.encode(frames.LEADER_HOME, 1, 1, 1))
    bench.run(3.0)
    assert np.allclose(bench.q_rad, 0.0, atol=1e-4)
    bench.send(frames.encode(frames.LEADER_HOME, 1, 0, 0))
    bench.run(1.0)
    assert np.allclose(bench.q_rad, GOAL, atol=1e-4)


def test_offsets_move_feedback_and_command_identifiers():
    bench = Bench()
    bench.send(frames.encode(frames.ROLE, frames.FOLLOWER_CODE, 0x10, 0x20, 0))
    heard = {frame.arbitration_id for frame in bench.run(0.05)}
    assert set(range(0x2B1, 0x2B9)) <= heard and not heard & set(range(0x2A1, 0x2A9))
    bench.send(frames.encode(frames.MODE, 1, 1, 100, 0, 0, 0))
    assert bench.arm.ctrl == Ctrl.STANDBY
    bench.send(Frame(frames.MODE + 0x20, bytes([1, 1, 100, 0, 0, 0, 0, 0])))
    assert bench.arm.ctrl == Ctrl.CAN


def test_an_arm_yields_to_a_hand_only_when_taught_or_leading():
    bench = Bench().ready()
    with pytest.raises(ValueError, match="teach or leader"):
        bench.arm.guide(GOAL, 0.0)
    bench.send(frames.encode(frames.STOP, 0, 0, 1, 0, 0, 0))
    bench.arm.guide(GOAL, 0.0)
    bench.run(1.0)
    assert np.allclose(bench.q_rad, GOAL, atol=1e-3)
    assert bench.read(frames.STATUS)[:4] == (Ctrl.TEACH, Status.TEACH_RECORD, Move.J, 1)
    bench.send(frames.encode(frames.STOP, 0, 0, 2, 0, 0, 0))
    bench.run(1.0)
    assert bench.read(frames.STATUS)[0] == Ctrl.STANDBY
    assert np.allclose(bench.q_rad, GOAL, atol=1e-3), "it stays where the hand left it"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 0x7FF), st.binary(max_size=8)), max_size=30))
def test_no_sequence_of_frames_breaks_the_arm_or_lets_it_leave_its_limits(commands):
    bench = Bench().ready()
    for frame_id, data in commands:
        bench.send(Frame(frame_id, data))
        bench.run(2 * TICK_S)
    assert np.all(np.isfinite(bench.arm.drive.q_rad))
    assert bench.arm.status in tuple(Status)


_INTERESTING = st.sampled_from(
    [0x150, 0x151, 0x152, 0x153, 0x154, 0x155, 0x156, 0x157, 0x159, 0x15A, 0x470, 0x471, 0x474, 0x475, 0x477]
)


@settings(deadline=None)
@given(st.lists(st.tuples(_INTERESTING, st.binary(min_size=8, max_size=8)), max_size=20))
def test_the_set_points_never_jump(commands):
    bench = Bench().ready()
    for frame_id, data in commands:
        before = bench.arm.drive.q_rad.copy()
        bench.send(Frame(frame_id, data))
        bench.run(TICK_S)
        step = np.abs(bench.arm.drive.q_rad - before)
        assert np.all(step <= 3.0 * TICK_S + 1e-6)
