"""Inverse kinematics, planned motion and the expert."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piper_bringup.cell import kinematics, motion, postures
from piper_bringup.cell.expert import demonstrate
from piper_bringup.cell.motion import Grasp, Step
from piper_bringup.cell.world import World
from piper_bringup.data.names import ARMS, DT_NS, FOLDED_RAD, GRIPPER_COLUMNS, JOINT_LOWER_RAD, JOINT_UPPER_RAD

NEAR_M = np.array((-0.12, 0.05, 0.05))
DOWN, ACROSS = np.array((0.0, 0.0, -1.0)), np.array((0.0, 1.0, 0.0))
angles = st.tuples(
    *(st.floats(low + 0.1, high - 0.1) for low, high in zip(JOINT_LOWER_RAD, JOINT_UPPER_RAD, strict=True))
)


@given(angles, st.lists(st.floats(-0.15, 0.15), min_size=6, max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_solution_reaches_its_goal_inside_the_limits(q_rad, nudge):
    goal = kinematics.forward(np.array(q_rad))
    found = kinematics.solve(goal, np.array(q_rad) + nudge)
    if found is None:  # it may get stuck at a limit, it may not answer wrongly
        return
    reached = kinematics.forward(found)
    assert np.abs(reached.position_m - goal.position_m).max() < 3e-4
    assert np.abs(reached.rotation - goal.rotation).max() < 4e-3
    assert kinematics.limit_distance(found) >= 0.02 - 1e-9


def test_most_nearby_goals_are_solved():
    rng = np.random.default_rng(3)
    low, high = kinematics.LOWER + 0.2, kinematics.UPPER - 0.2
    start = rng.uniform(low, high, size=(100, 6))
    goals = [kinematics.forward(np.clip(q + rng.normal(0, 0.1, 6), low, high)) for q in start]
    solved = sum(kinematics.solve(goal, q) is not None for goal, q in zip(goals, start, strict=True))
    assert solved >= 95


def test_a_goal_out_of_reach_has_no_solution():
    far = kinematics.Pose(np.array((0.9, 0.0, 0.2)), kinematics.grasp_rotation(DOWN, ACROSS))
    assert kinematics.solve(far, np.array(postures.READY_RAD["left"])) is None


@given(st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3))
def test_rotation_vectors_and_matrices_are_inverse(vector):
    vector = np.array(vector)
    if np.linalg.norm(vector) > np.pi:
        vector *= 3.0 / np.linalg.norm(vector)
    assert kinematics.rotation_vector(kinematics.rotation(vector)) == pytest.approx(vector, abs=1e-6)


def test_half_a_turn_is_not_taken_for_none():
    assert np.linalg.norm(kinematics.rotation_vector(np.diag((-1.0, -1.0, 1.0)))) == pytest.approx(np.pi)


@pytest.fixture(scope="module")
def world() -> World:
    return World("lift_bar", seed=0)


@pytest.fixture(scope="module", params=(101, 102, 103))
def rows(request, world) -> np.ndarray:
    world.reset(request.param)
    return motion.plan(world.task.script(world.start, np.random.default_rng(0)), motion.rest()).rows


def test_rows_respect_what_the_driver_would_clamp(rows):
    """Written out anew: 1.5 rad/s, 5 rad/s^2 and 0.2 m/s on the 20 Hz grid, from rest to rest."""
    dt_s = DT_NS * 1e-9
    still = np.zeros((2, 14))
    speed = np.diff(np.vstack([still, rows, rows[-1:], rows[-1:]]), axis=0) / dt_s
    joints = [i for i in range(14) if i not in GRIPPER_COLUMNS]
    assert np.abs(speed[:, joints]).max() <= 1.5
    assert np.abs(np.diff(speed, axis=0)[:, joints] / dt_s).max() <= 5.0
    assert np.abs(speed[:, GRIPPER_COLUMNS]).max() <= 0.2
    assert np.abs(speed[:, joints]).max() > 1.0  # limits shape the motion, it does not crawl


def test_rows_stay_inside_the_joint_limits_and_the_stroke(rows):
    """With the driver's margin, but for the start from the limits that joints 2 and 3 rest on."""
    margin = np.array((0.02,) * 6)
    low = np.array((*(JOINT_LOWER_RAD + margin), 0.0) * 2)
    high = np.array((*(JOINT_UPPER_RAD - margin), 0.07) * 2)
    assert (rows[20:] >= low[None] - 1e-9).all()
    assert (rows[20:] <= high[None] + 1e-9).all()
    assert (rows[:20, [1, 8]] >= 0.0).all()
    assert (rows[:20, [2, 9]] <= 0.0).all()


def test_episodes_end_as_they_begin_folded_and_closed(rows):
    assert rows[-1] == pytest.approx(np.array((*FOLDED_RAD, 0.0) * 2))


def test_straight_segments_are_straight():
    start = Grasp(np.array((-0.15, 0.05, 0.12)), np.array((0.5, 0.0, -0.87)), ACROSS)
    steps = (Step("x", left=start), Step("x", left=start.moved((0.06, 0.0, -0.09)), straight=True, seconds=1.0))
    rows = motion.plan(steps, motion.rest()).rows
    begin = len(motion.plan(steps[:1], motion.rest()).rows)
    pads = [kinematics.forward(row[:6]).position_m for row in rows[begin - 1 :]]
    direction = (pads[-1] - pads[0]) / np.linalg.norm(pads[-1] - pads[0])
    assert np.linalg.norm(pads[-1] - pads[0]) == pytest.approx(np.hypot(0.06, 0.09), abs=1e-3)
    assert max(np.linalg.norm(np.cross(pad - pads[0], direction)) for pad in pads) < 1e-3


def test_a_short_stretch_takes_the_time_it_needs():
    closing = motion.plan((Step("x", left_opening_m=0.07, seconds=0.05),), motion.rest()).rows
    assert len(closing) * DT_NS >= 0.07 / 0.2 * 1e9
    assert np.diff(closing[:, 6]).min() >= 0.0


def test_both_ways_of_turning_the_jaws_are_tried():
    """One of the two signs needs joint 6 beyond its limit; the plan must be the same whichever is written."""
    approach = np.array((0.5, 0.0, -0.87))
    plans = [
        motion.plan(
            (Step("x", left=Grasp(np.array((-0.12, 0.05, 0.05)), approach, sign * ACROSS)),), motion.rest()
        ).rows
        for sign in (1, -1)
    ]
    assert plans[0][-1] == pytest.approx(plans[1][-1], abs=1e-3)
    assert kinematics.limit_distance(plans[0][-1, :6]) > 0.03


@pytest.mark.parametrize("sign", [1, -1])
def test_the_wrist_camera_is_above_the_hand_where_limits_allow_it(sign):
    """However the jaw axis is written: starts alike are done alike. The camera sits on -x of the flange."""
    grasp = Grasp(np.array((-0.12, 0.06, 0.05)), np.array((0.3, 0.3, -0.9)), sign * np.array((1.0, -1.0, 0.0)))
    rows = motion.plan((Step("x", left=grasp),), motion.rest()).rows
    assert kinematics.forward(rows[-1, :6]).rotation[2, 0] < -0.2


def test_an_unreachable_grasp_is_named():
    with pytest.raises(motion.Unreachable, match=r"the right arm cannot grasp at \[0\.2 1\.  0\.1\] m"):
        motion.plan((Step("x", right=Grasp(np.array((0.2, 1.0, 0.1)), DOWN, ACROSS)),), motion.rest())


@pytest.mark.parametrize("seed", [100_001, 100_002, 100_003, 100_004])
def test_expert_lifts_the_bar_level_and_goes_home(world, seed):
    found = demonstrate("lift_bar", seed, world)
    assert found.success
    assert found.goals == ("grasped", "lifted level")
    assert found.q.shape[1] == 14
    for arm in ARMS:
        assert np.abs(world.arm_state(arm).q_rad - FOLDED_RAD).max() < 0.01  # folded again
    assert all("bar" in pair for pair in world.contacts())


def test_demonstrations_are_reproducible(world):
    assert np.array_equal(demonstrate("lift_bar", 9, world).q, demonstrate("lift_bar", 9).q)
