"""Which of the method's claims hold: each part taken away, trained alike, and met with the same seeds.

    python -m bench.ablations data --save                     12 trainings of five minutes, and their evaluation
    python -m bench.ablations data --variants A0 A2 --seeds 0
    python -m bench.ablations data --variants A0 A6 A8_4_experts     what --help lists beside the usual six

Models and evaluations lie in `out`; what is finished there is not done again. METHOD 5.2 numbers the ablations.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from bench.ablation_claims import COLUMNS, Results, claims, row
from bench.report import conclude, markdown
from piper_bringup.cell import tasks as cell_tasks
from smp_policy.learn import evaluate, train
from smp_policy.learn.evaluate_pages import RESULT
from smp_policy.run.backend_torch import CONTRACT, WEIGHTS
from smp_policy.run.contract import Contract, ContractError
from smp_policy.smp import config as presets
from smp_policy.smp.config import SMPConfig

_FULL = presets.state()
SOFTMAX_BETA0 = 14.0  # geometric middle of the Dirichlet's range, 2 to 100

# What is trained, and in words what was taken away.
VARIANTS: dict[str, tuple[str, SMPConfig]] = {
    "A0": ("the method as it is", _FULL),
    "A1": ("no gate term: nothing makes gates persist", replace(_FULL, loss=replace(_FULL.loss, gate=0.0))),
    "A2": ("one basis for all states", replace(_FULL, basis=replace(_FULL.basis, rho=0.0))),
    "A3": ("reconstruction at the mean gate", replace(_FULL, loss=replace(_FULL.loss, reconstruct="mean"))),
    "A4": (
        "softmax gate with noise of one size, no prior",
        replace(
            _FULL,
            gate=replace(_FULL.gate, concentration=(SOFTMAX_BETA0, SOFTMAX_BETA0)),
            loss=replace(_FULL.loss, gate=0.0),
        ),
    ),
    "A7": ("each expert reads its own coefficient only", replace(_FULL, network=replace(_FULL.network, sees="own"))),
}

# What else METHOD 5.2 asks about: as many trainings again, for whoever has a GPU to make them on.
MORE: dict[str, tuple[str, SMPConfig]] = {
    "A2b": (
        "the principal directions of all chunks as basis",
        replace(_FULL, basis=replace(_FULL.basis, rho=0.0, centre="principal")),
    ),
    "A2c": ("a basis without bound", replace(_FULL, basis=replace(_FULL.basis, bounded=False))),
    "A6": (
        "experts answer with coordinates, the gate only says who acts",
        replace(_FULL, diffusion=replace(_FULL.diffusion, predicts="u")),
    ),
    **{f"A8_{k}_experts": (f"{k} experts instead of 8", replace(_FULL, experts=k)) for k in (2, 4, 14)},
    "A8_rank_2": (
        "7 experts of two directions each, all 14 that there are, instead of 8 of one",
        replace(_FULL, experts=7, basis=replace(_FULL.basis, rank=2)),
    ),
    "A8_chunk_basis": (
        "directions of whole chunks; committed rows are taken over, and guide nothing",
        replace(_FULL, basis=replace(_FULL.basis, spans="chunk")),
    ),
    **{
        f"A9_kappa_{kappa:g}": (
            f"persistence kappa {kappa:g} instead of 50",
            replace(_FULL, gate=replace(_FULL.gate, kappa=kappa)),
        )
        for kappa in (5.0, 500.0)
    },
    **{
        f"A9_gate_{weight:g}": (
            f"weight of the gate term {weight:g} instead of 0.03",
            replace(_FULL, loss=replace(_FULL.loss, gate=weight)),
        )
        for weight in (0.01, 0.1, 1.0)
    },
    "A11_stop": (
        "targets of L_coeff not stopped: basis and posterior learn from it",
        replace(_FULL, loss=replace(_FULL.loss, stop=False)),
    ),
    "A11_align": (
        "no L_align: the router learns from L_recon at its own gate",
        replace(_FULL, loss=replace(_FULL.loss, teaches_router="action")),
    ),
}
EVERY = VARIANTS | MORE

# How A0 is evaluated again.
SELECTIONS: dict[str, dict[str, Any]] = {
    **{f"A5 coverage {tau:g}": {"select": "coverage", "tau": tau} for tau in (0.8, 0.9, 0.99)},
    "A5 all experts": {"select": "all"},
    **{f"A5 top {k}": {"select": "top_k", "k": k} for k in (1, 2, 4)},
    "A5 coverage 0.95, linear mass": {"select": "coverage", "tau": 0.95, "power": 1.0},
    "A10 sticky filter": {"sticky": True},
}


@dataclass(frozen=True)
class Args:
    """Ablations of the method on the state configuration."""

    data: tyro.conf.Positional[tuple[Path, ...]]
    """Demonstrations to train on."""
    held: tuple[Path, ...] = ()
    """Demonstrations to measure skills on, best such that none of the models has seen; default: `data`."""
    out: Path = Path("out/ablations")
    """Folder of models and evaluations."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """What to train, of A0 to A4, A7, A2b, A2c, A6, A8_{2,4,14}_experts, A8_rank_2, A8_chunk_basis, A9_kappa_{5,500},
    A9_gate_{0.01,0.1,1}, A11_{stop,align}; the rest is left out of the table. A0 is what all are compared with."""
    seeds: tuple[int, ...] = (0, 1)
    """Seeds of training."""
    steps: int = 3000
    """Optimiser steps of each training: five minutes of one core (Xeon with AMX)."""
    batch: int = 256
    """Segments a step."""
    tasks: tuple[str, ...] = cell_tasks.MULTI_TASK
    """Tasks to learn and to be tried on."""
    episodes: int = 25
    """Episodes of each task for each model."""
    first_seed: int = 90_000
    """Of the episodes."""
    demonstrations: int = 10
    """Of each task, that skills are measured on."""
    selections: bool = True
    """Evaluate A0 under other selections too (A5, A10)."""
    processes: int = os.cpu_count() or 1
    """Episodes played at once."""
    save: bool = False
    """Write results/ablations.md."""

    def __post_init__(self) -> None:
        if unknown := [name for name in self.variants if name not in EVERY]:
            raise ValueError(f"--variants: {unknown[0]} is none of {', '.join(EVERY)}")
        if "A0" not in self.variants or not self.seeds:
            raise ValueError("--variants needs A0, which the others are compared with, and --seeds at least one")


def model(args: Args, variant: str, seed: int) -> Path:
    """Folder of a trained model; trained now if it is not there. Raises ContractError for one of another budget."""
    folder = args.out / f"{variant}_seed{seed}"
    if (folder / WEIGHTS).exists():
        notes = Contract.from_json((folder / CONTRACT).read_text()).notes
        for name, wanted in (("steps", args.steps), ("batch", args.batch)):
            if notes.get(name) != str(wanted):
                raise ContractError(f"{folder} was trained with {name} {notes.get(name)}, not {wanted}: choose --out")
        return folder
    print(f"training {variant} ({EVERY[variant][0]}), seed {seed}")
    config = EVERY[variant][1]
    train.run(
        train.Args(
            data=args.data, out=folder, tasks=args.tasks, steps=args.steps, batch=args.batch, seed=seed, config=config
        )
    )
    return folder


def evaluated(args: Args, folder: Path, name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """What result.json of a model says under a selection; played now if it is not there as asked."""
    asked = evaluate.Args(
        model=folder,
        tasks=args.tasks,
        episodes=args.episodes,
        first_seed=args.first_seed,
        processes=args.processes,
        out=folder / name.replace(" ", "_").replace(",", ""),
        data=args.held or args.data,
        demonstrations=args.demonstrations,
        **changes,
    )
    if (path := asked.folder / RESULT).exists():
        content = json.loads(path.read_text())
        last = asked.first_seed + asked.episodes - 1
        if content["seeds"] == [asked.first_seed, last] and list(content["goals"]) == list(asked.tasks):
            return content
    print(f"evaluating {folder.name}, {name}")
    return evaluate.run(asked)


def gather(args: Args) -> Results:
    """Name of the variant or selection -> results, one a seed of training. What is missing is trained and played."""
    found: Results = {}
    for variant in args.variants:
        folders = [model(args, variant, seed) for seed in args.seeds]
        found[variant] = [evaluated(args, folder, "evaluation", {}) for folder in folders]
    if args.selections:
        folders = [model(args, "A0", seed) for seed in args.seeds]
        for name, changes in SELECTIONS.items():
            found[name] = [evaluated(args, folder, name, changes) for folder in folders]
    return found


def run(args: Args) -> None:
    """Everything, then the table."""
    found = gather(args)
    rows = [row(name, EVERY[name][0] if name in EVERY else "A0, selected otherwise", found) for name in found]
    verdicts = [(c.ablation, c.text, c.measured(), c.verdict) for c in claims(found)]
    conclude("Ablations", COLUMNS, rows, notes(args, verdicts), args.save)


def notes(args: Args, verdicts: Sequence[tuple[str, ...]]) -> str:
    """The claims and how to read them."""
    last = args.first_seed + args.episodes - 1
    return f"""## Claims

{markdown(("ablation", "claim", "measured", "verdict"), verdicts)}

Each model learned {", ".join(args.tasks)} together in {args.steps} steps of {args.batch} segments, with seeds
{", ".join(map(str, args.seeds))}, and met episodes {args.first_seed} to {last} of each task. This is a short budget:
what a part is worth here need not be what it is worth after a long training. A claim is accepted where its whole 95 %
interval lies beyond the bound that it names, rejected where all of it lies on the other side, undecided otherwise.
Success: paired, Newcombe's score interval; all else: paired bootstrap, over episodes or, for NMI and residual, over
tasks and trainings. Intervals hold for these trainings; {len(args.seeds)} of each say little on how trainings differ.
"NMI" is that of the heaviest expert and the demonstration's phase within each task, 0 nothing to 1 all; "-A0" is
success less that of A0 in the same episodes."""


def main() -> None:
    """Train, evaluate, judge."""
    try:
        run(tyro.cli(Args, prog="python -m bench.ablations", description=__doc__))
    except (RuntimeError, OSError, ValueError) as error:  # contracts, episodes, checkpoints, graphics
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; run the same line again to go on")


if __name__ == "__main__":
    main()
