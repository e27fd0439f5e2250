"""RLBench's worker over its socket: on the fake, and on what RLBENCH_ROOT names."""

import numpy as np
import pytest
from rlbench_rig import LEFT, PATIENCE_S, RIGHT, TASK, genuine, go, simulated, start

from piper_bringup.data import names
from piper_bringup.rlbench import arms
from piper_bringup.rlbench.observed import CAMERAS
from piper_bringup.robotwin.lost import WorkerRaised


@pytest.fixture(scope="module", params=["fake", "genuine"])
def place(request, tmp_path_factory):
    if request.param == "genuine":
        yield genuine() or pytest.skip("RLBENCH_ROOT names no checkout")
        return
    with simulated(tmp_path_factory.mktemp("rlbench") / "checkout") as fake:
        yield fake


@pytest.fixture(scope="module")
def asked(place):
    with place.link() as link:
        yield link, link.start(PATIENCE_S)


@pytest.fixture
def worker(asked):
    return asked[0]


def test_hello_tells_tasks_joints_and_cameras(asked):
    about = asked[1]
    assert about["program"] == "RLBench" and TASK in about["tasks"] and "__init__" not in about["tasks"]
    assert tuple(about["joints"]) == arms.JOINTS and tuple(about["cameras"]) == CAMERAS
    assert about["image_px"] == 128 and about["coppeliasim"] and about["python"].startswith("3.")


def test_reset_states_what_the_episode_is(worker):
    answer = start(worker, 7)
    assert (answer["task"], answer["seed"], answer["variation"], answer["variations"]) == (TASK, 7, 0, 1)
    assert answer["skipped_seeds"] == [] and answer["expert_check"] is False and answer["step_limit"] == 400
    assert answer["instruction"] == answer["instructions"][0] and answer["physics_dt_ns"] == 50_000_000
    observation = answer["observation"]
    assert observation["action_count"] == observation["physics_steps"] == 0 and observation["success"] is False
    assert observation["cameras"] == {}
    np.testing.assert_array_equal(observation["targets"], observation["measured"])
    np.testing.assert_allclose(observation["measured"][[7, 15]], 1.0, atol=0.05)


def test_an_observation_has_both_arms_left_first(worker):
    observation = start(worker)["observation"]
    assert observation["measured"].shape == (16,) and observation["ee_poses"].shape == (2, 7)
    np.testing.assert_allclose(np.linalg.norm(observation["ee_poses"][:, 3:], axis=1), 1.0, atol=1e-3)
    after = go(worker, observation["measured"], 3, left=observation["measured"][LEFT] - 0.15)["observation"]
    moved = np.abs(after["measured"] - observation["measured"])
    assert moved[LEFT] > 0.1 and moved[RIGHT] < 0.02


def test_a_step_is_one_of_physics(worker):
    measured = start(worker)["observation"]["measured"]
    after = go(worker, measured, 3, right=measured[RIGHT] + 0.1)
    assert after["taken"] is True and after["steps"] == 1
    assert after["observation"]["physics_steps"] == after["observation"]["action_count"] == 3
    np.testing.assert_allclose(after["observation"]["targets"][RIGHT], measured[RIGHT] + 0.1)
    assert start(worker)["observation"]["physics_steps"] == 0


def test_named_cameras_are_drawn_and_no_others(worker):
    start(worker)
    cameras = worker.call("observe", PATIENCE_S, cameras=["wrist_left", "front"])["observation"]["cameras"]
    assert list(cameras) == ["wrist_left", "front"]
    for camera in cameras.values():
        assert camera["rgb"].shape == (128, 128, 3) and camera["rgb"].dtype == np.uint8
        shapes = [camera[name].shape for name in ("intrinsic", "extrinsic", "camera_to_world")]
        assert shapes == [(3, 3), (3, 4), (4, 4)] and camera["intrinsic"][0, 0] > 0


@pytest.mark.parametrize(
    ("command", "arguments", "phase", "said"),
    [
        ("step", {"action": np.zeros(14)}, "step", "16 finite numbers"),
        ("step", {"action": np.full(16, np.inf)}, "step", "16 finite numbers"),
        ("step", {}, "request", "action"),
        ("servo", {"action": np.zeros(16), "physics_steps": 5}, "servo", "RLBench has no servo: .*ask for step"),
        ("observe", {"cameras": ["cam_head"]}, "observe", "no camera cam_head here; there are over_shoulder_left"),
        ("fly", {}, "request", "valid: hello, reset, step, servo, observe, expert, close"),
        ("reset", {"task": TASK, "seed": 0}, "request", "joints"),
        ("reset", {"task": "lift_pot", "seed": 0, "joints": arms.JOINTS}, "arguments", TASK),
        (
            "reset",
            {"task": TASK, "seed": 0, "joints": names.JOINTS},
            "arguments",
            "joints: the policy's 14 are not the 16",
        ),
        ("reset", {"task": TASK, "seed": -1, "joints": arms.JOINTS}, "arguments", "seed is -1"),
        ("reset", {"task": TASK, "seed": 2**32 - 1, "joints": arms.JOINTS}, "arguments", "seed is 4294967295"),
        ("reset", {"task": TASK, "seed": 0, "joints": arms.JOINTS, "step_limit": 0}, "arguments", "step_limit is 0"),
        ("reset", {"task": TASK, "seed": 0, "joints": arms.JOINTS, "max_skipped": -1}, "arguments", "max_skipped"),
        ("reset", {"task": TASK, "seed": 0, "joints": arms.JOINTS, "variation": -1}, "arguments", "variation is -1"),
        ("reset", {"task": TASK, "seed": 0, "joints": arms.JOINTS, "variation": 9}, "setup", "valid: below 1"),
    ],
)
def test_what_is_wrong_is_said_with_its_phase_and_the_worker_goes_on(worker, command, arguments, phase, said):
    start(worker)
    with pytest.raises(WorkerRaised, match=said) as caught:
        worker.call(command, PATIENCE_S, **arguments)
    assert caught.value.phase == phase and "Traceback" in caught.value.traceback
    measured = start(worker)["observation"]["measured"]
    assert go(worker, measured, 1)["taken"] is True


def test_no_action_is_taken_at_the_step_limit(worker):
    measured = start(worker, step_limit=3)["observation"]["measured"]
    taken = [go(worker, measured, 1) for _ in range(5)]
    assert [answer["taken"] for answer in taken] == [True, True, True, False, False]
    assert taken[-1]["steps"] == 0 and taken[-1]["observation"]["action_count"] == 3
