"""Does the shipped model succeed as often over ROS as it does in process? The same seeds, task by task.

    python -m bench.closed_loop [--episodes 20] [--save]

Over ROS: the graph as `make sim` starts it, one start a task. In process: learn.rollout, no ROS, no CAN, no clock. What
is finished lies in `out` and is not done again: Ctrl-C, and the same line later goes on. 20 episodes of six tasks take
about 25 minutes. Successes over ROS are counted again from ground truth by a listener (recount.py).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from bench import report
from bench.agreement import COLUMNS, RUN_COLUMNS, row, run_row, together, verdict
from bench.over_ros import RunFailed, over_ros
from piper_bringup.cell import tasks as cell_tasks
from piper_bringup.data import names
from piper_bringup.models import shipped
from smp_policy.learn.evaluate_episodes import Method, Trial, play_all
from smp_policy.run import graphs
from smp_policy.run.contract import Contract, ContractError

RESULT = "closed_loop.json"  # of one task, in its folder
LIMIT_S = 20.0  # config/episodes.yaml


@dataclass(frozen=True)
class Args:
    """Success over ROS against success in process."""

    model: Path | None = None
    """Folder of the model; default: the one that `make sim` runs."""
    tasks: tuple[str, ...] = ()
    """Default: all that the model knows."""
    episodes: int = 20
    """Seeds of each task."""
    first_seed: int = 90_000
    """Seeds run from here upwards; demonstrations begin at 0."""
    delay_ms: int = 50
    """In process: from observation to chunk, as learn.evaluate has it."""
    processes: int = os.cpu_count() or 1
    """In process: episodes played at once."""
    out: Path = Path("out/closed_loop")
    """Folder of the finished tasks, with the page and film of each run."""
    save: bool = False
    """Write results/closed_loop.md."""

    def __post_init__(self) -> None:
        if self.episodes < 1 or self.first_seed < 0 or self.processes < 1:
            raise ValueError("--episodes and --processes must be at least 1, --first-seed must not be negative")


def asked(args: Args, model: Path, task: str) -> dict[str, Any]:
    """What a finished result has to be of to be used again."""
    weights = graphs.digest(model)
    seeds = [args.first_seed, args.first_seed + args.episodes - 1]
    return {"task": task, "weights": weights, "seeds": seeds, "delay_ms": args.delay_ms}


def finished(path: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """A result that is there and of what is asked for; None: it has to be made."""
    if not path.is_file():
        return None
    result = json.loads(path.read_text())
    return result if result["asked"] == wanted else None


def in_process(args: Args, model: Path, task: str) -> list[dict[str, Any]]:
    """Episodes of one task without ROS. Raises ContractError, RuntimeError."""
    method = Method(model, Contract.read(model).config.selection)
    seeds = range(args.first_seed, args.first_seed + args.episodes)
    delay_ns = args.delay_ms * 1_000_000
    played = play_all([Trial(method, task, seed, delay_ns, LIMIT_S) for seed in seeds], args.processes)
    return [{"seed": o.seed, "success": o.success, "seconds": o.seconds, "goals": list(o.goals)} for o in played]


def result_of(args: Args, model: Path, task: str) -> dict[str, Any]:
    """Of one task: kept, or made now and kept. Raises RunFailed, ContractError, RuntimeError."""
    folder = args.out / task
    wanted = asked(args, model, task)
    if (result := finished(folder / RESULT, wanted)) is not None:
        print(f"{task}: kept in {folder}")
        return result
    played = over_ros(model, task, args.first_seed, args.episodes, folder)
    result = {"asked": wanted, "commit": report.commit(), **played, "in_process": in_process(args, model, task)}
    partial = folder / f".{RESULT}"
    partial.write_text(json.dumps(result, indent=1) + "\n")
    partial.replace(folder / RESULT)
    return result


def tasks_of(args: Args, model: Path) -> tuple[str, ...]:
    """Tasks to play. Raises ContractError for one that the model does not know, ValueError for one without a cell."""
    contract = Contract.read(model)
    wanted = args.tasks or contract.tasks
    for task in wanted:
        contract.task_number(task)
        cell_tasks.find(task)
    return wanted


def notes(args: Args, model: Path, results: list[dict[str, Any]]) -> str:
    """The verdict, the runs, and how to read both."""
    stride_ms = names.REPLAN_ROWS * names.DT_NS // 1_000_000
    commits = ", ".join(sorted({result["commit"] for result in results}))
    return f"""{verdict(results)}

{report.markdown(RUN_COLUMNS, [run_row(result) for result in results])}

Model `{model.name}`, seeds {args.first_seed} to {args.first_seed + args.episodes - 1} of each task, {LIMIT_S:g} s each;
measured at commit {commits}. In process a chunk comes {args.delay_ms} ms after its observation; strides are
{stride_ms} ms in both, the noise of the policy is another. Intervals are 95 %: Wilson for shares, Newcombe for the
paired difference, in points. "Agree": the interval of the difference contains 0. "Recounted": from /cell/objects and
/joint_states, by a world of the listener's own that looks at the task's goals; of events only begin and end of an
episode are believed. Clamped: set-points held back by position / velocity / acceleration limits, parking included.
Seconds: of successful episodes."""


def run(args: Args) -> None:
    """Every task, then the tables. Raises RunFailed, ContractError, RuntimeError, ValueError."""
    model = args.model or shipped(Path(__file__))
    if model is None:
        raise ValueError("no model is shipped in models/: name one (--model)")
    results = [result_of(args, model, task) for task in tasks_of(args, model)]
    rows = [row(result) for result in results]
    rows += [row(together(results))] if len(results) > 1 else []
    report.conclude("Closed loop, over ROS and in process", COLUMNS, rows, notes(args, model, results), args.save)


def main() -> None:
    """Play, count, compare."""
    try:
        run(tyro.cli(Args, prog="python -m bench.closed_loop", description=__doc__))
    except (RunFailed, ContractError, RuntimeError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; run the same line again to go on")


if __name__ == "__main__":
    main()
