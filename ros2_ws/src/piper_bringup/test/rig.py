"""Two emulated arms behind the unmodified piper_sdk and the driver's core, all on one injected clock."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import replace

import numpy as np

from piper_bringup.arm.chunk import Chunk
from piper_bringup.arm.clock import Clock
from piper_bringup.arm.config import DriverConfig
from piper_bringup.arm.core import Core, Tick
from piper_bringup.arm.piper import Arm
from piper_bringup.arm.safety import Mode, Reason
from piper_bringup.can.arm import EmulatedArm
from piper_bringup.can.faults import Faults
from piper_bringup.can.plant import FirstOrderPlant
from piper_bringup.can.segment import Segment
from piper_bringup.data import names

TICK_S = 0.005
_fresh = itertools.count()  # piper_sdk keeps one object per channel name: every rig uses new names

READY_RAD = np.array([0.0, 1.0, -1.0, 0.0, 0.3, 0.0])


class EmulatedSide:
    """One arm: its segment, firmware, joints."""

    def __init__(self, arm: str, q_rad, powered: bool, **firmware) -> None:
        self.channel = f"rig{os.getpid()}_{next(_fresh)}_{arm}"
        self.segment = Segment(self.channel)
        self.port = self.segment.attach()
        self.firmware = EmulatedArm(q_rad=tuple(q_rad), **firmware)
        self.plant = FirstOrderPlant(q_rad=tuple(q_rad))
        if powered:
            self.firmware.receive(0x471, bytes([7, 2, 0, 0, 0, 0, 0, 0]), 0)
        self.state = None
        self.heard: list[tuple[int, bytes]] = []  # frames the driver put on the wire

    def step(self, t_ns: int) -> int:
        """5 ms; the number of frames emitted."""
        answers = []
        for frame in self.port.receive():
            self.heard.append((frame.arbitration_id, bytes(frame.data)))
            answers += self.firmware.receive(frame.arbitration_id, frame.data, t_ns)
        self.firmware.advance(TICK_S)
        self.state = self.plant.step(self.firmware.drive, TICK_S)
        self.firmware.measured(self.state)
        out = answers + self.firmware.feedback(t_ns)
        self.port.send(out)
        return len(out) if self.segment.is_up else 0

    def fault(self, **faults) -> None:
        """Put these faults in force; none: healthy."""
        self.firmware.faults = replace(Faults(), **faults)


class Rig:
    """Runs arms and core in lockstep: 5 ms of arm, every second step a tick of the core."""

    def __init__(self, q_rad=READY_RAD, *, powered: bool = True, firmware: dict | None = None, **config) -> None:
        self.ns = 1_000_000_000_000
        self.wall_offset_ns = time.time_ns() - self.ns
        clock = Clock(lambda: self.ns, lambda: self.ns + self.wall_offset_ns)
        self.sides = {arm: EmulatedSide(arm, q_rad, powered, **(firmware or {})) for arm in names.ARMS}
        # 80 %: the emulated firmware is faster than the driver's own limit, so that the latter is what acts.
        self.config = DriverConfig(**{"can_backend": "smp_vcan", "speed_percent": 80.0} | config)
        self.arms = {
            arm: Arm(arm, side.channel, "smp_vcan", clock, self.config.timeouts__reconnect_s, 10.0)
            for arm, side in self.sides.items()
        }
        self.core = Core(self.config, self.arms, clock)
        self.patience_s = 1.0  # real time given to the senders each tick
        self.events = []
        self.ticks: list[Tick] = []
        self.sent: list[np.ndarray | None] = []
        self.measured: list[np.ndarray] = []
        for arm in self.arms.values():
            arm.start()
        self.wait(lambda: all(a.link.is_open for a in self.arms.values()))

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        for arm in self.arms.values():
            arm.stop()
        for side in self.sides.values():
            side.segment.close()

    @staticmethod
    def wait(true, seconds: float = 5.0) -> None:
        """Real time for other threads, bounded; whether they were in time shows in what the test asserts."""
        end = time.monotonic() + seconds
        while not true() and time.monotonic() < end:
            time.sleep(0.0002)

    def run(self, seconds: float, each=None) -> None:
        """Advance the clock; ``each()`` before every tick of the core."""
        for _ in range(round(seconds / TICK_S / 2)):
            for _ in range(2):
                self.ns += round(TICK_S * 1e9)
                self._step_arms()
            if each is not None:
                each()
            self.tick()

    def run_until(self, true, seconds: float = 6.0) -> None:
        """Advance the clock until ``true()``; whether it came to that shows in what the test asserts."""
        for _ in range(round(seconds / 0.05)):
            if true():
                return
            self.run(0.05)

    def tick(self) -> Tick:
        """One tick of the core now."""
        tick = self.core.tick()
        self.events += self.core.safety.drain()
        self.ticks.append(tick)
        self.sent.append(None if tick.command is None else tick.command.copy())
        self.measured.append(self.q())
        self.wait(lambda: all(arm.idle() for arm in self.arms.values()), self.patience_s)
        time.sleep(0.0003)  # for the segment's thread to hand the frames on
        return tick

    def _step_arms(self) -> None:
        links = {arm: (self.arms[arm].link, self.arms[arm].link.frames) for arm in self.sides}
        for arm, side in self.sides.items():
            emitted = side.step(self.ns)
            link, before = links[arm]
            if link.is_open and not link.read_failed:
                self.wait(lambda link=link, n=before + emitted: link.frames >= n or link.read_failed, 1.0)

    def q(self) -> np.ndarray:
        """(14,) where both arms really are."""
        rows = [np.append(s.state.q_rad, s.state.gripper_m) for s in self.sides.values() if s.state is not None]
        return np.concatenate(rows) if rows else np.zeros(14)

    def answered(self) -> Rig:
        """Connected; every motor has told its limits, and both arms their firmware."""

        def told(arm: str) -> bool:
            feedback = self.core.feedback.get(arm)
            return feedback is not None and feedback.limits is not None and bool(feedback.firmware)

        self.run(1.3)
        self.run_until(lambda: all(map(told, self.arms)))
        return self

    def enabled(self) -> Rig:
        """Connected and enabled, holding."""
        self.answered()
        assert self.core.safety.mode == Mode.DISABLED, self.core.safety.mode
        result = self.ask("enable")
        assert result[0], result
        assert self.core.safety.mode == Mode.HOLD
        return self

    def ask(self, name: str, argument: object = None, seconds: float = 6.0) -> tuple[bool, str]:
        """Ask and run until there is an answer."""
        request = self.core.ask(name, argument)
        for _ in range(round(seconds / 0.05)):
            self.run(0.05)
            if request.result is not None:
                return request.result
        raise AssertionError(f"no answer to {name} in {seconds} s")

    def wall_ns(self) -> int:
        """System clock."""
        return self.ns + self.wall_offset_ns

    def chunk(self, motion=None, *, t_obs_ns: int | None = None, rows: int = names.HORIZON) -> Chunk:
        """A chunk from now on: ``motion(seconds from t_obs) -> (14,)``; without one it stands still."""
        times = (np.arange(rows) + 1) * names.DT_NS
        here = self.core.motion.at.q.copy()
        q = np.stack([here if motion is None else motion(t * 1e-9) for t in times])
        return Chunk(self.wall_ns() if t_obs_ns is None else t_obs_ns, names.JOINTS, times, q)

    def send(self, chunk: Chunk) -> None:
        """As the node's callback does."""
        if self.core.intake.admit():
            self.core.intake.offer(chunk)

    def follow(self, motion, seconds: float) -> None:
        """Stream ``motion(seconds since start) -> (14,)`` at 5 Hz."""
        start_ns, next_ns = self.ns, self.ns

        def each() -> None:
            nonlocal next_ns
            if self.ns >= next_ns:
                now_s = (self.ns - start_ns) * 1e-9
                self.send(self.chunk(lambda t: motion(now_s + t)))
                next_ns += names.REPLAN_ROWS * names.DT_NS

        self.run(seconds, each)

    def reasons(self) -> list[Reason]:
        """Reasons of all events so far."""
        return [event.reason for event in self.events]

    def mode(self) -> Mode:
        """Of both arms."""
        return self.core.safety.mode
