"""The pictures of a run's page."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from piper_bringup.look.draw import EXPERTS
from piper_bringup.seen.chronicle import Scene

DPI = 90


def png(figure: Figure) -> bytes:
    """As a file would hold it."""
    data = BytesIO()
    FigureCanvasAgg(figure).print_png(data)
    return data.getvalue()


def gates(scene: Scene) -> Figure:
    """Every expert's gate over the seconds of an episode, below it who acted; goals and events marked.

    The scene has at least one decision.
    """
    decisions = scene.decisions.items
    t_s = np.array([scene.seconds(decision.t_ns) for decision in decisions])
    gate = np.array([decision.gate for decision in decisions])  # (S, K)
    figure = Figure(figsize=(10, 3.6), dpi=DPI, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 1])
    end_s = max(t_s[-1] + _step_s(t_s), scene.seconds(scene.ended_ns) if scene.ended_ns else 0.0)
    for expert in range(gate.shape[1]):
        colour = EXPERTS[expert % len(EXPERTS)]
        values = [*gate[:, expert], gate[-1, expert]]
        upper.step([*t_s, end_s], values, where="post", color=colour, lw=1.3, label=str(expert))
        acts = [expert in decision.active for decision in decisions]
        lower.broken_barh(_spans(t_s, acts, end_s), (expert - 0.4, 0.8), color=colour)
    upper.set(ylabel="gate", xlim=(min(0.0, t_s[0]), end_s))
    upper.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7, title="expert", title_fontsize=7)
    lower.set(ylabel="acts", xlabel="time (s)", ylim=(gate.shape[1] - 0.5, -0.5), yticks=range(gate.shape[1]))
    lower.tick_params(axis="y", labelsize=6)
    _marks(scene, upper, lower)
    return figure


def _step_s(t_s: np.ndarray) -> float:
    return float(np.median(np.diff(t_s))) if len(t_s) > 1 else 0.2


def _spans(t_s: np.ndarray, acts: Sequence[bool], end_s: float) -> list[tuple[float, float]]:
    """Begin and width of each step in which an expert acts."""
    ends = [*t_s[1:], end_s]
    return [(begin, end - begin) for begin, end, on in zip(t_s, ends, acts, strict=True) if on]


def _marks(scene: Scene, upper: Axes, lower: Axes) -> None:
    """Goals as green lines with their names, events as red ones with their reasons."""
    marks = [(t_ns, goal, "tab:green") for goal, t_ns in scene.goals.items()]
    seen: set[str] = set()
    for t_ns, reason in scene.events:
        marks.append((t_ns, "" if reason in seen else reason, "tab:red"))
        seen.add(reason)
    for t_ns, text, colour in marks:
        for axes in (upper, lower):
            axes.axvline(scene.seconds(t_ns), color=colour, lw=1.0, ls="--")
        place = {"transform": upper.get_xaxis_transform(), "color": colour, "fontsize": 7, "ha": "right"}
        upper.text(scene.seconds(t_ns), 1.02, text, **place)
