"""How successive chunks become one motion: the driver's own splice, and what others do instead, on one time line.

A source answers an observation with rows; an answer comes late. Methods differ in the instant that row 0 belongs to, in
what of the running plan is kept and faded, and in whether the source is told which rows are executed whatever it says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from piper_bringup.arm.plan import Plan
from piper_bringup.cell.expert import COMMAND_NS
from piper_bringup.data.names import DT_NS, REPLAN_ROWS
from smp_policy.run.chunk import BLEND_NS, COMMIT_NS, Floats, Latency, Schedule

STRIDE_NS = REPLAN_ROWS * DT_NS
Source = Callable[[int, Floats, Floats | None], Floats]  # t_obs, target (14,) then, committed (n, 14) -> rows (H, 14)
Mix = Callable[[list[Plan], Plan, NDArray[np.int64], Floats], Floats]


@dataclass(frozen=True)
class Method:
    """row 0 is due DT after: the observation's stamp, the begin of the computation, or the chunk's arrival."""

    name: str
    counts_from: Literal["observation", "computation", "arrival"] = "observation"
    commit_ns: int = 0
    blend_ns: int = 0
    told: bool = False  # the source continues what is executed anyway
    mix: Mix | None = None  # new rows with those of earlier chunks


def of_two(_: list[Plan], running: Plan, t_ns: NDArray[np.int64], rows: Floats) -> Floats:
    """0.3 of what was planned, 0.7 of the new (lerobot's default)."""
    old = np.stack([running.at(int(t)) for t in t_ns])
    return np.where((t_ns <= running.end_ns)[:, None], 0.3 * old + 0.7 * rows, rows)


def of_all(chunks: list[Plan], _: Plan, t_ns: NDArray[np.int64], rows: Floats) -> Floats:
    """exp(-0.01 i) of every prediction of an instant, the oldest heaviest (ACT)."""
    mixed = []
    for t, row in zip(t_ns, rows, strict=True):
        said = [*(chunk.at(int(t)) for chunk in chunks if chunk.t_ns[0] <= t <= chunk.end_ns), row]
        mixed.append(np.average(said, axis=0, weights=np.exp(-0.01 * np.arange(len(said)))))
    return np.stack(mixed)


NAIVE = Method("naive: row 0 when it arrives", "arrival")
CHOSEN = Method("chosen: aligned, committed rows inpainted, blended", "observation", COMMIT_NS, BLEND_NS, told=True)
METHODS = (
    NAIVE,
    Method("skip the time of computing (lerobot)", "computation"),
    Method("aligned by the observation's stamp", "observation"),
    Method("aligned, weighted average of two (lerobot)", "observation", mix=of_two),
    Method("aligned, average of all (ACT)", "observation", mix=of_all),
    Method("blended only, from its arrival", "arrival", COMMIT_NS, BLEND_NS),
    Method("skip the time of computing, blended", "computation", COMMIT_NS, BLEND_NS),
    Method("aligned, blended (the driver alone)", "observation", COMMIT_NS, BLEND_NS),
    Method("aligned, committed rows inpainted, not blended", "observation", COMMIT_NS, 0, told=True),
    CHOSEN,
)


@dataclass(frozen=True)
class Timing:
    """From exposure to the observation at hand, and from there to the chunk at the driver, step by step."""

    age_ns: int
    took_ns: Sequence[int]

    @property
    def first_ns(self) -> int:
        """What a chunk is expected to take before one was measured: the node measures some at its start."""
        return int(np.quantile(self.took_ns, Latency.SHARE, method="lower"))


class Motion:
    """The set-points that come of it, one a period of the driver's loop."""

    def __init__(self, method: Method, start: Floats, source: Source, timing: Timing) -> None:
        """start (14,): where both arms stand at 0."""
        self._method, self._source, self._timing = method, source, timing
        self._schedule = Schedule(start, 0, method.commit_ns, method.blend_ns)
        self._latency = Latency(timing.first_ns)
        self._chunks: list[Plan] = []
        self._step = self._next_ns = 0
        self._coming: tuple[int, int, Floats] | None = None  # arrival, instant of row 0 less DT, rows

    def play(self, until_ns: int) -> Floats:
        """(C, 14) targets, due at COMMAND_NS, 2 COMMAND_NS .. of the plan, before limits."""
        targets = []
        for now_ns in range(0, until_ns, COMMAND_NS):
            self._take(now_ns)
            self._look(now_ns)
            targets.append(self._schedule.plan.at(now_ns + COMMAND_NS))
        return np.stack(targets)

    def _look(self, now_ns: int) -> None:
        """Ask as soon as the observation that is due is at hand, one after the other as the node's thread does."""
        t_obs_ns, age_ns = self._next_ns, self._timing.age_ns
        if self._coming is not None or now_ns < t_obs_ns + age_ns:
            return
        took_ns = self._timing.took_ns[self._step % len(self._timing.took_ns)]
        committed = None
        if self._method.told:
            committed = self._schedule.committed(t_obs_ns, now_ns + self._latency.expected_ns)
        rows = self._source(t_obs_ns, self._schedule.at(t_obs_ns), committed)
        arrives_ns = now_ns + took_ns
        begins = {"observation": t_obs_ns, "computation": now_ns, "arrival": arrives_ns}
        self._coming = arrives_ns, begins[self._method.counts_from], rows
        self._latency.add(took_ns)
        self._step += 1
        newest_ns = (arrives_ns - age_ns) // DT_NS * DT_NS
        self._next_ns = max(t_obs_ns + STRIDE_NS, newest_ns)

    def _take(self, now_ns: int) -> None:
        """As the driver does, at its first tick after the arrival; a chunk of which no row is left is refused."""
        if self._coming is None or now_ns < self._coming[0]:
            return
        (_, begin_ns, rows), self._coming = self._coming, None
        t_ns = begin_ns + DT_NS * np.arange(1, len(rows) + 1)
        if t_ns[-1] <= now_ns + self._method.commit_ns:
            return
        if self._method.mix is not None:
            chunk = Plan.through(t_ns, rows)
            rows = self._method.mix(self._chunks, self._schedule.plan, t_ns, rows)
            self._chunks = [*self._chunks[-len(rows) :], chunk]
        self._schedule.take(begin_ns, rows, now_ns)
