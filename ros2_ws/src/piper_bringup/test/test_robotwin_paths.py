"""Paths planned by mplib in place of CuRobo, on the fake's arm: the tower that turns, reaches out and goes up."""

import importlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from robotwin_rig import FAKE

BASE = [0.0, -0.45, 0.75]
DOWN = np.array([0.0, 0.0, -1.0])
START = np.array([0.03, 0.0, 0.1, 0.3, 0.0, 0.1, -0.1])  # fingers, tower, reach, height, hand, and two more


@pytest.fixture
def mplib(monkeypatch):
    """The fake one, for this test."""
    for name in ("mplib", "piper_bringup.robotwin.paths"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(FAKE))
    yield importlib.import_module("mplib")
    sys.modules.pop("mplib")
    sys.modules.pop("piper_bringup.robotwin.paths", None)


@pytest.fixture
def paths(mplib):
    module = importlib.import_module("piper_bringup.robotwin.paths")
    planner = SimpleNamespace(planner=mplib.Planner(mplib.Pose(BASE)), plan_grippers=lambda now, target: (now, target))
    return module.Paths(planner, DOWN)


@pytest.fixture
def hand(mplib):
    """Pose of the hand in the world, with it turned by `yaw` and tilted by `tilt`."""

    def at(out=0.5, along=0.0, height=0.3, yaw=0.0, tilt=0.0):
        turned = [np.cos(yaw / 2), np.sin(tilt / 2), 0, np.sin(yaw / 2)]
        return mplib.Pose(np.add(BASE, [out, along, height]), np.array(turned) / np.linalg.norm(turned))

    return at


def test_a_path_ends_where_the_hand_is_to_be_and_is_timed_in_physics_steps(paths, hand):
    plan = paths.plan_path(START, hand(0.4, 0.4, 0.2))
    assert plan["status"] == "Success" and plan["position"].shape == plan["velocity"].shape
    assert plan["position"][0] == pytest.approx(START[1:])
    assert plan["position"][-1, :4] == pytest.approx([np.pi / 4, np.hypot(0.4, 0.4) - 0.3, 0.2, -np.pi / 4])
    moved = np.diff(plan["position"], axis=0) * 250.0
    assert plan["velocity"][1:-1] == pytest.approx(moved[1:], abs=0.2)
    assert np.abs(moved).max() == pytest.approx(1.5, abs=0.05)


def test_a_hand_may_be_turned_by_half_a_turn(paths, hand):
    plan = paths.plan_path(START, hand(0.5, yaw=3.0))  # the joint goes to 2
    assert plan["position"][-1, 3] == pytest.approx(3.0 - np.pi)


def test_a_hand_that_is_half_a_turn_off_stays_so(paths, hand):
    turned = START.copy()
    turned[4] = -1.9  # both that hand and the one that was asked for can be had where it goes
    plan = paths.plan_path(turned, hand(0.5, yaw=np.pi - 1.9))
    assert plan["position"][-1, 3] == pytest.approx(-1.9)
    assert paths.plan_path(START, hand(0.5, yaw=np.pi - 1.9))["position"][-1, 3] == pytest.approx(np.pi - 1.9)


def test_a_hand_whose_attitude_is_to_be_held_goes_straight(paths, hand):
    def off_the_line(plan):
        tower, out = plan["position"][:, 0], 0.3 + plan["position"][:, 1]
        return np.abs(out * np.cos(tower) - 0.4).max()

    target = hand(0.4, 0.3)
    held = paths.plan_path(START, target, constraint_pose=[1, 1, 1, 0, 0, 0], arms_tag="left")
    free = paths.plan_path(START, target)
    assert off_the_line(held) < 0.002 < 0.02 < off_the_line(free)
    assert held["position"][:, 0] + held["position"][:, 3] == pytest.approx(0.0, abs=0.01)


def test_a_finger_a_little_beyond_its_end_stops_no_straight_path(paths, hand):
    start = START.copy()
    start[0] = 0.045  # of 0.04
    plan = paths.plan_path(start, hand(0.4, 0.3), constraint_pose=[1, 1, 1, 0, 0, 0])
    assert plan["status"] == "Success"


def test_no_path_leads_out_of_reach(paths, hand):
    for target in (hand(0.9), hand(0.5, tilt=0.3)):
        assert paths.plan_path(START, target) == {"status": "Failure"}
        assert paths.plan_path(START, target, constraint_pose=[1, 1, 1, 0, 0, 0]) == {"status": "Failure"}


def test_a_path_that_finds_no_timing_is_none(paths, hand):
    start = START.copy()
    start[1] = -1.9
    assert paths.plan_path(start, hand(-0.2, 0.4, yaw=1.0)) == {"status": "Failure"}


def test_a_path_to_where_the_hand_is_stands_as_long_as_robotwin_does(paths, hand):
    plan = paths.plan_path(START, hand(0.4))
    assert plan["status"] == "Success" and plan["position"].shape == (50, 6) and not plan["velocity"].any()
    assert plan["position"] == pytest.approx(np.tile(START[1:], (50, 1)))


def test_a_grasp_begins_only_where_the_hand_can_go_on(paths, hand):
    low, well, far = hand(0.5, height=0.05), hand(0.5, height=0.2), hand(0.9)
    assert paths.plan_path(START, low)["status"] == "Success"  # but not 9 cm lower
    plans = paths.plan_batch(START, [low, well, far], constraint_pose=None, arms_tag="left")
    assert plans["status"] == ["Failure", "Success", "Failure"]
    assert plans["position"][1][-1, 2] == pytest.approx(0.2) and plans["position"][0] is None


def test_the_same_question_has_the_same_answer(paths, hand):
    one, two = (paths.plan_path(START, hand(0.4, 0.4, 0.2, yaw=1.0)) for _ in range(2))
    assert (one["position"] == two["position"]).all() and (one["velocity"] == two["velocity"]).all()


def test_grippers_are_planned_by_robotwins_own(paths):
    assert paths.plan_grippers(0.0, 1.0) == (0.0, 1.0)
