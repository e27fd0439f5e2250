"""Absolute deadlines for a loop that must keep up with a clock, and how well it does. Pure; times in ns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """What a loop did since the report before."""

    ticks: int
    real_time_factor: float  # time that the ticks stand for over time that passed
    worst_late_ms: float
    given_up_ms: float  # time that will not be made up


class Pace:
    """Deadlines every `period_ns` from `now_ns` on.

    A loop that falls behind runs without pause until it has caught up, but by `slack_ns` at most: whatever it is
    further behind is given up, and the real-time factor falls below one.
    """

    def __init__(self, period_ns: int, now_ns: int, slack_ns: int = 50_000_000) -> None:
        self._period_ns, self._slack_ns = period_ns, slack_ns
        self._due_ns = self._began_ns = self._report_ns = now_ns
        self._all_ticks = self._ticks = 0
        self._worst_ns = self._given_up_ns = 0

    def wait_ns(self, now_ns: int) -> int:
        """Time to sleep until the next tick, 0 when it is due; call once a tick."""
        self._due_ns += self._period_ns
        self._ticks += 1
        self._all_ticks += 1
        behind_ns = now_ns - self._due_ns
        self._worst_ns = max(self._worst_ns, behind_ns)
        if behind_ns > self._slack_ns:
            self._given_up_ns += behind_ns - self._slack_ns
            self._due_ns = now_ns - self._slack_ns
        return max(0, self._due_ns - now_ns)

    def report(self, now_ns: int) -> Report:
        """Since the last report."""
        elapsed_ns = max(1, now_ns - self._report_ns)
        factor = self._ticks * self._period_ns / elapsed_ns
        found = Report(self._ticks, factor, self._worst_ns * 1e-6, self._given_up_ns * 1e-6)
        self._report_ns, self._ticks, self._worst_ns, self._given_up_ns = now_ns, 0, 0, 0
        return found

    def overall(self, now_ns: int) -> tuple[int, float]:
        """Ticks and real-time factor since the beginning."""
        return self._all_ticks, self._all_ticks * self._period_ns / max(1, now_ns - self._began_ns)
