"""Teleoperation of the driver's real core: leaders are functions of time, arms are perfect, the clock is injected."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from piper_bringup.arm.chunk import Chunk
from piper_bringup.arm.clock import Clock
from piper_bringup.arm.config import DriverConfig
from piper_bringup.arm.core import Core
from piper_bringup.arm.feedback import MOTOR_ENABLED_BIT, Feedback
from piper_bringup.arm.safety import Mode
from piper_bringup.commander import Window
from piper_bringup.data import names
from piper_bringup.record.teleop import Teleop, TeleopConfig
from piper_bringup.record.teleop_node import PERIOD_S
from piper_bringup.record.teleop_path import Track

READY = np.array([0.0, 1.0, -1.0, 0.0, 0.3, 0.0, 0.02] * 2)
TICK_NS = 10_000_000
READING_NS = 5_000_000
LATE_NS = 10_000_000  # a chunk on its way
Motion = Callable[[float], np.ndarray]


class PerfectArm:
    """Is where it was sent, at once."""

    def __init__(self, clock: Clock, q: np.ndarray) -> None:
        self._clock, self.q, self.frames = clock, q.copy(), 0
        self._on = np.zeros(6, dtype=np.int64)

    def feedback(self) -> Feedback:
        """Healthy in every respect."""
        self.frames += 30
        now_ns, zeros = self._clock.mono_ns(), np.zeros(6)
        limits = np.stack([names.JOINT_LOWER_RAD, names.JOINT_UPPER_RAD, zeros + 3.0], axis=1)
        return Feedback(
            *(now_ns, now_ns, self._clock.wall_ns(), self.frames, self.q[:6], zeros, zeros, self.q[6], 0.0, 64),
            *(1, 0, 1, 0, 0, 0, self._on << MOTOR_ENABLED_BIT, zeros + 30, zeros + 30, zeros + 24),
            *(limits, "S-V1.8-9", False, True, False, "", 0, 0, 0, 0),
        )

    def set_point(self, q_rad: np.ndarray, gripper_m: float, effort_nm: float, speed_percent: float) -> None:
        self.q = np.append(q_rad, gripper_m)

    def enable_joint(self, number: int) -> None:
        self._on[number - 1] = 1


class TeleopRig:
    """`run` moves both leaders along `motion` (seconds since the start -> (14,)) and lets the driver tick."""

    def __init__(self, motion: Motion, driver: dict | None = None, **config: object) -> None:
        self.ns, self.motion = 1_000_000_000_000, motion
        clock = Clock(lambda: self.ns, lambda: self.ns + 10**18)
        half = np.split(READY, 2)
        arms = {arm: PerfectArm(clock, q) for arm, q in zip(names.ARMS, half, strict=True)}
        self.core = Core(DriverConfig(**{"speed_percent": 80.0} | (driver or {})), arms, clock)
        self.teleop = Teleop(TeleopConfig(**config))
        self.alive = True  # leaders
        self.sent: list[np.ndarray] = []  # set-points of the driver, one a tick
        self.chunks: list[Window] = []
        self._on_way: tuple[int, Chunk] | None = None
        for _ in range(150):
            self._tick()
        request = self.core.ask("enable")
        for _ in range(20):
            self._tick()
        assert request.result == (True, "enabled") and self.core.safety.mode == Mode.HOLD, request.result
        self.sent.clear()
        self.start_ns = self._next_ns = self.ns

    def engage(self) -> str:
        """The clutch; why not."""
        return self.teleop.engage(self.ns, self.core.motion.at.q, self.motion((self.ns - self.start_ns) * 1e-9))

    def run(self, seconds: float) -> TeleopRig:
        """Teleoperate for this long; what the leaders do to the teleoperation, the node's timer does."""
        for _ in range(round(seconds * 1e9) // TICK_NS):
            if self.alive and self.teleop.state != "off" and self.ns >= self._next_ns:
                self._next_ns = self.ns + round(PERIOD_S * 1e9)
                self._post(self.teleop.window(self.ns, self.tracks(), self.statuses()))
            self._tick()
        return self

    def disengage(self) -> None:
        """The clutch, and what the node does when something is wrong."""
        self._post(self.teleop.disengage(self.ns, self.statuses()))

    def tracks(self) -> dict[str, Track]:
        """Half a second of readings."""
        t_ns = self.ns - self.ns % READING_NS - np.arange(99, -1, -1) * READING_NS
        q = np.stack([self.motion((int(t) - self.start_ns) * 1e-9) for t in t_ns])
        return {"left": Track(t_ns, q[:, :7]), "right": Track(t_ns, q[:, 7:])}

    def statuses(self) -> dict:
        """As the driver publishes them."""
        core, safety = self.core, self.core.safety
        return {
            arm: (
                SimpleNamespace(
                    mode=int(safety.mode),
                    mode_name=safety.mode.name,
                    reason=str(safety.reason),
                    speed_percent=core.motion.speed_percent,
                    limit_lower_rad=core.motion.lower[first : first + 6],
                    limit_upper_rad=core.motion.upper[first : first + 6],
                ),
                self.ns,
            )
            for arm, first in zip(names.ARMS, (0, 7), strict=True)
        }

    @property
    def q(self) -> np.ndarray:
        """(T, 14) set-points sent so far."""
        return np.stack(self.sent)

    def led(self) -> np.ndarray:
        """(T, 14) where the leaders were at the same times."""
        return np.stack([self.motion((i + 1) * TICK_NS * 1e-9) for i in range(len(self.sent))])

    def reasons(self) -> set[str]:
        """Of the driver's events since the last call."""
        return {str(event.reason) for event in self.core.safety.drain()}

    def _post(self, window: Window) -> None:
        self.chunks.append(window)
        times = (np.arange(len(window.rows)) + 1) * names.DT_NS
        self._on_way = (self.ns + LATE_NS, Chunk(window.t_obs_ns + 10**18, names.JOINTS, times, window.rows))

    def _tick(self) -> None:
        self.ns += TICK_NS
        if self._on_way is not None and self.ns >= self._on_way[0]:
            assert self.core.intake.admit()
            self.core.intake.offer(self._on_way[1])
            self._on_way = None
        if self.core.tick().command is not None:
            self.sent.append(self.core.motion.at.q.copy())
