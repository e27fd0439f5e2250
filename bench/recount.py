"""Successes in the simulated cell, counted again from what the graph says in public. No node, no word of the judge.

The cell tells where its objects are (/cell/objects), the driver where the arms are (/joint_states). A world of our own
is put into each of these instants and looks at the task's goals: contacts come out of MuJoCo once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from piper_bringup.cell import motion
from piper_bringup.cell.task import Kind, Progress
from piper_bringup.cell.world import SLOT_FIELDS, World
from piper_bringup.data.names import ARM_JOINTS, ARMS
from smp_msgs.msg import EpisodeEvent

Array = NDArray[np.float64]

ENDS = (EpisodeEvent.SUCCEEDED, EpisodeEvent.FAILED, EpisodeEvent.TIMED_OUT, EpisodeEvent.ABORTED)
GRACE_NS = 200_000_000  # objects are told of every 50 ms, the cell looks every 20 ms
JOINTS_NS = 50_000_000  # joints further away in time say nothing about an instant
LONGEST_LOOK_S = 0.1  # of what is not told nothing is believed
_XYZ, _R1, _R2, _OPENING = (
    slice(SLOT_FIELDS.index(first), SLOT_FIELDS.index(first) + n)
    for first, n in (("x", 3), ("r0", 3), ("r3", 3), ("articulation", 1))
)


@dataclass(frozen=True)
class Said:
    """What matters of an EpisodeEvent; t_ns on the system clock."""

    t_ns: int
    kind: int
    task: str
    seed: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Heard:
    """One episode as events tell it, from its first motion to its end."""

    task: str
    seed: int
    began_ns: int
    ended_ns: int
    kind: int  # one of ENDS; the first end stands
    seconds: float

    @property
    def success(self) -> bool:
        """What the cell's judge says."""
        return self.kind == EpisodeEvent.SUCCEEDED


def episodes(events: Iterable[Said]) -> list[Heard]:
    """Episodes that were begun and ended, in their order; the seed is that of the objects' last placing."""
    found: list[Heard] = []
    placed: Said | None = None
    began: Said | None = None
    for event in sorted(events, key=lambda event: event.t_ns):
        if event.kind == EpisodeEvent.RESET:
            placed, began = event, None
        elif event.kind == EpisodeEvent.STARTED:
            began = event
        elif event.kind in ENDS and placed is not None and began is not None:
            found.append(Heard(placed.task, placed.seed, began.t_ns, event.t_ns, event.kind, event.seconds))
            began = None
    return found


class Judge:
    """A world of `task`, its objects as `seed` places them, that stands where it is put."""

    def __init__(self, task: str, seed: int) -> None:
        self._world = World(task, seed)
        model = self._world.model
        self._arm_qpos = {
            arm: [model.joint(f"{arm}_{name}").qposadr[0] for name in (*ARM_JOINTS, "finger1", "finger2")]
            for arm in ARMS
        }
        self._before: tuple[int, Array] | None = None
        self._progress = Progress()

    @property
    def success(self) -> bool:
        """All goals were seen to be reached."""
        return self._progress.reached == len(self._world.task.goals)

    @property
    def goals(self) -> tuple[str, ...]:
        """Names of those that were, in order."""
        return tuple(goal.name for goal in self._world.task.goals[: self._progress.reached])

    def look(self, t_ns: int, slots: Array, q: Array) -> None:
        """The instant t_ns: slots (SLOTS, fields) as World.slots(), q (14,) as measured; speeds are its difference."""
        qpos = self._positions(slots, q)
        qvel, dt_s = np.zeros(self._world.model.nv), 0.0
        if self._before is not None and t_ns > self._before[0]:
            dt_s = (t_ns - self._before[0]) * 1e-9
            mujoco.mj_differentiatePos(self._world.model, qvel, dt_s, self._before[1], qpos)
        self._before = t_ns, qpos
        state = self._world.state()
        physics = state.physics.copy()  # time first, then positions, then speeds
        physics[1 : 1 + len(qpos) + len(qvel)] = np.concatenate([qpos, qvel])
        self._world.restore(replace(state, physics=physics))
        self._progress = self._progress.after(self._world.task, self._world, min(dt_s, LONGEST_LOOK_S))

    def _positions(self, slots: Array, q: Array) -> Array:
        world = self._world
        qpos = world.positions()[: world.model.nq]
        for arm, columns in self._arm_qpos.items():
            *joints, opening = motion.arm_columns(q, arm)
            qpos[columns] = (*joints, opening / 2, opening / 2)
        here = [thing for thing in world.task.things if world.is_here(thing.name)]
        for row, thing in zip(slots, here, strict=False):
            if thing.kind == Kind.FREE:
                first = world.model.joint(thing.name).qposadr[0]
                qpos[first : first + 7] = (*row[_XYZ], *_quaternion(row[_R1], row[_R2]))
            elif thing.kind == Kind.SLIDE:
                qpos[world.model.joint(thing.name).qposadr[0]] = row[_OPENING].item()
        return qpos


def recount(
    episode: Heard, objects: Sequence[tuple[int, Array]], joints: Sequence[tuple[int, Array]]
) -> tuple[bool, tuple[str, ...]]:
    """Whether an episode succeeded, and the goals that were reached, from stamped slots and stamped joints (14,)."""
    judge, t_ns = Judge(episode.task, episode.seed), np.array([t for t, _ in joints])
    until_ns = episode.ended_ns + GRACE_NS
    for at_ns, slots in objects:
        if not len(t_ns) or not episode.began_ns <= at_ns <= until_ns:
            continue
        if np.abs(t_ns - at_ns).min() <= JOINTS_NS:
            judge.look(at_ns, slots, joints_at(at_ns, t_ns, joints))
    return judge.success, judge.goals


def joints_at(at_ns: int, t_ns: NDArray[np.int64], joints: Sequence[tuple[int, Array]]) -> Array:
    """(14,) between the two that lie around at_ns; t_ns (N,): their times."""
    i = min(max(int(np.searchsorted(t_ns, at_ns)), 1), len(t_ns) - 1)
    (t0, q0), (t1, q1) = joints[i - 1], joints[i]
    share = 1.0 if t1 == t0 else min(max((at_ns - t0) / (t1 - t0), 0.0), 1.0)
    return q0 + (q1 - q0) * share


def _quaternion(first: Array, second: Array) -> Array:
    """(4,) w x y z of a rotation whose first two columns are given."""
    matrix, quaternion = np.stack([first, second, np.cross(first, second)], axis=1), np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(matrix).ravel())
    return quaternion
