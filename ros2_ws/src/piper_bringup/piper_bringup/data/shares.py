"""Shares of successes with what they are worth. Intervals are 95 %."""

from __future__ import annotations

import math
from typing import NamedTuple

Z = 1.959964  # normal quantile of a two-sided 95 % interval


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float


def wilson(successes: int, n: int) -> Interval:
    """Share of successes (Wilson 1927): honest also at 0 and at n of n. NaN without a trial."""
    if n == 0:
        return Interval(math.nan, math.nan, math.nan)
    p, z2 = successes / n, Z * Z
    middle, spread = p + z2 / (2 * n), Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Interval(p, (middle - spread) / (1 + z2 / n), (middle + spread) / (1 + z2 / n))
