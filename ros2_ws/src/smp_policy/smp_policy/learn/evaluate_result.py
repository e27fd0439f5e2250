"""Outcomes to the numbers of `result.json`: plain dictionaries, equal for equal episodes, no times of this machine."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from piper_bringup.cell import tasks as cell_tasks
from smp_policy.learn import evaluate_skills as skills
from smp_policy.learn.evaluate_episodes import Method, Outcome
from smp_policy.learn.score import bootstrap_difference, effective_experts, mean, paired_difference, switches, wilson
from smp_policy.learn.size import Size

ALL = "all tasks"  # the row over all of them
Numbers = dict[str, Any]


def score(outcomes: Sequence[Outcome]) -> Numbers:
    """Of episodes of one task, or of several together."""
    changes, chances = map(sum, zip(*(switches(one.gate) for one in outcomes), strict=True))
    return {
        "episodes": len(outcomes),
        "succeeded": sum(one.success for one in outcomes),
        "success": wilson(sum(one.success for one in outcomes), len(outcomes)),
        "progress": mean([one.progress for one in outcomes]),
        "seconds": mean([one.seconds for one in outcomes if one.success]),
        "active": float(np.concatenate([one.active.sum(1) for one in outcomes]).mean()),
        "switch_rate": changes / chances if chances else math.nan,
        "n_eff": effective_experts(np.concatenate([one.gate for one in outcomes])),
        "jerk_joins": mean([one.jerk.joins for one in outcomes]),
        "jerk_changes": mean([one.jerk.changes for one in outcomes]),
        "jerk_elsewhere": mean([one.jerk.elsewhere for one in outcomes]),
        "failed_after": dict(Counter(last_goal(one) for one in outcomes if not one.success).most_common()),
        "physics_broke": sum(bool(one.broke) for one in outcomes),
        "driver_gave_up": sum(bool(one.fault) for one in outcomes),
        "chunks_refused": sum(one.refused for one in outcomes),
    }


def last_goal(outcome: Outcome) -> str:
    """Name of the last goal reached."""
    return outcome.goals[-1] if outcome.goals else "nothing"


def by_task(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Tasks in the order in which they first appear."""
    return {task: [one for one in outcomes if one.task == task] for task in dict.fromkeys(o.task for o in outcomes)}


def method_numbers(outcomes: Sequence[Outcome], size: Size) -> Numbers:
    """Everything about one method: each task, all together, every episode."""
    groups = by_task(outcomes)
    scores = {task: score(own) for task, own in groups.items()} | {ALL: score(outcomes)}
    active = scores[ALL]["active"]
    return {
        "tasks": scores,
        "parameters": {
            "total": size.total,
            "active": round(size.active(active, with_perception=True)),
            "active_experts_only": round(size.active(active, with_perception=False)),
        },
        "purity": _purity(outcomes),
        "episodes": [episode_numbers(one) for one in outcomes],
    }


def _purity(outcomes: Sequence[Outcome]) -> float:
    known = [one for one in outcomes if one.basis is not None]
    return mean([skills.purity(one.basis, one.active.astype(float)) for one in known])


def episode_numbers(one: Outcome) -> Numbers:
    """One line of the list of episodes; paired comparisons are made of these."""
    changes, chances = switches(one.gate)
    return {
        "task": one.task,
        "seed": one.seed,
        "success": one.success,
        "progress": one.progress,
        "last_goal": last_goal(one),
        "seconds": one.seconds,
        "active": float(one.active.sum(1).mean()),
        "switch_rate": changes / chances if chances else math.nan,
        "jerk_joins": one.jerk.joins,
        "broke": one.broke,
        "fault": one.fault,
        "refused": one.refused,
    }


def difference(first: Sequence[Numbers], second: Sequence[Numbers]) -> Numbers:
    """First less second, over lists of episodes with the same tasks and seeds. ValueError where they differ."""
    if [(e["task"], e["seed"]) for e in first] != [(e["task"], e["seed"]) for e in second]:
        raise ValueError("episodes can only be compared pairwise: tasks and seeds differ")
    a, b = ([e["success"] for e in episodes] for episodes in (first, second))
    return {
        "success": paired_difference(a, b),
        "progress": bootstrap_difference([e["progress"] for e in first], [e["progress"] for e in second]),
        "only_first": sum(x and not y for x, y in zip(a, b, strict=True)),
        "only_second": sum(y and not x for x, y in zip(a, b, strict=True)),
    }


def skill_numbers(
    steps: skills.Steps, seen: skills.Seen, tasks: Sequence[str], found: skills.KnockOut | None
) -> Numbers:
    """What demonstrations tell. `tasks` in the order of the model's numbers."""
    shown = {task: steps.task == i for i, task in enumerate(tasks) if (steps.task == i).any()}
    facts = {task: skills.facts(steps, seen, where) for task, where in shown.items()}
    everything = dataclasses.asdict(skills.facts(steps, seen, np.ones(len(steps.task), bool)))
    everything["nmi_within_tasks"] = mean([one.nmi for one in facts.values()])
    return {
        "episodes": int(steps.episode.max()) + 1,
        "policy_steps": len(steps.task),
        "tasks": {task: dataclasses.asdict(one) for task, one in facts.items()} | {ALL: everything},
        "knock_out": None if found is None else {"phases": found.phases, "whole": found.whole, "rise": found.rise},
    }


def goals_of(tasks: Sequence[str]) -> dict[str, list[str]]:
    """Names of the goals of each task, in order."""
    return {task: [goal.name for goal in cell_tasks.find(task).goals] for task in tasks}


def latency(outcomes: Sequence[Outcome]) -> Numbers:
    """Of one chunk, ms, as it was on this machine while the episodes ran."""
    p50, p95 = np.percentile(np.concatenate([one.latency_s for one in outcomes]) * 1e3, (50, 95))
    return {"p50_ms": float(p50), "p95_ms": float(p95)}


def settings_of(method: Method) -> Numbers:
    """How a method selects."""
    return dataclasses.asdict(method.selection) | {"sticky": method.sticky}


def plain(value: Any) -> Any:
    """As JSON keeps it: six digits, no NaN (null instead), lists for arrays and tuples."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
