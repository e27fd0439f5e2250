"""Pictures of an evaluation, each a pure function of its numbers. One colour an expert, the same in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from piper_bringup.data import names
from piper_bringup.look.draw import EXPERTS
from smp_policy.learn.evaluate_skills import KnockOut, left_share
from smp_policy.learn.score import Interval

STEP_S = names.REPLAN_ROWS * names.DT_NS * 1e-9


@dataclass(frozen=True, eq=False)
class Course:
    """Gates over one episode, S policy steps; phases are the expert's where it is a demonstration."""

    title: str
    gate: NDArray[np.floating]  # (S, K)
    active: NDArray[np.bool_]  # (S, K)
    basis: NDArray[np.floating]  # (S, 14, K)
    phase: tuple[str, ...] = ()  # (S,)


def success(shares: Mapping[str, Mapping[str, Interval]]) -> Figure:
    """Bars of each method (outer) on each task (inner), with intervals."""
    tasks = list(next(iter(shares.values())))
    figure = Figure(figsize=(1.4 * len(tasks) + 3, 4), layout="constrained")
    axes, width = figure.subplots(), 0.8 / len(shares)
    for i, (method, by_task) in enumerate(shares.items()):
        x = np.arange(len(tasks)) + (i - (len(shares) - 1) / 2) * width
        value, low, high = np.array([by_task[task] for task in tasks]).T
        error = np.maximum(0.0, (value - low, high - value))
        axes.bar(x, value, 0.92 * width, yerr=error, capsize=3, label=method)
    axes.set_xticks(range(len(tasks)), tasks, rotation=20, ha="right", fontsize=8)
    axes.set(ylim=(0, 1.02), ylabel="success, 95 % interval")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def active_experts(counts: Mapping[str, NDArray[np.int64]], experts: int) -> Figure:
    """How many experts were active, as a share of the policy steps of each task; counts: task -> (steps,)."""
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes, width = figure.subplots(), 0.8 / len(counts)
    for i, (task, count) in enumerate(counts.items()):
        share = np.bincount(count, minlength=experts + 1)[1:] / max(1, len(count))
        axes.bar(np.arange(1, experts + 1) + (i - (len(counts) - 1) / 2) * width, share, width, label=task)
    axes.set(xlabel="experts active in a chunk", ylabel="share of chunks", xticks=range(1, experts + 1))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=7)
    return figure


def gates_over_time(courses: Sequence[Course]) -> Figure:
    """For each episode the gate as stacked areas, and under it which experts were active."""
    figure, pairs = _grid(courses, (2, 1))
    for course, (upper, lower) in zip(courses, pairs, strict=True):
        t_s = STEP_S * np.arange(len(course.gate) + 1)
        held = np.vstack([course.gate, course.gate[-1:]])
        upper.stackplot(t_s, held.T, colors=EXPERTS, step="post", lw=0)
        upper.set(ylim=(0, 1), xlim=(0, t_s[-1]), ylabel="gate")
        _mark_phases(course, upper)
        _raster(course, lower)
        lower.set_xlabel("time (s)")
    _legend(figure, courses[0].gate.shape[1])
    return figure


def directions_over_time(courses: Sequence[Course]) -> Figure:
    """Which arm each expert's direction moves: blue the left alone, red the right alone; dots where it is active."""
    figure, pairs = _grid(courses, (1,))
    for course, (axes,) in zip(courses, pairs, strict=True):
        k, extent = course.gate.shape[1], (0, STEP_S * len(course.gate), course.gate.shape[1] - 0.5, -0.5)
        shown = axes.imshow(left_share(course.basis).T, cmap="RdBu", vmin=0, vmax=1, aspect="auto", extent=extent)
        step, expert = np.nonzero(course.active)
        axes.plot(STEP_S * (step + 0.5), expert, "k.", ms=2)
        axes.set(yticks=range(k), ylabel="expert", xlabel="time (s)")
        figure.colorbar(shown, ax=axes, label="share in the left arm", pad=0.01)
        _mark_phases(course, axes)
    return figure


def directions(courses: Sequence[Course]) -> Figure:
    """What each expert's direction is made of: mean squared entries over the steps where the expert is active."""
    basis = np.concatenate([course.basis for course in courses]).astype(np.float64)
    active = np.concatenate([course.active for course in courses])[:, None, :]
    used = active.any((0, 1))
    mean = (basis**2 * active).sum(0) / np.maximum(active.sum(0), 1)
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(np.where(used, mean, np.nan), cmap="viridis", vmin=0, aspect="auto")
    axes.axhline(names.ARM_DOF - 0.5, color="w", lw=1)
    axes.set_yticks(range(len(names.JOINTS)), names.JOINTS, fontsize=7)
    axes.set(xlabel="expert (empty: never active in these episodes)", xticks=range(basis.shape[2]))
    figure.colorbar(shown, ax=axes, label="mean squared entry of its direction")
    return figure


def knock_outs(found: KnockOut) -> Figure:
    """Rise of the open-loop error by phase (row) and expert struck out (column), for each arm."""
    phases, k = len(found.phases), found.rise.shape[1]
    figure = Figure(figsize=(0.9 * k + 4, max(3.5, 0.2 * phases + 1.8)), layout="constrained")
    top = max(float(np.abs(found.rise).max()), 1e-6)
    for arm, axes in enumerate(pair := figure.subplots(1, 2, sharey=True)):
        shown = axes.imshow(found.rise[..., arm], cmap="PuOr_r", vmin=-top, vmax=top, aspect="auto")
        axes.set_title(f"{names.ARMS[arm]} arm", fontsize=9)
        axes.set(xlabel="expert struck out", xticks=range(k))
    pair[0].set_yticks(range(phases), found.phases, fontsize=6)
    figure.colorbar(shown, ax=pair, label="rise of error / energy of the task", shrink=0.7)
    return figure


def _grid(courses: Sequence[Course], heights: tuple[int, ...]) -> tuple[Figure, list[list[Axes]]]:
    """One cell an episode, two beside each other; in each cell axes of these heights, one above the other."""
    columns = min(2, len(courses))
    rows = -(-len(courses) // columns)
    figure = Figure(figsize=(7 * columns, 2.6 * rows + 0.5), layout="constrained")
    cells = figure.add_gridspec(rows, columns)
    found = []
    for i, course in enumerate(courses):
        inner = cells[divmod(i, columns)].subgridspec(len(heights), 1, height_ratios=heights, hspace=0.02)
        found.append([figure.add_subplot(inner[j]) for j in range(len(heights))])
        found[-1][0].set_title(course.title, fontsize=9, loc="left", pad=16 if course.phase else 4)
    return figure, found


def _raster(course: Course, axes: Axes) -> None:
    step, expert = np.nonzero(course.active)
    colours = [EXPERTS[i % len(EXPERTS)] for i in expert]
    axes.barh(expert, STEP_S, 0.8, left=STEP_S * step, color=colours, lw=0)
    axes.set(ylim=(course.gate.shape[1] - 0.5, -0.5), xlim=(0, STEP_S * len(course.gate)), ylabel="active")
    axes.set_yticks([])


def _mark_phases(course: Course, axes: Axes) -> None:
    for step, name in enumerate(course.phase):
        if step == 0 or name != course.phase[step - 1]:
            axes.axvline(STEP_S * step, color="k", lw=0.8, ls=":")
            axes.text(STEP_S * step, 1.01, name, transform=axes.get_xaxis_transform(), fontsize=6, rotation=20)


def _legend(figure: Figure, experts: int) -> None:
    handles = [matplotlib.patches.Patch(color=EXPERTS[i % len(EXPERTS)], label=f"expert {i}") for i in range(experts)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(8, experts), fontsize=8)
