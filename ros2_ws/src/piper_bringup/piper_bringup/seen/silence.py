"""Topics that must not fall silent: an outage and its end are each noticed once. Pure, one steady clock in ns."""

from __future__ import annotations

from dataclasses import dataclass

STALL_NS = 300_000_000  # a check this long after the one before says nothing about the topics: we slept


@dataclass(frozen=True)
class Expected:
    """A topic that must not fall silent once it was heard, or once it is due."""

    topic: str
    node: str  # who publishes it
    limit_ns: int
    due_ns: int = 0
    """Time that it has for its first message; 0: as long as it likes."""


@dataclass(frozen=True)
class Outage:
    """An expected topic fell silent, or came back."""

    expected: Expected
    back: bool
    ever: bool = True  # heard before

    @property
    def text(self) -> str:
        """One sentence."""
        topic, node = self.expected.topic, self.expected.node
        if self.back:
            return f"{topic} from {node} is back"
        if not self.ever:
            return f"{topic} has not come once in {self.expected.due_ns * 1e-9:g} s: {node} should be publishing it"
        limit_s = self.expected.limit_ns * 1e-9
        return f"{topic} is silent for more than {limit_s:g} s: {node} should be publishing it"


class Silence:
    """Notices outages of the expected topics, each once, and their ends."""

    def __init__(self, expected: tuple[Expected, ...], now_ns: int) -> None:
        self._expected = {e.topic: e for e in expected}
        # As if heard in time to fall silent when it is due.
        self._heard_ns = {e.topic: now_ns + e.due_ns - e.limit_ns for e in expected if e.due_ns}
        self._ever: set[str] = set()
        self._silent: set[str] = set()
        self._checked_ns = now_ns

    def heard(self, topic: str, t_ns: int) -> None:
        """A message arrived."""
        if topic in self._expected:
            self._heard_ns[topic] = t_ns
            self._ever.add(topic)

    def check(self, now_ns: int) -> list[Outage]:
        """Outages that began or ended since the last call; call about ten times a second."""
        slept, self._checked_ns = now_ns - self._checked_ns > STALL_NS, now_ns
        if slept:  # what arrived meanwhile still waits to be heard
            self._heard_ns |= dict.fromkeys(self._ever - self._silent, now_ns)
        changes = []
        for topic, t_ns in self._heard_ns.items():
            expected = self._expected[topic]
            silent = now_ns - t_ns > expected.limit_ns
            if silent != (topic in self._silent):
                self._silent ^= {topic}
                changes.append(Outage(expected, not silent, topic in self._ever))
        return changes
