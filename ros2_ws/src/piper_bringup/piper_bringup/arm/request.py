"""One thing asked of the driver, and its answer."""

from __future__ import annotations

from dataclasses import dataclass

Result = tuple[bool, str] | None  # success, sentence
CONFIRM_NS = 1_000_000_000  # for what was sent to an arm to show in its feedback
_AGAIN_NS = 100_000_000  # pause between repeated enable and e-stop frames
UNSTOPPABLE = frozenset({"estop", "reset_estop"})  # go on whatever the mode becomes


@dataclass
class Request:
    """``result`` is set once, by the command thread."""

    name: str
    argument: object = None
    result: Result = None
    started_ns: int = 0
    acted_ns: int = -(1 << 62)
    arms: tuple[str, ...] = ()  # that it was sent to

    def interrupts(self, running: Request) -> bool:
        """Whether this one does not wait for ``running``."""
        return self.name == "estop" or (self.name == "hold" and running.name not in UNSTOPPABLE)

    def due(self, now_ns: int) -> bool:
        """Whether it is time to send a repeated frame again."""
        if now_ns - self.acted_ns < _AGAIN_NS:
            return False
        self.acted_ns = now_ns
        return True
