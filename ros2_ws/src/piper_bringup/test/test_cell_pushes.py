"""Pushes: an expert that is pushed off its way, and what is kept of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from piper_bringup.cell import motion, record
from piper_bringup.cell.expert import demonstrate
from piper_bringup.cell.pushes import HARD_RAD_S2, NEAR, pushed
from piper_bringup.cell.task import Difficulty
from piper_bringup.cell.world import World
from piper_bringup.data.episode import EpisodeError, check, read, write
from piper_bringup.data.names import GRIPPER_COLUMNS, JOINT_LOWER_RAD, JOINT_UPPER_RAD

ARM_COLUMNS = [i for i in range(14) if i not in GRIPPER_COLUMNS]
PUSH_RAD = 0.05


@pytest.fixture(scope="module")
def found():
    return demonstrate("lift_tray", 3, World("lift_tray", 3, Difficulty(push_rad=PUSH_RAD)))


def still(count: int = 4000) -> np.ndarray:
    return np.tile(np.array((0.0, 1.5, -1.5, 0.0, 0.0, 0.0, 0.03) * 2), (count, 1))


def test_a_push_is_smooth_leaves_grippers_alone_and_is_small_near_things():
    near = np.arange(4000) < 2000
    push = pushed(still(), near, PUSH_RAD, np.random.default_rng(0)) - still()
    assert not push[:, GRIPPER_COLUMNS].any()
    spread = push[:, ARM_COLUMNS].std(axis=0)
    assert np.all((spread > 0.3 * PUSH_RAD) & (spread < 1.5 * PUSH_RAD))
    assert push[:1990, ARM_COLUMNS].std() < 2 * NEAR * push[2010:, ARM_COLUMNS].std()
    free = pushed(still(), np.zeros(4000, bool), PUSH_RAD, np.random.default_rng(0)) - still()
    assert np.abs(np.diff(free, n=2, axis=0)).max() / 0.05**2 < 3 * HARD_RAD_S2, "also where pushes meet"


def test_a_push_never_leads_out_of_the_limits():
    rows = np.tile(motion.rest(), (1000, 1))
    out = pushed(rows, np.zeros(1000, bool), 0.2, np.random.default_rng(0))
    arms = out[:, ARM_COLUMNS]
    assert np.all(arms >= np.minimum(rows[:, ARM_COLUMNS], JOINT_LOWER_RAD * 2))
    assert np.all(arms <= np.maximum(rows[:, ARM_COLUMNS], JOINT_UPPER_RAD * 2))


def test_a_pushed_expert_succeeds_and_keeps_where_it_wanted_to_be(found, tmp_path):
    world = World("lift_tray", 3, Difficulty(push_rad=PUSH_RAD))
    assert found.success
    episode = record.episode_of(found, world)
    write(tmp_path / "a.hdf5", episode)
    back = read(tmp_path / "a.hdf5")
    assert np.array_equal(back.wanted, found.wanted) and np.array_equal(back.action, found.q)
    off = np.abs(back.action - back.wanted)[:, ARM_COLUMNS]
    assert 0.02 < off.max() < 0.4 and not (back.action - back.wanted)[:, GRIPPER_COLUMNS].any()
    plain = demonstrate("lift_tray", 3, World("lift_tray", 3, Difficulty(push_rad=0.0)))
    assert np.array_equal(plain.q, found.wanted), "it is the way that it goes when nothing pushes"


def test_an_expert_that_nothing_pushes_wanted_what_it_did():
    world = World("lift_tray", 3, Difficulty(push_rad=0.0))
    assert record.episode_of(demonstrate("lift_tray", 3, world), world).wanted is None


def test_what_was_wanted_is_checked(found):
    world = World("lift_tray", 3, Difficulty(push_rad=PUSH_RAD))
    episode = record.episode_of(found, world)
    wanted = episode.wanted.copy()
    wanted[5, 2] = np.nan
    with pytest.raises(EpisodeError, match="wanted row 5, left_joint3: nan"):
        check(replace(episode, wanted=wanted))
    with pytest.raises(EpisodeError, match="wanted: expected float64"):
        check(replace(episode, wanted=wanted[:-1]))
