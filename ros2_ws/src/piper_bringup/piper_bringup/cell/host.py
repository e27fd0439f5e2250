"""The cell below the CAN wire: both segments, both emulated arms, and the world whose joints they move."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from piper_bringup.can.arm import EmulatedArm
from piper_bringup.can.link import Link
from piper_bringup.can.report import TICK_S
from piper_bringup.can.rest import refuse_away
from piper_bringup.can.segment import Segment
from piper_bringup.cell.world import World
from piper_bringup.data.names import ARMS

TICK_NS = round(TICK_S * 1e9)


@dataclass(frozen=True)
class Episode:
    """The episode that the cell is in."""

    task: str
    instruction: str
    seed: int
    number: int  # counts up from 0


class Cell:
    """Hosts the segments from construction to `close`; a context manager. `tick` and `reset` may be on two threads.

    channels: arm -> segment name. Raises ValueError for an unknown task, SegmentError when a segment is taken.
    """

    def __init__(self, task: str, seed: int, channels: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._world = World(task, seed)
        self._episode = self._described(seed, 0)
        with ExitStack() as stack:
            self.segments = {arm: stack.enter_context(Segment(channels[arm])) for arm in ARMS}
            self._stack = stack.pop_all()
        self._links = {arm: Link(EmulatedArm(), self.segments[arm]) for arm in ARMS}

    def __enter__(self) -> Cell:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def world(self) -> World:
        """The present world; a new one after a change of task."""
        return self._world

    @property
    def arms(self) -> dict[str, EmulatedArm]:
        """The emulated arms, for their faults."""
        return {arm: link.arm for arm, link in self._links.items()}

    @property
    def episode(self) -> Episode:
        """The present episode."""
        return self._episode

    def tick(self) -> bool:
        """5 ms: commands in, firmware, physics, feedback out. True when the task has just succeeded."""
        with self._lock:
            before = self._world.success()
            for arm, link in self._links.items():
                link.take()
                link.arm.advance(TICK_S)
                self._world.drive(arm, link.arm.drive)
            self._world.step(TICK_S)
            for arm, link in self._links.items():
                link.arm.measured(self._world.arm_state(arm))
                link.give()
            return self._world.success() and not before

    def reset(self, task: str = "", seed: int = -1) -> Episode:
        """Objects of `task` (empty: the present one) for `seed` (negative: the next one); the arms stay.

        Raises Refused while an arm is further than 0.1 rad from rest, ValueError for an unknown task.
        """
        seed = self._episode.seed + 1 if seed < 0 else seed
        task = task or self._episode.task
        self._refuse_away_from_rest()
        world = self._world if task == self._episode.task else World(task, seed)
        with self._lock:
            self._refuse_away_from_rest()
            if world is self._world:
                world.respawn(seed)
            else:
                world.adopt(self._world)
                self._world = world
            self._episode = self._described(seed, self._episode.number + 1)
            return self._episode

    def clear(self) -> None:
        """Take loose objects away, out of the hands too, until the next reset."""
        with self._lock:
            self._world.clear()

    def close(self) -> None:
        """End both segments."""
        self._stack.close()

    def _described(self, seed: int, number: int) -> Episode:
        task = self._world.task
        return Episode(task.name, task.instruction, seed, number)

    def _refuse_away_from_rest(self) -> None:
        refuse_away({arm: self._world.arm_state(arm).q_rad for arm in ARMS})
