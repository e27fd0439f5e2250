"""What an evaluation is worth: intervals of shares and differences, and what is counted in an episode.

Pure functions on arrays. Intervals are 95 %; NaN stands for "nothing to count".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from piper_bringup.cell.expert import COMMAND_NS
from piper_bringup.data import names
from piper_bringup.data.shares import Interval, wilson
from smp_policy.learn.rollout import COMMIT_NS, STRIDE_NS

RESAMPLES = 10_000
FEWEST = 8  # pairs, of which a bootstrap is worth its name: one alone would be certain of itself
ARM_JOINTS = [i for i in range(len(names.JOINTS)) if i not in names.GRIPPER_COLUMNS]


def paired_difference(first: Sequence[bool], second: Sequence[bool]) -> Interval:
    """Difference of two shares, first less second, measured on the same n trials (Newcombe 1998, method 10).

    Wilson limits of both, joined with regard to how alike they answered. Unlike a bootstrap it does not claim certainty
    where no trial told the two apart, and unlike McNemar's exact interval it exists there.
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    if a.shape != b.shape or not a.size:
        raise ValueError(f"paired trials: {a.size} and {b.size}; as many of each are needed, at least one")
    one, two = wilson(int(a.sum()), a.size), wilson(int(b.sum()), b.size)
    phi = _likeness(a, b)
    below, above = (one.value - one.low, two.high - two.value), (one.high - one.value, two.value - two.low)
    reach = [float(np.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))) for x, y in (below, above)]
    difference = one.value - two.value
    return Interval(difference, difference - reach[0], difference + reach[1])


def _likeness(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Newcombe's correlation of two paired answers, drawn towards 0 by n / 2 where positive; 0 if one is constant."""
    both, only_a, only_b, neither = (int(x.sum()) for x in (a & b, a & ~b, ~a & b, ~a & ~b))
    size = np.sqrt(float((both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)))
    cross = both * neither - only_a * only_b
    if cross > 0:
        cross = max(cross - a.size / 2, 0.0)
    return float(cross / size) if size else 0.0


def bootstrap_difference(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Mean of paired differences, first less second: percentiles of 10 000 resamples of the pairs, always the same.

    Pairs in which either is NaN are left out; with fewer than FEWEST left, limits are NaN.
    """
    pairs = np.asarray(first, float) - np.asarray(second, float)
    pairs = pairs[np.isfinite(pairs)]
    if pairs.size < FEWEST:
        return Interval(mean(pairs), np.nan, np.nan)
    drawn = np.random.default_rng(0).integers(pairs.size, size=(RESAMPLES, pairs.size))
    low, high = np.quantile(pairs[drawn].mean(1), (0.025, 0.975))
    return Interval(float(pairs.mean()), float(low), float(high))


class Jerk(NamedTuple):
    """Root mean square of the third derivative of the arm joints' targets, rad/s^3."""

    joins: float  # within DT of where a new chunk takes over
    changes: float  # of those, where the set of active experts is another than before
    elsewhere: float


def jerk(target: NDArray[np.float64], active: NDArray[np.bool_], delay_ns: int) -> Jerk:
    """Of targets (C, 14), 100 a second, planned from chunks of which step s had experts `active` (S, K)."""
    third = np.diff(target[:, ARM_JOINTS], n=3, axis=0) / (COMMAND_NS * 1e-9) ** 3
    size = (third**2).sum(-1)  # (C - 3,); entry c is made of targets c to c + 3, the last of which is due at:
    due_ns = COMMAND_NS * np.arange(4, 4 + len(size))
    step, since_ns = np.divmod(due_ns - delay_ns - COMMIT_NS, STRIDE_NS)
    joins = (step >= 1) & (step < len(active)) & (since_ns > 0) & (since_ns <= names.DT_NS)
    changed = np.r_[False, (active[1:] != active[:-1]).any(1)][np.clip(step, 0, len(active) - 1)]
    return Jerk(*(_root_mean(size[where]) for where in (joins, joins & changed, ~joins)))


def _root_mean(squares: NDArray[np.float64]) -> float:
    return float(np.sqrt(squares.mean())) if squares.size else np.nan


def switches(gate: NDArray[np.floating]) -> tuple[int, int]:
    """How often the heaviest expert changes from one policy step to the next, gate (S, K), and how often it might."""
    heaviest = gate.argmax(-1)
    return int((heaviest[1:] != heaviest[:-1]).sum()), max(0, len(gate) - 1)


def effective_experts(gate: NDArray[np.floating]) -> float:
    """exp of the entropy of the mean gate, (S, K) -> 1 to K: how many experts are used at all."""
    usage = gate.mean(0, dtype=np.float64)
    return float(np.exp(-(usage * np.log(np.maximum(usage, 1e-300))).sum()))


def mean(values: Sequence[float]) -> float:
    """Of what is not NaN; NaN where there is nothing."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else np.nan
