"""What is recorded of a run: rates and gaps of topics, the driver's own counts, episodes, events.

Pure: time comes in as integer nanoseconds of one steady clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from piper_bringup.arm.safety import Mode
from piper_bringup.data import names

POWERED = (Mode.HOLD, Mode.FOLLOW, Mode.PARK)  # errors and deadlines of other modes mean nothing
OUTCOMES = {2: "succeeded", 3: "failed", 4: "timed out", 5: "aborted"}  # smp_msgs/EpisodeEvent kinds
RESET, STARTED = 0, 1
ABOUT_MANY = ("PROCESS_DIED", "TOPIC_SILENT", "TOPIC_BACK")  # reasons that name a process or a topic in their text
LIVE_TOPICS = (names.TOPIC_JOINT_STATES, names.TOPIC_ACTION_CHUNK, *map(names.image_topic, names.CAMERAS))
REAL_TIME_FACTOR = "real_time_factor"  # key in /diagnostics
LATENESS = ("p50", "p99", "max")
LIMITS = ("position", "velocity", "acceleration")


@dataclass
class Arrivals:
    """Messages of one topic."""

    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    worst_gap_ns: int = 0

    def add(self, t_ns: int) -> None:
        if self.count == 0:
            self.first_ns = t_ns
        else:
            self.worst_gap_ns = max(self.worst_gap_ns, t_ns - self.last_ns)
        self.count += 1
        self.last_ns = t_ns

    @property
    def hz(self) -> float:
        """Mean rate between the first and the last message [1/s]; 0 before the second."""
        span_ns = self.last_ns - self.first_ns
        return (self.count - 1) / (span_ns * 1e-9) if span_ns > 0 else 0.0


@dataclass
class ArmRecord:
    """What ArmStatus said about one arm."""

    mode: str = ""
    tracking_error_rad: float = 0.0  # largest of all joints while the motors were on
    clamped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LIMITS, 0))
    rejected_chunks: int = 0
    lateness_ms: dict[str, float] = field(default_factory=dict)  # worst of the windows that the driver looks at

    def add(self, status: object) -> None:
        """status: smp_msgs/ArmStatus, or anything with its fields."""
        self.mode = status.mode_name
        if status.mode in POWERED:
            self.tracking_error_rad = max(self.tracking_error_rad, float(np.abs(status.tracking_error_rad).max()))
            for name in LATENESS:
                ms = float(getattr(status, f"lateness_{name}_ms"))
                self.lateness_ms[name] = max(ms, self.lateness_ms.get(name, 0.0))
        for kind in self.clamped:
            self.clamped[kind] = max(self.clamped[kind], getattr(status, f"clamped_{kind}"))
        self.rejected_chunks = max(self.rejected_chunks, status.rejected_chunks)


@dataclass
class Episode:
    """One episode as the events told it."""

    task: str
    seed: int
    outcome: str = "unfinished"
    duration_s: float = 0.0


@dataclass
class RealTimeFactor:
    """Simulated over real time, as /diagnostics told it."""

    count: int = 0
    mean: float = 0.0
    lowest: float = float("inf")
    newest: float = 0.0

    def add(self, value: float) -> None:
        self.newest = value
        self.count += 1
        self.mean += (value - self.mean) / self.count
        self.lowest = min(self.lowest, value)


@dataclass
class Chunks:
    """What the policy said of its chunks."""

    latency_ms: list[float] = field(default_factory=list)  # observation taken to chunk published
    active: dict[int, int] = field(default_factory=dict)  # expert -> chunks in which it acted

    def add(self, state: object) -> None:
        """state: smp_msgs/SkillState, or anything with its fields."""
        self.latency_ms.append(float(state.total_ms))
        for expert in state.active_experts:
            self.active[int(expert)] = self.active.get(int(expert), 0) + 1

    def summary(self) -> dict[str, object] | None:
        """None where no policy spoke; experts: share of the chunks in which each acted."""
        if not self.latency_ms:
            return None
        p50, p99, most = np.percentile(self.latency_ms, (50, 99, 100))
        count = len(self.latency_ms)
        shares = {str(expert): chunks / count for expert, chunks in sorted(self.active.items())}
        return {"chunks": count, "latency_ms": {"p50": p50, "p99": p99, "max": most}, "experts": shares}


class Record:
    """Everything of one run; `summary` is what is kept of it."""

    def __init__(self, now_ns: int) -> None:
        self.began_ns = now_ns
        self.topics: dict[str, Arrivals] = {}
        self.arms: dict[str, ArmRecord] = {}
        self.episodes: list[Episode] = []
        self.real_time_factor = RealTimeFactor()
        self.chunks = Chunks()
        self._events: dict[tuple[str, str, str, str], dict[str, object]] = {}
        self._line_ns, self._line_counts = now_ns, {}

    def arrived(self, topic: str, t_ns: int) -> None:
        """A message of any topic."""
        self.topics.setdefault(topic, Arrivals()).add(t_ns)

    def arm_status(self, status: object) -> None:
        """A smp_msgs/ArmStatus."""
        self.arms.setdefault(status.arm, ArmRecord()).add(status)

    def safety_event(self, event: object) -> None:
        """A smp_msgs/SafetyEvent: one entry by source, reason, arm and what it is about; newest sentence kept."""
        about = event.text if event.reason in ABOUT_MANY else ""
        entry = self._events.setdefault((event.source, event.reason, event.arm, about), {"count": 0, "severity": 0})
        entry |= {"source": event.source, "reason": event.reason, "arm": event.arm, "text": event.text}
        entry["severity"] = max(int(event.severity), entry["severity"])
        # A driver says a lasting condition once a second and counts all of it; of the others each is one.
        entry["count"] = entry["count"] + 1 if about else int(event.count)

    def episode_event(self, event: object) -> None:
        """A smp_msgs/EpisodeEvent. The first outcome of an episode stands."""
        if event.kind == STARTED:
            self.episodes.append(Episode(event.task, event.seed))
        elif event.kind in OUTCOMES and self.episodes and self.episodes[-1].outcome == "unfinished":
            self.episodes[-1].outcome = OUTCOMES[event.kind]
            self.episodes[-1].duration_s = event.duration_s

    def diagnostics(self, message: object) -> None:
        """A diagnostic_msgs/DiagnosticArray: the real-time factor, where somebody tells it."""
        for value in (value for status in message.status for value in status.values):
            if value.key == REAL_TIME_FACTOR:
                self.real_time_factor.add(float(value.value))

    def line(self, now_ns: int) -> str:
        """One line about the time since the last call: rates of what matters, and what the arms do."""
        period_s = max((now_ns - self._line_ns) * 1e-9, 1e-9)
        new = {topic: a.count - self._line_counts.get(topic, 0) for topic, a in self.topics.items()}
        self._line_ns, self._line_counts = now_ns, {topic: a.count for topic, a in self.topics.items()}
        parts = [f"{topic} {new[topic] / period_s:.0f} Hz" for topic in LIVE_TOPICS if topic in new]
        parts += [f"{name} {arm.mode}" for name, arm in sorted(self.arms.items())]
        if self.real_time_factor.count:
            parts.append(f"real-time factor {self.real_time_factor.newest:.2f}")
        return ", ".join(parts) or "nothing heard yet"

    def summary(self, now_ns: int) -> dict[str, object]:
        """Plain data for summary.json; rates in 1/s, gaps and lateness in ms, errors in rad."""
        factor, arms = self.real_time_factor, self.arms
        return {
            "duration_s": (now_ns - self.began_ns) * 1e-9,
            "real_time_factor": {"mean": factor.mean, "min": factor.lowest} if factor.count else None,
            "topics": {
                topic: {"count": a.count, "hz": a.hz, "worst_gap_ms": a.worst_gap_ns * 1e-6}
                for topic, a in sorted(self.topics.items())
            },
            "lateness_ms": _lateness(list(arms.values())),
            "clamped": {kind: max((arm.clamped[kind] for arm in arms.values()), default=0) for kind in LIMITS},
            "policy": self.chunks.summary(),
            "rejected_chunks": max((arm.rejected_chunks for arm in arms.values()), default=0),
            "tracking_error_rad": {name: arm.tracking_error_rad for name, arm in sorted(arms.items())},
            "modes": {name: arm.mode for name, arm in sorted(arms.items())},
            "safety_events": sorted(self._events.values(), key=lambda e: (-e["severity"], e["reason"], e["arm"])),
            "episodes": [vars(episode) for episode in self.episodes],
        }


def _lateness(arms: list[ArmRecord]) -> dict[str, float] | None:
    """Both arms are commanded by one thread: the worse of what they report. None when no arm was under power."""
    told = [arm.lateness_ms for arm in arms if arm.lateness_ms]
    return {name: max(one[name] for one in told) for name in LATENESS} if told else None
