"""A policy without a network, and a world of messages without ROS: for the pilot on an injected clock."""

from __future__ import annotations

import time

import numpy as np
from fake_policy import TASKS, Mover, contract
from sensor_msgs.msg import JointState

from piper_bringup.arm.clock import Clock
from piper_bringup.arm.safety import Mode
from piper_bringup.cell.messages import objects
from piper_bringup.data import names
from piper_bringup.image_message import image, time_of
from smp_msgs.msg import ArmStatus, EpisodeEvent
from smp_policy.run.pilot import Pilot
from smp_policy.run.policy import Policy
from smp_policy.run.settings import Settings

MS = 1_000_000
WALL_NS = 1_760_000_000_000_000_000


class World:
    """A pilot, its clock and everything it hears and says. Time passes in steps of 10 ms."""

    def __init__(self, cameras: int = 0, slots: int = 0, lockstep: bool = False, **settings: object) -> None:
        self.ns = 5_000_000_000
        self.wall_ns = WALL_NS
        self.status_wall_ns = 0  # by how much the stamps of arm_status are off
        self.backend = Mover(contract(cameras, slots))
        self.settings = Settings(**{"model": "made up"} | settings)
        self.policy = Policy(self.backend)
        clock = Clock(lambda: self.ns, lambda: self.wall_ns)
        self.pilot = Pilot(self.policy, self.settings, self, clock, first_ns=20 * MS, lockstep=lockstep)
        self.q = np.zeros(14)
        self.mode, self.reason, self.rejected = Mode.HOLD, "ENABLED", 0
        self.silent: set[str] = set()  # sources that say nothing
        self.late_ns: dict[str, int] = {}  # how much older than now the stamps of a source are
        self.moving_picture = True
        self.heard, self.foreign = True, ()
        self.is_open = False
        self.sent: list[tuple[int, np.ndarray]] = []  # stamp, rows
        self.told, self.said, self.episodes = [], [], []
        self.ticks = 0

    # --- Link -----------------------------------------------------------------------------------------------

    def poll(self, senses) -> None:
        self.ticks += 1
        self._hear(senses, "joint_states", JointState(name=list(names.JOINTS), position=self.q.tolist()))
        if self.ticks % 5 == 0:
            for camera in self.pilot.senses.sources:
                self._hear(senses, camera, self._seen(camera))
        if "piper_driver" not in self.silent:
            for i, arm in enumerate(names.ARMS):
                status = ArmStatus(arm=arm, mode=int(self.mode), mode_name=self.mode.name, reason=self.reason)
                status.header.stamp, status.rejected_chunks = time_of(self.wall_ns + self.status_wall_ns), self.rejected
                senses.status(status, self.ns)
                own = slice(7 * i, 7 * i + 7)
                command = JointState(name=list(names.JOINTS[own]), position=self.q[own].tolist())
                senses.command(arm, command, self.ns)

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def others(self) -> tuple[str, ...]:
        return self.foreign

    def is_heard(self) -> bool:
        return self.heard

    def send(self, t_obs_ns: int, rows: np.ndarray) -> None:
        assert self.is_open
        self.sent.append((t_obs_ns, rows))

    def tell(self, told) -> None:
        self.told.append(told)

    def episode(self, kind, run, text, reset) -> None:
        self.episodes.append(kind)

    def say(self, level, reason, text) -> None:
        self.said.append((str(reason), text))

    # --- a test's hands -------------------------------------------------------------------------------------

    def run(self, seconds: float) -> World:
        """Let time pass."""
        for _ in range(round(seconds * 100)):
            self.pass_ns(10 * MS)
            self.pilot.step()
        return self

    def pass_ns(self, ns: int) -> None:
        """Both clocks."""
        self.ns, self.wall_ns = self.ns + ns, self.wall_ns + ns

    def flying(self, task: str = TASKS[0], limit_s: float = 0.0):
        """A run whose first chunk was sent, and followed."""
        run = self.pilot.ask(task, limit_s)
        self.run(0.1)
        assert self.sent, self.said
        self.mode = Mode.FOLLOW
        return run

    def reasons(self) -> list[str]:
        """Everything said, by its name."""
        return [reason for reason, _ in self.said]

    def event(self, kind: int, task: str = TASKS[0], text: str = "told", ago_ns: int = 0) -> EpisodeEvent:
        """From the cell."""
        event = EpisodeEvent(kind=kind, task=task, text=text, seed=7)
        event.header.stamp = time_of(self.wall_ns - ago_ns)
        return event

    def _hear(self, senses, source: str, message) -> None:
        if source not in self.silent:
            message.header.stamp = time_of(self.wall_ns - self.late_ns.get(source, 0))
            senses.hear(source, message, self.wall_ns)

    def _seen(self, source: str):
        if source == "objects":
            return objects(0, np.full((4, 14), 0.25))
        shade = self.ticks % 200 if self.moving_picture else 7
        return image(source, 0, np.full((names.IMAGE_HEIGHT, names.IMAGE_WIDTH, 3), shade, np.uint8))


def wait_real(true, seconds: float = 5.0) -> None:
    """For other threads."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
