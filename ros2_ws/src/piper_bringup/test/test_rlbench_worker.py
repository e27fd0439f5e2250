"""RLBench's worker over its socket: on the fake, and on what RLBENCH_ROOT names."""

import ast
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from rlbench_rig import PATIENCE_S, TASK, genuine, lay, start

from piper_bringup.data import names
from piper_bringup.rlbench import arms, checkout
from piper_bringup.rlbench.link import WORKER, link
from piper_bringup.rlbench.observed import CAMERAS
from piper_bringup.robotwin import protocol
from piper_bringup.robotwin.lost import WorkerDied, WorkerRaised

LEFT, RIGHT = 0, 8  # columns of the first joint of an arm
COLUMNS = {"left": LEFT, "right": RIGHT, "left_gripper": 7, "right_gripper": 15, "lift": RIGHT + 1}
ROPE, TABLE, HANDOVER = "bimanual_straighten_rope", "bimanual_set_the_table", "bimanual_handover_item"


@pytest.fixture(scope="module", params=["fake", "genuine"])
def place(request, tmp_path_factory):
    if request.param == "genuine":
        yield genuine() or pytest.skip("RLBENCH_ROOT names no checkout")
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(checkout.SIMULATOR, str(tmp_path_factory.mktemp("coppeliasim")))
        yield lay(tmp_path_factory.mktemp("rlbench") / "checkout")


@pytest.fixture(scope="module")
def asked(place):
    with place.link() as link:
        yield link, link.start(PATIENCE_S)


@pytest.fixture
def worker(asked):
    return asked[0]


@pytest.fixture
def fake(place, worker):
    """What only our tasks can make happen."""
    return pytest.skip("tasks of the fake") if place.genuine else worker


def at(seed):
    """Where the fake's box is with a seed: it is pushed by the demonstration up to 0.9."""
    return np.random.RandomState(seed).uniform()


NEAR = [seed for seed in range(200) if at(seed) < 0.85]
FAR = next(seed for seed in range(200) if at(seed) > 0.9)


def go(link, start_at, steps, cameras=(), **columns):
    """The last answer of so many equal actions, which differ from `start_at` in the named COLUMNS."""
    action = np.array(start_at)
    for name, value in columns.items():
        action[COLUMNS[name]] = value
    for _ in range(steps):
        answer = link.call("step", PATIENCE_S, action=action, cameras=list(cameras))
    return answer


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


def test_an_arm_commanded_by_name_is_the_one_that_moves_and_the_task_says_when_it_is_solved(fake):
    measured = start(fake, NEAR[0])["observation"]["measured"]
    wrong = go(fake, measured, 6, left=0.5, right=-0.5)["observation"]
    assert wrong["success"] is False and wrong["measured"][RIGHT] < -0.4
    measured = start(fake, NEAR[0])["observation"]["measured"]
    solved = go(fake, measured, 6, left=-0.5, right=0.5)
    assert solved["observation"]["success"] is True and solved["observation"]["action_count"] <= 5
    assert solved["taken"] is False
    later = go(fake, measured, 3, left=0.0, right=0.0)
    assert later["taken"] is False and later["observation"]["success"] is True and later["steps"] == 0
    assert start(fake)["observation"]["success"] is False


def test_poses_are_left_first_with_w_first(fake):
    measured = start(fake)["observation"]["measured"]
    left, right = go(fake, measured, 5, left=-0.2)["observation"]["ee_poses"]
    np.testing.assert_allclose(left, [0.3, 0.3, 1.2, np.cos(0.1), 0, 0, -np.sin(0.1)], atol=1e-9)
    np.testing.assert_allclose(right, [0.3, -0.3, 1.2, 1, 0, 0, 0], atol=1e-9)


def test_grippers_close_and_one_that_holds_something_is_measured_where_it_is(fake):
    measured = start(fake, task=HANDOVER)["observation"]["measured"]
    halfway = go(fake, measured, 4, left_gripper=0.5, right_gripper=0.5)["observation"]
    np.testing.assert_allclose(halfway["measured"][[7, 15]], 0.5, atol=1e-9)
    closed = go(fake, measured, 5, left_gripper=0.0, right_gripper=0.0)["observation"]
    np.testing.assert_allclose(closed["measured"][[7, 15]], [0.3, 0.0], atol=1e-9)
    assert closed["targets"][[7, 15]].tolist() == [0.0, 0.0] and closed["success"] is True


def test_a_task_that_failed_takes_no_more_actions_and_is_no_success(fake):
    measured = start(fake, task=HANDOVER)["observation"]["measured"]
    failed = go(fake, measured, 15, lift=1.2)
    assert failed["taken"] is False and failed["observation"]["success"] is False
    assert failed["observation"]["action_count"] < 12


def test_variations_are_drawn_by_the_seed_or_named(fake):
    drawn = [start(fake, seed, task=HANDOVER)["variation"] for seed in range(8)]
    assert drawn == [start(fake, seed, task=HANDOVER)["variation"] for seed in range(8)] and len(set(drawn)) > 1
    named = start(fake, 0, task=HANDOVER, variation=3)
    assert (named["variation"], named["variations"]) == (3, 5)
    assert named["instruction"] == "bring me the yellow item" and len(named["instructions"]) == 2


def test_a_seed_is_the_same_episode_whether_it_was_demonstrated_or_not(fake):
    start(fake, task=HANDOVER)
    plain = start(fake, NEAR[1])["observation"]["measured"]
    assert plain[RIGHT + 6] == at(NEAR[1])
    checked = start(fake, NEAR[1], expert_check=True)
    np.testing.assert_array_equal(checked["observation"]["measured"], plain)
    assert checked["observation"]["physics_steps"] == 0 and checked["observation"]["success"] is False


def test_seeds_that_are_not_demonstrated_are_skipped_and_listed(fake):
    answer = start(fake, FAR, expert_check=True)
    assert [(skipped["seed"], skipped["reason"]) for skipped in answer["skipped_seeds"]] == [(FAR, "expert_failed")]
    assert "Could not collect demos" in answer["skipped_seeds"][0]["detail"] and answer["seed"] == FAR + 1
    assert start(fake, FAR)["seed"] == FAR


@pytest.mark.parametrize("expert_check", [False, True])
def test_a_task_that_cannot_be_placed_has_no_seeds(fake, expert_check):
    with pytest.raises(WorkerRaised, match=r"no seed from 5 to 7 .*not_placed \(Could not place.*: 5, 6, 7") as caught:
        start(fake, 5, task=TABLE, max_skipped=2, expert_check=expert_check)
    assert (caught.value.phase, caught.value.type) == ("seeds", "NoEpisode")
    with pytest.raises(WorkerRaised, match="reset first"):
        fake.call("observe", PATIENCE_S)


def test_the_expert_demonstrates_the_episode_also_after_grippers_were_moved(fake):
    measured = start(fake, task=HANDOVER)["observation"]["measured"]
    go(fake, measured, 2, right_gripper=0.6)
    done = fake.call("expert", PATIENCE_S)
    assert done["success"] is True and done["observation"]["success"] is True and done["steps"] > 20
    assert go(fake, measured, 1)["taken"] is False
    measured = start(fake, task=HANDOVER)["observation"]["measured"]
    np.testing.assert_allclose(go(fake, measured, 8, right_gripper=0.0)["observation"]["measured"][15], 0.0, atol=1e-9)


def test_an_expert_that_fails_is_no_success(fake):
    start(fake, FAR)
    done = fake.call("expert", PATIENCE_S)
    assert done["success"] is done["plan_success"] is done["observation"]["success"] is False


def test_what_an_action_raises_is_data_and_ends_the_episode(fake):
    measured = start(fake, task=ROPE)["observation"]["measured"]
    go(fake, measured, 1)
    with pytest.raises(WorkerRaised, match="failed on the V-REP side") as caught:
        go(fake, measured, 1)
    assert (caught.value.phase, caught.value.type) == ("step", "RuntimeError")
    assert go(fake, measured, 1)["taken"] is False
    assert go(fake, start(fake)["observation"]["measured"], 1)["taken"] is True


def test_pictures_are_rgb_and_only_made_when_asked_for(fake):
    def made():
        picture = fake.call("observe", PATIENCE_S, cameras=["front"])["observation"]["cameras"]["front"]["rgb"]
        assert (picture[..., 0] == 255).all() and (picture[..., 2] == 0).all()
        return int(picture[0, 0, 1])

    measured = start(fake)["observation"]["measured"]
    before = made()
    go(fake, measured, 3)
    start(fake)
    assert made() == before + 1
    go(fake, measured, 2, cameras=["overhead"])
    assert made() == before + 4


def test_pictures_are_as_large_as_asked_for(place, fake):
    with place.link("--image-px", "64") as link:
        assert link.start(PATIENCE_S)["image_px"] == 64
        picture = start(link, cameras=["overhead"])["observation"]["cameras"]["overhead"]
        assert picture["rgb"].shape == (64, 64, 3) and picture["intrinsic"][0, 2] == 32


def test_the_simulator_is_ended_politely(place, fake):
    left = place.root / "shutdown"
    with place.link() as link:
        link.start(PATIENCE_S)
        start(link)
        left.unlink(missing_ok=True)
    assert left.exists()


def test_without_coppeliasim_the_reason_is_data(place, fake, monkeypatch):
    monkeypatch.delenv(checkout.SIMULATOR)
    with place.link() as link:
        assert link.start(PATIENCE_S)["coppeliasim"] is None
        with pytest.raises(WorkerRaised, match="COPPELIASIM_ROOT not defined") as caught:
            start(link)
        assert (caught.value.phase, caught.value.type) == ("launch", "PyRepError")


def test_without_pyrep_the_reason_is_data(place, fake, tmp_path):
    shutil.copytree(place.root, tmp_path / "bare", ignore=shutil.ignore_patterns("pyrep"))
    with link(sys.executable, tmp_path / "bare") as bare:
        bare.start(PATIENCE_S)
        with pytest.raises(WorkerRaised, match="No module named 'pyrep'") as caught:
            start(bare)
    assert caught.value.phase == "import"


@pytest.mark.parametrize("lacks", [checkout.SCENE, Path("rlbench") / "bimanual_tasks"])
def test_another_folder_and_rlbench_for_one_arm_are_refused(tmp_path, lacks):
    root = lay(tmp_path / "wrong").root
    shutil.move(root / lacks, tmp_path / "away")
    with link(sys.executable, root) as worker, pytest.raises(WorkerRaised, match=f"it has no {lacks}"):
        worker.start(PATIENCE_S)


def test_a_size_of_pictures_that_makes_no_sense_ends_the_worker_with_a_sentence(tmp_path):
    with pytest.raises(WorkerDied, match="--image-px is 0; valid: 16 to 1024"):
        link(sys.executable, tmp_path, "--image-px", "0").start(PATIENCE_S)


@pytest.mark.parametrize("path", sorted(WORKER.parent.glob("*.py")), ids=lambda path: path.stem)
def test_the_workers_side_is_python_3_8_and_needs_two_packages(path):
    if path.stem == "link":
        return
    seen, new = set(), {path}
    while new:
        seen |= new
        new = {found for one in new for found in ours_of(one)} - seen
    assert path.parent / "link.py" not in seen and Path(protocol.__file__).with_name("link.py") not in seen
    for one in seen:
        tops = {name.split(".")[0] for name in imported(one)}
        assert tops - {"piper_bringup"} <= set(sys.stdlib_module_names) | {"numpy", "msgpack"}, one


def imported(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def ours_of(path):
    below = WORKER.parents[2]
    files = {below / (name.replace(".", "/") + ".py") for name in imported(path) if name.startswith("piper_bringup.")}
    return {file for file in files if file.is_file()}


def test_the_worker_runs_on_python_3_8(fake, place):
    """Where SMP_PYTHON_3_8 names one that has numpy and msgpack."""
    python = os.environ.get("SMP_PYTHON_3_8") or pytest.skip("SMP_PYTHON_3_8 names no Python")
    with link(python, place.root) as old:
        assert old.start(PATIENCE_S)["python"].startswith("3.8.")
        measured = start(old, NEAR[0], expert_check=True, cameras=["front"])["observation"]["measured"]
        assert go(old, measured, 1, cameras=["front"])["observation"]["action_count"] == 1
        with pytest.raises(WorkerRaised, match="16 finite"):
            old.call("step", PATIENCE_S, action=np.zeros(3))
