"""Eyes first, then a policy on what they see, then both together: the staged way to an image model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from learn_rig import TASKS, dataset
from safetensors.torch import load_file, save_file

from piper_bringup.cell.kinematics import forward
from piper_bringup.data import names
from piper_bringup.data.episode import EpisodeError, read, write
from smp_policy.learn import data as demonstrations
from smp_policy.learn import export, eyes, finetune, journal, see, train
from smp_policy.learn import pictures as album
from smp_policy.learn.augment import shifted
from smp_policy.learn.checkpoint import CheckpointError
from smp_policy.learn.eyes import Eyes
from smp_policy.learn.keyposes import keyposes, turns
from smp_policy.learn.loop import displaced
from smp_policy.learn.normalise import fit
from smp_policy.learn.segments import SegmentSampler
from smp_policy.run.backend_torch import TorchBackend, load
from smp_policy.run.contract import ContractError
from smp_policy.run.open import open_policy
from smp_policy.run.policy import Policy, Query
from smp_policy.smp import config as presets
from smp_policy.smp.encoder import Encoder, Observation

torch.set_num_threads(1)
SEES = replace(presets.tiny().encoder, cameras=3)
LOOKS = {"held_out": 1, "encoder": SEES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set whose pictures say by their shade which seed, and so which place, they show; and eyes for it."""
    folder = tmp_path_factory.mktemp("see")
    dataset(folder / "data", episodes=3, rows=20, images=True)
    see.run(
        see.Args((folder / "data",), folder / "eyes", "objects", 120, 16, 4, 0, held_out=1, device="cpu", encoder=SEES)
    )
    return folder


def test_eyes_learn_to_tell_where_things_are(folder):
    data = demonstrations.load([folder / "data"])
    slots = fit(data, with_target=False).slots(data.objects)[:, :1, list(see.TOLD[1:])]
    rows = journal.read(folder / "eyes")
    assert rows[-1]["loss"] < 0.5 * slots.var(axis=0).mean()  # of one who always says the mean
    assert np.isfinite(rows[-1]["off_mm"])


def test_stopped_and_taught_again_they_end_the_same_bit_for_bit(folder, tmp_path, monkeypatch):
    paths, out = (folder / "data",), tmp_path / "whole"
    whole = see.Args(paths, out, "objects", 8, 4, 2, held_out=1, save_every=3, device="cpu", encoder=SEES)
    see.run(whole)
    halves, real = replace(whole, out=tmp_path / "halves"), see.step

    def interrupted(training, *others):
        if training.step == 5:  # two steps behind the checkpoint
            raise KeyboardInterrupt
        return real(training, *others)

    monkeypatch.setattr(see, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        see.run(halves)
    assert not (halves.out / eyes.FILE).exists()
    monkeypatch.setattr(see, "step", real)
    see.run(halves)
    first, second = (load_file(args.out / eyes.FILE) for args in (whole, halves))
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(CheckpointError, match="steps = 8, asked for is 9"):
        see.run(replace(whole, steps=9))
    state = torch.load(whole.out / "checkpoint.pt", weights_only=True)
    state["network"] = {name.replace("tell.", ""): value for name, value in state["network"].items()}
    torch.save(state, whole.out / "checkpoint.pt")
    with pytest.raises(CheckpointError, match="of another network, as of an earlier version"):
        see.run(whole)


def test_a_policy_is_trained_on_what_frozen_eyes_see_and_then_with_them(folder):
    config = replace(presets.tiny(), encoder=SEES)
    staged = train.Args(
        (folder / "data",), folder / "model", steps=4, batch=4, held_out=1, device="cpu", config=config,
        eyes=folder / "eyes",
    )  # fmt: skip
    contract = train.run(staged)
    assert contract.cameras == names.CAMERAS
    model = load_file(folder / "model" / "model.safetensors")
    taught = {k: v for k, v in load_file(folder / "eyes" / eyes.FILE).items() if not k.startswith(eyes.TELL)}
    assert all(torch.equal(value, model[f"encoder.cameras.{name}"]) for name, value in taught.items())
    joint = finetune.Args(folder / "model", (folder / "data",), folder / "joint", steps=3, batch=2, device="cpu")
    finetune.run(replace(joint, out=folder / "alone", eyes_stay=True))
    alone = load_file(folder / "alone" / "model.safetensors")
    assert all(torch.equal(value, alone[f"encoder.cameras.{name}"]) for name, value in taught.items())
    assert not torch.equal(alone["encoder.net.0.weight"], model["encoder.net.0.weight"])
    finetune.run(joint)
    joint = load_file(folder / "joint" / "model.safetensors")
    assert not all(torch.equal(value, joint[f"encoder.cameras.{name}"]) for name, value in taught.items())
    images = {camera: np.full((240, 320, 3), 90, np.uint8) for camera in names.CAMERAS}
    chunk = Policy(TorchBackend.of(folder / "joint")).act(Query(TASKS[1], np.zeros(14), np.zeros(14), images=images))
    assert np.isfinite(chunk.q).all()


def test_what_the_eyes_see_is_what_the_encoder_sees_in_pictures(folder):
    encoder = Encoder(SEES).eval()
    eyes.load_cameras(encoder, folder / "eyes")
    pictures = np.random.default_rng(0).integers(0, 255, (5, 3, 3, 96, 96)).astype(np.uint8)
    direct = encoder.look(torch.as_tensor(pictures)).detach().numpy()
    data = demonstrations.load([folder / "data"])
    looked = eyes.look_at(encoder, pictures, "cpu", data, fit(data, with_target=False))
    assert np.abs(looked - direct).max() < 0.05 * np.abs(direct).max()  # bfloat16


def told_args(folder, **changes):
    config = replace(presets.tiny(), encoder=replace(SEES, proprio=28))
    args = train.Args(
        (folder / "data",), folder / "told", tasks=TASKS[1:], steps=4, batch=4, held_out=1, device="cpu", config=config,
        eyes=folder / "eyes", told=True,
    )  # fmt: skip
    return replace(args, **changes)


def test_a_policy_of_one_of_their_tasks_is_given_what_eyes_tell_and_nothing_else(folder):
    contract = train.run(told_args(folder))
    assert contract.config.encoder.told == (4, 11)
    data = demonstrations.load([folder / "data"])
    taught = Eyes(replace(SEES, tasks=2), (4, 11))
    checkpoint = torch.load(folder / "eyes" / "checkpoint.pt", weights_only=False)
    taught.load_state_dict(checkpoint["ema"]["shadow"])
    rows = np.flatnonzero(np.repeat(data.task, np.diff(data.first)) == 1)[:7]
    pictures = torch.as_tensor(album.pictures(data.paths, names.CAMERAS, folder / "album", processes=1)[rows])
    joints = fit(data, with_target=False).proprio(data.state, data.target)[rows]
    slots = taught(pictures, torch.ones(7, dtype=torch.int64), torch.as_tensor(joints))
    _, network = load(folder / "told")
    proprio = torch.as_tensor(contract.normaliser.proprio(data.state, data.target)[rows])
    now = Observation(proprio, torch.zeros(7, dtype=torch.int64), images=pictures)  # its first task is their second
    told = network.encoder.tell.told(network.encoder.look(pictures), now.task, proprio[:, :14]).unflatten(-1, (4, 11))
    assert torch.equal(told[..., 0], (slots[..., 0] > 0.5).float()) and told[:, 0, 0].all() and not told[:, 1:].any()
    torch.testing.assert_close(told[:, 0, 1:], slots[:, 0, 1:], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(network.encoder(now._replace(images=None, seen=told.flatten(-2))), network.encoder(now))
    export.run(export.Args(folder / "told", observations=20))
    images = {camera: np.full((240, 320, 3), 90, np.uint8) for camera in names.CAMERAS}
    query = Query(TASKS[1], np.zeros(14), np.zeros(14), images=images)
    chunks = [open_policy(folder / "told", kind).act(query).q for kind in ("onnx", "torch")]
    assert np.isfinite(chunks[0]).all() and np.allclose(*chunks, atol=1e-4)


def test_what_is_told_in_training_is_what_is_told_when_it_runs_whatever_arms_are_displaced(folder):
    data = demonstrations.load([folder / "data"], TASKS[1:], with_objects=False)
    contract, network = load(folder / "told")
    pictures = album.pictures(data.paths, names.CAMERAS, folder / "album_1", processes=1)
    seen = eyes.look_at(network.encoder, pictures, "cpu", data, contract.normaliser)
    sampler = SegmentSampler.of(data, contract.normaliser, 2, 4, 16, "cpu", None, seen)
    away = displaced((6, 2), 1.0, torch.Generator().manual_seed(0), "cpu")
    as_shown, off = (sampler.batch(torch.arange(6), how)[0].observation for how in (None, away))
    assert torch.equal(as_shown.seen, off.seen) and not torch.equal(as_shown.proprio, off.proprio)
    looked = network.encoder.look(torch.as_tensor(pictures[data.picture[sampler.row[:6]]]))
    told = network.encoder.tell.told(looked, as_shown.task, as_shown.proprio[..., :14])
    assert (told - as_shown.seen).abs().max() < 0.1  # bfloat16 in training


def test_what_eyes_cannot_tell_is_refused_in_a_sentence(folder, tmp_path):
    with pytest.raises(ValueError, match="--told is for what eyes tell"):
        train.Args((folder,), folder, told=True)
    with pytest.raises(ValueError, match="is what the eyes say it is"):
        train.Args((folder,), folder, config=replace(presets.tiny(), encoder=replace(SEES, told=(4, 11))))
    (tmp_path / "old").mkdir()
    save_file(load_file(folder / "eyes" / eyes.FILE), tmp_path / "old" / eyes.FILE)
    with pytest.raises(ContractError, match="does not say what it tells"):
        train.run(told_args(folder, out=tmp_path / "a", eyes=tmp_path / "old"))
    dataset(tmp_path / "data", episodes=2, images=True)
    for path in sorted((tmp_path / "data").rglob("*.hdf5")):
        write(tmp_path / "pour" / path.name, replace(read(path), task="pour"))
    with pytest.raises(ContractError, match="eyes of left_there, right_there; not taught pour"):
        train.run(told_args(folder, out=tmp_path / "b", data=(tmp_path / "pour",), tasks=()))
    joint = finetune.Args(folder / "told", (folder / "data",), tmp_path / "c", steps=2, batch=2, device="cpu")
    with pytest.raises(ContractError, match=r"it kept of its eyes .* not of left_there"):
        finetune.run(joint)
    joint = replace(joint, data=(folder / "data" / TASKS[1],))
    with pytest.raises(ValueError, match="give --eyes-stay"):
        finetune.run(joint)
    finetune.run(replace(joint, eyes_stay=True))
    before, after = (load_file(at / "model.safetensors") for at in (folder / "told", tmp_path / "c"))
    assert all(torch.equal(before[k], after[k]) for k in before if k.startswith(("encoder.tell", "encoder.cameras")))
    assert not torch.equal(before["encoder.net.0.weight"], after["encoder.net.0.weight"])
    with pytest.raises(ValueError, match="wants cameras, and tasks known by number"):
        Encoder(replace(SEES, told=(4, 10), tasks=0, text=8))


def test_half_of_the_segments_stay_as_shown_where_cameras_learn(folder):
    sees = train.Args((folder,), folder, config=replace(presets.tiny(), encoder=SEES))
    assert sees.loop().as_shown == 0.5 and replace(sees, eyes=folder).loop().as_shown == 0.0
    assert train.Args((folder,), folder).loop().as_shown == 0.0  # of a model without cameras
    joint = finetune.Args(folder, (folder,), folder / "new")
    assert joint.loop(cameras=True).as_shown == 0.5 and joint.loop(cameras=False).as_shown == 0.0
    for still in ({"eyes_stay": True}, {"router_only": True}):
        assert replace(joint, **still).loop(cameras=True).as_shown == 0.0


def test_cameras_learn_nothing_from_displaced_arms(folder):
    data = demonstrations.load([folder / "data"], with_objects=False)
    seen = torch.as_tensor(album.pictures(data.paths, names.CAMERAS, folder / "album", processes=1))
    sampler = SegmentSampler.of(data, fit(data, with_target=False), 2, 4, 16, "cpu", seen)
    away = displaced((6, 2), 1.0, torch.Generator().manual_seed(0), "cpu", as_shown=0.5)
    batch, _ = sampler.batch(torch.arange(6), away)
    assert batch.displaced.any() and not batch.displaced.all()
    assert torch.equal(batch.displaced, away.abs().amax((0, 2, 3)) > 0)
    torch.manual_seed(0)
    encoder = Encoder(SEES)
    same = encoder(batch.observation, batch.displaced) - encoder(batch.observation)
    assert same.abs().max() < 1e-5
    none, all_ = (torch.full_like(batch.displaced, value) for value in (False, True))
    assert (encoder(batch.observation, none) - encoder(batch.observation, all_)).abs().max() < 1e-5
    for which in (batch.displaced, ~batch.displaced):
        encoder.zero_grad()
        encoder(batch.observation, batch.displaced)[which].square().sum().backward()
        learned = [bool(p.grad.any()) for p in encoder.cameras.parameters() if p.grad is not None]
        assert any(learned) != bool(which[batch.displaced].any())
        assert encoder.net[0].weight.grad.any(), "all else learns from both"


def test_pictures_are_moved_each_on_its_own_and_no_further():
    image = torch.arange(12 * 12, dtype=torch.uint8).view(1, 1, 1, 12, 12).expand(60, 2, 3, 12, 12)
    moved = shifted(image, torch.Generator().manual_seed(0), most_px=2)
    assert moved.shape == image.shape and moved.dtype == torch.uint8
    inner = moved[..., 4:8, 4:8].int() - image[..., 4:8, 4:8].int()  # a move of (y, x) shows as 12 y + x everywhere
    by = inner[:, :, 0, 0, 0]
    assert (inner == by[..., None, None, None]).all() and torch.equal(moved[:, :, 0], moved[:, :, 2])
    assert {int(b) for b in by.unique()} == {12 * y + x for y in range(-2, 3) for x in range(-2, 3)}
    assert (by[:, 0] != by[:, 1]).any(), "cameras of one row move on their own"
    assert torch.equal(shifted(image, torch.Generator().manual_seed(0), most_px=0), image)


def test_a_gripper_turns_where_its_command_begins_to_move():
    closed, rising, open_ = np.zeros(5), np.linspace(0.0, 0.06, 7), np.full(5, 0.06)
    trembling = 0.0005 * np.array([1, -1, 1, -1, 1])
    opening = np.concatenate([closed, rising, open_ + trembling, rising[::-1], closed, rising])
    assert turns(opening) == [(5, True), (17, False), (29, True)]
    for rows in (20, 80, 200):  # 1, 4 and 10 s for 70 mm
        slow = np.concatenate([np.linspace(0.07, 0.0, rows), np.linspace(0.0, 0.07, rows)])
        (closes, first), (opens, second) = turns(slow)
        assert (first, second) == (False, True) and closes <= rows / 50 and abs(opens - rows) <= rows / 50
    assert turns(np.linspace(0.0, 0.009, 30)) == [] and turns(opening[:1]) == []


def test_hands_tell_where_they_will_close_and_open(folder):
    data = demonstrations.load([folder / "data"], with_objects=False)
    with pytest.raises(ValueError, match=r"no gripper moves by 0\.01 m"):
        keyposes(replace(data, target=np.zeros_like(data.target)))
    target = np.zeros_like(data.target)
    begin = data.first[1]
    target[begin + 4 : begin + 12, 13] = 0.05  # the right hand opens at row 3 and closes from row 11 of one episode
    table = keyposes(replace(data, target=target))
    assert table.shape == (len(data.state), 4, 10) and not table[:, :2].any()
    there = table[:, 2:, 0].astype(bool)
    assert np.flatnonzero(there[:, 1]).tolist() == list(range(begin, begin + 4))
    assert np.flatnonzero(there[:, 0]).tolist() == list(range(begin, begin + 12))
    pose = forward(data.state[begin + 11, 7:13])
    assert np.allclose(table[begin, 2, 1:4], pose.position_m)
    assert np.allclose(np.cross(table[begin, 2, 4:7], table[begin, 2, 7:10]), pose.rotation[:, 2])


def test_eyes_learn_from_hands_alone(folder, tmp_path):
    for path in sorted((folder / "data").rglob("*.hdf5")):
        episode = read(path)
        target = episode.target.copy()
        target[8:, 6] = 0.0
        target[:8, 6] = 0.05
        action = np.vstack([target[1:], episode.action[-1:]])
        write(tmp_path / "bags" / path.name, replace(episode, target=target, action=action, objects=None))
    args = see.Args((tmp_path / "bags",), tmp_path / "eyes", "hands", 4, 4, 2, 2, device="cpu", **LOOKS)
    assert np.isfinite(see.run(args)) and (tmp_path / "eyes" / eyes.FILE).exists()
    with pytest.raises(EpisodeError, match="objects: none"):
        see.run(replace(args, tell="objects", out=tmp_path / "other"))


def test_eyes_that_are_missing_or_of_another_size_are_refused(folder):
    with pytest.raises(ContractError, match=r"holds no eyes: eyes.safetensors is missing"):
        eyes.load_cameras(Encoder(SEES), folder / "nowhere")
    with pytest.raises(ContractError, match="does not fit the encoder"):
        eyes.load_cameras(Encoder(replace(SEES, channels=(16, 16))), folder / "eyes")
    with pytest.raises(ValueError, match="--eyes is for models that see pictures"):
        train.Args((folder,), folder, eyes=folder)
