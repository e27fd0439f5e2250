"""Set-point generator and built-in dynamics on injected time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piper_bringup.can.drive import Drive, Power
from piper_bringup.can.plant import FALL_RAD_S, SINK_RAD_S, TIME_CONSTANT_S, FirstOrderPlant
from piper_bringup.can.setpoint import BRAKE_FACTOR, approach
from piper_bringup.data.names import JOINT_LOWER_RAD, JOINT_UPPER_RAD

DT_S = 0.005
_angles = st.floats(-3, 3)


@settings(deadline=None)
@given(_angles, _angles, st.floats(0.05, 3.0), st.floats(0.5, 5.0))
def test_a_move_from_rest_lands_exactly_and_never_passes_the_target(start, target, speed, acceleration):
    q, v, trace = start, 0.0, [start]
    for _ in range(30_000):
        before = v
        q, v = approach(q, v, target, speed, acceleration, DT_S)
        trace.append(q)
        assert abs(v) <= speed + 1e-12
        assert abs(v) - abs(before) <= acceleration * DT_S + 1e-12, "sped up faster than allowed"
        if q == target:
            break
    assert q == target
    assert min(start, target) - 1e-12 <= min(trace) and max(trace) <= max(start, target) + 1e-12


@settings(deadline=None)
@given(_angles, st.floats(-3, 3), _angles)
def test_a_new_target_in_motion_is_reached_within_the_braking_limit(q, v, target):
    acceleration = 5.0
    for _ in range(5_000):
        before = v
        q, v = approach(q, v, target, 3.0, acceleration, DT_S)
        assert abs(v - before) <= BRAKE_FACTOR * acceleration * DT_S + 1e-9
        if q == target:
            return
    pytest.fail(f"still {target - q} rad away after 25 s")


def test_a_stream_is_followed_with_the_documented_lag():
    q = v = target = 0.0
    for tick in range(400):
        target += 1.5 * DT_S * min(1.0, tick * DT_S / 0.5)
        q, v = approach(q, v, target, 3.0, 5.0, DT_S)
    assert target - q == pytest.approx(1.5**2 / (2 * BRAKE_FACTOR * 5.0), rel=0.1)


def test_without_acceleration_or_speed_nothing_moves():
    assert approach(1.0, 0.5, 2.0, 3.0, 0.0, DT_S) == (1.0, 0.0)
    assert approach(1.0, 0.0, 2.0, 0.0, 5.0, DT_S) == (1.0, 0.0)


def _drive(q=0.0, power=Power.SERVO, gripper_m=0.0, on=True) -> Drive:
    return Drive(np.full(6, float(q)), np.full(6, power), gripper_m, 1.0, on)


def _run(plant, drive, seconds):
    for _ in range(round(seconds / DT_S)):
        state = plant.step(drive, DT_S)
    return state


def test_powered_joints_follow_with_the_documented_time_constant():
    plant = FirstOrderPlant([0.0, 1.0, -1.0, 0.0, 0.0, 0.0])
    drive = Drive(np.array([0.5, 1.5, -0.5, 0.5, 0.5, 0.5]), np.full(6, Power.SERVO), 0.0, 1.0, False)
    state = _run(plant, drive, TIME_CONSTANT_S)
    assert np.allclose(drive.q_rad - state.q_rad, 0.5 * np.exp(-1), atol=1e-9)
    assert np.all(state.tau_nm > 0) and np.all(state.qd_rad_s > 0)


@pytest.mark.parametrize(("power", "speed"), [(Power.OFF, FALL_RAD_S), (Power.DAMPED, SINK_RAD_S)])
def test_unpowered_joints_fall_and_damped_ones_sink_to_the_folded_pose(power, speed):
    start = np.array([0.3, 1.0, -1.0, 0.2, 0.5, 0.1])
    plant = FirstOrderPlant(start)
    state = _run(plant, _drive(power=power), 0.5)
    moved = np.abs(start - state.q_rad)
    assert np.allclose(moved, np.array([0, 1, 1, 0, 1, 0]) * speed * 0.5)
    state = _run(plant, _drive(power=power), 12.0)
    assert np.allclose(state.q_rad, [0.3, 0, 0, 0.2, 0, 0.1])
    assert np.all(state.tau_nm == 0)


@settings(deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=6, max_size=6))
def test_joints_stay_inside_their_limits(goal):
    plant = FirstOrderPlant([0.0] * 6)
    drive = Drive(np.array(goal), np.full(6, Power.SERVO), 0.0, 1.0, False)
    state = _run(plant, drive, 1.0)
    assert np.all(state.q_rad >= JOINT_LOWER_RAD) and np.all(state.q_rad <= JOINT_UPPER_RAD)


def test_gripper_moves_at_limited_speed_and_only_when_on():
    plant = FirstOrderPlant(gripper_m=0.0)
    assert _run(plant, _drive(gripper_m=0.07, on=False), 1.0).gripper_m == 0.0
    state = _run(plant, _drive(gripper_m=0.07), 0.2)
    assert state.gripper_m == pytest.approx(0.02, abs=1e-3)
    assert 0 < state.gripper_effort_nm <= 1.0
    state = _run(plant, _drive(gripper_m=0.07), 2.0)
    assert state.gripper_m == pytest.approx(0.07, abs=1e-6)
    assert state.gripper_effort_nm == pytest.approx(0.0, abs=1e-3)
