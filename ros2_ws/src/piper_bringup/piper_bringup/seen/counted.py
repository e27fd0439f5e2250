"""What is counted of a run, one small counter a kind of message. Pure; times are ns of one steady clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from piper_bringup.arm.safety import Mode
from piper_bringup.seen.thinned import Thinned

POWERED = (Mode.HOLD, Mode.FOLLOW, Mode.PARK)  # errors and deadlines of other modes mean nothing
LATENESS = ("p50", "p99", "max")
LIMITS = ("position", "velocity", "acceleration")
LATENCIES = 20_000  # kept: every chunk of the first hour


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

    count: int = 0
    newest: object | None = None
    most_ms: float = 0.0
    latency_ms: Thinned[float] = field(default_factory=lambda: Thinned(LATENCIES))  # observation taken to published
    active: dict[int, int] = field(default_factory=dict)  # expert -> chunks in which it acted

    def add(self, state: object) -> None:
        """state: smp_msgs/SkillState, or anything with its fields."""
        self.newest = state
        self.count += 1
        self.most_ms = max(self.most_ms, float(state.total_ms))
        self.latency_ms.add(float(state.total_ms))
        for expert in state.active_experts:
            self.active[int(expert)] = self.active.get(int(expert), 0) + 1

    def summary(self) -> dict[str, object] | None:
        """None where no policy spoke; experts: share of the chunks in which each acted."""
        if not self.count:
            return None
        p50, p99 = np.percentile(self.latency_ms.items, (50, 99))
        shares = {str(expert): chunks / self.count for expert, chunks in sorted(self.active.items())}
        return {"chunks": self.count, "latency_ms": {"p50": p50, "p99": p99, "max": self.most_ms}, "experts": shares}


def lateness(arms: list[ArmRecord]) -> dict[str, float] | None:
    """Both arms are commanded by one thread: the worse of what they report. None when no arm was under power."""
    told = [arm.lateness_ms for arm in arms if arm.lateness_ms]
    return {name: max(one[name] for one in told) for name in LATENESS} if told else None
