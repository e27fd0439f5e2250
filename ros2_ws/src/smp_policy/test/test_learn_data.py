"""Episodes to arrays, scales and segments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learn_rig import TASKS, dataset, episode, picture

from piper_bringup.cell import demonstrate, record
from piper_bringup.cell.graphics import NoGraphics
from piper_bringup.data import names
from piper_bringup.data.episode import EpisodeError, read, write
from smp_policy.learn import data as demonstrations
from smp_policy.learn import pictures as album
from smp_policy.learn.loop import displaced
from smp_policy.learn.normalise import chunk_rows, fit
from smp_policy.learn.segments import BACK_ROWS, SegmentSampler, segment_starts


@pytest.fixture
def data(tmp_path):
    return demonstrations.load([dataset(tmp_path)])


def test_what_is_loaded_is_what_was_recorded(data, tmp_path):
    assert data.tasks == TASKS and data.instructions == ("left arm, go there", "right arm, go there")
    assert len(data) == 8 and data.trained_in == "simulation"
    first = episode(TASKS[0], 0)
    rows = slice(0, 24)  # until it is done
    assert np.array_equal(data.state[rows], first.state[rows])
    assert np.array_equal(data.action[rows], first.action[rows])
    assert data.phases == tuple(f"{task}: {phase}" for task in TASKS for phase in ("go", "return"))
    assert set(data.phase[data.first[4] :]) == {2, 3}


def test_failures_and_tasks_not_asked_for_are_left_out(tmp_path):
    folder = dataset(tmp_path)
    write(folder / "failed.hdf5", episode(TASKS[0], 99, success=False))
    assert len(demonstrations.load([folder])) == 8
    only = demonstrations.load([folder], (TASKS[1],))
    assert only.tasks == (TASKS[1],) and len(only) == 4
    order = demonstrations.load([folder], (TASKS[1], TASKS[0]))
    assert order.tasks == (TASKS[1], TASKS[0]) and order.task.tolist() == [1] * 4 + [0] * 4


def test_what_cannot_be_learned_from_is_said_in_one_sentence(tmp_path):
    folder = dataset(tmp_path)
    with pytest.raises(EpisodeError, match=r"no successful episode of lift_bar .* found left_there, right_there"):
        demonstrations.load([folder], ("lift_bar",))
    write(folder / "blind.hdf5", episode(TASKS[0], 50, objects=False))
    with pytest.raises(EpisodeError, match=r"blind.hdf5: objects: none"):
        demonstrations.load([folder])
    assert len(demonstrations.load([folder], with_objects=False)) == 9


def test_split_keeps_every_episode_once(data):
    training, held = demonstrations.split(data, 3, seed=1)
    assert (len(training), len(held)) == (5, 3)
    assert sorted(np.concatenate([training.state, held.state]).sum(1)) == pytest.approx(sorted(data.state.sum(1)))
    assert len(training.state) == training.first[-1] and len(held.phase) == held.first[-1]
    with pytest.raises(ValueError, match="cannot be held out"):
        demonstrations.split(data, 8, seed=1)


def test_scales_are_those_of_the_transformed_data(data):
    normaliser = fit(data, with_target=False)
    chunk = normaliser.encode(data.action[chunk_rows(data, np.arange(len(data.state)), 16)], data.target)
    for column in (0, 6, 13):  # a joint and grippers
        assert 0.9 < np.quantile(np.abs(chunk[..., column]), 0.99) < 1.1
    moving = fit(data, with_target=True)
    seen = moving.proprio(data.state, data.target)
    assert seen.shape == (len(data.state), 28) and np.quantile(np.abs(seen), 0.95) < 1.5


def test_staying_where_one_was_sent_is_a_chunk_of_zeros_and_decodes_exactly(data):
    normaliser = fit(data, with_target=False)
    q = np.linspace(-1.0, 1.0, 14)
    assert not normaliser.encode(np.tile(q, (16, 1)), q).any()
    rows = np.random.default_rng(0).normal(size=(5, 16, 14))
    back = normaliser.decode(normaliser.encode(rows, rows[:, 0]), rows[:, 0])
    assert np.abs(back - rows).max() < 1e-6


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6), length=st.integers(1, 5), stride=st.integers(1, 6))
def test_segments_never_cross_an_episode_and_their_steps_lie_a_stride_apart(lengths, length, stride):
    first, span = np.cumsum([0, *lengths]), stride * (length - 1) + 1
    if max(lengths) < span:
        with pytest.raises(ValueError, match="policy steps needs"):
            segment_starts(first, length, stride)
        return
    rows, is_first = segment_starts(first, length, stride)
    of = np.searchsorted(first, rows, side="right")
    assert np.array_equal(of, np.searchsorted(first, rows + span - 1, side="right"))
    assert len(rows) == sum(max(0, n - span + 1) for n in lengths)  # each possible one, once
    assert np.array_equal(is_first, rows - first[of - 1] < stride)


def test_a_batch_holds_the_rows_it_names(data):
    normaliser = fit(data, with_target=True)
    sampler = SegmentSampler.of(data, normaliser, length=3, stride=4, rows=16)
    batch, phase = sampler.batch(torch.tensor([0, 5, len(sampler) - 1]))
    row = 5  # no episode before it: segment 5 begins at row 5
    steps = row + 4 * np.arange(3)
    assert torch.equal(phase[1], torch.as_tensor(data.phase[steps]))
    want = normaliser.encode(data.action[chunk_rows(data, steps, 16)], data.target[steps])
    assert np.abs(batch.action[1].numpy() - want).max() < 1e-6
    seen = normaliser.proprio(data.state[steps], data.target[steps])
    assert np.abs(batch.observation.proprio[1].numpy() - seen).max() < 1e-6
    assert batch.starts.tolist() == [True, False, False]
    last = batch.action[2, -1, -1].numpy()  # beyond the end the last row is repeated
    assert np.abs(last - normaliser.encode(data.action[-1:], data.target[-1])[0]).max() < 1e-5


def test_the_way_home_is_left_out_but_for_its_first_rows(data):
    assert np.diff(data.first).tolist() == [20 + demonstrations.SEEN_DONE] * 8  # of 40, half of them "return"
    shown = episode(TASKS[0], 1)
    assert np.array_equal(data.action[data.first[1] : data.first[2]], shown.action[:24])
    assert data.picture[data.first[1]] == 40, "pictures lie where the whole episodes have them"


def test_displaced_arms_come_back_to_what_was_shown(data):
    normaliser = fit(data, with_target=True)
    sampler = SegmentSampler.of(data, normaliser, length=2, stride=4, rows=16)
    index = torch.tensor([2, 9])
    away = 0.1 * torch.randn(2, 2, 2, 14, generator=torch.Generator().manual_seed(0))
    (shown, _), (displaced, _) = sampler.batch(index), sampler.batch(index, away)
    row = sampler.row[index]
    q, target = data.state[row] + away[0].numpy(), data.target[row] + away[1].numpy()
    assert np.abs(displaced.observation.proprio.numpy() - normaliser.proprio(q, target)).max() < 1e-5
    rows = normaliser.decode(displaced.action.numpy(), target)
    as_shown = normaliser.decode(shown.action.numpy(), data.target[row])
    assert np.abs(rows - as_shown)[:, :, BACK_ROWS:].max() < 1e-6, "back where they belong"
    first = (rows - as_shown)[:, :, 0] / away[1].numpy()
    assert np.abs(first - (1 - 1 / BACK_ROWS)).max() < 1e-4, "an eighth of the way after one row"


def test_displacements_are_drawn_for_joints_and_set_points_together_and_halve():
    generator = torch.Generator().manual_seed(0)
    assert displaced((4, 3), 0.0, generator, "cpu") is None
    away = displaced(torch.Size((2000, 3)), 0.5, generator, "cpu")
    assert away.shape == (2, 2000, 3, 14) and torch.allclose(away[:, :, 1], away[:, :, 0] / 2)
    joints, target = away[:, :, 0, 0]
    assert 0.02 < float(target.std()) < 0.04  # 0.05 rad times the root mean square of a uniform number
    assert 0.1 < float((target - joints).std() / target.std()) < 0.3  # the lag is moved by a fifth of that
    assert float(away[..., 6].abs().max()) < 0.015 < float(away[..., 5].abs().max())


def test_pictures_are_decoded_once_and_belong_to_their_rows(tmp_path, monkeypatch):
    data = demonstrations.load([dataset(tmp_path / "data", 2, rows=20, images=True)], with_objects=False)
    seen = album.pictures(data.paths, names.CAMERAS, tmp_path / "cache", processes=1)
    assert seen.shape == (80, 3, 3, 96, 96)
    _, held = demonstrations.split(data, 1, seed=0)  # fewer rows, the same pictures
    sampler = SegmentSampler.of(held, fit(held, with_target=False), 2, 4, 16, "cpu", torch.as_tensor(seen))
    batch, _ = sampler.batch(torch.tensor([3]))
    number = int(held.picture[0]) // 20  # of the episode: two seeds of each task
    for step, row in enumerate((3, 7)):
        for camera in range(3):
            got = batch.observation.images[0, step, camera].numpy().transpose(1, 2, 0).astype(int)
            assert np.abs(got - picture(number % 2, row, camera)[:96, :96]).max() <= 3  # JPEG
    monkeypatch.setattr(album, "decoded", None)  # not needed again
    assert np.array_equal(album.pictures(data.paths, names.CAMERAS, tmp_path / "cache", processes=1), seen)


def test_of_thinned_rows_each_has_its_own_picture(tmp_path):
    data = demonstrations.load([dataset(tmp_path / "data", 2, rows=22, images=True)])
    seen = album.pictures(data.paths, names.CAMERAS, tmp_path / "cache", processes=1, every=5)
    thin = album.thinned(data, 5)
    assert len(seen) == 20 and [len(thin), *np.diff(thin.first)] == [4, 3, 3, 3, 3]  # 15 rows before the way home
    for place, row in zip(thin.picture, np.tile((0, 5, 10), 4), strict=True):
        seed = place // 5 % 2  # 22 rows have five pictures
        shades = seen[place, :, :, 48, 48].astype(int)
        assert np.abs(shades - [picture(seed, row, camera)[48, 48] for camera in range(3)]).max() <= 3
    every = np.concatenate([data.first[i] + np.arange(0, 15, 5) for i in range(4)])
    assert np.array_equal(thin.state, data.state[every]) and np.array_equal(thin.objects, data.objects[every])
    _, held = demonstrations.split(thin, 1, seed=0)
    assert len(held.state) == len(held.picture) == 3
    with pytest.raises(ValueError, match="1 of 4 episodes: thin them out before they are split"):
        album.thinned(demonstrations.split(data, 1, seed=0)[1], 5)


def test_policy_steps_are_where_pictures_are(tmp_path):
    data = demonstrations.load([dataset(tmp_path / "data", 2, rows=22, images=True)], with_objects=False)
    seen = album.pictures(data.paths, names.CAMERAS, tmp_path / "cache", processes=1, every=2)
    parts = demonstrations.split(album.numbered(data, 2), 1, seed=0)
    shape = (fit(data, with_target=False), 2, 4, 16, "cpu", torch.as_tensor(seen))
    sampler, _ = (SegmentSampler.of(part, *shape) for part in parts)
    assert (sampler.row[:, 0] % 15).tolist() == [0, 2, 4, 6, 8, 10] * 3  # three episodes of 15 rows are left
    assert sampler.starts.tolist() == [True, True, False, False, False, False] * 3
    batch, _ = sampler.batch(torch.arange(len(sampler)))
    for i, (row, _) in enumerate(sampler.row.tolist()):
        episode_number = int(parts[0].picture[row]) // 11  # 22 rows have eleven pictures
        for step, t in enumerate((row % 15, row % 15 + 4)):
            shades = batch.observation.images[i, step, :, :, 48, 48].numpy().astype(int)
            want = [picture(episode_number % 2, t, camera)[48, 48] for camera in range(3)]
            assert np.abs(shades - want).max() <= 3
    whole = SegmentSampler.of(demonstrations.split(data, 1, seed=0)[0], *shape[:-1])
    assert len(whole) == 33 and torch.equal(whole.action, sampler.action), "chunks keep every row"


def test_pictures_that_were_never_taken_are_drawn(tmp_path):
    """The same as `demonstrate --images` would have written, and none of another world."""
    args = demonstrate.Args(out=tmp_path, tasks=("lift_bar",), episodes=1, first_seed=300)
    assert demonstrate.make("lift_bar", 300, args) == ""
    path = record.path_of(tmp_path, "lift_bar", 300)
    try:
        seen = album.decoded(path, names.CAMERAS, 40)
    except NoGraphics as why:
        pytest.skip(f"pictures cannot be drawn on this machine: {why}")
    pictured = replace(args, out=tmp_path / "pictured", images=True)
    assert demonstrate.make("lift_bar", 300, pictured) == ""
    assert np.array_equal(seen, album.decoded(record.path_of(pictured.out, "lift_bar", 300), names.CAMERAS, 40))
    there = read(path)
    moved = replace(there, objects=there.objects + 0.01)
    with pytest.raises(EpisodeError, match=r"objects row 0: 0\.01 m off where they are when it is played here"):
        album.seen_in(moved, names.CAMERAS, 40)
    with pytest.raises(EpisodeError, match="it cannot be played again"):
        album.seen_in(replace(there, objects=None), names.CAMERAS, 40)


def test_an_episode_without_a_camera_is_named(tmp_path):
    path = tmp_path / "a.hdf5"
    write(path, replace(episode(TASKS[0], 0), source="rosbag"))
    with pytest.raises(EpisodeError, match=r"a.hdf5: images/head: missing in an episode of left_there, which has none"):
        album.decoded(path, names.CAMERAS)
    write(path, episode("left_there", 0))
    with pytest.raises(EpisodeError, match=r"a.hdf5: no pictures, and it cannot be played again: no task 'left_there'"):
        album.decoded(path, names.CAMERAS)  # said to be of the cell, which has no such task


def test_what_is_learned_is_the_way_that_was_meant_from_where_a_push_has_led(tmp_path):
    """A pushed episode, nothing displaced: chunks begin at the set-point in force and come back to what was meant."""
    meant = episode(TASKS[0], 0)
    push = np.zeros_like(meant.action)
    push[4:12, :6] = 0.08
    action = meant.action + push
    pushed = replace(meant, action=action, target=np.vstack([meant.target[:1], action[:-1]]), wanted=meant.action)
    write(tmp_path / "a.hdf5", pushed)
    data = demonstrations.load((tmp_path,))
    assert np.array_equal(data.action, meant.action[: len(data.action)])
    assert data.pushed[6, :6] == pytest.approx(0.08) and not data.pushed[[0, 2]].any()
    normaliser = fit(data, with_target=True)
    batch, _ = SegmentSampler.of(data, normaliser, length=1, stride=4, rows=16).batch(torch.tensor([6]))
    rows = normaliser.decode(batch.action[0].numpy(), data.target[[6]])[0]
    want = data.action[6:22]
    assert np.abs(rows - want)[BACK_ROWS - 1 :].max() < 1e-5, "back on the way"
    assert rows[0, 0] - want[0, 0] == pytest.approx(0.08 * (1 - 1 / BACK_ROWS), abs=1e-5)
