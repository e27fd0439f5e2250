"""What is recorded of a run: rates and gaps of topics, the driver's own counts, episodes, events.

Pure: time comes in as integer nanoseconds of one steady clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from piper_bringup.data import names
from piper_bringup.data.joints import stamp_ns
from piper_bringup.seen.chronicle import GOALS, STARTED, Chronicle
from piper_bringup.seen.counted import LIMITS, ArmRecord, Arrivals, Chunks, RealTimeFactor, lateness

UNFINISHED = "unfinished"
OUTCOMES = {2: "succeeded", 3: "failed", 4: "timed out", 5: "aborted"}  # smp_msgs/EpisodeEvent kinds
ABOUT_MANY = ("PROCESS_DIED", "TOPIC_SILENT", "TOPIC_BACK")  # reasons that name a process or a topic in their text
LIVE_TOPICS = (names.TOPIC_JOINT_STATES, names.TOPIC_ACTION_CHUNK, *map(names.image_topic, names.CAMERAS))
REAL_TIME_FACTOR = "real_time_factor"  # key in /diagnostics
KEPT = ("task", "seed", "outcome", "duration_s", "goals")  # of an episode, in summary.json
INFO = 0  # severity of smp_msgs/SafetyEvent: nothing to do


@dataclass
class Episode:
    """One episode as the events told it; goals as the cell tells them, once a second."""

    task: str
    seed: int
    outcome: str = UNFINISHED
    duration_s: float = 0.0
    goals: list[str] = field(default_factory=list)
    began_ns: int = 0  # system clock
    first_chunk: int = 0  # of the run's chunks


class Record:
    """Everything of one run; `summary` is what is kept of it."""

    def __init__(self, now_ns: int) -> None:
        self.began_ns = now_ns
        self.topics: dict[str, Arrivals] = {}
        self.arms: dict[str, ArmRecord] = {}
        self.episodes: list[Episode] = []
        self.real_time_factor = RealTimeFactor()
        self.chunks = Chunks()
        self.chronicle = Chronicle()
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
        self.chronicle.safety_event(event)

    def skill_state(self, state: object) -> None:
        """A smp_msgs/SkillState."""
        self.chunks.add(state)
        self.chronicle.skill_state(state)

    def episode_event(self, event: object) -> None:
        """A smp_msgs/EpisodeEvent. The first outcome of an episode stands."""
        if event.kind == STARTED:
            begun = {"began_ns": stamp_ns(event), "first_chunk": self.chunks.count}
            self.episodes.append(Episode(event.task, event.seed, **begun))
        elif event.kind in OUTCOMES and self.episodes and self.episodes[-1].outcome == UNFINISHED:
            self.episodes[-1].outcome = OUTCOMES[event.kind]
            self.episodes[-1].duration_s = event.duration_s
        self.chronicle.episode_event(event)

    def diagnostics(self, message: object) -> None:
        """A diagnostic_msgs/DiagnosticArray: real-time factor and goals, where somebody tells them."""
        for value in (value for status in message.status for value in status.values):
            if value.key == REAL_TIME_FACTOR:
                self.real_time_factor.add(float(value.value))
            elif value.key == GOALS:
                self.chronicle.goals(value.value, stamp_ns(message))
        if self.chronicle.scenes:
            self.episodes[-1].goals = list(self.chronicle.scenes[-1].goals)

    def rates(self, now_ns: int) -> str:
        """Rates of what matters since the last call, and the real-time factor."""
        period_s = max((now_ns - self._line_ns) * 1e-9, 1e-9)
        new = {topic: a.count - self._line_counts.get(topic, 0) for topic, a in self.topics.items()}
        self._line_ns, self._line_counts = now_ns, {topic: a.count for topic, a in self.topics.items()}
        parts = [f"{topic} {new[topic] / period_s:.0f} Hz" for topic in LIVE_TOPICS if topic in new]
        if self.real_time_factor.count:
            parts.append(f"real-time factor {self.real_time_factor.newest:.2f}")
        return ", ".join(parts) or "nothing heard yet"

    def doing(self, wall_ns: int) -> str:
        """What happens now, shortest first: episode, experts and latency of the newest chunk, modes, safety."""
        parts = [self._episode(wall_ns)] if self.episodes else []
        if (newest := self.chunks.newest) is not None:
            experts = " ".join(map(str, newest.active_experts)) or "none"
            parts.append(f"experts {experts}, chunk {newest.total_ms:.1f} ms")
        if self.arms:
            parts.append(", ".join(f"{name} {arm.mode}" for name, arm in sorted(self.arms.items())))
            parts.append(", ".join([f"rejected {self._rejected}", f"clamped {sum(self._clamped.values())}"]))
        counts: dict[str, int] = {}
        for event in self._events.values():
            if event["severity"] > INFO:
                counts[event["reason"]] = counts.get(event["reason"], 0) + event["count"]
        parts += [", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))] if counts else []
        return "; ".join(parts)

    def _episode(self, wall_ns: int) -> str:
        episode, number = self.episodes[-1], len(self.episodes)
        chunks = f", {self.chunks.count - episode.first_chunk} chunks" if self.chunks.count else ""
        if episode.outcome == UNFINISHED:
            return f"{episode.task}, episode {number}: {(wall_ns - episode.began_ns) * 1e-9:.1f} s{chunks}"
        return f"{episode.task}, episode {number}: {episode.outcome} after {episode.duration_s:.1f} s"

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
            "lateness_ms": lateness(list(arms.values())),
            "clamped": self._clamped,
            "policy": self.chunks.summary(),
            "rejected_chunks": self._rejected,
            "tracking_error_rad": {name: arm.tracking_error_rad for name, arm in sorted(arms.items())},
            "modes": {name: arm.mode for name, arm in sorted(arms.items())},
            "safety_events": sorted(self._events.values(), key=lambda e: (-e["severity"], e["reason"], e["arm"])),
            "episodes": [{name: getattr(episode, name) for name in KEPT} for episode in self.episodes],
        }

    @property
    def _rejected(self) -> int:
        return max((arm.rejected_chunks for arm in self.arms.values()), default=0)

    @property
    def _clamped(self) -> dict[str, int]:
        return {kind: max((arm.clamped[kind] for arm in self.arms.values()), default=0) for kind in LIMITS}
