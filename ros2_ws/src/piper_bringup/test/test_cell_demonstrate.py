"""Demonstrations as files: reproducible, resumable, failures left out; and played again."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest

from piper_bringup.cell import demonstrate, record, replay
from piper_bringup.cell.task import Difficulty
from piper_bringup.cell.world import World
from piper_bringup.data.episode import EpisodeError, check_images, read, write
from piper_bringup.data.names import CAMERAS, JOINTS


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three episodes of lift_bar, the last two in a second run on two processes."""
    out = tmp_path_factory.mktemp("data")
    args = demonstrate.Args(out=out, tasks=("lift_bar",), episodes=1, first_seed=300, processes=1)
    assert demonstrate.run(args)["lift_bar"].kept == 1
    tally = demonstrate.run(replace(args, episodes=3, processes=2))["lift_bar"]
    assert (tally.kept, tally.was_there, tally.failed) == (3, 1, [])
    return out


def test_an_episode_holds_what_happened(data):
    episode = read(record.path_of(data, "lift_bar", 301))
    assert (episode.task, episode.seed, episode.success, episode.source) == ("lift_bar", 301, True, "cell")
    assert len(episode) == len(episode.state) > 100 and episode.state.shape[1] == len(JOINTS)
    assert np.array_equal(episode.action[:-1], episode.target[1:])
    assert np.abs(episode.state - episode.target).max() < 0.25  # measured lags behind what is sent, and follows it
    assert np.abs(episode.state[1:] - episode.target[1:]).max() > 1e-4  # and is not a copy of it
    assert episode.phases == ("reach", "grasp", "lift", "return")
    assert np.all(np.diff(episode.phase.astype(int)) >= 0)
    height_m = episode.objects[:, 0, 3]
    assert height_m.max() > height_m[0] + 0.07 and height_m[-1] == pytest.approx(height_m[0], abs=0.01)
    start = World("lift_bar", 301).slots()
    assert np.array_equal(episode.objects[0], start)


def test_the_same_seed_gives_the_same_bytes(data, tmp_path):
    path = record.path_of(data, "lift_bar", 302)
    args = demonstrate.Args(out=tmp_path, tasks=("lift_bar",), episodes=1, first_seed=302, processes=1)
    assert demonstrate.make("lift_bar", 302, args) == ""
    assert record.path_of(tmp_path, "lift_bar", 302).read_bytes() == path.read_bytes()


def test_images_are_those_of_the_live_path(data, tmp_path):
    args = demonstrate.Args(out=tmp_path, tasks=("lift_bar",), episodes=1, first_seed=300, images=True, processes=1)
    try:
        assert demonstrate.make("lift_bar", 300, args) == ""
    except demonstrate.NoGraphics as error:
        pytest.skip(str(error))
    episode = read(record.path_of(tmp_path, "lift_bar", 300))
    check_images(episode)
    assert set(episode.images) == set(CAMERAS)
    assert len(set(episode.images["head"])) > 100  # the arms move
    plain = read(record.path_of(data, "lift_bar", 300))
    assert np.array_equal(plain.state, episode.state)
    difficulty = Difficulty(push_rad=demonstrate.PUSH_RAD)
    assert not record.is_done(record.path_of(data, "lift_bar", 300), difficulty, with_images=True)


def test_a_data_set_is_of_one_difficulty(data):
    args = demonstrate.Args(out=data, tasks=("lift_bar",), first_seed=300, difficulty=Difficulty(spawn=0.5))
    with pytest.raises(EpisodeError, match=r"lift_bar_000300.hdf5 is of another difficulty .* choose another folder"):
        demonstrate.make("lift_bar", 300, args)


def test_a_damaged_file_is_made_again(data, tmp_path):
    args = demonstrate.Args(out=tmp_path, tasks=("lift_bar",), first_seed=300)
    path, whole = record.path_of(tmp_path, "lift_bar", 300), record.path_of(data, "lift_bar", 300).read_bytes()
    path.parent.mkdir()
    path.write_bytes(whole[: len(whole) // 2])
    assert demonstrate.make("lift_bar", 300, args) == ""
    assert path.read_bytes() == whole


def test_an_episode_that_fails_is_not_written_but_told(tmp_path, monkeypatch):
    found = demonstrate.demonstrate("lift_bar", 300)
    monkeypatch.setattr(demonstrate, "demonstrate", lambda *_: replace(found, success=False, goals=("grasped",)))
    args = demonstrate.Args(out=tmp_path, tasks=("lift_bar",))
    assert demonstrate.make("lift_bar", 300, args) == "not reached: lifted level"
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("words", "told"),
    (
        (["--tasks", "juggle"], "no task 'juggle'; there are: lift_bar"),
        (["--episodes", "0"], "--episodes is 0, at least 1"),
        (["--difficulty.friction", "0.9"], "difficulty friction is 0.9, valid: 0 to 0.5"),
    ),
)
def test_wrong_arguments_end_in_one_sentence(words, told, tmp_path):
    command = [sys.executable, "-m", "piper_bringup.cell.demonstrate", "--out", str(tmp_path), *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert told in " ".join((ended.stderr + ended.stdout).replace("│", " ").split())
    assert "Traceback" not in ended.stderr


def test_replay_reproduces_success(data):
    found = replay.run(replay.Args((data,)))
    assert [one.success for one in found] == [True] * 3


def test_replay_tells_an_episode_that_does_not_work(data, tmp_path):
    episode = read(record.path_of(data, "lift_bar", 300))
    stiff = episode.action.copy()
    stiff[:, 6] = 0.06  # the left gripper never closes
    target = np.vstack([episode.target[:1], stiff[:-1]])
    write(tmp_path / "stiff.hdf5", replace(episode, action=stiff, target=target))
    assert replay.replay(read(tmp_path / "stiff.hdf5")) == (False, ())
    command = [sys.executable, "-m", "piper_bringup.cell.replay", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1 and "0.0% of 1 succeeded" in ended.stdout


def test_an_episode_of_real_arms_cannot_be_played_again(data):
    episode = replace(read(record.path_of(data, "lift_bar", 300)), seed=-1, source="rosbag", notes={})
    with pytest.raises(EpisodeError, match="seed: none"):
        replay.replay(episode)


def test_an_episode_that_cannot_be_played_does_not_keep_the_others_from_it(data, tmp_path):
    good = record.path_of(data, "lift_bar", 300)
    (tmp_path / "a.hdf5").write_bytes(good.read_bytes()[:5000])
    write(tmp_path / "b.hdf5", replace(read(good), seed=-1, source="rosbag", notes={}))
    (tmp_path / "c.hdf5").write_bytes(good.read_bytes())
    cut, real, played = replay.run(replay.Args((tmp_path,)))
    assert not cut.success and "truncated" in cut.why_not
    assert not real.success and "seed: none" in real.why_not
    assert played.success and not played.why_not


def test_ctrl_c_is_for_the_program_and_not_for_its_workers():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        blocked = demonstrate._submit(pool, signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
    assert signal.SIGINT in blocked
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
