"""Joint states by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import JointState

from piper_bringup.data.joints import joint_vector
from piper_bringup.data.names import JOINTS

VALUES = {name: 0.1 * i - 0.5 for i, name in enumerate(JOINTS)}


def state(names, values=None) -> JointState:
    return JointState(name=list(names), position=[VALUES[n] for n in names] if values is None else values)


@given(st.permutations(JOINTS))
def test_any_order_of_names_gives_the_house_order(names):
    assert np.array_equal(joint_vector(state(names)), list(VALUES.values()))


def test_velocity_and_effort_are_read_the_same_way():
    message = state(JOINTS)
    message.velocity, message.effort = [1.0] * 14, [2.0] * 14
    assert joint_vector(message, "velocity")[3] == 1.0
    assert joint_vector(message, "effort")[3] == 2.0


def test_joints_of_others_are_left_out():
    message = JointState(name=["lift", *JOINTS], position=[9.0, *VALUES.values()])
    assert np.array_equal(joint_vector(message), list(VALUES.values()))


def test_arrays_are_checked_and_copied():
    q = np.arange(14.0)
    taken = joint_vector(q)
    q[0] = 99.0
    assert taken[0] == 0.0
    with pytest.raises(ValueError, match="14 names and 13 values"):
        joint_vector(np.zeros(13))


@given(st.sampled_from(JOINTS), st.sampled_from([float("nan"), float("inf"), -float("inf")]))
def test_a_value_not_finite_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"position is not finite: {name}$"):
        joint_vector(state(JOINTS, [value if n == name else 0.0 for n in JOINTS]))


def test_missing_duplicate_and_ragged_are_refused_by_name():
    with pytest.raises(ValueError, match="lacks left_joint1, right_gripper; it must name left_joint1,"):
        joint_vector(state(JOINTS[1:-1]))
    with pytest.raises(ValueError, match=r"names twice: left_joint1$"):
        joint_vector(state((*JOINTS, "left_joint1")))
    with pytest.raises(ValueError, match="14 names and 0 values of velocity"):
        joint_vector(state(JOINTS), "velocity")
