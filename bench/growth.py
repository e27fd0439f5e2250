"""Whether a process grows: memory that nothing can take from it, over time, as a slope with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from smp_policy.learn.score import Interval

GROWTH_MB_H = 10.0  # a working day of more would be looked into
BLOCKS = 8  # of time: samples beside each other are not independent, their blocks nearly are
T_975 = 2.447  # Student's t of BLOCKS - 2 degrees of freedom
MB_OF_KB = 1024 / 1e6
_KEPT = ("RssAnon:", "RssShmem:")  # what lies in files can be read again


def memory_mb(pid: int) -> float:
    """Resident memory of a living process that is of no file; OSError when it is gone."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(words[1]) * MB_OF_KB for words in lines if words and words[0] in _KEPT)


def slope(seconds: Sequence[float], mb: Sequence[float]) -> Interval:
    """MB an hour, least squares over medians of BLOCKS stretches of time; NaN limits with fewer samples than that."""
    if len(mb) < BLOCKS:
        return Interval(np.nan, np.nan, np.nan)
    parts = np.array_split(np.arange(len(mb)), BLOCKS)
    hours = np.array([np.median(np.asarray(seconds)[part]) for part in parts]) / 3600.0
    medians = np.array([np.median(np.asarray(mb)[part]) for part in parts])
    spread = hours - hours.mean()
    value = float(spread @ (medians - medians.mean()) / (spread @ spread))
    left = medians - medians.mean() - value * spread
    reach = T_975 * float(np.sqrt((left @ left) / (BLOCKS - 2) / (spread @ spread)))
    return Interval(value, value - reach, value + reach)


GROWS, STEADY = "GROWS", "does not grow"


def verdict(found: Interval) -> str:
    """Whole interval above GROWTH_MB_H: it grows; whole interval below: it does not."""
    if not np.isfinite(found.low):
        return "too few samples"
    if found.low > GROWTH_MB_H:
        return GROWS
    return STEADY if found.high < GROWTH_MB_H else "undecided"


def headline(verdicts: Mapping[str, str]) -> str:
    """Of all processes, by name."""
    growing = [name for name, word in verdicts.items() if word == GROWS]
    unknown = [name for name, word in verdicts.items() if word not in (GROWS, STEADY)]
    parts = [f"{', '.join(growing)} GROWS"] if growing else []
    parts += [f"not decided of {', '.join(unknown)}"] if unknown else []
    return "; ".join(parts) or "no process grows"
