"""What is gathered while the simulated graph runs: first motions, latencies of chunks, CPU and memory of processes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from bench.first_motion import FirstMotion, first_motion
from bench.graph import Graph, cpu_seconds
from bench.growth import memory_mb
from bench.observer import Observer
from piper_bringup.data.joints import stamp_ns

POLL_S, MEMORY_S = 0.25, 5.0
SETTLE_S = 2.0  # from a run's first chunk until its motion is looked for
KEEP_S = 5.0  # of set-points and joints
LISTENER = "(this listener)"


@dataclass
class Watch:
    """What is gathered while the graph runs."""

    observer: Observer
    motions: list[FirstMotion] = field(default_factory=list)
    runs: int = 0
    published_ns: list[int] = field(default_factory=list)  # of each motion's chunk, from its observation
    ages_ns: list[int] = field(default_factory=list)  # of every chunk
    took_ns: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: dict[str, list[float]] = field(default_factory=dict)

    def look(self) -> None:
        """Take what was said; judge runs whose first motion is over."""
        self.observer.poll()
        now_ns, chunks = time.time_ns(), self.observer.chunks
        ripe = [chunk for chunk in chunks if now_ns - stamp_ns(chunk) > SETTLE_S * 1e9]
        for chunk in ripe:
            age_ns, took_ns = round(chunk.obs_age_ms * 1e6), round(chunk.total_ms * 1e6)
            self.ages_ns.append(age_ns)
            self.took_ns.append(took_ns)
            if chunk.chunk_id == 0:
                self._judge(stamp_ns(chunk), age_ns + took_ns)
        del chunks[: len(ripe)]
        for stamped in (self.observer.joints, *self.observer.commands.values()):
            old = sum(t_ns < now_ns - KEEP_S * 1e9 for t_ns, _ in stamped)
            del stamped[:old]

    def weigh(self, pids: dict[str, int], seconds: float) -> None:
        """Memory of every process, now."""
        self.seconds.append(seconds)
        for name, pid in pids.items():
            self.memory.setdefault(name, []).append(memory_mb(pid))

    def _judge(self, observed_ns: int, published_ns: int) -> None:
        self.runs += 1
        motion = first_motion(observed_ns, self.observer.commands, self.observer.joints)
        if motion is not None:
            self.motions.append(motion)
            self.published_ns.append(published_ns)


def watch(running: Graph, observer: Observer, warm_up_s: float, measured_s: float) -> tuple[Watch, dict[str, float]]:
    """What was seen in the measured time, and CPU seconds a second of each process. SystemExit when a process ends."""
    pids = running.pids() | {LISTENER: os.getpid()}
    running.run(warm_up_s)
    observer.poll()
    observer.forget()
    seen, began_s = Watch(observer), time.monotonic()
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    while (past_s := time.monotonic() - began_s) < measured_s:
        if past_s >= len(seen.seconds) * MEMORY_S:
            seen.weigh(pids, past_s)
        running.run(POLL_S)
        seen.look()
    cpu = {name: (cpu_seconds(pid) - before[name]) / past_s for name, pid in pids.items()}
    return seen, cpu
