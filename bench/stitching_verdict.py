"""What a stitched motion is worth: its error, its jerk, its jumps; and whether the method chosen is best. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.stitching_methods import CHOSEN, Method
from piper_bringup.cell.expert import COMMAND_NS
from smp_policy.learn.score import bootstrap_difference
from smp_policy.run.chunk import Floats

EQUAL = 0.1  # of the other's measure
Found = Mapping[tuple[tuple[int, int], Method], Sequence["Measure"]]


@dataclass(frozen=True)
class Measure:
    """Of one motion."""

    error: float  # from what is meant, rms over joints and time, rad
    jerk: float  # rms of the third difference, rad/s^3
    steps: tuple[float, float]  # 99.9 % quantile and maximum of what a period moves beyond what the way does, rad
    way: float  # from what the recorded run meant, rms, rad


def measure(motion: Floats, meant: Floats, way: Floats) -> Measure:
    """motion, meant, way (C, 14), one row a COMMAND_NS. The first second is left out: all begin at rest there."""
    skip = 1_000_000_000 // COMMAND_NS
    motion, meant, way = motion[skip:], meant[skip:], way[skip:]
    jerk = np.diff(motion, n=3, axis=0) / (COMMAND_NS * 1e-9) ** 3
    extra = np.abs(np.diff(motion - way, axis=0))  # what is meant follows a jump, and would show it twice
    steps = float(np.quantile(extra, 0.999)), float(extra.max())
    return Measure(_rms(motion - meant), _rms(jerk), steps, _rms(motion - way))


def _rms(x: Floats) -> float:
    return float(np.sqrt(np.square(x).mean()))


def table_rows(found: Found, *more: str) -> list[tuple[str, ...]]:
    """Lines of the table: means over motions, the largest of the largest steps. more: measures in rad, as columns."""
    rows = []
    for ((low, high), method), all_ in found.items():
        quantile, most = np.mean([m.steps[0] for m in all_]), max(m.steps[1] for m in all_)
        rows.append(
            (
                f"{low} - {high}",
                method.name,
                f"{1e3 * quantile:.1f} / {1e3 * most:.1f}",
                f"{np.mean([m.jerk for m in all_]):.0f}",
                *(f"{1e3 * np.mean([getattr(m, what) for m in all_]):.1f}" for what in ("error", *more)),
            )
        )
    return rows


def better(found: Found, span: tuple[int, int], what: str) -> list[Method]:
    """Methods whose `what` ("error", "jerk", "way") is less than the chosen one's, by more than counts as equal."""
    own = [getattr(m, what) for m in found[span, CHOSEN]]
    beaten_by = []
    for method in (method for at, method in found if at == span and method != CHOSEN):
        other = [getattr(m, what) for m in found[span, method]]
        gap = bootstrap_difference(own, other)
        is_sure = not np.isfinite(gap.low) or gap.low > 0.0  # too few motions for an interval: the mean decides
        if is_sure and gap.value > EQUAL * np.mean(other):
            beaten_by.append(method)
    return beaten_by


SAID = {"error": "error", "jerk": "jerk", "way": "distance from the recorded way"}


def said(name: str, found: Found, measures: Sequence[str] = ("error", "jerk")) -> str:
    """In plain words, latency by latency."""
    lines = [f"**The chosen method, {name}:**", ""]
    for span in dict.fromkeys(at for at, _ in found):
        parts = []
        for what in measures:
            others = better(found, span, what)
            rivals = [method.name for method in others if method.mix is None]
            mixed = [method.name for method in others if method.mix is not None]
            word = f"NOT best, less with: {', '.join(rivals)}" if rivals else "best or equal"
            parts.append(f"{SAID[what]} {word}" + (f" (of averages, less with: {', '.join(mixed)})" if mixed else ""))
        lines.append(f"- {span[0]} to {span[1]} ms: {'; '.join(parts)}.")
    return "\n".join(lines)
