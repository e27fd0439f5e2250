"""Two small measurements over time, on an injected clock."""

from __future__ import annotations

from collections import deque

_WINDOW_NS = 1_000_000_000


class Rate:
    """Events per second over the last second, from a running count."""

    def __init__(self) -> None:
        self.per_second: float | None = None  # None until a whole second has been seen
        self._samples: deque[tuple[int, int]] = deque()

    def add(self, t_ns: int, total: int) -> float | None:
        """Note the count at ``t_ns`` and return the rate."""
        if self._samples and t_ns - self._samples[-1][0] > _WINDOW_NS // 4:
            self._samples.clear()  # nobody counted for a while: begin anew
            self.per_second = None
        self._samples.append((t_ns, total))
        while len(self._samples) > 2 and t_ns - self._samples[1][0] >= _WINDOW_NS:
            self._samples.popleft()
        t0_ns, total0 = self._samples[0]
        if t_ns - t0_ns >= _WINDOW_NS:
            self.per_second = (total - total0) * 1e9 / (t_ns - t0_ns)
        return self.per_second


class Stretch:
    """How long something has been true without a break."""

    def __init__(self) -> None:
        self._since_ns: int | None = None

    def lasted_ns(self, true: bool, t_ns: int) -> int:
        """Note whether it is true at ``t_ns``; nanoseconds since it became so, 0 when it is not."""
        if not true:
            self._since_ns = None
            return 0
        if self._since_ns is None:
            self._since_ns = t_ns
        return t_ns - self._since_ns
