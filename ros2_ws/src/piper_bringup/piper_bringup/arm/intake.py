"""Where action chunks wait for the next tick: the newest counts, a flood is refused at the door. Thread-safe."""

from __future__ import annotations

import threading

from piper_bringup.arm.chunk import Chunk
from piper_bringup.arm.clock import Clock


class Intake:
    """One place for one chunk. `commanders`: which nodes publish chunks (S27), as whoever listens last saw."""

    def __init__(self, clock: Clock, period_ns: int) -> None:
        self.commanders: tuple[str, ...] = ()
        self._clock, self._period_ns = clock, period_ns
        self._lock = threading.Lock()
        self._chunk: Chunk | None = None
        self._floods = 0
        self._due_ns = -(1 << 62)  # from a period before this on, another chunk is taken

    def admit(self) -> bool:
        """Whether another chunk may be offered now; a flood is refused before it costs anything.

        Two may come at once, then one a period: the chunk that ends a run comes when it has to. Each that is refused
        has the next one wait for a whole period, so that nothing gets through while a flood lasts.
        """
        now_ns = self._clock.mono_ns()
        with self._lock:
            flood = now_ns < self._due_ns - self._period_ns
            self._due_ns = now_ns + 2 * self._period_ns if flood else max(now_ns, self._due_ns) + self._period_ns
            self._floods += flood
        return not flood

    def offer(self, chunk: Chunk) -> None:
        """Hand over a chunk; the next tick takes the newest."""
        with self._lock:
            self._chunk = chunk

    def take(self) -> tuple[Chunk | None, int]:
        """The chunk that waits, and how many were refused since the last call."""
        with self._lock:
            (chunk, self._chunk), (floods, self._floods) = (self._chunk, None), (self._floods, 0)
        return chunk, floods

    def drop(self) -> None:
        """What waits is void."""
        with self._lock:
            self._chunk = None
