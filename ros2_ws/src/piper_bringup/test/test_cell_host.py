"""The cell below the wire: real frames in, motion and feedback out, episodes, and the pace of its loop."""

from __future__ import annotations

import numpy as np
import pytest

from piper_bringup.can import frames, places
from piper_bringup.can.faults import Faults
from piper_bringup.can.frames import Ctrl, Move
from piper_bringup.can.rest import Refused
from piper_bringup.cell import motion, tasks
from piper_bringup.cell.host import Cell
from piper_bringup.cell.task import Task
from piper_bringup.data.names import ARMS, REST_RAD

CHANNELS = {"left": "can_left", "right": "can_right"}


@pytest.fixture
def cell(tmp_path, monkeypatch):
    monkeypatch.setenv("SMP_VCAN_DIR", str(tmp_path))
    with Cell("lift_bar", 3, CHANNELS) as hosted:
        yield hosted


class Commander:
    """Sends what a driver would, without a driver: enable, then targets at 100 Hz of simulated time."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.ports = {arm: cell.segments[arm].attach() for arm in ARMS}
        for arm in ARMS:
            self.send(arm, *(frames.encode(frames.ENABLE, motor, 2) for motor in range(1, 8)))
        self.ticks(20)
        for arm in ARMS:
            self.send(arm, frames.encode(frames.MODE, Ctrl.CAN, Move.J, 100, 0, 0, 0))

    def send(self, arm: str, *found) -> None:
        self.ports[arm].send(found)

    def ticks(self, count: int) -> bool:
        return any([self.cell.tick() for _ in range(count)])

    def aim(self, row: np.ndarray) -> None:
        for arm in ARMS:
            *q, opening = motion.arm_columns(row, arm)
            pairs = (frames.encode(frame_id, *q[2 * i : 2 * i + 2]) for i, frame_id in enumerate(frames.JOINT_TARGET))
            self.send(arm, *pairs, frames.encode(frames.GRIPPER_TARGET, opening, 1.0, 1, 0))

    def follow(self, rows: np.ndarray) -> bool:
        """True when the task succeeded on the way."""
        succeeded, previous = False, motion.rest()
        for row in rows:
            for part in range(1, 6):
                self.aim(previous + (row - previous) * part / 5)
                succeeded |= self.ticks(2)
            previous = row
        return succeeded


def test_an_episode_through_the_can_wire_succeeds_once(cell):
    rows = motion.plan(cell.world.task.script(cell.world.start, np.random.default_rng(0)), motion.rest()).rows
    commander = Commander(cell)
    assert commander.follow(rows)
    assert cell.world.goals_reached() == ("grasped", "lifted level")
    assert not commander.ticks(50)  # success is told once


def test_feedback_on_the_wire_is_what_the_joints_of_the_world_do(cell):
    commander = Commander(cell)
    commander.aim(np.array((0.3, 0.4, -0.5, 0.1, 0.2, -0.3, 0.04, *motion.rest()[7:])))
    commander.ticks(400)
    commander.ports["left"].receive()
    cell.tick()
    seen = {frame.arbitration_id: frame.data for frame in commander.ports["left"].receive()}
    told = [value for frame_id in frames.JOINTS for value in frames.decode(frame_id, seen[frame_id])]
    assert told == pytest.approx(cell.world.arm_state("left").q_rad, abs=2e-5)
    assert told == pytest.approx((0.3, 0.4, -0.5, 0.1, 0.2, -0.3), abs=5e-3)
    assert frames.decode(frames.GRIPPER, seen[frames.GRIPPER])[0] == pytest.approx(0.04, abs=2e-3)
    assert np.abs(cell.world.arm_state("right").q_rad - REST_RAD).max() < 0.01


def test_a_mute_arm_goes_on_moving_unheard(cell):
    commander = Commander(cell)
    cell.arms["right"].faults = Faults(mute=True)
    commander.ports["right"].receive()
    commander.aim(np.array((*motion.rest()[:7], 0.2, 0.2, -0.2, 0.0, 0.0, 0.0, 0.0)))
    commander.ticks(200)
    assert commander.ports["right"].receive() == []
    assert cell.world.arm_state("right").q_rad[0] == pytest.approx(0.2, abs=0.01)


def test_switched_off_in_the_air_an_arm_drops(cell):
    commander = Commander(cell)
    commander.aim(np.array((0.0, 1.2, -1.0, 0.0, 0.4, 0.0, 0.0) * 2))
    commander.ticks(500)
    before = cell.world.arm_state("left").q_rad
    assert before[1] == pytest.approx(1.2, abs=0.01)
    commander.send("left", *(frames.encode(frames.ENABLE, motor, 1) for motor in range(1, 7)))
    commander.ticks(100)
    assert np.abs(cell.world.arm_state("left").q_rad - before).max() > 0.3
    assert cell.world.arm_state("right").q_rad == pytest.approx(before, abs=0.01)


def test_reset_places_the_objects_of_the_seed_and_counts_episodes(cell):
    assert (cell.episode.seed, cell.episode.number) == (3, 0)
    first = cell.world.pose("bar")
    assert (cell.reset(seed=-1).seed, cell.episode.number) == (4, 1)
    assert not np.array_equal(cell.world.pose("bar"), first)
    cell.reset("lift_bar", 3)
    assert cell.world.pose("bar") == pytest.approx(first)
    assert cell.episode.number == 2


def test_reset_is_refused_while_an_arm_is_away_from_rest(cell):
    commander = Commander(cell)
    commander.aim(np.array((0.0, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0, *motion.rest()[7:])))
    commander.ticks(200)
    bar = cell.world.pose("bar")
    with pytest.raises(Refused, match=r"joint2 of the left arm is 0\.30 rad from rest, more than 0\.1: park"):
        cell.reset(seed=9)
    assert cell.episode.seed == 3
    assert np.array_equal(cell.world.pose("bar"), bar)


def test_reset_to_an_unknown_task_changes_nothing(cell):
    with pytest.raises(ValueError, match="no task 'juggle'; there are: lift_bar"):
        cell.reset("juggle", 1)
    assert cell.episode.task == "lift_bar"


def test_another_task_takes_over_the_arms(cell, monkeypatch):
    known = tasks.find("lift_bar")
    other = Task("other", "Do something else.", known.mjcf, known.things, known.goals, known.spawn, known.script)
    monkeypatch.setattr(tasks, "find", {"lift_bar": known, "other": other}.__getitem__)
    commander = Commander(cell)
    commander.aim(np.array((0.08, 0.05, 0.0, 0.0, 0.0, 0.0, 0.0, *motion.rest()[7:])))
    commander.ticks(200)
    stood, world = cell.world.arm_state("left").q_rad, cell.world
    assert cell.reset("other", 7).instruction == "Do something else."
    assert cell.world is not world
    assert cell.world.arm_state("left").q_rad == pytest.approx(stood)
    commander.ticks(100)
    assert cell.world.arm_state("left").q_rad == pytest.approx(stood, abs=2e-3)


def test_closing_frees_the_segments(tmp_path, monkeypatch):
    monkeypatch.setenv("SMP_VCAN_DIR", str(tmp_path))
    for _ in range(2):
        Cell("lift_bar", 0, CHANNELS).close()
    assert list(tmp_path.glob("*.sock")) == []


def test_a_taken_segment_is_an_error_and_frees_the_other(cell, monkeypatch):
    with pytest.raises(places.SegmentError, match="can_left"):
        Cell("lift_bar", 0, {"left": "can_other", "right": "can_left"})
    with Cell("lift_bar", 0, {"left": "can_other", "right": "can_third"}):
        pass
