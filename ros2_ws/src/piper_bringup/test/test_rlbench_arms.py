"""Arms, grippers, quaternions and cameras of RLBench in our order, and who is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piper_bringup.data import names
from piper_bringup.rlbench import arms, observed

THEIRS = np.array([1, 2, 3, 4, 5, 6, 7, 0.04, -1, -2, -3, -4, -5, -6, -7, 0.01])  # right arm, then left
OURS = np.array([-1, -2, -3, -4, -5, -6, -7, 0.25, 1, 2, 3, 4, 5, 6, 7, 1.0])
actions = st.lists(st.floats(0, 1), min_size=16, max_size=16).map(np.array)


def test_joints_are_left_first_and_each_arm_ends_with_its_gripper():
    assert arms.JOINTS[:9] == (*(f"left_joint{i}" for i in range(1, 8)), "left_gripper", "right_joint1")
    assert len(arms.JOINTS) == 16 and [arms.JOINTS[i] for i in arms.GRIPPERS] == ["left_gripper", "right_gripper"]


def test_arms_are_exchanged_and_fingers_are_metres_there():
    np.testing.assert_allclose(arms.ours(THEIRS), OURS, rtol=1e-12)
    np.testing.assert_allclose(arms.theirs(OURS), THEIRS, rtol=1e-12)


@given(actions)
def test_there_and_back_is_the_same(q):
    np.testing.assert_allclose(arms.ours(arms.theirs(q)), q, atol=1e-12)
    back = q * np.where(np.isin(np.arange(16), arms.GRIPPERS), arms.FINGER_M, 1.0)
    np.testing.assert_allclose(arms.theirs(arms.ours(back)), back, atol=1e-12)


def test_what_is_given_is_not_changed():
    q, kept = THEIRS.copy(), OURS.copy()
    arms.ours(q), arms.theirs(kept)
    assert np.array_equal(q, THEIRS) and np.array_equal(kept, OURS)


def test_grippers_stay_in_their_range():
    for gripper, found in ((7, 1.4), (15, -0.3), (15, np.nan)):
        with pytest.raises(ValueError, match=rf"{arms.JOINTS[gripper]} is {found:g}; valid: 0 \(closed\) to 1"):
            arms.theirs(np.where(np.arange(16) == gripper, found, 0.5))
    assert arms.ours([0.0] * 7 + [0.0401] + [0.0] * 7 + [-1e-4])[[7, 15]].tolist() == [0.0, 1.0]


def test_quaternions_have_w_first():
    half = np.radians(30)
    pose = [0.1, 0.2, 0.3, 0.0, 0.0, np.sin(half), np.cos(half)]  # 60 degrees about z
    np.testing.assert_allclose(arms.w_first(pose), [0.1, 0.2, 0.3, np.cos(half), 0.0, 0.0, np.sin(half)])


def test_a_policy_for_two_pipers_is_refused_by_the_name_of_the_field():
    with pytest.raises(
        arms.NotPandas, match=r"^joints: the policy's 14 .* 16 of two Pandas.* lack left_joint7, right_joint7;"
    ):
        arms.admit(names.JOINTS)
    with pytest.raises(arms.NotPandas, match=r"^joints: .*another order"):
        arms.admit((*arms.JOINTS[8:], *arms.JOINTS[:8]))
    arms.admit(list(arms.JOINTS))


def test_a_point_is_seen_where_pyrep_sees_it():
    rng = np.random.default_rng(0)
    turned, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turned *= np.linalg.det(turned)
    to_world = np.eye(4)
    to_world[:3, :3], to_world[:3, 3] = turned, [0.4, -0.2, 1.5]
    k = np.array([[-110.0, 0.0, 64.0], [0.0, -120.0, 60.0], [0.0, 0.0, 1.0]])
    arm = SimpleNamespace(joint_positions=np.zeros(7), gripper_joint_positions=[0.0], gripper_pose=np.arange(7.0))
    seen = SimpleNamespace(
        left=arm,
        right=arm,
        perception_data={"front_rgb": np.zeros((4, 5, 3), np.uint8)},
        misc={"front_camera_extrinsics": to_world, "front_camera_intrinsics": k},
    )
    camera = observed.observe(seen, ["front"])["cameras"]["front"]
    near = np.array([0.3, 0.1, 2.0])  # in PyRep's frame of the camera: left, up, forwards
    there = k @ near  # pyrep/objects/vision_sensor.py:171-176, from world to pixels
    point = np.append(to_world[:3] @ np.append(near, 1.0), 1.0)
    np.testing.assert_allclose(camera["intrinsic"] @ camera["extrinsic"] @ point, there, rtol=1e-9)
    np.testing.assert_allclose(camera["extrinsic"] @ point, near * [-1, -1, 1], rtol=1e-9)  # right, down, forwards
    back = np.linalg.inv(camera["camera_to_world"]) @ point
    np.testing.assert_allclose(back[:3], near * [-1, 1, -1], rtol=1e-9)  # right, up, backwards
    assert (camera["intrinsic"][[0, 1], [0, 1]] > 0).all() and np.linalg.det(camera["camera_to_world"]) > 0
