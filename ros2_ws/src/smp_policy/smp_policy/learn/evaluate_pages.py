"""What an evaluation leaves behind: result.json, timing.json, pictures, and the page that shows them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from piper_bringup.look import draw
from piper_bringup.look.output import OutputError, whole
from smp_policy.learn import evaluate_result as results
from smp_policy.learn import evaluate_skills as skills
from smp_policy.learn import figures, report
from smp_policy.learn.evaluate_episodes import Outcome
from smp_policy.learn.score import Interval
from smp_policy.run.contract import Contract
from smp_policy.smp.basis import reach
from smp_policy.smp.policy import SkillMoEPolicy

RESULT, TIMING, REPORT = "result.json", "timing.json", "report.md"


@dataclass(frozen=True, eq=False)
class Measured:
    """Skills on demonstrations, in numbers and to be drawn."""

    numbers: dict[str, Any]
    courses: list[figures.Course]  # one demonstration of each task
    found: skills.KnockOut | None


def measure(
    paths: Sequence[Path], each: int, contract: Contract, network: SkillMoEPolicy, tasks: Sequence[str]
) -> Measured:
    """On ``each`` demonstrations of every task. Raises EpisodeError."""
    episodes = skills.chosen(paths, tasks, each, bool(contract.cameras))
    steps = skills.steps_of(episodes, contract)
    seen = skills.look(network, steps)
    found = skills.knock_out(network, steps, seen) if (steps.phase >= 0).any() else None
    reached = reach(seen.b, network.config.action, network.config.experts)
    shown = [next(i for i, e in enumerate(episodes) if e.task == task) for task in tasks]
    courses = []
    for i in shown:
        at = np.flatnonzero(steps.episode == i)
        phase = tuple(steps.phases[p].split(": ", 1)[1] if p >= 0 else "" for p in steps.phase[at])
        gate, active, basis = (x[torch.from_numpy(at)].numpy() for x in (seen.gate, seen.active, reached))
        courses.append(figures.Course(episodes[i].task, gate, active, basis, phase))
    return Measured(results.skill_numbers(steps, seen, contract.tasks, found), courses, found)


def _shares(content: dict[str, Any]) -> dict[str, dict[str, Interval]]:
    """Success of each method on each task and on all."""
    methods = content["methods"].items()
    return {name: {t: Interval(*one["success"]) for t, one in numbers["tasks"].items()} for name, numbers in methods}


def pictures(content: dict[str, Any], outcomes: Sequence[Outcome], measured: Measured | None) -> dict[str, Figure]:
    """Name of the file -> figure; `outcomes` of the first method."""
    played = [_course(one) for one in outcomes if one.basis is not None]
    groups = results.by_task(outcomes)
    counts = {task: np.concatenate([one.active.sum(1) for one in own]) for task, own in groups.items()}
    made = {
        "success": figures.success(_shares(content)),
        "active": figures.active_experts(counts, played[0].gate.shape[1]),
        "gates": figures.gates_over_time(played),
        "directions_over_time": figures.directions_over_time(played),
        "directions": figures.directions(played),
    }
    if measured is not None:
        made["gates_demonstrated"] = figures.gates_over_time(measured.courses)
        made["directions_demonstrated"] = figures.directions_over_time(measured.courses)
        if measured.found is not None:
            made["knock_out"] = figures.knock_outs(measured.found)
    return made


def _course(one: Outcome) -> figures.Course:
    ended = "success" if one.success else f"failed after {results.last_goal(one)}"
    return figures.Course(f"{one.task}, seed {one.seed}: {ended}", one.gate, one.active, one.basis)


def write(folder: Path, content: dict[str, Any], timing: dict[str, Any], drawn: dict[str, Figure]) -> None:
    """The report last, so that it never shows what is not there. Raises OutputError."""
    texts = {
        RESULT: json.dumps(content, indent=1) + "\n",
        TIMING: json.dumps(timing, indent=1) + "\n",
        REPORT: report.markdown(content, timing, tuple(drawn)),
    }
    try:
        for name, figure in drawn.items():
            draw.save(figure, folder / f"{name}.png")
        for name, text in texts.items():
            with whole(folder / name) as partial:
                partial.write_text(text)
    except OSError as error:
        raise OutputError(f"{folder}: results not written: {error.strerror}") from error
