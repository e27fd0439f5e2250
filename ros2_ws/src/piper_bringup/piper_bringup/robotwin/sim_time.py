"""Simulated time of one episode after another: physics steps times their length, and it never goes back. Pure."""

from __future__ import annotations

START_NS = 1_000_000_000  # a stamp of zero means none
GAP_NS = 1_000_000_000  # between episodes: nothing of one is about the next


class SimTime:
    """`now_ns` is what /clock says; only `begin` and `at` move it."""

    def __init__(self) -> None:
        self.now_ns = self._began_ns = START_NS
        self._step_ns = 0

    def begin(self, step_ns: int) -> int:
        """An episode begins, whose physics steps are so long; the time of its beginning."""
        self._began_ns, self._step_ns = self.now_ns + GAP_NS, step_ns
        return self.at(0)

    def at(self, physics_steps: int) -> int:
        """So many steps into the episode."""
        self.now_ns = max(self.now_ns, self._began_ns + physics_steps * self._step_ns)
        return self.now_ns

    @property
    def elapsed_ns(self) -> int:
        """Since the episode began."""
        return self.now_ns - self._began_ns
