"""Both arms, one tick at a time: feedback in, checks, mode, plan, limits, set-points out. No threads, no ROS.

`tick` runs on the command thread at 100 Hz. Chunks, requests and the number of commanders come from other
threads through `intake` and `ask`; they act at the next tick, except an emergency stop, which
is put on both buses at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piper_bringup.arm import chunk as chunks
from piper_bringup.arm import watch
from piper_bringup.arm.clock import Clock
from piper_bringup.arm.config import DriverConfig
from piper_bringup.arm.feedback import Feedback
from piper_bringup.arm.intake import Intake
from piper_bringup.arm.motion import Motion
from piper_bringup.arm.piper import Arm
from piper_bringup.arm.plan import Plan, splice
from piper_bringup.arm.request import UNSTOPPABLE, Request
from piper_bringup.arm.safety import Finding, Mode, Reason, Safety, Severity
from piper_bringup.arm.serving import Serving
from piper_bringup.arm.watching import Watching
from piper_bringup.data import names

Vector = NDArray[np.float64]
_LATE_PERIODS = 5  # a tick this late is worth saying
_TORN_NS = 2_000_000


@dataclass(frozen=True)
class Tick:
    """What one tick saw and did."""

    mono_ns: int
    wall_ns: int
    mode: Mode
    live: bool  # every arm's feedback was fresh
    feedback: dict[str, Feedback]
    command: Vector | None  # (14,) as handed to the arms; None when nothing was


class Core:
    """The driver without its threads and topics."""

    def __init__(self, config: DriverConfig, arms: dict[str, Arm], clock: Clock) -> None:
        self.config, self.arms, self.clock = config, arms, clock
        self.intake = Intake(clock, round(config.timeouts__chunk_period_s * 1e9))
        self.safety = Safety()
        self.motion = Motion(config)
        self.rejected = 0
        self.tracking_error = np.zeros(len(names.JOINTS))
        self.feedback: dict[str, Feedback] = {}
        self.streaming: set[str] = set()  # arms that get set-points
        self.operator_hold = False  # follow again only after an enable request
        self.now_ns = 0
        self._wall_minus_mono_ns: int | None = None
        self._last_tick_ns = self._due_ns = 0
        self.serving = Serving(self)
        self._watching = Watching(self)

    # --- from other threads ---------------------------------------------------------------------------------

    def ask(self, name: str, argument: object = None) -> Request:
        """Ask for one of OPERATIONS; the request's ``result`` is set by a later tick."""
        if name == "estop":
            for arm in self.arms.values():
                arm.estop()
        request = Request(name, argument)
        self.serving.take(request)
        return request

    # --- on the command thread ------------------------------------------------------------------------------

    def tick(self, due_ns: int | None = None) -> Tick:
        """One period of the command loop, due at ``due_ns``: now, unless the thread woke up late.

        The plan is read at the time that was meant: read at the time of a late awakening, an even motion would
        look uneven to the limits, which count in periods.
        """
        self.now_ns, wall_ns = self.clock.mono_ns(), self.clock.wall_ns()
        self._due_ns = self.now_ns if due_ns is None else min(due_ns, self.now_ns)
        self._watch_clock(wall_ns)
        self._watch_pace()
        self.feedback = {name: arm.feedback() for name, arm in self.arms.items()}
        self.serving.serve()  # first: an emergency stop asked for shows in the feedback before it shows here
        self._watching.look()
        self._take_chunk(wall_ns)
        command = self._stream()
        self._last_tick_ns = self.now_ns
        live = all(watch.is_live(f, self.now_ns, self.config) for f in self.feedback.values())
        return Tick(self.now_ns, wall_ns, self.safety.mode, live, self.feedback, command)

    def find(self, severity: Severity, reason: Reason, text: str, arm: str = "") -> Finding:
        """A finding of the driver itself."""
        return Finding(severity, reason, arm, text)

    def to(self, mode: Mode, finding: Finding) -> bool:
        """Change mode; whatever moved stands still from this tick on (S8, S25)."""
        was_moving, was_streaming = self.safety.moving, bool(self.streaming)
        if not self.safety.to(mode, finding, self.now_ns):
            return False
        if was_moving or (was_streaming and finding.reason == Reason.TRACKING_ERROR):
            self.motion.plan = None
            self.motion.latch(self.feedback)
        if mode in (Mode.DISABLED, Mode.DISCONNECTED, Mode.ESTOP):
            self.streaming.clear()
            self.motion.plan = None
        if mode == Mode.ESTOP:
            self.serving.auto_enable = False  # never by itself after an emergency stop (S14)
        operation = self.serving.operation
        if mode in (Mode.FAULT, Mode.ESTOP) and operation and operation.name not in UNSTOPPABLE:
            self.serving.end(finding.text)
        return True

    def say(self, finding: Finding) -> None:
        """Say it, change nothing."""
        self.safety.say(finding, self.now_ns)

    def follow_path(self, plan: Plan, mode: Mode, finding: Finding) -> None:
        """Start moving along ``plan``, which begins where the command stands."""
        if self.to(mode, finding):
            self.motion.plan = plan

    def fps(self, arm: str) -> float:
        """CAN frames per second over the last second."""
        return self._watching.fps(arm)

    def _watch_pace(self) -> None:
        gap = self.now_ns - self._last_tick_ns
        if self._last_tick_ns and gap > _LATE_PERIODS * self.config.period_ns:
            self.say(
                self.find(Severity.WARN, Reason.LOOP_LATE, f"the command loop stood still for {gap * 1e-6:.0f} ms")
            )

    def _watch_clock(self, wall_ns: int) -> None:
        if self.clock.mono_ns() - self.now_ns > _TORN_NS:
            return  # put aside between reading both clocks: their difference says nothing
        offset = wall_ns - self.now_ns
        before, self._wall_minus_mono_ns = self._wall_minus_mono_ns, offset
        if before is not None and abs(offset - before) > self.config.timeouts__clock_jump_s * 1e9:
            text = f"the system clock jumped by {(offset - before) * 1e-9:+.3f} s; holding, old chunks are void"
            finding = self.find(Severity.HOLD, Reason.CLOCK_JUMP, text)
            self.intake.drop()
            if self.safety.mode != Mode.FOLLOW or not self.to(Mode.HOLD, finding):
                self.say(finding)

    def blocked(self) -> Finding | None:
        """Why nothing may move at present."""
        for name, feedback in self.feedback.items():
            if (finding := watch.stale(name, feedback, self.now_ns, self.config)) is not None:
                return finding
        who = self.intake.commanders
        if len(who) > 1 and self.safety.mode != Mode.PARK:
            text = f"{len(who)} publishers of {names.TOPIC_ACTION_CHUNK}: {', '.join(who)}; only one may command"
            return self.find(Severity.HOLD, Reason.TWO_COMMANDERS, text)
        return None

    def away(self) -> list[str]:
        """Arms that do not answer."""
        return [n for n, f in self.feedback.items() if watch.lost(n, f, self.now_ns, self.config)]

    def _take_chunk(self, wall_ns: int) -> None:
        chunk, floods = self.intake.take()
        if floods:
            self.rejected += floods
            limit_hz = 1.0 / self.config.timeouts__chunk_period_s
            text = f"chunk refused: they come faster than {limit_hz:.0f} Hz"
            self.say(self.find(Severity.WARN, Reason.CHUNK_FLOOD, text))
        if chunk is None:
            return
        lower, upper = self.motion.lower, self.motion.upper
        finding = chunks.refuse(chunk, wall_ns, lower, upper, self.config) or self._accept(chunk)
        if finding is not None:
            self.rejected += 1
            self.say(finding)

    def _accept(self, chunk: chunks.Chunk) -> Finding | None:
        """Splice a well-formed chunk into the plan, or say why not."""
        if self.safety.mode not in (Mode.HOLD, Mode.FOLLOW) or self.operator_hold or self.serving.operation is not None:
            state = "operator hold" if self.operator_hold else self.safety.mode.name
            text = f"chunk refused: arms are in {state}; enable them to follow"
            return self.find(Severity.INFO, Reason.CHUNK_NOT_WANTED, text)
        if (blocked := self.blocked()) is not None:
            return blocked
        plan = chunks.to_plan(chunk, self._wall_minus_mono_ns)
        if plan.end_ns <= self.now_ns + self.config.plan__commit_s * 1e9:
            return self.find(Severity.WARN, Reason.CHUNK_TOO_OLD, "chunk refused: all of its points are in the past")
        running = self.motion.running(self._due_ns)
        here = running.at(max(self._due_ns, int(plan.t_ns[0])))
        if (jump := chunks.refuse_jump(plan, here, self._due_ns, self.config)) is not None:
            return jump
        commit_ns, blend_ns = int(self.config.plan__commit_s * 1e9), int(self.config.plan__blend_s * 1e9)
        joined = splice(running, plan, self._due_ns, commit_ns, blend_ns)
        if self.safety.mode == Mode.HOLD:
            self.to(Mode.FOLLOW, self.find(Severity.INFO, Reason.CHUNK_FOLLOWED, "following action chunks"))
        self.motion.plan = joined
        return None

    def _stream(self) -> Vector | None:
        """The next set-point of both arms, limited, and on its way."""
        if not self.streaming:
            return None
        if self.safety.mode == Mode.FOLLOW and not self.motion.covers(self._due_ns):
            self.to(Mode.HOLD, self.find(Severity.HOLD, Reason.NO_ROW, "no chunk covers this moment; holding"))
        both = self.motion.step(self._due_ns, moving=self.safety.moving)
        for i, name in enumerate(self.arms):
            if name in self.streaming:
                q = both[i * names.ARM_DOF : (i + 1) * names.ARM_DOF]
                opening = float(np.clip(q[6], 0.0, self.config.gripper__max_width))
                self.arms[name].set_point(q[:6], opening, self.config.gripper__effort_nm, self.motion.speed_percent)
        return both
