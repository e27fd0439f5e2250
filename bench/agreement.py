"""Whether success over ROS is success in process: tables and verdicts of closed_loop, from its results. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from piper_bringup.seen.monitor import INFO
from smp_policy.learn.score import FEWEST, Interval, mean, paired_difference, wilson

Result = dict[str, Any]  # of one task: "asked", "over_ros", "in_process", "run"

COLUMNS = ("task", "over ROS", "95 %", "recounted", "in process", "95 %", "difference, paired", "the two")
RUN_COLUMNS = (
    *("task", "chunks", "observation to chunk p50 / p99 / max ms", "rejected", "clamped", "safety events"),
    *("real-time factor mean / min", "seconds over ROS; in process"),
)


def together(results: Sequence[Result]) -> Result:
    """All tasks as one."""
    joined = {key: [one for result in results for one in result[key]] for key in ("over_ros", "in_process")}
    return {"asked": {"task": "all"}, **joined}


def difference(result: Result) -> Interval:
    """Success over ROS less that in process. Raises ValueError where they are not of the same seeds."""
    over, inside = result["over_ros"], result["in_process"]
    if [one["seed"] for one in over] != [one["seed"] for one in inside]:
        raise ValueError(f"{result['asked']['task']}: over ROS and in process other seeds were played")
    return paired_difference(*([one["success"] for one in played] for played in (over, inside)))


def agree(gap: Interval, pairs: int) -> str:
    """One word, or two, on a paired difference."""
    if not gap.low <= 0.0 <= gap.high:
        return "DIFFER"
    return "agree" if pairs >= FEWEST else "too few to tell"


def row(result: Result) -> tuple[str, ...]:
    """One line of the table."""
    over, inside, gap = result["over_ros"], result["in_process"], difference(result)
    shares = [wilson(sum(one["success"] for one in played), len(played)) for played in (over, inside)]
    counts = [f"{sum(one['success'] for one in played)} of {len(played)}" for played in (over, inside)]
    ranges = [f"{share.low:.0%} - {share.high:.0%}" for share in shares]
    again = f"{sum(one['recounted'] for one in over)} of {len(over)}"
    task, word = result["asked"]["task"], agree(gap, len(over))
    return task, counts[0], ranges[0], again, counts[1], ranges[1], _interval(gap), word


def run_row(result: Result) -> tuple[str, ...]:
    """One line on the run of a task."""
    run, policy = result["run"], result["run"]["policy"]
    ms, factor = (policy or {}).get("latency_ms"), run["real_time_factor"]
    events: Counter[str] = Counter()
    for event in run["safety_events"]:
        events[event["reason"]] += event["count"] if event["severity"] > INFO else 0
    took = [mean([o["seconds"] for o in result[key] if o["success"]]) for key in ("over_ros", "in_process")]
    return (
        result["asked"]["task"],
        str(policy["chunks"]) if policy else "none",
        f"{ms['p50']:.1f} / {ms['p99']:.1f} / {ms['max']:.1f}" if ms else "-",
        str(run["rejected_chunks"]),
        " / ".join(str(count) for count in run["clamped"].values()),
        ", ".join(f"{reason} {count}" for reason, count in (+events).items()) or "none",
        f"{factor['mean']:.3f} / {factor['min']:.3f}" if factor else "not told",
        f"{took[0]:.1f}; {took[1]:.1f}",
    )


def verdict(results: Sequence[Result]) -> str:
    """In plain words: do the two agree, and does the recount?"""
    every = together(results)
    gap, pairs = difference(every), len(every["over_ros"])
    word = agree(gap, pairs)
    said = {
        "agree": "Success over ROS and success in process agree",
        "DIFFER": "Success over ROS and success in process DIFFER",
        "too few to tell": "Too few episodes to tell whether success over ROS and in process agree",
    }[word]
    text = f"**{said}**: over ROS less in process {_interval(gap)} points, in {pairs} episodes."
    apart = [r["asked"]["task"] for r in results if agree(difference(r), len(r["over_ros"])) == "DIFFER"]
    text += f" By itself {', '.join(apart)} differs." if apart else ""
    return f"{text} {recounted(results)}"


def recounted(results: Sequence[Result]) -> str:
    """What the count from ground truth says."""
    other = [
        f"{r['asked']['task']} {o['seed']} (cell {_word(o['success'])}, recount {_word(o['recounted'])})"
        for r in results
        for o in r["over_ros"]
        if o["success"] != o["recounted"]
    ]
    if other:
        return f"The recount from ground truth says otherwise of {len(other)}: {', '.join(other)}."
    return "The recount from ground truth says the same of every episode."


def _interval(gap: Interval) -> str:
    return f"{100 * gap.value:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"


def _word(success: bool) -> str:
    return "success" if success else "failure"
