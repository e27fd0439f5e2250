"""Inverse kinematics and straight lines of MOVE P and MOVE L."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from piper_bringup.can import cartesian
from piper_bringup.can.kinematics import chain, flange_pose
from piper_bringup.can.settings import FACTORY_LIMITS

LOWER = np.array([limit.lower_rad for limit in FACTORY_LIMITS])
UPPER = np.array([limit.upper_rad for limit in FACTORY_LIMITS])
READY = [0.0, 1.2, -1.2, 0.0, 0.6, 0.0]
_shares = st.lists(st.floats(0.2, 0.8), min_size=6, max_size=6)
_angles = st.floats(-3.1, 3.1)


def _pose(q) -> tuple[np.ndarray, np.ndarray]:
    flange = chain([float(angle) for angle in q])[-1]
    return np.array(flange.origin), np.array(flange.rotation)


@settings(deadline=None)
@given(_angles, st.floats(-1.5, 1.5), _angles)
def test_euler_angles_and_matrices_agree(roll, pitch, yaw):
    rotation = cartesian.rotation_matrix(roll, pitch, yaw)
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    back = cartesian.turned(cartesian.rotation_vector(rotation), 1.0)
    assert np.allclose(back, rotation, atol=1e-6)


@pytest.mark.parametrize("axis", range(3))
def test_half_turns_have_a_rotation_vector(axis):
    vector = np.zeros(3)
    vector[axis] = np.pi
    assert np.allclose(np.abs(cartesian.rotation_vector(cartesian.turned(vector, 1.0))), vector, atol=1e-6)


@settings(deadline=None)
@given(_shares)
def test_the_matrix_of_the_reported_pose_is_the_flanges(share):
    q = LOWER + np.array(share) * (UPPER - LOWER)
    pose = flange_pose(q.tolist())
    assume(abs(pose[4]) < 1.55)
    assert np.allclose(cartesian.rotation_matrix(*pose[3:]), _pose(q)[1], atol=1e-9)


@settings(deadline=None)
@given(_shares, st.lists(st.floats(-0.1, 0.1), min_size=6, max_size=6))
def test_a_solution_is_the_pose_within_the_limits(share, offset):
    q = LOWER + np.array(share) * (UPPER - LOWER)
    position, rotation = _pose(q)
    found = cartesian.solve(position, rotation, q + offset, FACTORY_LIMITS, iterations=300)
    assume(found is not None)
    got_position, got_rotation = _pose(found)
    assert np.linalg.norm(got_position - position) <= cartesian.POSITION_M
    assert np.linalg.norm(cartesian.rotation_vector(rotation @ got_rotation.T)) <= cartesian.ANGLE_RAD
    assert np.all(found >= LOWER - 1e-12) and np.all(found <= UPPER + 1e-12)


def test_most_poses_are_solved_from_a_ready_posture():
    rng = np.random.default_rng(3)
    poses = [_pose(LOWER + rng.uniform(0.2, 0.8, 6) * (UPPER - LOWER)) for _ in range(40)]
    found = [cartesian.solve_from_anywhere(*pose, READY, FACTORY_LIMITS) for pose in poses]
    assert sum(q is not None for q in found) >= 36


def test_a_pose_out_of_reach_has_no_solution():
    position, rotation = np.array([0.9, 0.0, 0.3]), np.eye(3)
    assert cartesian.solve_from_anywhere(position, rotation, READY, FACTORY_LIMITS) is None


def test_a_line_runs_straight_from_here_to_there():
    goal, rotation = np.array([0.2, 0.1, 0.3]), cartesian.rotation_matrix(0.1, 1.2, -0.3)
    way = cartesian.line(READY, goal, rotation)
    start, start_rotation = _pose(READY)
    for share, position in ((0.0, start), (0.5, (start + goal) / 2), (1.0, goal)):
        assert np.allclose(way.at(share)[0], position)
    assert np.allclose(way.at(0.0)[1], start_rotation)
    assert np.allclose(way.at(1.0)[1], rotation, atol=1e-9)
    assert way.length == pytest.approx(np.linalg.norm(goal - start))
