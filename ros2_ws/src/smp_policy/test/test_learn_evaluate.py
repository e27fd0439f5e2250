"""Evaluation: what it writes of an untrained policy, twice the same; what it refuses, in one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from evaluate_rig import TASKS, contract, untrained

from piper_bringup.cell import record
from piper_bringup.cell.expert import demonstrate
from piper_bringup.cell.graphics import NoGraphics
from piper_bringup.cell.world import World
from piper_bringup.data.episode import EpisodeError, write
from smp_policy.learn import evaluate
from smp_policy.learn import evaluate_skills as skills
from smp_policy.learn.evaluate_result import ALL, difference
from smp_policy.learn.score import wilson
from smp_policy.learn.size import size_of
from smp_policy.run.backend_torch import load
from smp_policy.run.contract import ContractError
from smp_policy.smp import gate as gates
from smp_policy.smp.config import Selection

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One demonstration of each task."""
    folder = tmp_path_factory.mktemp("data")
    for task in TASKS:
        world = World(task)
        write(record.path_of(folder, task, 7), record.episode_of(demonstrate(task, 7, world), world, None))
    return folder


def asked(model, out, **changes):
    return replace(evaluate.Args(model, episodes=2, processes=1, limit_s=1.0, out=out), **changes)


@pytest.fixture(scope="module")
def whole(model, data, tmp_path_factory):
    """Folder and content of an evaluation with everything."""
    out = tmp_path_factory.mktemp("whole")
    return out, evaluate.run(asked(model, out, data=(data,), compare_all=True, demonstrations=1))


def test_equal_episodes_give_equal_bytes(model, tmp_path):
    for name in ("a", "b"):
        evaluate.run(asked(model, tmp_path / name, tasks=("lift_bar",)))
    assert (tmp_path / "a" / "result.json").read_bytes() == (tmp_path / "b" / "result.json").read_bytes()


def test_workers_answer_as_one_process_does(model, tmp_path):
    for processes in (1, 2):
        evaluate.run(asked(model, tmp_path / str(processes), tasks=("lift_bar",), processes=processes, limit_s=0.4))
    assert (tmp_path / "1" / "result.json").read_bytes() == (tmp_path / "2" / "result.json").read_bytes()


def test_what_the_result_tells(whole, model):
    _, content = whole
    assert content["seeds"] == [90_000, 90_001] and set(content["goals"]) == set(TASKS)
    first, second = content["methods"].values()
    assert list(content["methods"]) == ["coverage 0.95", "all experts"]
    for numbers in (first, second):
        assert list(numbers["tasks"]) == [*TASKS, ALL]
        played = [(e["task"], e["seed"]) for e in numbers["episodes"]]
        assert played == [(task, seed) for task in TASKS for seed in (90_000, 90_001)]
        every = numbers["tasks"][ALL]
        assert every["episodes"] == 4 and every["succeeded"] == 0 and every["progress"] == 0.0
        assert every["success"] == pytest.approx(list(wilson(0, 4)), rel=1e-5)
        assert every["failed_after"] == {"nothing": 4} and every["physics_broke"] == 0
        assert every["active"] == pytest.approx(np.mean([e["active"] for e in numbers["episodes"]]))
        assert every["jerk_joins"] > 0.0 and 1.0 <= every["n_eff"] <= 8.0 and 0.5 <= numbers["purity"] <= 1.0
    assert second["tasks"][ALL]["active"] == 8.0 > first["tasks"][ALL]["active"]
    assert content["difference"]["success"][0] == 0.0
    assert content["skills"]["episodes"] == 2


def test_active_weights_are_counted_both_ways(whole, model):
    _, network = load(model)
    size, numbers = size_of(network), whole[1]["methods"]["all experts"]["parameters"]
    running = sum(p.numel() for p in network.parameters()) - size.training_only
    assert size.total == numbers["total"] == numbers["active"] == running
    assert numbers["active_experts_only"] == sum(p.numel() for p in network.experts.parameters())
    assert size.active(2.5, True) - size.active(2.5, False) == size.encoder + size.basis + size.router
    assert size.active(3.0, True) - size.active(2.0, True) == size.expert


def test_the_page_names_every_task_and_shows_pictures_that_exist(whole):
    out, content = whole
    page = (out / "report.md").read_text()
    for task in TASKS:
        assert page.count(task) >= 4
        for goal in content["goals"][task]:
            assert goal in page
    shown = [line.split("](")[1].rstrip(")") for line in page.splitlines() if line.startswith("![")]
    assert {"success.png", "gates.png", "gates_demonstrated.png", "knock_out.png", "directions.png"} <= set(shown)
    for name in shown:
        assert (out / name).read_bytes().startswith(b"\x89PNG") and (out / name).stat().st_size > 5_000
    assert "Wilson" in page and "Newcombe" in page and "NMI" in page
    timing = json.loads((out / "timing.json").read_text())
    for numbers in timing["chunk"].values():
        assert all(0.0 < one["p50_ms"] <= one["p95_ms"] for one in numbers.values())


def test_a_selection_is_what_plays(model, tmp_path):
    content = evaluate.run(asked(model, tmp_path, tasks=("lift_bar",), select="top_k", k=3, sticky=True, limit_s=0.4))
    (name,) = content["methods"]
    assert name == "top 3, sticky filter" and content["methods"][name]["tasks"][ALL]["active"] == 3.0
    assert content["selection"][name]["rule"] == "top_k" and content["selection"][name]["sticky"]
    assert content["difference"] is None and content["skills"] is None


def test_what_is_not_said_stays_as_trained():
    trained = Selection(rule="coverage", tau=0.9, per_arm=True)
    args = evaluate.Args(model=None)
    assert args.selection(trained) == trained
    assert replace(args, select="top_k", k=1).selection(trained) == replace(trained, rule="top_k", k=1)
    assert replace(args, per_arm=False, tau=0.5).selection(trained) == Selection(tau=0.5)


def episode(task: str, seed: int, success: bool) -> dict:
    return {"task": task, "seed": seed, "success": success, "progress": float(success)}


def test_difference_pairs_episodes_and_refuses_others():
    first = [episode("a", seed, seed % 4 != 0) for seed in range(40)]
    second = [episode("a", seed, seed % 2 != 0) for seed in range(40)]
    found = difference(first, second)
    assert found["only_first"] == 10 and found["only_second"] == 0
    assert found["success"].value == pytest.approx(0.25) and found["success"].low > 0.0
    assert found["progress"].value == pytest.approx(0.25)
    with pytest.raises(ValueError, match="pairwise"):
        difference(first, second[::-1])


# -- skills on demonstrations ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def steps(data):
    return skills.steps_of(skills.chosen((data,), TASKS, 1, False), contract())


def test_steps_are_those_of_the_episodes(steps, data):
    first = skills.chosen((data,), TASKS, 1, False)[0]
    count = -(-len(first) // 4)
    assert (steps.episode == 0).sum() == count and (steps.task[:count] == 0).all()
    third = steps.action[2].numpy() * contract().normaliser.action_scale  # rows 8 to 23, from where the arms were sent
    np.testing.assert_allclose(third, first.action[8:24] - first.target[8], atol=1e-6)
    named = [steps.phases[p] for p in steps.phase[:count]]
    assert named == [f"lift_bar: {first.phases[p]}" for p in first.phase[::4]]


def test_a_gate_made_of_phases_is_recognised(model, steps):
    _, network = load(model)
    seen = skills.look(network, steps)
    task = torch.from_numpy(steps.task == 0)
    number = torch.from_numpy(np.unique(steps.phase, return_inverse=True)[1]) % 8
    told = replace(seen, gate=torch.nn.functional.one_hot(number, 8).float())
    assert skills.facts(steps, told, task.numpy()).nmi > 0.9
    silent = replace(seen, gate=torch.full_like(seen.gate, 0.125), active=torch.ones_like(seen.active))
    found = skills.facts(steps, silent, task.numpy())
    assert found.nmi == pytest.approx(0.0, abs=1e-9) and found.dropped == 0.0 and found.n_eff == pytest.approx(8.0)


def test_gain_is_router_over_posterior(model, steps):
    _, network = load(model)
    seen = skills.look(network, steps)
    everywhere = np.ones(len(steps.task), bool)
    same = replace(seen, posterior=seen.gate)
    half = replace(seen, posterior=2.0 * seen.gate)
    assert skills.facts(steps, same, everywhere).gain == pytest.approx(1.0, abs=1e-5)
    assert skills.facts(steps, half, everywhere).gain == pytest.approx(0.5, abs=1e-5)


def test_knock_out_finds_who_moves_what(model, steps):
    """With a basis of one arm's axes each, and coefficients that are right, an expert's loss is that of its axis."""
    _, network = load(model)
    seen = skills.look(network, steps)
    axes = torch.zeros(14, 8)
    moves = [0, 1, 2, 6, 7, 8, 9, 13]  # expert i moves this column
    axes[moves, range(8)] = 1.0
    b = axes.expand(len(steps.task), -1, -1)
    seen = replace(seen, b=b, active=torch.ones_like(seen.active))

    def right(s, gate, b, active, noise, index):
        return (kept @ axes) / (gate.unsqueeze(-2) + network.config.diffusion.eps) * active.unsqueeze(-2)

    kept = steps.action[skills._some_of_each_phase(steps)]
    network.denoise = right
    found = skills.knock_out(network, steps, seen)
    assert found.rise.shape == (len(found.phases), 8, 2) and set(found.phases) <= set(steps.phases)
    energy = steps.action.square().sum((-2, -1)).numpy()
    at = steps.phase[skills._some_of_each_phase(steps)] == steps.phases.index(found.phases[0])
    for expert, column in enumerate(moves):
        arm, other = divmod(column, 7)[0], 1 - divmod(column, 7)[0]
        wanted = kept[at][..., column].square().sum(-1).mean() / energy[steps.task == 0].mean()
        assert found.rise[0, expert, arm] == pytest.approx(float(wanted), rel=1e-3, abs=1e-9)
        assert found.rise[0, expert, other] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("experts", "basis"), [(7, {"rank": 2}), (8, {"spans": "chunk"})], ids=["rank 2", "chunk basis"]
)
def test_whatever_its_directions_an_expert_is_played_drawn_and_struck_out_as_one(experts, basis, data, tmp_path):
    """Ablation A8."""
    what = contract(experts=experts, basis=replace(contract().config.basis, **basis))
    folder = untrained(tmp_path / "model", what)
    content = evaluate.run(asked(folder, tmp_path / "out", data=(data,), demonstrations=1, episodes=1, limit_s=0.4))
    numbers, rise = content["methods"]["coverage 0.95"], np.array(content["skills"]["knock_out"]["rise"])
    assert rise.shape[1:] == (experts, 2) and rise.any()
    assert 1.0 <= numbers["tasks"][ALL]["active"] <= experts and 0.5 <= numbers["purity"] <= 1.0
    assert content["model"]["size"]["experts"] == experts
    assert -1e-5 <= content["skills"]["tasks"][ALL]["residual"] <= 1.0
    assert (tmp_path / "out" / "directions.png").stat().st_size > 5_000


def test_knock_out_of_the_only_expert_leaves_nothing(model, steps):
    _, network = load(model)
    seen = skills.look(network, steps)
    alone = torch.zeros_like(seen.active)
    alone[:, 5] = True
    found = skills.knock_out(network, steps, replace(seen, active=alone))
    assert np.isfinite(found.rise).all() and not found.rise[:, [0, 1, 2, 3, 4, 6, 7]].any() and found.rise[:, 5].any()


def test_purity_of_directions():
    left, both = np.zeros((1, 14, 2)), np.zeros((1, 14, 2))
    left[0, 3, 0] = left[0, 9, 1] = 1.0
    both[0, [0, 7], 0] = both[0, [1, 8], 1] = np.sqrt(0.5)
    ones = np.ones((1, 2))
    assert skills.purity(left, ones) == pytest.approx(1.0)
    assert skills.purity(both, ones) == pytest.approx(0.5)
    assert skills.left_share(left).tolist() == [[1.0, 0.0]]


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def refusal(*line: str, **environment: str) -> str:
    """The one sentence on stderr of the program, which must fail."""
    command = [sys.executable, "-m", "smp_policy.learn.evaluate", *line]
    env = os.environ | environment
    ended = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=100)
    assert ended.returncode == 1, ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and "Traceback" not in ended.stderr
    return last


def test_a_missing_model_is_one_sentence(tmp_path):
    assert "contract.json is missing" in refusal(str(tmp_path / "nowhere"))


def test_an_unknown_task_names_those_there_are(model, tmp_path):
    with pytest.raises(ContractError, match="'fly' is not one of the model's: lift_bar, right_open_drawer"):
        evaluate.run(asked(model, tmp_path, tasks=("fly",)))


def test_a_task_that_the_cell_lacks(tmp_path):
    elsewhere = untrained(tmp_path / "model", contract(tasks=("lift_bar", "fold_shirt")))
    with pytest.raises(ValueError, match="no task 'fold_shirt'"):
        evaluate.run(asked(elsewhere, tmp_path / "out"))


def test_pictures_without_opengl_are_one_sentence(tmp_path):
    seeing = untrained(tmp_path / "model", contract(cameras=("head",)))
    line = (str(seeing), "--episodes", "1", "--processes", "1", "--tasks", "lift_bar", "--out", str(tmp_path / "out"))
    assert "graphics are switched off" in refusal(*line, MUJOCO_GL="off")


def test_a_policy_of_pictures_plays_and_is_filmed(tmp_path):
    seeing = untrained(tmp_path / "model", contract(cameras=("head", "left_wrist")))
    try:
        content = evaluate.run(asked(seeing, tmp_path / "out", episodes=1, limit_s=0.4, videos=1))
    except NoGraphics as why:
        pytest.skip(str(why))
    assert content["methods"]["coverage 0.95"]["tasks"][ALL]["episodes"] == 2
    for task in TASKS:
        assert (tmp_path / "out" / f"{task}_90000.mp4").stat().st_size > 1_000


def test_data_without_the_task(model, data, tmp_path):
    with pytest.raises(EpisodeError, match="no successful episode of lift_bar"):
        evaluate.run(asked(model, tmp_path, data=(data / "right_open_drawer",)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"episodes": 0}, "--episodes"),
        ({"delay_ms": 55}, "--delay-ms is 55"),
        ({"delay_ms": 200}, "--delay-ms is 200"),
        ({"videos": -1}, "--videos"),
        ({"limit_s": 0.0}, "--limit-s"),
    ],
)
def test_settings_out_of_range(model, changes, message):
    with pytest.raises(ValueError, match=message):
        evaluate.Args(model, **changes)


@pytest.mark.parametrize(("changes", "message"), [({"tau": 1.5}, "tau"), ({"k": 0}, "selection.k")])
def test_selections_out_of_range(model, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        evaluate.run(asked(model, tmp_path, **changes))


def test_softmax_gate_of_ablation_a4_has_noise_of_one_size():
    logits = torch.randn(5, 9, generator=torch.Generator().manual_seed(0)) * 3.0
    beta = gates.concentration(logits, 14.0, 14.0, 0.02)
    assert torch.allclose(beta.sum(-1), torch.full((5,), 14.0))
    assert torch.allclose(gates.mean(beta), torch.softmax(logits[:, 1:], -1), atol=0.02)
