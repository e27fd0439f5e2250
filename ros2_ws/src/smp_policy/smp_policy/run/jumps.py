"""RoboTwin's clock jumps over all of a chunk at once, and what was heard before is old until what is new is here."""

from __future__ import annotations

import time
from collections.abc import Callable

from piper_bringup.data.names import DT_NS

GRACE_NS = 1_000_000_000  # of real time; on two busy cores all that is new was here, and a chunk sent, after 0.3 s


class Jumps:
    """Of a clock that stands still between chunks."""

    def __init__(self, real_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._real_ns = real_ns
        self._stood_ns = self._since_ns = 0  # at what, since when

    def is_new(self, now_ns: int) -> bool:
        """Whether the clock, which says now_ns, jumped less than GRACE_NS ago."""
        if abs(now_ns - self._stood_ns) >= DT_NS:  # less is a clock that runs, and silence counts at once
            self._since_ns = self._real_ns()
        self._stood_ns = now_ns
        return self._real_ns() - self._since_ns < GRACE_NS
