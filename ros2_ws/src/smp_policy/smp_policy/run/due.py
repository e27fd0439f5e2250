"""When an observation is due: on a grid, however cameras jitter, fail, or a clock is set back. Pure."""

from __future__ import annotations

EARLY_NS = 10_000_000  # stamps of cameras jitter: a frame this much early is the one that was meant
LATE_NS = 50_000_000  # an observation this much behind its time is looked into
JUMP_NS = 100_000_000  # stamps this much older than those of the newest chunk are of a clock that was set back


class Due:
    """Of one run after the other; `begin` begins one. Observations by their stamps, system clock."""

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self.begin()

    def begin(self) -> None:
        """The first one is due at once."""
        self._t_obs_ns = 0  # of the next observation to be used, system clock
        self._looked_ns = 0  # when the newest was, monotonic

    def is_due(self, reached_ns: int | None, now_ns: int) -> bool:
        """Whether to look for an observation; reached_ns: the newest that there may be one of."""
        if reached_ns is not None and reached_ns < self._t_obs_ns - self._period_ns - JUMP_NS:
            self._t_obs_ns = 0
        is_late = now_ns - self._looked_ns > self._period_ns + LATE_NS
        return (reached_ns is not None and reached_ns >= self._t_obs_ns - EARLY_NS) or is_late

    def is_meant(self, t_obs_ns: int) -> bool:
        """Whether an observation of t_obs_ns is the one."""
        return t_obs_ns >= self._t_obs_ns - EARLY_NS

    def used(self, t_obs_ns: int, now_ns: int) -> None:
        """It is used now; the next one is due a period later."""
        # On a grid, as far as observations keep to it: what is a little early makes the next one no earlier.
        is_even = abs(t_obs_ns - self._t_obs_ns) <= EARLY_NS
        self._t_obs_ns = (self._t_obs_ns if is_even else t_obs_ns) + self._period_ns
        self._looked_ns = now_ns
