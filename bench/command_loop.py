"""Lateness of the driver's 100 Hz command thread inside the whole simulated graph, and what the graph costs.

    python -m bench.command_loop [--seconds 30] [--save]

Runs the graph of `make sim` (cell, driver, monitor, commander streaming episodes) twice: with SCHED_FIFO, where the
system permits it, and without. Lateness, rates and real-time factor are those of the
monitor, start-up included; CPU is that of the measured seconds, in percent of one core.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import rclpy
import tyro
from diagnostic_msgs.msg import DiagnosticArray

from bench.graph import Graph
from bench.private import private, wait_for
from bench.report import conclude
from piper_bringup.data import names
from piper_bringup.options import Options
from piper_bringup.process import Process, config_dir
from piper_bringup.run_node import Starter
from piper_bringup.seen.report import SUMMARY
from piper_bringup.system import environment_of, graph

REAL_TIME = (True, False)  # as the graph is, and with no thread of SCHED_FIFO
WITH_PRIORITY = (names.DRIVER_NODE, "cell")
COLUMNS = (
    "command thread",
    "lateness p50 / p99 / max ms",
    "real-time factor mean / min",
    "cameras Hz, worst gap",
    "joints Hz",
    "CPU",
    "together",
)


@dataclass(frozen=True)
class Args:
    """The whole simulated graph, with and without real-time priority."""

    seconds: float = 30.0
    """Measured time of each of the two runs."""
    warm_up: float = 12.0
    """Seconds before that, for the graph to come up and the arms to move."""
    save: bool = False
    """Write results/command_loop.md."""


def scheduler() -> str:
    """What the driver's command thread runs under, from /diagnostics."""
    said: list[str] = []

    def hear(message: DiagnosticArray) -> None:
        said.extend(v.value for s in message.status for v in s.values if v.key == "scheduler")

    node = rclpy.create_node("bench")
    node.create_subscription(DiagnosticArray, names.TOPIC_DIAGNOSTICS, hear, 10)
    try:
        wait_for(
            lambda: bool(said),
            "scheduler in /diagnostics",
            5.0,
            lambda: rclpy.spin_once(node, timeout_sec=0.1),
        )
    finally:
        node.destroy_node()
    return said[0]


def processes(real_time: bool, out: str) -> tuple[Process, ...]:
    """The graph of `make sim`, episodes without end."""
    found = graph(Options(backend="mujoco", episodes=0, out=out), config_dir())
    extra = {} if real_time else {"fifo_priority": 0}
    return tuple(replace(p, parameters=p.parameters | extra) if p.name in WITH_PRIORITY else p for p in found)


def measure(args: Args, starter: Starter, real_time: bool) -> tuple[str, ...]:
    """One run; a row of the table."""
    with tempfile.TemporaryDirectory() as out:
        with Graph(starter, processes(real_time, out)) as running:
            running.run(args.warm_up)
            before = running.cpu_seconds()
            running.run(args.seconds)
            after = running.cpu_seconds()
            scheduled = scheduler()
        summary = json.loads((Path(out) / SUMMARY).read_text())
    if summary["lateness_ms"] is None:
        running.give_up("the arms never got power")
    return row(scheduled, summary, {name: (after[name] - before[name]) / args.seconds for name in after})


def row(scheduled: str, summary: dict, cpu: dict[str, float]) -> tuple[str, ...]:
    """One line of the table."""
    late, factor, topics = summary["lateness_ms"], summary["real_time_factor"], summary["topics"]
    cameras = [topics[names.image_topic(camera)] for camera in names.CAMERAS if names.image_topic(camera) in topics]
    return (
        scheduled,
        f"{late['p50']:.2f} / {late['p99']:.2f} / {late['max']:.2f}",
        f"{factor['mean']:.3f} / {factor['min']:.3f}" if factor else "not told",
        f"{min(c['hz'] for c in cameras):.1f}, {max(c['worst_gap_ms'] for c in cameras):.0f} ms" if cameras else "none",
        f"{topics[names.TOPIC_JOINT_STATES]['hz']:.1f}",
        ", ".join(f"{name} {share:.0%}" for name, share in sorted(cpu.items(), key=lambda one: -one[1])),
        f"{sum(cpu.values()):.0%}",
    )


def main(args: Args) -> None:
    """Both runs."""
    with private():
        os.environ.update(environment_of(Options(backend="mujoco"), config_dir()))
        with Starter() as starter:
            rows = [measure(args, starter, real_time) for real_time in REAL_TIME]
            notes = f"{args.seconds:g} s measured after {args.warm_up:g} s, task lift_bar, three cameras 320x240."
            conclude("Command loop in the whole simulated graph", COLUMNS, rows, notes, args.save)


if __name__ == "__main__":
    main(tyro.cli(Args, prog="python -m bench.command_loop"))
