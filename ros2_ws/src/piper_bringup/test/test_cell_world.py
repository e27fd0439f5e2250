"""The world as a whole: determinism, snapshots, contacts, goals, errors."""

from __future__ import annotations

import numpy as np
import pytest

from piper_bringup.can.drive import Drive, Power
from piper_bringup.cell import motion
from piper_bringup.cell.expert import play
from piper_bringup.cell.motion import Grasp, Step
from piper_bringup.cell.world import SLOT_FIELDS, SLOTS, PhysicsError, World
from piper_bringup.data.names import REST_RAD

DOWN, ACROSS = np.array((0.0, 0.0, -1.0)), np.array((0.0, 1.0, 0.0))


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    world = World("lift_bar", seed=11)
    return motion.plan(world.task.script(world.start, np.random.default_rng(0)), motion.rest()).rows


def test_equal_seeds_and_drives_give_bit_identical_states(rows):
    ends = []
    for _ in range(2):
        world = World("lift_bar", seed=11)
        play(world, rows[:90])
        ends.append(world.state().physics)
    assert np.array_equal(*ends)


def test_reset_forgets_everything(rows):
    fresh, used = World("lift_bar", seed=11), World("lift_bar", seed=4)
    play(used, rows[:70])
    used.reset(11)
    for world in (fresh, used):
        play(world, rows[:90])
    assert np.array_equal(fresh.state().physics, used.state().physics)


def test_seeds_place_the_bar_differently():
    places = {tuple(World("lift_bar", seed).pose("bar")[:2]) for seed in range(5)}
    assert len(places) == 5


def test_restored_state_goes_on_bit_identically(rows):
    world = World("lift_bar", seed=11)
    play(world, rows[:80])
    state = world.state()
    play(world, rows[80:120], start=rows[79])
    end, goals = world.state().physics, world.goals_reached()
    other = World("lift_bar", seed=0)
    other.restore(state)
    assert other.t_ns == state.t_ns
    play(other, rows[80:120], start=rows[79])
    assert np.array_equal(other.state().physics, end)
    assert other.goals_reached() == goals


def test_grasped_bar_is_held_for_five_seconds_in_the_air(rows):
    world = World("lift_bar", seed=11)
    lifted = int(np.argmax(_heights(world, rows)))
    world.reset(11)
    play(world, rows[: lifted + 1])
    before = world.pose("bar")
    assert before[2] > 0.1
    play(world, np.repeat(rows[lifted : lifted + 1], 100, axis=0), start=rows[lifted])
    assert np.linalg.norm(world.pose("bar")[:3] - before[:3]) < 0.008
    assert "lifted level" in world.goals_reached()


def _heights(world: World, rows: np.ndarray) -> list[float]:
    """Height of the bar when each row is due."""
    heights: list[float] = []
    play(world, rows, look=lambda: heights.append(world.pose("bar")[2]))
    return heights[1:]


def test_an_arm_that_only_lifts_one_end_does_not_succeed(rows):
    one_armed = rows.copy()
    one_armed[:, 7:] = motion.rest()[7:]
    world = World("lift_bar", seed=11)
    play(world, one_armed)
    assert world.goals_reached() == ()
    assert not world.success()


def test_arms_sent_to_the_same_place_collide_and_stop():
    world = World("lift_bar", seed=1)
    left = Grasp(np.array((0.05, 0.05, 0.2)), np.array((0.6, 0.0, -0.8)), ACROSS)
    right = Grasp(np.array((-0.05, 0.05, 0.2)), np.array((-0.6, 0.0, -0.8)), ACROSS)
    steps = (Step("x", left, right, seconds=2.0),)
    targets = motion.plan(steps, motion.rest()).rows
    met = set()
    between = {"left", "right"}
    play(
        world,
        targets,
        look=lambda: met.update(p for p in world.contacts() if {name.split("_")[0] for name in p} == between),
    )
    assert met
    short = np.abs(np.concatenate([world.arm_state(arm).q_rad for arm in ("left", "right")]) - targets[-1, _JOINTS])
    assert short.max() > 0.1  # the servos press, the arms do not pass through each other


_JOINTS = [*range(6), *range(7, 13)]


def test_an_arm_driven_into_the_table_is_stopped_by_it():
    world = World("lift_bar", seed=1)
    above = Step("x", left=Grasp(np.array((-0.3, 0.1, 0.08)), DOWN, np.array((1.0, 0.0, 0.0))))
    below = Step("x", left=Grasp(np.array((-0.3, 0.1, -0.03)), DOWN, np.array((1.0, 0.0, 0.0))))
    play(world, motion.plan((above, below), motion.rest()).rows)
    assert any("world" in pair and any(name.startswith("left_finger") for name in pair) for pair in world.contacts())
    assert min(_fingertip_heights(world)) > -0.004


def _fingertip_heights(world: World) -> list[float]:
    import mujoco

    data = mujoco.MjData(world.model)
    data.qpos[:] = world.positions()[: world.model.nq]
    mujoco.mj_kinematics(world.model, data)
    pads = [data.geom(f"left_finger{i}_pad") for i in (1, 2)]
    return [float(pad.xpos[2] + 0.02 * pad.xmat.reshape(3, 3)[2, 2]) for pad in pads]


def test_slots_are_the_ground_truth_in_fixed_order():
    world = World("lift_bar", seed=2)
    slots = world.slots()
    assert slots.shape == (SLOTS, len(SLOT_FIELDS)) == (4, 14)
    bar = dict(zip(SLOT_FIELDS, slots[0], strict=True))
    assert bar["valid"] == 1.0
    assert [bar[name] for name in "xyz"] == pytest.approx(world.pose("bar")[:3])
    assert [bar[f"size_{name}"] for name in "xyz"] == pytest.approx((0.36, 0.026, 0.036))
    yaw = 2 * np.arctan2(world.pose("bar")[6], world.pose("bar")[3])
    assert [bar["r0"], bar["r1"], bar["r3"]] == pytest.approx((np.cos(yaw), np.sin(yaw), -np.sin(yaw)))
    assert not slots[1:].any()


def test_respawn_moves_objects_and_leaves_the_arms(rows):
    world = World("lift_bar", seed=11)
    play(world, rows[:60])
    arm, t_ns = world.arm_state("left").q_rad, world.t_ns
    world.respawn(12)
    assert np.array_equal(world.arm_state("left").q_rad, arm)
    assert world.t_ns == t_ns
    assert world.goals_reached() == ()
    assert np.array_equal(world.pose("bar"), World("lift_bar", 12).pose("bar"))


def test_cleared_hands_are_empty_and_the_arms_stay(rows):
    world = World("lift_bar", seed=11)
    row = 0
    while not world.success():  # it is then held up
        play(world, rows[row : row + 1], start=rows[max(0, row - 1)])
        row += 1
    assert world.grasped("left", "bar") and world.grasped("right", "bar")
    arm, t_ns = world.arm_state("left").q_rad, world.t_ns
    world.clear()
    assert np.array_equal(world.arm_state("left").q_rad, arm) and world.t_ns == t_ns and world.success()
    assert not world.touches("left", "bar") and not world.touches("right", "bar")
    waiting = world.pose("bar")
    for _ in range(200):
        world.step(0.005)
    assert np.abs(world.pose("bar") - waiting).max() < 0.2, "it lies on the floor below"
    world.respawn(12)
    assert np.array_equal(world.pose("bar"), World("lift_bar", 12).pose("bar"))


def test_an_adopted_arm_stands_where_it_stood(rows):
    first, second = World("lift_bar", seed=11), World("lift_bar", seed=3)
    play(first, rows[:60])
    bar = second.pose("bar")
    second.adopt(first)
    assert np.array_equal(second.arm_state("right").q_rad, first.arm_state("right").q_rad)
    assert second.t_ns == first.t_ns
    assert np.array_equal(second.pose("bar"), bar)
    second.step(0.005)
    assert np.abs(second.arm_state("right").q_rad - first.arm_state("right").q_rad).max() < 0.01


def test_unknown_task_names_the_ones_there_are():
    with pytest.raises(ValueError, match=r"no task 'juggle'; there are: lift_bar"):
        World("juggle")


@pytest.mark.parametrize("dt_s", [0.0, -0.005, 0.003, 0.0051])
def test_step_takes_multiples_of_the_physics_step_only(dt_s):
    with pytest.raises(ValueError, match=r"multiple of 0\.0025"):
        World().step(dt_s)


def test_a_drive_that_is_not_finite_is_refused():
    broken = Drive(np.array((0.0, np.nan, 0.0, 0.0, 0.0, 0.0)), np.full(6, int(Power.SERVO)), 0.0, 1.0, True)
    with pytest.raises(ValueError, match="not finite"):
        World().drive("left", broken)


def test_broken_physics_is_an_error_with_a_name():
    world = World()
    state = world.state()
    state.physics[world.model.joint("bar").qposadr[0] + 1] = 1e12
    world.restore(state)
    with pytest.raises(PhysicsError, match=r"physics of lift_bar broke at 0\.00\d+ s: MuJoCo warned BAD"):
        world.step(0.005)
    world.reset(0)
    world.step(0.005)
    assert np.abs(world.arm_state("left").q_rad - REST_RAD).max() < 0.01
