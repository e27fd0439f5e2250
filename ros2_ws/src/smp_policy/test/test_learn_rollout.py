"""Closed-loop episodes with answers made by hand: what the cell, the plan and the goals make of them."""

from __future__ import annotations

import numpy as np
import pytest
from evaluate_rig import ByHand, contract, holder, player

from piper_bringup.cell import tasks
from piper_bringup.cell.expert import demonstrate
from piper_bringup.cell.world import World
from piper_bringup.data import names
from smp_policy.learn import rollout as rollouts
from smp_policy.learn.driver import LOWER
from smp_policy.learn.rollout import rollout
from smp_policy.run.policy import Policy


@pytest.mark.parametrize("task", ["lift_bar", "right_open_drawer"])
def test_the_experts_own_motion_succeeds_through_the_policys_path(task):
    shown, world = demonstrate(task, 90_000), World(task)
    assert shown.success
    result = rollout(Policy(player(shown.q)), world, 90_000)
    assert result.success and result.progress == 1.0
    assert result.goals == tuple(goal.name for goal in tasks.find(task).goals)
    steps = len(result.chunk)
    assert result.gate.shape == result.active.shape == result.router.shape == (steps, 8)
    assert result.q.shape == (steps, 14) and result.chunk.shape == (steps, names.HORIZON, 14)
    assert len(result.target) == pytest.approx(result.seconds * 100) and len(result.latency_s) == steps
    assert result.broke == ""


def test_standing_still_reaches_nothing():
    world = World("lift_bar")
    result = rollout(Policy(holder()), world, 90_000, limit_s=1.0)
    assert not result.success and result.progress == 0.0 and result.goals == ()
    assert result.seconds == pytest.approx(1.0) and len(result.chunk) == 5
    assert np.abs(result.target - result.target[0])[:, :6].max() < 0.05


def test_half_a_demonstration_reaches_some_goals():
    shown, world = demonstrate("lift_bar", 90_001), World("lift_bar")
    begin = shown.phase.index("lift") + 10
    rows = np.vstack([shown.q[:begin], np.repeat(shown.q[begin : begin + 1], 20, axis=0)])
    result = rollout(Policy(player(rows)), world, 90_001, limit_s=len(rows) * 0.05)
    assert not result.success and 0.0 < result.progress < 1.0
    assert result.progress == len(result.goals) / len(world.task.goals)


def test_it_is_filmed_on_the_grid_of_rows():
    world, seen = World("lift_bar"), []
    rollout(Policy(holder()), world, 0, limit_s=0.5, look=lambda: seen.append(world.t_ns))
    assert seen == [i * names.DT_NS for i in range(10)]


def test_physics_that_breaks_ends_the_episode_as_a_failure(monkeypatch):
    world = World("lift_bar")
    real, calls = rollouts.Driver.command, []

    def command(driver, world, now_ns):
        calls.append(now_ns)
        if len(calls) == 30:
            raise rollouts.PhysicsError("it blew up")
        return real(driver, world, now_ns)

    monkeypatch.setattr(rollouts.Driver, "command", command)
    result = rollout(Policy(holder()), world, 0, limit_s=2.0)
    assert not result.success and result.broke == "it blew up"
    assert result.seconds == pytest.approx(0.3) and len(result.chunk) == 2


@pytest.mark.parametrize("delay_ns", [5_000_000, -10_000_000, 200_000_000])
def test_a_delay_off_the_grid_is_refused(delay_ns):
    with pytest.raises(ValueError, match="delay_ns"):
        rollout(Policy(holder()), World("lift_bar"), 0, delay_ns=delay_ns)


def test_committed_rows_stay_as_they_were():
    """Whatever a policy answers, rows that are executed anyway are those of the running plan."""
    bases = np.isin(np.arange(14), (0, 7))
    wild = ByHand(lambda step, q: np.tile(q + 0.08 * step * bases, (16, 1)), contract())
    result = rollout(Policy(wild), World("lift_bar"), 0, limit_s=1.0, delay_ns=50_000_000)
    per_row = names.DT_NS // 10_000_000
    for step in range(1, 5):
        due = (step * names.REPLAN_ROWS + np.arange(1, 3)) * per_row - 1  # commands due with the two committed rows
        np.testing.assert_allclose(result.chunk[step, :2], result.target[due], atol=1e-6)


def beyond(excess: float, joint: int, after: int = 1) -> ByHand:
    """Stands at rest, and from step `after` on asks one joint of the left arm to go `excess` below its limit."""
    rows = np.tile(rollouts.motion.rest(), (16, 1))
    wrong = rows.copy()
    wrong[3:, joint] = LOWER[joint] - excess
    return ByHand(lambda step, _: wrong if step >= after else rows, contract())


@pytest.mark.parametrize(("joint", "slack"), [(1, 0.1), (6, 0.01)])
def test_a_chunk_too_far_outside_the_limits_is_refused_whole(joint, slack):
    inside = rollout(Policy(beyond(0.9 * slack, joint)), World("lift_bar"), 0, limit_s=1.0)
    assert inside.refused == 0 and np.abs(inside.target - inside.target[0])[:, joint].max() > 0.05 * slack
    outside = rollout(Policy(beyond(1.1 * slack, joint)), World("lift_bar"), 0, limit_s=1.0)
    assert outside.refused == 4
    assert np.ptp(outside.target[:90, joint]) < 1e-3  # repaired, it would move


def test_an_arm_that_is_kept_from_following_ends_the_episode(monkeypatch):
    monkeypatch.setattr(World, "drive", lambda *_: None)  # as if both arms were stuck
    ahead = 0.04 * np.outer(np.arange(1, 17), np.arange(14) == 1)
    result = rollout(Policy(ByHand(lambda _, target: target + ahead, contract())), World("lift_bar"), 0, limit_s=5.0)
    assert result.fault.startswith("TRACKING_ERROR: left_joint2 is 0.") and result.seconds < 2.0
