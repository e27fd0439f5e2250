"""Ablations: what is trained and played, that finished work is kept, and verdicts on results made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from smp_policy.learn import evaluate, train
from smp_policy.learn.evaluate_result import ALL, plain
from smp_policy.run.contract import ContractError
from smp_policy.smp import config as presets

TASKS = ("lift_bar", "pick_dual_bottles")
ROOT = Path(__file__).resolve().parents[4]


class Bench(NamedTuple):
    ablations: object
    claims: object


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import ablation_claims, ablations

    return Bench(ablations, ablation_claims)


def result(
    success: float = 1.0,
    switch: float = 0.1,
    nmi: float = 0.8,
    active: float = 2.0,
    episodes: int = 50,
    residual: float = 0.0,
) -> dict:
    """A result.json in which the first share of the episodes of each task succeeded."""
    played = [
        {
            "task": task,
            "seed": 90_000 + i,
            "success": i < round(success * episodes),
            "switch_rate": switch + 0.001 * (i % 5),
            "jerk_joins": 50.0 * switch + i % 3,
            "active": active,
        }
        for task in TASKS
        for i in range(episodes)
    ]
    every = {"progress": success, "active": active, "switch_rate": switch, "n_eff": 5.0, "jerk_joins": 5.0}
    numbers = {"tasks": {ALL: every}, "episodes": played}
    told = {f"task {i}": {"nmi": nmi + 0.01 * (i % 3), "residual": residual + 0.01 * (i % 2)} for i in range(6)}
    return {
        "seeds": [90_000, 90_000 + episodes - 1],
        "goals": {task: ["done"] for task in TASKS},
        "methods": {"coverage 0.95": numbers},
        "skills": {"tasks": told | {ALL: {"nmi": 0.9, "residual": 0.9}}},
    }


def verdicts(bench: Bench, **found: dict) -> dict[str, str]:
    both = {name.replace("_", " "): [one, one] for name, one in found.items()}
    return {f"{claim.ablation}: {claim.text}": claim.verdict for claim in bench.claims.claims(both)}


def test_a_part_that_matters_is_accepted(bench):
    found = verdicts(bench, A0=result(0.9), A2=result(0.6), A3=result(0.9, nmi=0.1))
    assert found["A2: a basis that adapts to the state raises success"] == "accepted"
    assert found["A3: at the mean gate, gates know less of phases (NMI)"] == "accepted"
    assert found["A3: expected reconstruction raises success"] == "undecided"


def test_a_part_that_harms_is_rejected(bench):
    found = verdicts(bench, A0=result(0.6, switch=0.3), A1=result(0.9, switch=0.1))
    assert set(found.values()) == {"rejected"} and len(found) == 3


def test_too_few_pairs_decide_nothing(bench):
    found = verdicts(bench, A0=result(1.0, switch=0.1, episodes=1), A1=result(0.0, switch=0.3, episodes=1))
    assert found["A1: without it experts switch more often"] == "undecided: too few pairs"


def test_coverage_is_held_against_the_next_fixed_number(bench):
    tops = {f"A5_top_{k}": result(0.9 if k > 2 else 0.3, active=float(k)) for k in (1, 2, 4)}
    found = verdicts(bench, A0=result(0.9, active=2.4), **tops)
    (text,) = found
    assert "2.40 experts" in text and "always 4" in text and found[text] == "accepted"
    assert verdicts(bench, A0=result(0.9, active=6.0), **tops) == {}


def test_bimodal_tasks_are_judged_by_themselves(bench):
    a0, own = result(0.9), result(0.9)
    for episode in own["methods"]["coverage 0.95"]["episodes"]:
        episode["success"] &= episode["task"] != "pick_dual_bottles"
    found = verdicts(bench, A0=a0, A7=own)
    assert found["A7: they do where either arm may begin"] == "accepted"
    differences = {claim.text: claim.difference.value for claim in bench.claims.claims({"A0": [a0], "A7": [own]})}
    assert differences["they do where either arm may begin"] == pytest.approx(0.9)
    assert differences["experts that read all coefficients succeed more often"] == pytest.approx(0.45)


def test_other_directions_are_judged_by_success_and_by_what_they_are_for(bench):
    own = {"A8_rank_2": result(0.88, active=1.5), "A8_chunk_basis": result(0.5, residual=0.3)}
    a0 = result(0.9, active=2.4, residual=0.1)
    found = {c.text: c for c in bench.claims.claims({"A0": [a0, a0]} | {name: [x, x] for name, x in own.items()})}
    assert {text: claim.verdict for text, claim in found.items()} == {
        "one direction an expert keeps the success of two (within 5 points)": "accepted",
        "with two, fewer experts act": "accepted",
        "directions of rows succeed more often than those of whole chunks": "accepted",
        "and leave less of what was shown out of reach (residual)": "accepted",
    }
    assert found["and leave less of what was shown out of reach (residual)"].difference.value == pytest.approx(0.2)
    assert found["with two, fewer experts act"].difference.value == pytest.approx(0.9)


def test_variants_change_one_thing_each(bench):
    full = presets.state()
    changed = {name: config for name, (_, config) in bench.ablations.VARIANTS.items()}
    assert changed["A0"] == full
    assert changed["A1"] == replace(full, loss=replace(full.loss, gate=0.0))
    assert changed["A2"].basis.rho == 0.0 and replace(changed["A2"], basis=full.basis) == full
    assert changed["A3"].loss.reconstruct == "mean" and replace(changed["A3"], loss=full.loss) == full
    low, high = changed["A4"].gate.concentration
    assert low == high and changed["A4"].loss.gate == 0.0
    assert changed["A7"].network.sees == "own" and replace(changed["A7"], network=full.network) == full


def test_the_rest_is_run_by_naming_it(bench):
    full, more = presets.state(), bench.ablations.MORE
    assert bench.ablations.Args((Path("data"),), variants=("A0", *more)).variants[1:] == tuple(more)
    changed = {name: config for name, (_, config) in more.items()}
    assert changed["A2b"].basis == replace(full.basis, rho=0.0, centre="principal")
    assert changed["A2c"].basis == replace(full.basis, bounded=False)
    assert changed["A11_stop"].loss == replace(full.loss, stop=False)
    assert changed["A11_align"].loss == replace(full.loss, teaches_router="action")
    for name in ("A2b", "A2c", "A11_stop", "A11_align"):
        assert replace(changed[name], basis=full.basis, loss=full.loss) == full
    assert changed["A6"] == replace(full, diffusion=replace(full.diffusion, predicts="u"))
    for k in (2, 4, 14):
        assert changed[f"A8_{k}_experts"] == replace(full, experts=k)
    assert changed["A8_rank_2"] == replace(full, experts=7, basis=replace(full.basis, rank=2))
    assert changed["A8_chunk_basis"] == replace(full, basis=replace(full.basis, spans="chunk"))
    assert changed["A9_kappa_500"] == replace(full, gate=replace(full.gate, kappa=500.0))
    assert changed["A9_gate_0.1"] == replace(full, loss=replace(full.loss, gate=0.1))
    assert all(name in bench.ablations.Args.variants or name in more for name in bench.ablations.EVERY)


@pytest.fixture
def played(bench, monkeypatch):
    """Calls of train.run and evaluate.run, which write what they would without the work."""
    calls: list[tuple[str, str]] = []

    def trained(args):
        calls.append(("train", args.out.name))
        args.out.mkdir(parents=True)
        (args.out / "model.safetensors").touch()
        (args.out / "contract.json").touch()

    def evaluated(args):
        calls.append(("evaluate", f"{args.model.name}/{args.folder.name}"))
        args.folder.mkdir(parents=True, exist_ok=True)
        content = plain(result(episodes=args.episodes))
        content["seeds"] = [args.first_seed, args.first_seed + args.episodes - 1]
        (args.folder / "result.json").write_text(json.dumps(content))
        return content

    known = SimpleNamespace(notes={"steps": "5", "batch": "8"})

    monkeypatch.setattr(train, "run", trained)
    monkeypatch.setattr(evaluate, "run", evaluated)
    monkeypatch.setattr(bench.ablations, "Contract", SimpleNamespace(from_json=lambda _: known))
    return calls


def test_finished_work_is_not_done_again(bench, played, tmp_path, capsys):
    args = bench.ablations.Args(
        (tmp_path,), out=tmp_path / "out", variants=("A0", "A1"), steps=5, batch=8, tasks=TASKS, episodes=10
    )
    bench.ablations.run(args)
    text = capsys.readouterr().out
    assert [name for what, name in played if what == "train"] == ["A0_seed0", "A0_seed1", "A1_seed0", "A1_seed1"]
    assert len([1 for what, _ in played if what == "evaluate"]) == 4 + 2 * len(bench.ablations.SELECTIONS)
    assert len(set(played)) == len(played)
    for name in ("A0", "A1", *bench.ablations.SELECTIONS):
        assert f"| {name} " in text
    assert "undecided" in text and "- command:" in text
    played.clear()
    bench.ablations.run(args)
    assert played == []
    bench.ablations.run(replace(args, first_seed=90_001, selections=False))  # other seeds: played again
    assert {what for what, _ in played} == {"evaluate"} and len(played) == 4


def test_a_model_of_another_budget_is_refused(bench, played, tmp_path):
    args = bench.ablations.Args((tmp_path,), out=tmp_path / "out", variants=("A0",), steps=5, batch=8, tasks=TASKS)
    bench.ablations.model(args, "A0", 0)
    with pytest.raises(ContractError, match="was trained with steps 5, not 6"):
        bench.ablations.model(replace(args, steps=6), "A0", 0)


@pytest.mark.parametrize(
    ("changes", "message"), [({"variants": ("A0", "A99")}, "A99 is none of"), ({"variants": ("A1",)}, "needs A0")]
)
def test_variants_that_there_are_not(bench, changes, message):
    with pytest.raises(ValueError, match=message):
        bench.ablations.Args((Path("data"),), **changes)
