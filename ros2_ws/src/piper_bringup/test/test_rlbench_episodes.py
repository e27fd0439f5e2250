"""Episodes of RLBench's worker, on the fake: what only its tasks can make happen."""

import numpy as np
import pytest
from rlbench_rig import PATIENCE_S, RIGHT, at, go, simulated, start

from piper_bringup.robotwin.lost import WorkerRaised

ROPE, TABLE, HANDOVER = "bimanual_straighten_rope", "bimanual_set_the_table", "bimanual_handover_item"
NEAR = [seed for seed in range(200) if at(seed) < 0.85]
FAR = next(seed for seed in range(200) if at(seed) > 0.9)


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    with simulated(tmp_path_factory.mktemp("rlbench") / "checkout") as place, place.link() as link:
        link.start(PATIENCE_S)
        yield link


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


def test_a_gripper_that_is_to_open_further_than_it_goes_is_refused_and_nothing_ends(fake):
    measured = start(fake, task=HANDOVER)["observation"]["measured"]
    with pytest.raises(WorkerRaised, match=r"right_gripper is 1\.5; valid"):
        go(fake, measured, 1, right_gripper=1.5)
    after = go(fake, measured, 1, right_gripper=1.0)
    assert after["taken"] is True and after["observation"]["action_count"] == 1


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


def test_drawing_a_variation_does_not_change_what_is_demonstrated(fake):
    for seed in [seed for seed in range(200) if at(seed) > 0.9][:3]:  # the second number drawn is rarely so high
        answer = start(fake, seed, task=HANDOVER, expert_check=True)
        assert [skipped["seed"] for skipped in answer["skipped_seeds"]] == [seed] and answer["seed"] == seed + 1


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


def test_a_simulator_that_fails_before_a_demonstration_is_no_fault_of_the_seed(fake):
    with pytest.raises(WorkerRaised, match="failed on the V-REP side") as caught:
        start(fake, FAR, task=ROPE, expert_check=True)
    assert (caught.value.phase, caught.value.type) == ("setup", "RuntimeError")
    assert start(fake)["observation"]["success"] is False


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
