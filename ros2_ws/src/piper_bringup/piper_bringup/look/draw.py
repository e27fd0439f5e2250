"""Figures of one episode. matplotlib draws into memory: no window, no display, no state between figures."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from piper_bringup.data import names
from piper_bringup.data.episode import Episode
from piper_bringup.look.output import whole

DPI = 100
# One colour an expert, the same wherever gates are drawn.
EXPERTS = matplotlib.colormaps["tab20"].colors[::2] + matplotlib.colormaps["tab20"].colors[1::2]
_COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown")
_PHASES = ("#e8eef7", "#f7efe3", "#e9f5e9", "#f6e7ea", "#efe9f6", "#f4f4dc")


def title(episode: Episode) -> str:
    """One line: what the episode is."""
    outcome = "success" if episode.success else "NO SUCCESS"
    seed = f"seed {episode.seed}, " if episode.seed >= 0 else ""
    return f"{episode.task}: {seed}{outcome}, {len(episode) * episode.dt_ns * 1e-9:.1f} s, {episode.source}"


def seconds(episode: Episode) -> NDArray[np.float64]:
    """(T,) time of each row since the first, s."""
    return (episode.t_ns - episode.t_ns[0]) * 1e-9


def traces(episode: Episode, axes: list[Axes]) -> None:
    """Joints of the left arm, of the right arm, and grippers into three axes: states solid, actions dotted."""
    t_s = seconds(episode)
    due_s = t_s + episode.dt_ns * 1e-9
    for arm, first, ax in zip(names.ARMS, (0, 7), axes[:2], strict=True):
        for joint, colour in enumerate(_COLOURS):
            ax.plot(t_s, episode.state[:, first + joint], color=colour, lw=1.0, label=f"joint{joint + 1}")
            ax.plot(due_s, episode.action[:, first + joint], color=colour, lw=0.8, ls=":")
        ax.set_ylabel(f"{arm} arm (rad)")
    for column, arm, colour in zip(names.GRIPPER_COLUMNS, names.ARMS, _COLOURS, strict=False):
        axes[2].plot(t_s, episode.state[:, column] * 1e3, color=colour, lw=1.0, label=arm)
        axes[2].plot(due_s, episode.action[:, column] * 1e3, color=colour, lw=0.8, ls=":")
    axes[2].set_ylabel("grippers (mm)")
    axes[2].set_xlabel("time (s); solid: measured, dotted: action")
    for ax in axes:
        ax.set_xlim(t_s[0], due_s[-1])
        ax.margins(y=0.05)
        ax.legend(loc="upper right", fontsize=6, ncols=6)
        _shade(episode, ax)
    _name_phases(episode, axes[0])


def phase_at(episode: Episode, row: int) -> str:
    """Name of the phase of a row; empty if there are none."""
    return episode.phases[episode.phase[row]] if episode.phase is not None else ""


def save(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    with whole(path) as partial:
        FigureCanvasAgg(figure).print_png(partial)


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """The figure as RGB (H, W, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _spans(episode: Episode) -> list[tuple[int, float, float]]:
    """Phase, begin and end in seconds of every stretch of rows in one phase."""
    if episode.phase is None:
        return []
    begins = [0, *(np.flatnonzero(np.diff(episode.phase)) + 1).tolist()]
    step_s = episode.dt_ns * 1e-9
    ends = [*begins[1:], len(episode)]
    return [(int(episode.phase[a]), a * step_s, b * step_s) for a, b in zip(begins, ends, strict=True)]


def _shade(episode: Episode, ax: Axes) -> None:
    for phase, begin_s, end_s in _spans(episode):
        ax.axvspan(begin_s, end_s, color=_PHASES[phase % len(_PHASES)], lw=0, zorder=0)


def _name_phases(episode: Episode, ax: Axes) -> None:
    for phase, begin_s, _ in _spans(episode):
        ax.text(begin_s, 1.01, episode.phases[phase], transform=ax.get_xaxis_transform(), fontsize=6, rotation=20)
