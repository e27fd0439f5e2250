"""The page of a run: one HTML file that needs nothing beside it, made from the summary and the chronicle."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from piper_bringup.seen import page_figures
from piper_bringup.seen.chronicle import EPISODES, Scene
from piper_bringup.seen.report import PAGE, SEVERITIES

ROWS = 200  # of the table of episodes
SHOWN = 5  # pictures an episode
GIT_S = 5.0
_STYLE = (
    "body{font:15px/1.45 sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "table{border-collapse:collapse;margin:.5em 0}td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left}"
    "th{background:#f3f3f3}h1{font-size:1.5em}h2{font-size:1.2em;margin-top:1.6em}"
    "figure{display:inline-block;margin:0 .4em .4em 0}"
    "figcaption{font-size:.8em;color:#555}img{max-width:100%}.good{color:#17702a}.bad{color:#a61b1b}"
)


@dataclass(frozen=True)
class About:
    """What no topic tells. Empty: not known."""

    began: str
    model: str = ""
    commit: str = ""


def save(summary: dict[str, object], scenes: Sequence[Scene], about: About, out: Path) -> Path:
    """Write report.html into `out`, whole or not at all. Raises OSError."""
    path, partial = out / PAGE, out / f".{PAGE}"
    partial.write_text(render(summary, scenes, about))
    partial.replace(path)
    return path


def render(summary: dict[str, object], scenes: Sequence[Scene], about: About) -> str:
    """summary: as monitor.Record.summary gives it; scenes: of a Chronicle."""
    episodes = summary["episodes"]
    parts = [
        "<h1>A run of two PiPER arms</h1>",
        _table((), _facts(summary, about)),
        "<h2>Episodes</h2>",
        _episodes(episodes),
        "<h2>Safety events, refused chunks among them</h2>",
        _events(summary["safety_events"]),
        *(_scene(scene, episodes[scene.number - 1]) for scene in scenes),
    ]
    if len(scenes) < len(episodes):
        parts.append(f"<p>Gates and pictures are kept of the newest {EPISODES} episodes.</p>")
    head = f'<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>Run</title><style>{_STYLE}</style>'
    return "\n".join([head, *parts, "</html>\n"])


def commit(file: Path) -> str:
    """Short hash of the repository that `file` belongs to, with a word when it has changes; empty where none does."""

    def git(*words: str) -> str:
        line = ["git", "--no-optional-locks", "-C", str(file.parent), *words]
        done = subprocess.run(line, capture_output=True, text=True, timeout=GIT_S, check=True)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", file.name)  # a copy that was installed says nothing about the folder around
        return git("rev-parse", "--short", "HEAD") + (" with changes" if git("status", "--porcelain", ":/") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _facts(summary: dict[str, object], about: About) -> list[tuple[str, str]]:
    episodes, policy, factor = summary["episodes"], summary["policy"], summary["real_time_factor"]
    late, clamped = summary["lateness_ms"], summary["clamped"]
    good = sum(episode["outcome"] == "succeeded" for episode in episodes)
    facts = [
        ("began", f"{about.began}, lasted {summary['duration_s']:.1f} s"),
        ("model", about.model or "none was given"),
        ("commit", about.commit or "not known"),
        ("tasks", ", ".join(dict.fromkeys(episode["task"] for episode in episodes)) or "none was begun"),
        ("seeds", ", ".join(str(seed) for seed in sorted({e["seed"] for e in episodes if e["seed"] >= 0})) or "none"),
        ("episodes", f"{good} of {len(episodes)} succeeded"),
    ]
    facts += _policy(policy) if policy else [("policy", "none spoke")]
    facts += [
        ("refused chunks", str(summary["rejected_chunks"])),
        ("clamped set-points", ", ".join(f"{kind} {count}" for kind, count in clamped.items())),
        ("command lateness p50 / p99 / max", _triple(late) if late else "no arm was under power"),
        ("real-time factor", f"{factor['mean']:.3f} mean, {factor['min']:.3f} worst" if factor else "not told"),
        ("arms at the end", ", ".join(f"{arm} {mode}" for arm, mode in summary["modes"].items()) or "not heard"),
    ]
    return [(escape(name), escape(value)) for name, value in facts]


def _policy(policy: dict[str, object]) -> list[tuple[str, str]]:
    shares = ", ".join(f"{expert}: {share:.0%}" for expert, share in policy["experts"].items())
    return [
        ("chunks", str(policy["chunks"])),
        ("observation to chunk p50 / p99 / max", _triple(policy["latency_ms"])),
        ("experts, share of chunks in which each acted", shares or "none"),
    ]


def _triple(ms: dict[str, float]) -> str:
    return f"{ms['p50']:.1f} / {ms['p99']:.1f} / {ms['max']:.1f} ms"


def _episodes(episodes: Sequence[dict[str, object]]) -> str:
    if not episodes:
        return "<p>None began.</p>"
    rows = []
    for number, episode in list(enumerate(episodes, 1))[-ROWS:]:
        seconds = f"{episode['duration_s']:.1f}" if episode["duration_s"] else ""
        goals, seed = ", ".join(episode["goals"]), episode["seed"] if episode["seed"] >= 0 else ""
        rows.append((str(number), escape(episode["task"]), str(seed), _outcome(episode), escape(goals), seconds))
    before = f"<p>{len(episodes) - ROWS} before these.</p>" if len(episodes) > ROWS else ""
    return before + _table(("", "task", "seed", "outcome", "goals reached", "seconds"), rows)


def _outcome(episode: dict[str, object]) -> str:
    kind = "good" if episode["outcome"] == "succeeded" else "bad"
    return f'<span class="{kind}">{escape(episode["outcome"])}</span>'


def _events(events: Sequence[dict[str, object]]) -> str:
    if not events:
        return "<p>None.</p>"
    rows = [
        (SEVERITIES[e["severity"]], *map(escape, (e["reason"], e["arm"], e["source"], str(e["count"]), e["text"])))
        for e in events
    ]
    return _table(("severity", "reason", "arm", "said by", "times", "last said"), rows)


def _scene(scene: Scene, episode: dict[str, object]) -> str:
    head = f"<h2>{scene.number}. {escape(episode['task'])}: {_outcome(episode)}</h2>"
    pictures = [_picture(scene.seconds(t_ns), jpeg) for t_ns, jpeg in scene.shown(SHOWN)]
    return "\n".join([head, _gates(scene), "".join(pictures) or "<p>No picture of the head camera came.</p>"])


def _gates(scene: Scene) -> str:
    decisions = scene.decisions.items
    if not decisions:
        return "<p>No policy spoke.</p>"
    means = np.mean([decision.gate for decision in decisions], axis=0)
    told = ", ".join(f"{expert}: {mean:.3f}" for expert, mean in enumerate(means))
    picture = _image(page_figures.png(page_figures.gates(scene)), "png", "gates over time")
    return f"<div>{picture}</div><p>Mean gate of each expert: {told}. Goals are told once a second.</p>"


def _picture(seconds: float, jpeg: bytes) -> str:
    return f"<figure>{_image(jpeg, 'jpeg', 'head camera')}<figcaption>{max(0.0, seconds):.1f} s</figcaption></figure>"


def _image(data: bytes, kind: str, says: str) -> str:
    return f'<img alt="{says}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """columns: none for facts. Cells are HTML."""
    head = "<tr>" + "".join(f"<th>{name}</th>" for name in columns) + "</tr>" if columns else ""
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return f"<table>{head}{''.join(lines)}</table>"
