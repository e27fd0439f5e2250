"""The table at the end of a run, made from its summary.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from piper_bringup.data import names
from piper_bringup.look.entities import RECORDING

SUMMARY, VIDEO, PAGE = "summary.json", "head.mp4", "report.html"
KEPT = (SUMMARY, VIDEO, RECORDING, PAGE)  # of a run in its folder
WIDTH = 130
EVENT_TOPICS = (names.TOPIC_SAFETY_EVENT, names.TOPIC_EPISODE_EVENT, names.TOPIC_ESTOP_STATE)  # no rate
SEVERITIES = ("info", "warn", "hold", "fault", "e-stop")
_STYLES = ("dim", "yellow", "yellow", "red", "bold red")


def save(summary: dict[str, object], out: Path) -> Path:
    """Write summary.json into `out`, whole or not at all."""
    path = out / SUMMARY
    partial = out / f".{SUMMARY}"
    partial.write_text(json.dumps(summary, indent=2) + "\n")
    partial.replace(path)
    return path


def clear(out: Path) -> None:
    """Remove what an earlier run left in `out`: nothing there may pass for this one's."""
    for name in KEPT:
        (out / name).unlink(missing_ok=True)


def show(out: Path, console: Console | None = None) -> None:
    """Print the table of the run whose summary lies in `out`."""
    console = console or make_console()
    path = out / SUMMARY
    if not path.exists():
        console.print(f"no {path}: the monitor did not live to write it")
        return
    console.print(render(json.loads(path.read_text())))
    files = [str(file) for file in (out / name for name in KEPT) if file.exists()]
    console.print("kept: " + ", ".join(files), soft_wrap=True, highlight=False)


def make_console() -> Console:
    """The terminal, or plain text wide enough for the table."""
    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


def render(summary: dict[str, object]) -> Group:
    """All tables of a summary, as monitor.Record.summary gives it."""
    return Group(_topics(summary["topics"]), _run(summary), _events(summary["safety_events"]))


def _topics(topics: dict[str, dict[str, float]]) -> Table:
    table = Table("topic", title="Topics", title_justify="left")
    for column in ("messages", "Hz", "worst gap (ms)"):
        table.add_column(column, justify="right")
    for topic, one in topics.items():
        periodic = one["count"] > 1 and topic not in EVENT_TOPICS
        rate = (f"{one['hz']:.1f}", f"{one['worst_gap_ms']:.0f}") if periodic else ("", "")
        table.add_row(topic, str(one["count"]), *rate)
    return table


def _run(summary: dict[str, object]) -> Table:
    table = Table("", "", title="Run", title_justify="left", show_header=False)
    for name, value in _facts(summary):
        table.add_row(name, value)
    return table


def _facts(summary: dict[str, object]) -> list[tuple[str, str | Text]]:
    factor, late, clamped = summary["real_time_factor"], summary["lateness_ms"], summary["clamped"]
    facts: list[tuple[str, str | Text]] = [
        ("duration", f"{summary['duration_s']:.1f} s"),
        (
            "real-time factor",
            f"{factor['mean']:.3f} mean, {factor['min']:.3f} worst" if factor else "not told",
        ),
        (
            "command lateness p50 / p99 / max",
            f"{late['p50']:.2f} / {late['p99']:.2f} / {late['max']:.2f} ms" if late else "no arm was under power",
        ),
        ("clamped set-points", ", ".join(f"{kind} {count}" for kind, count in clamped.items())),
        ("rejected chunks", str(summary["rejected_chunks"])),
    ]
    facts += _policy(summary.get("policy"))
    errors = summary["tracking_error_rad"].items()
    facts.append(("largest tracking error", ", ".join(f"{arm} {rad:.3f} rad" for arm, rad in errors) or "not told"))
    for episode in summary["episodes"]:
        facts.append((f"episode {episode['task']}, seed {episode['seed']}", _outcome(episode)))
    return facts


def _policy(policy: dict[str, object] | None) -> list[tuple[str, str]]:
    if policy is None:
        return []
    ms = policy["latency_ms"]
    experts = ", ".join(f"{expert}: {share:.0%}" for expert, share in policy["experts"].items())
    return [
        ("policy: observation to chunk", f"p50 {ms['p50']:.1f}, p99 {ms['p99']:.1f}, max {ms['max']:.1f} ms"),
        ("policy: chunks, experts that acted", f"{policy['chunks']}; {experts}"),
    ]


def _outcome(episode: dict[str, object]) -> Text:
    good = episode["outcome"] == "succeeded"
    took = f" after {episode['duration_s']:.1f} s" if episode["duration_s"] else ""
    goals = f"; goals reached: {', '.join(episode['goals'])}" if episode["goals"] and not good else ""
    return Text(f"{episode['outcome']}{took}{goals}", style="green" if good else "red")


def _events(events: list[dict[str, object]]) -> Table | Text:
    if not events:
        return Text("no safety events")
    table = Table(
        "severity",
        "reason",
        "arm",
        "said by",
        "times",
        "last said",
        title="Safety events",
        title_justify="left",
    )
    for event in events:
        level = event["severity"]
        severity = Text(SEVERITIES[level], style=_STYLES[level])
        row = (event["reason"], event["arm"], event["source"], str(event["count"]), event["text"])
        table.add_row(severity, *row)
    return table
