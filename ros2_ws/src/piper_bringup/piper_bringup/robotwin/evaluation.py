"""An evaluation by RoboTwin's protocol: which seeds, when it ends, what is counted, what departs from the protocol.

Seeds of start states count up from 100000 * (1 + seed); those that are unstable, or that the expert does not solve, are
skipped; then `episodes` of each task are played. As script/eval_policy.py and scripts/eval_policy_xpolicylab.py do.
No ROS.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from piper_bringup.data.robotwin import ACTIONS
from piper_bringup.data.shares import wilson
from piper_bringup.robotwin.play import Phase, Play, Played, Player, Teller
from piper_bringup.robotwin.settings import FIRST_SEED, Settings
from piper_bringup.robotwin.shadow import Ended
from piper_bringup.robotwin.stage import Stage
from piper_bringup.robotwin.substitutes import PLANNERS, SHADERS

MODE = "benchmark"  # lockstep, take_action: what published numbers are measured with
MOST_LOST = 3  # workers in a row: then whatever kills them does not pass
_NOT_THE_POLICY = (Phase.PLANNER_FAIL, Phase.PROGRAM_ERROR, Phase.WORKER_LOST)


@dataclass(frozen=True)
class Wanted:
    """What is to be evaluated."""

    tasks: tuple[str, ...]
    episodes: int  # of each task
    seed: int
    policy: str = ""  # who, for the file

    @property
    def first_seed(self) -> int:
        """Of start states."""
        return FIRST_SEED * (1 + self.seed)


class WantedError(ValueError):
    """Nothing that can be evaluated."""


def check(wanted: Wanted, known: Sequence[str]) -> None:
    """Raises WantedError for what is not among the `known` tasks, or is nothing."""
    if not wanted.tasks or wanted.episodes < 1:
        raise WantedError(f"{wanted.episodes} episodes of {len(wanted.tasks)} tasks; at least one of each is needed")
    if len(set(wanted.tasks)) < len(wanted.tasks):
        raise WantedError(f"tasks are {', '.join(wanted.tasks)}: each may be named once")
    if unknown := [task for task in wanted.tasks if task not in known]:
        raise WantedError(f"no task {', '.join(unknown)} here; there are {', '.join(known)}")


def evaluate(stage: Stage, player: Player, teller: Teller, wanted: Wanted) -> Iterator[Played]:
    """Episode after episode, each as it ended. Raises play.Stopped; and GaveUp where going on is of no use."""
    lost = 0
    for task in wanted.tasks:
        seed = wanted.first_seed
        for _ in range(wanted.episodes):
            played = Play(stage, player, teller, task, seed).run()
            yield played
            lost = lost + 1 if played.reason == Phase.WORKER_LOST else 0
            if lost == MOST_LOST:
                raise GaveUp(f"the worker was lost {lost} times in a row: {played.detail}")
            if played.step_limit == 0 and played.reason == Phase.PLANNER_FAIL:
                raise GaveUp(f"{task} has no seeds: {played.detail}")
            seed = played.seed + 1


class GaveUp(RuntimeError):
    """The evaluation ended before its end; the message says why."""


def result(
    wanted: Wanted, settings: Settings, about: dict[str, Any], played: Sequence[Played], ended: str
) -> dict[str, Any]:
    """What goes into the file; ended: why before the end, empty: it did not."""
    finished = not ended and len(played) == len(wanted.tasks) * wanted.episodes
    return {
        "benchmark": "RoboTwin 2.0",
        "mode": MODE,
        "policy": wanted.policy,
        "finished": finished,
        "ended": ended,
        "departures": departures(settings, played, finished),
        "seed": wanted.seed,
        "first_seed": wanted.first_seed,
        "episodes_of_each_task": wanted.episodes,
        "actions_of_each_chunk": ACTIONS,
        **described(settings, about),
        "total": counted(played),
        "tasks": {task: counted([p for p in played if p.task == task]) for task in wanted.tasks},
        "episodes": [asdict(p) for p in played],
    }


def described(settings: Settings, about: dict[str, Any]) -> dict[str, Any]:
    """What RoboTwin was made to be, for the file; about: the worker's answer to hello."""
    return {
        "expert_check": settings.expert_check,
        "task_config": settings.task_config,
        "embodiment": settings.embodiment,
        "max_skipped": settings.max_skipped,
        "worker_arguments": list(settings.worker_arguments),
        "worker": {name: about.get(name) for name in ("branch", "commit", "python", "versions", "shader", "planner")},
    }


def counted(played: Sequence[Played | Ended]) -> dict[str, Any]:
    """Successes of all episodes, whatever ended them; no rate without an episode."""
    successes = sum(p.success for p in played)
    share = wilson(successes, len(played))
    return {
        "episodes": len(played),
        "successes": successes,
        "rate": share.value if played else None,
        "wilson_95": [share.low, share.high] if played else None,
        "reasons": dict(Counter(str(p.reason) for p in played)),
        "skipped_seeds": [{"task": p.task, **entry} for p in played for entry in p.skipped],
    }


def departures(settings: Settings, played: Sequence[Played], finished: bool) -> list[str]:
    """In what this departs from RoboTwin's protocol; arms and task configuration are no part of it."""
    other = [p for p in played if p.reason in _NOT_THE_POLICY]
    unsaid = sum(p.step_limit > 0 and not p.instruction_generated for p in played)
    found = {
        "expert_check is false: seeds that the expert cannot solve are played too": not settings.expert_check,
        f"shader is {settings.shader}, not {SHADERS[0]}": settings.shader != SHADERS[0],
        f"planner is {settings.planner}, not {PLANNERS[0]}": settings.planner != PLANNERS[0],
        f"{unsaid} episodes had the name of the task for an instruction": unsaid > 0,
        f"{len(other)} episodes were ended by something else than the policy, and count as failed": bool(other),
        "not all episodes were played": not finished,
    }
    return [text for text, true in found.items() if true]
