"""Training: what it writes, that it goes on exactly where it stopped, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from learn_rig import TASKS, dataset, tiny_with_slots
from safetensors.torch import load_file

from piper_bringup.data import names
from smp_policy.learn import data as demonstrations
from smp_policy.learn import journal, loop, train
from smp_policy.learn.checkpoint import FILE, CheckpointError
from smp_policy.learn.normalise import chunk_rows
from smp_policy.run.backend_torch import TorchBackend, load
from smp_policy.run.policy import Policy, Query
from smp_policy.smp import config as presets

torch.set_num_threads(1)


@pytest.fixture
def args(tmp_path):
    folder = dataset(tmp_path / "data")
    return train.Args(
        data=(folder,),
        out=tmp_path / "model",
        steps=120,
        batch=8,
        held_out=2,
        device="cpu",
        save_every=50,
        config=tiny_with_slots(),
    )


def test_a_model_folder_loads_and_the_losses_fell(args):
    contract = train.run(args)
    again, network = load(args.out)
    assert again.to_json() == contract.to_json()
    assert again.tasks == TASKS and again.config.encoder.tasks == 2 and again.trained_in == "simulation"
    assert not network.training
    rows = journal.read(args.out)
    assert [row["step"] for row in rows] == [50, 100, 120]
    for column in ("coeff", "recon", "held_coeff", "held_recon"):
        assert rows[-1][column] < rows[0][column], column
    for column in ("n_eff", "active", "switch", "nmi", "dropped", "gain", "gate"):
        assert column in rows[0]
    assert (args.out / journal.PLOT).stat().st_size > 10_000


def test_stopped_and_resumed_it_ends_with_the_same_weights_bit_for_bit(args, monkeypatch):
    train.run(args)
    whole = load_file(args.out / "model.safetensors")
    halves = replace(args, out=args.out.with_name("halves"))
    real = loop.step

    def interrupted(training, *others):
        if training.step == 70:  # twenty steps behind the checkpoint of 50
            raise KeyboardInterrupt
        return real(training, *others)

    monkeypatch.setattr(loop, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train.run(halves)
    assert not (halves.out / "model.safetensors").exists()
    monkeypatch.setattr(loop, "step", real)
    train.run(halves)
    again = load_file(halves.out / "model.safetensors")
    assert whole.keys() == again.keys() and all(torch.equal(whole[name], again[name]) for name in whole)
    assert [row["step"] for row in journal.read(halves.out)] == [50, 100, 120]


def test_a_policy_that_sees_pictures_trains_and_acts(args, tmp_path):
    folder = dataset(tmp_path / "seen", episodes=2, rows=24, images=True)
    tiny = presets.tiny()
    config = replace(tiny, encoder=replace(tiny.encoder, cameras=3))
    contract = train.run(replace(args, data=(folder,), steps=3, batch=2, held_out=1, config=config))
    assert contract.cameras == names.CAMERAS and not contract.needs_objects
    policy = Policy(TorchBackend.of(args.out))
    images = {camera: np.zeros((240, 320, 3), np.uint8) for camera in names.CAMERAS}
    assert np.isfinite(policy.act(Query(TASKS[0], np.zeros(14), np.zeros(14), images=images)).q).all()


def test_another_seed_gives_another_model(args):
    train.run(replace(args, steps=10))
    train.run(replace(args, steps=10, seed=1, out=args.out.with_name("other")))
    one, other = (load_file(out / "model.safetensors") for out in (args.out, args.out.with_name("other")))
    assert not torch.equal(one["router.net.0.weight"], other["router.net.0.weight"])


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_not_gone_on_with(args):
    train.run(replace(args, steps=60))
    with pytest.raises(CheckpointError, match="of a training with steps = 60, asked for is 120"):
        train.run(args)
    whole = (args.out / FILE).read_bytes()
    (args.out / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"damaged .* delete it to begin again"):
        train.run(replace(args, steps=60))


def test_the_learning_rate_grows_then_falls_to_nothing(args):
    rates = [loop.learning_rate(i, replace(args, steps=1000).loop()) for i in range(1000)]
    assert rates[0] == pytest.approx(args.lr / 20) and max(rates) == pytest.approx(args.lr) == pytest.approx(rates[20])
    assert rates[-1] < 1e-5 * args.lr + 1e-8 and rates == sorted(rates[:20]) + sorted(rates[20:], reverse=True)


def test_a_diverging_training_stops_and_says_so(args):
    with pytest.raises(FloatingPointError, match=r"no longer finite at step .* lower --lr"):
        train.run(replace(args, lr=1e30))


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "smp_policy.learn.train", *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=100, env=os.environ | {"OMP_NUM_THREADS": "1"})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("state", "nowhere", "--out", "model"), "nowhere"),
        (("state", "nowhere", "--out", "model", "--steps", "0"), "--steps is 0, at least 1 is needed"),
        (("state", "nowhere", "--out", "model", "--config.experts", "15"), "experts = 15"),
    ],
)
def test_a_wrong_command_is_one_sentence(words, told):
    done = _command(*words)
    assert done.returncode and told in done.stderr and "Traceback" not in done.stderr


def test_two_processes_train_one_model(args, tmp_path):
    words = ("tiny", str(args.data[0]), "--out", str(args.out), "--steps", "6", "--batch", "8", "--held-out", "2")
    words += ("--device", "cpu")
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*line, "-m", "smp_policy.learn.train", *words],
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    contract, _ = load(args.out)
    assert contract.notes["steps"] == "6" and [row["step"] for row in journal.read(args.out)] == [6]
    one, other = torch.load(args.out / FILE, weights_only=True)["generator"]
    assert not torch.equal(one, other)  # each goes on with its own segments
    with pytest.raises(CheckpointError, match="in 2 processes, not in 1"):
        train.run(replace(args, steps=6, config=presets.tiny()))


def test_pictures_too_far_apart_for_policy_steps_are_refused(args):
    for every in (0, 3, 8):
        with pytest.raises(ValueError, match=f"--every is {every}; policy steps are 4 rows apart: 1, 2 or 4"):
            replace(args, every=every)


@pytest.mark.parametrize(
    ("changes", "shape"), [({"rank": 2}, (14, 14)), ({"spans": "chunk"}, (224, 7))], ids=["rank 2", "chunk basis"]
)
def test_other_directions_are_learned_and_act(changes, shape, args):
    """Ablation A8."""
    config = replace(args.config, experts=7, basis=replace(args.config.basis, **changes))
    train.run(replace(args, steps=2, batch=4, config=config))
    contract, network = load(args.out)
    assert tuple(network.basis.w0.shape) == shape and contract.config.basis == config.basis
    query = Query(TASKS[0], np.zeros(14), np.zeros(14), np.zeros((4, 14)), committed=np.full((3, 14), 0.01))
    chunk = Policy(TorchBackend(contract, network)).act(query)
    assert chunk.q.shape == (16, 14) and np.isfinite(chunk.q).all() and np.all(chunk.q[:3] == 0.01)
    assert chunk.gate.shape == (7,)


@pytest.mark.parametrize("spans", ["row", "chunk"])
def test_principal_directions_become_the_basis_and_stay(spans, args):
    config = replace(args.config, basis=replace(args.config.basis, rho=0.0, centre="principal", spans=spans))
    contract = train.run(replace(args, steps=3, batch=2, config=config))
    _, network = load(args.out)
    data, _ = demonstrations.split(demonstrations.load(args.data), args.held_out, args.seed)
    chunks = data.action[chunk_rows(data, np.arange(len(data.state)), 16)]
    rows = contract.normaliser.encode(chunks, data.target).reshape(-1, contract.config.directions[0])
    b = network.basis(torch.zeros(contract.config.encoder.features)).detach().numpy()
    energy = np.linalg.svd(rows, compute_uv=False) ** 2
    assert ((rows @ b) ** 2).sum() == pytest.approx(energy[: contract.config.experts].sum(), rel=1e-5)
