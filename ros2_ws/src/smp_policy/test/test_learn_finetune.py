"""Fine-tuning: new tasks join, old weights carry over, and router-only touches nothing but the router (test 11)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from learn_rig import TASKS, dataset, tiny_with_slots
from safetensors.torch import load_file

from piper_bringup.data.episode import read, write
from piper_bringup.data.episode_files import find
from smp_policy.learn import finetune, journal, train
from smp_policy.learn.segments import SegmentSampler
from smp_policy.run.backend_torch import load
from smp_policy.run.contract import ContractError
from smp_policy.smp.transfer import RouterOnly

torch.set_num_threads(1)
NEW = "both_there"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of two tasks, and a folder with demonstrations of a third: both arms at once."""
    folder = tmp_path_factory.mktemp("finetune")
    old = dataset(folder / "old")
    model = folder / "model"
    train.run(train.Args((old,), model, steps=200, batch=8, held_out=1, device="cpu", config=tiny_with_slots()))
    for path in find([old / TASKS[0]]):
        left, right = read(path), read(old / TASKS[1] / path.name.replace(*TASKS))
        both = {name: getattr(left, name) + getattr(right, name) for name in ("state", "target", "action")}
        write(folder / "new" / path.name, replace(left, task=NEW, instruction="both arms, go there", **both))
    return folder


def args_of(folder, name: str, **changes: object) -> finetune.Args:
    return finetune.Args(folder / "model", (folder / "new",), folder / name, steps=60, batch=8, device="cpu", **changes)


def test_a_new_task_joins_and_is_learned(trained):
    contract = finetune.run(args_of(trained, "whole"))
    assert contract.tasks == (*TASKS, NEW) and contract.instructions[-1] == "both arms, go there"
    again, _ = load(trained / "whole")
    base, _ = load(trained / "model")
    assert again.normaliser.to_dict() == base.normaliser.to_dict()
    rows = journal.read(trained / "whole")
    assert rows[-1]["recon"] < rows[0]["recon"] and rows[-1]["coeff"] < rows[0]["coeff"]


def test_router_only_leaves_everything_else_as_it_was_bit_for_bit(trained):
    finetune.run(args_of(trained, "router", router_only=True, like=TASKS))
    before, after = (load_file(trained / name / "model.safetensors") for name in ("model", "router"))
    changed = {name for name in before if name in after and not torch.equal(before[name], after[name])}
    table = "encoder.task.weight"
    assert {name.split(".")[0] for name in changed - {table}} == {"router"}
    assert torch.equal(after[table][:2], before[table]), "rows of known tasks"
    assert torch.allclose(after[table][2], before[table].mean(0)), "the new one begins as their mean, and stays"
    router = {name for name in before if name.startswith("router.")}
    assert router <= changed
    state = torch.load(trained / "router" / "checkpoint.pt", weights_only=True)["optimiser"]
    assert len(state["state"]) == len(router), "the optimiser knows the router only"


def test_router_only_misses_the_action_less_than_before(trained):
    args = replace(args_of(trained, "fitted", router_only=True, lr=3e-3), steps=250)
    finetune.run(args)

    def missed(weights) -> float:
        """Over all of the new demonstrations, with the same noise."""
        _, network = load(trained / "fitted")
        network.load_state_dict({**network.state_dict(), **weights})
        data = finetune.demonstrations.load(args.data)
        contract, _ = load(trained / "fitted")
        data = finetune._numbered(data, contract)
        sampler = SegmentSampler.of(data, contract.normaliser, args.length, contract.stride, contract.config.rows)
        batch, _ = sampler.batch(torch.arange(len(sampler)))
        with torch.no_grad():
            return float(RouterOnly(network)(batch, generator=torch.Generator().manual_seed(0)).recon)

    before = load_file(trained / "model" / "model.safetensors")
    assert missed({}) < missed({name: value for name, value in before.items() if name.startswith("router.")})


def test_a_task_to_begin_from_that_the_model_does_not_know_is_refused(trained):
    with pytest.raises(ContractError, match="task 'sing' is not one of the model's: left_there, right_there"):
        finetune.run(args_of(trained, "x", like=("sing",)))


def test_eyes_of_a_model_without_cameras_are_refused(trained):
    with pytest.raises(ValueError, match="--eyes-stay is for models that see pictures; this one has no cameras"):
        finetune.run(args_of(trained, "blind", eyes_stay=True))


def test_a_model_is_not_overwritten_by_what_goes_on_from_it(trained):
    with pytest.raises(ValueError, match="the model itself"):
        args_of(trained, "model")


def test_known_tasks_keep_their_numbers_whatever_the_data_holds(trained):
    contract = finetune.run(replace(args_of(trained, "known"), data=(trained / "old" / TASKS[1],), steps=3))
    assert contract.tasks == TASKS
    data = finetune._numbered(finetune.demonstrations.load((trained / "old" / TASKS[1],)), contract)
    assert np.array_equal(np.unique(data.task), [1])
