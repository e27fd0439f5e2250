"""A thread that calls the core at absolute deadlines, with real-time priority where the system permits it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from piper_bringup.arm.core import Core, Tick
from piper_bringup.arm.realtime import real_time
from piper_bringup.arm.safety import Mode, Reason, Severity

_LATENESS_TICKS = 6000  # one minute at 100 Hz


class CommandLoop:
    """Ticks ``core`` every period until stopped; ``on_tick`` sees each result on the same thread."""

    def __init__(self, core: Core, on_tick: Callable[[Tick], None], on_error: Callable[[Exception], None]) -> None:
        self._core, self._on_tick, self._on_error = core, on_tick, on_error
        self._stop = threading.Event()
        self._lateness_ns = np.zeros(_LATENESS_TICKS, dtype=np.int64)  # ring
        self._ticks = self._reckoned_at = 0
        self._reckoned = (0.0, 0.0, 0.0)
        self._thread = threading.Thread(target=self._run, name="command-loop", daemon=True)
        self.scheduler = "not started"

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the tick that is running."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=2.0)

    @property
    def is_running(self) -> bool:
        """Between start and stop."""
        return self._thread.is_alive() and not self._stop.is_set()

    def lateness_ms(self) -> tuple[float, float, float]:
        """Median, 99th percentile and maximum of how late the last minute's ticks began [ms]."""
        if self._ticks - self._reckoned_at >= self._core.config.command_rate_hz:  # once a second is enough
            late = self._lateness_ns[: min(self._ticks, _LATENESS_TICKS)] * 1e-6
            self._reckoned_at = self._ticks
            self._reckoned = float(np.median(late)), float(np.percentile(late, 99)), float(late.max())
        return self._reckoned

    def _run(self) -> None:
        self.scheduler = real_time(self._core.config.fifo_priority)
        period_ns = self._core.config.period_ns
        deadline_ns = time.monotonic_ns()
        while not self._stop.is_set():
            deadline_ns += period_ns
            wait_ns = deadline_ns - time.monotonic_ns()
            if wait_ns > 0:
                time.sleep(wait_ns * 1e-9)
            now_ns = time.monotonic_ns()
            self._lateness_ns[self._ticks % _LATENESS_TICKS] = max(0, now_ns - deadline_ns)
            self._ticks += 1
            if now_ns - deadline_ns > period_ns:
                # Missed ticks are not made up in a burst: the plan is a function of time.
                deadline_ns = now_ns
            self._tick(deadline_ns)

    def _tick(self, due_ns: int) -> None:
        try:
            self._on_tick(self._core.tick(due_ns))
        except Exception as error:  # the loop outlives any bug: both arms are held, and it is said
            text = f"{type(error).__name__}: {error}"
            self._core.to(Mode.FAULT, self._core.find(Severity.FAULT, Reason.INTERNAL_ERROR, text))
            self._on_error(error)
