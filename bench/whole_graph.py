"""The whole simulated graph with the shipped model, for half an hour: how fast it reacts, what it costs, if it grows.

    python -m bench.whole_graph [--minutes 30] [--save]

The graph of `make sim`, episodes of all tasks without end, and a listener. Latency: whenever a run begins, the arms
stand; from the stamp of the observation of its first chunk to the first set-point that is another, to the first
/joint_states in which that arm moved. Set-points and joints carry stamps of driver and CAN, so how fast the listener is
does not matter. CPU and memory are read from /proc.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from bench.graph import Graph
from bench.growth import GROWTH_MB_H, headline, slope, verdict
from bench.observer import Observer
from bench.private import private
from bench.report import conclude, markdown, milliseconds
from bench.watch import LISTENER, Watch, watch
from piper_bringup.models import admit, chosen
from piper_bringup.options import OptionError, Options
from piper_bringup.process import config_dir
from piper_bringup.run_node import Starter
from piper_bringup.seen.report import SUMMARY
from piper_bringup.system import environment_of, graph

COLUMNS = ("from", "to", "samples", "p50 ms", "p99 ms", "max ms")
TOGETHER = "the graph together"
PROCESS_COLUMNS = ("process", "CPU", "MB at first", "MB at last", "MB an hour", "")


@dataclass(frozen=True)
class Args:
    """Latency, CPU and memory of the whole graph."""

    minutes: float = 30.0
    """Measured time; below ten, slopes of memory say little."""
    warm_up: float = 60.0
    """Seconds before that, in which memory may grow: buffers, first pictures, first chunks."""
    model: str | None = None
    """Folder of a model; default: the one that `make sim` runs."""
    save: bool = False
    """Write results/whole_graph.md."""

    def __post_init__(self) -> None:
        if self.minutes <= 0.0 or self.warm_up < 0.0:
            raise ValueError("--minutes must be above 0, --warm-up must not be negative")


def latency_rows(seen: Watch) -> list[tuple[str, ...]]:
    """The way of an observation."""
    motions = np.array(seen.motions, np.int64).reshape(-1, 3)
    observed, sent, moved = motions.T
    parts: Sequence[tuple[str, str, Sequence[int] | np.ndarray]] = (
        ("observation's stamp", "inference begins", seen.ages_ns),
        ("inference begins", "chunk published", seen.took_ns),
        (
            "chunk published, arms stand",
            "first set-point of it",
            sent - observed - np.array(seen.published_ns, np.int64),
        ),
        ("first set-point of it", "changed /joint_states", moved - sent),
        ("observation's stamp, arms stand", "first set-point of it", sent - observed),
        ("observation's stamp, arms stand", "changed /joint_states", moved - observed),
    )
    return [(start, end, str(len(ns)), *milliseconds(ns)) for start, end, ns in parts]


def process_rows(seen: Watch, cpu: dict[str, float]) -> list[tuple[str, ...]]:
    """One line a process, the dearest first."""
    rows = []
    for name in sorted(cpu, key=lambda name: -cpu[name]):
        mb = seen.memory[name]
        rate = slope(seen.seconds, mb)
        told = f"{rate.value:+.1f} ({rate.low:+.1f} to {rate.high:+.1f})" if np.isfinite(rate.low) else "-"
        rows.append((name, f"{cpu[name]:.0%}", f"{mb[0]:.0f}", f"{mb[-1]:.0f}", told, verdict(rate)))
    nodes = [name for name in cpu if name != LISTENER]
    together = [f"{sum(seen.memory[name][i] for name in nodes):.0f}" for i in (0, -1)]
    return [*rows, (TOGETHER, f"{sum(cpu[name] for name in nodes):.0%}", *together, "", "")]


def notes(args: Args, seen: Watch, cpu: dict[str, float], summary: dict) -> str:
    """The second table, and how to read both."""
    rows = process_rows(seen, cpu)
    grows = headline({row[0]: row[-1] for row in rows if row[0] not in (LISTENER, TOGETHER)})
    late, factor = summary["lateness_ms"], summary["real_time_factor"]
    outcomes = [episode["outcome"] for episode in summary["episodes"]]
    return f"""**Memory: {grows}** (bound: {GROWTH_MB_H:g} MB an hour).

{markdown(PROCESS_COLUMNS, rows)}

{args.minutes:g} min measured after {args.warm_up:g} s, start-up included: {outcomes.count("succeeded")} of
{len(outcomes)} episodes succeeded, {summary["rejected_chunks"]} chunks rejected, real-time factor
{_two(factor, "mean", "min")} (mean / worst), command thread late {_two(late, "p50", "p99")} ms (p50 / p99).
Of {seen.runs} runs that began, {len(seen.motions)} did from standing and are in the table. The driver keeps its running
plan for 50 ms after a chunk arrives and ticks every 10 ms; /joint_states come every 10 ms. CPU: percent of one core.
Memory: resident, files left out. Slope: least squares over medians of eight stretches of time, 95 %; "GROWS": all of
the interval lies above the bound, "does not grow": all of it below."""


def _two(numbers: dict | None, *names: str) -> str:
    return " / ".join(f"{numbers[name]:.3f}" for name in names) if numbers else "not told"


def run(args: Args) -> None:
    """Start the graph, watch it, end it. Raises OptionError, OSError; SystemExit when a process ends."""
    with private(), tempfile.TemporaryDirectory() as out:
        options, _ = chosen(Options(backend="mujoco", model=args.model, episodes=0, out=out), config_dir())
        processes = graph(options, config_dir())
        admit(processes, options)
        os.environ.update(environment_of(options, config_dir()))
        with Starter() as starter, Observer() as observer:
            observer.hear_chunks()
            observer.hear_joints()
            observer.hear_commands()
            with Graph(starter, processes) as running:
                seen, cpu = watch(running, observer, args.warm_up, args.minutes * 60)
        summary = json.loads((Path(out) / SUMMARY).read_text())
    title = "The whole graph: observation to motion, CPU, memory"
    conclude(title, COLUMNS, latency_rows(seen), notes(args, seen, cpu, summary), args.save)


def main() -> None:
    """Run, watch, tell."""
    try:
        run(tyro.cli(Args, prog="python -m bench.whole_graph", description=__doc__))
    except (OptionError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; nothing was written")


if __name__ == "__main__":
    main()
