"""Both arms, one tick at a time: feedback in, checks, mode, plan, limits, set-points out. No threads, no ROS.

`tick` runs on the command thread at 100 Hz. Chunks, requests and the number of commanders come from other
threads through `admit`/`offer`, `ask` and `commanders`; they act at the next tick, except an emergency stop, which
is put on both buses at once.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piper_bringup.arm import chunk as chunks
from piper_bringup.arm import limits, watch
from piper_bringup.arm.clock import Clock
from piper_bringup.arm.config import DriverConfig, columns
from piper_bringup.arm.gauges import Rate, Stretch
from piper_bringup.arm.operations import OPERATIONS, UNSTOPPABLE, Request
from piper_bringup.arm.piper import Arm, Feedback
from piper_bringup.arm.plan import Plan, splice, standing
from piper_bringup.arm.safety import Finding, Mode, Reason, Safety, Severity
from piper_bringup.data import names

Vector = NDArray[np.float64]
_LATE_PERIODS = 5  # a tick this late is worth saying
_TORN_NS = 2_000_000
_ESTOP_AGAIN_NS = 100_000_000


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
        self.safety = Safety()
        self._a_max = config.a_max
        self.clamped = dict.fromkeys(("position", "velocity", "acceleration"), 0)
        self.rejected = 0
        self.tracking_error = np.zeros(len(names.JOINTS))
        self.bound(
            np.tile([*names.JOINT_LOWER_RAD, 0.0], 2),
            np.tile([*names.JOINT_UPPER_RAD, config.gripper__max_width], 2),
            config.speed_percent,
        )
        self.feedback: dict[str, Feedback] = {}
        self.at = limits.SetPoint.at_rest(np.zeros(len(names.JOINTS)))  # last set-point, meaningless until latched
        self.streaming: set[str] = set()  # arms that get set-points
        self.operator_hold = False  # follow again only after an enable request
        self.now_ns = 0
        self._target_before = self.at.q
        self._plan: Plan | None = None
        self._operation: Request | None = None
        self._auto_enable = config.auto_enable
        self._wall_minus_mono_ns: int | None = None
        self._last_tick_ns = self._due_ns = 0
        self._estop_sent_ns = 0
        self._disabled = Stretch()
        self._rates = {arm: Rate() for arm in arms}
        self._tracking = Stretch()
        self._live = Stretch()
        self._lock = threading.Lock()
        self._inbox: chunks.Chunk | None = None
        self._floods = 0
        self._offered_ns = -(1 << 62)
        self._requests: deque[Request] = deque()
        self._commanders: tuple[str, ...] = ()

    # --- from other threads ---------------------------------------------------------------------------------

    def admit(self) -> bool:
        """Whether another chunk may be offered now; a flood is refused before it costs anything."""
        now_ns = self.clock.mono_ns()
        with self._lock:
            flood = now_ns - self._offered_ns < self.config.timeouts__chunk_period_s * 1e9
            self._offered_ns = now_ns
            self._floods += flood
        return not flood

    def offer(self, chunk: chunks.Chunk) -> None:
        """Hand over a chunk; the next tick takes the newest."""
        with self._lock:
            self._inbox = chunk

    def commanders(self, nodes: tuple[str, ...]) -> None:
        """Which nodes publish chunks (S27)."""
        self._commanders = nodes

    def ask(self, name: str, argument: object = None) -> Request:
        """Ask for one of OPERATIONS; the request's ``result`` is set by a later tick."""
        if name == "estop":
            for arm in self.arms.values():
                arm.estop()
        request = Request(name, argument)
        self._requests.append(request)
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
        self._serve()  # first: an emergency stop asked for shows in the feedback before it shows here
        self._watch_arms()
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
            self._plan = None
            self.latch()
        if mode in (Mode.DISABLED, Mode.DISCONNECTED, Mode.ESTOP):
            self.streaming.clear()
            self._plan = None
        if mode == Mode.ESTOP:
            self._auto_enable = False  # never by itself after an emergency stop (S14)
        if mode in (Mode.FAULT, Mode.ESTOP) and self._operation and self._operation.name not in UNSTOPPABLE:
            self._end_operation(finding.text)
        return True

    def say(self, finding: Finding) -> None:
        """Say it, change nothing."""
        self.safety.say(finding, self.now_ns)

    def bound(self, lower: Vector, upper: Vector, speed_percent: float) -> None:
        """Limits from now on: positions (14,) each, and the firmware's speed setting [%]."""
        self.lower, self.upper, self.speed_percent = lower, upper, speed_percent
        inner = columns(self.config.limits__position_margin_rad, 0.0)
        self._limits: tuple[limits.Limit, ...] = (
            limits.PositionLimit(lower + inner, upper - inner),
            limits.VelocityLimit(self.config.v_max(speed_percent)),
            limits.AccelerationLimit(self._a_max),
        )

    def latch(self, *, grippers_too: bool = False) -> None:
        """Hold from here: joints at the position measured now, grippers at their last target (S8, S17)."""
        q = self.at.q.copy()
        for i, name in enumerate(self.arms):
            feedback, first = self.feedback[name], i * names.ARM_DOF
            joints = slice(first, first + 6)
            # A folded arm reads a hair outside its limits, and the firmware refuses targets that are outside.
            q[joints] = np.clip(feedback.q_rad, self.lower[joints], self.upper[joints])
            if grippers_too:
                q[first + 6] = np.clip(feedback.gripper_m, 0.0, self.config.gripper__max_width)
        self.at = limits.SetPoint.at_rest(q)
        self._target_before = q

    def follow_path(self, plan: Plan, mode: Mode, finding: Finding) -> None:
        """Start moving along ``plan``, which begins where the command stands."""
        if self.to(mode, finding):
            self._plan = plan

    @property
    def path_end_ns(self) -> int:
        """When the running plan ends; 0 without one."""
        return self._plan.end_ns if self._plan else 0

    def fps(self, arm: str) -> float:
        """CAN frames per second over the last second."""
        return self._rates[arm].per_second or 0.0

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
            self._drop_inbox()
            if self.safety.mode != Mode.FOLLOW or not self.to(Mode.HOLD, finding):
                self.say(finding)

    def _watch_arms(self) -> None:
        if self.safety.mode == Mode.ESTOP:
            self._repeat_estop()
            return
        gone = self._watch_connection()
        if self.safety.mode == Mode.DISCONNECTED:
            return
        for name in self.arms:
            if name not in gone:
                self._watch_one(name, self.feedback[name])
        self._watch_following()

    def _repeat_estop(self) -> None:
        """An arm that came back, or lost the frame, is stopped too; only reset_estop leads out."""
        leaving = self._operation is not None and self._operation.name == "reset_estop"
        if leaving or self.now_ns - self._estop_sent_ns < _ESTOP_AGAIN_NS:
            return
        self._estop_sent_ns = self.now_ns
        for name, feedback in self.feedback.items():
            if feedback.arm_status != watch.ARM_ESTOP:
                self.arms[name].estop()

    def _watch_connection(self) -> set[str]:
        """Arms that are away; nothing they said counts."""
        config, mode = self.config, self.safety.mode
        gone = [f for n, fb in self.feedback.items() if (f := watch.lost(n, fb, self.now_ns, config))]
        live = all(watch.is_live(fb, self.now_ns, config) for fb in self.feedback.values())
        stable = self._live.lasted_ns(live, self.now_ns) >= config.timeouts__feedback_stable_s * 1e9
        if gone and mode not in (Mode.DISCONNECTED, Mode.DISABLED, Mode.ENABLING):
            for finding in gone:
                self.streaming.discard(finding.arm)  # it may have moved by the time it is back
                self.to(Mode.FAULT, finding)
        elif gone and mode != Mode.DISCONNECTED:
            self._end_operation(gone[0].text)
            self.to(Mode.DISCONNECTED, gone[0])
        elif mode == Mode.DISCONNECTED and gone:
            for name, feedback in self.feedback.items():
                if feedback.link_error:
                    self.say(self.find(Severity.WARN, Reason.BUS_MISSING, feedback.link_error, name))
                elif (foreign := watch.foreign_mode(name, feedback)) is not None:
                    self.say(foreign)
        elif stable and mode == Mode.DISCONNECTED:
            text = "; ".join(f"{n} arm: firmware {fb.firmware or 'unknown'}" for n, fb in self.feedback.items())
            self.to(
                Mode.DISABLED,
                self.find(Severity.INFO, Reason.CONNECTED, f"both arms answer, disabled; {text}"),
            )
        elif stable and mode == Mode.FAULT and self.safety.reason in (Reason.BUS_LOST, Reason.FEEDBACK_LOST):
            text = "both arms answer again; disabled, enable to go on"
            self.to(Mode.DISABLED, self.find(Severity.INFO, Reason.FEEDBACK_BACK, text))
        return {finding.arm for finding in gone}

    def _watch_one(self, name: str, feedback: Feedback) -> None:
        streaming = name in self.streaming
        rate = watch.rate(name, self._rates[name].add(self.now_ns, feedback.frames), self.config)
        found = [
            rate,
            *watch.faults(name, feedback, self.config),
            *watch.warnings(name, feedback, self.config),
        ]
        foreign = watch.foreign_mode(name, feedback)
        if foreign:
            self.streaming.discard(name)
            found.append(foreign)
        if streaming:
            found.append(self._send_trouble(name, feedback))
            if self.safety.mode != Mode.ENABLING:
                found.append(watch.power_lost(name, feedback))
        for finding in filter(None, found):
            if finding.severity == Severity.FAULT and (self.streaming or streaming):
                self.to(Mode.FAULT, finding)
            else:
                self.say(finding)

    def _send_trouble(self, name: str, feedback: Feedback) -> Finding | None:
        if feedback.send_failures >= 3:  # S22
            text = f"{feedback.send_failures} sends in a row to the {name} arm failed"
            return self.find(Severity.FAULT, Reason.SEND_FAILED, text, name)
        since_ns = feedback.sending_since_ns
        if since_ns and self.now_ns - since_ns > self.config.timeouts__feedback_fault_s * 1e9:
            return self.find(Severity.FAULT, Reason.SEND_BLOCKED, f"sending to the {name} arm blocks", name)
        return None

    def _watch_following(self) -> None:
        """Feedback late, two commanders, arms that do not follow: only while set-points are streamed."""
        if not self.streaming or self.safety.mode == Mode.ENABLING:
            return
        measured = np.concatenate(
            [[*self.feedback[n].q_rad, np.nan] if n in self.streaming else [np.nan] * names.ARM_DOF for n in self.arms]
        )
        self.tracking_error = np.nan_to_num(np.abs(self.at.q - measured))
        worst = int(np.argmax(self.tracking_error))
        off = self.tracking_error[worst] > self.config.limits__tracking_error_rad
        if self._tracking.lasted_ns(bool(off), self.now_ns) >= self.config.timeouts__tracking_s * 1e9 and off:
            text = f"{names.JOINTS[worst]} is {self.tracking_error[worst]:.2f} rad from its set-point"
            self.to(
                Mode.FAULT,
                self.find(Severity.FAULT, Reason.TRACKING_ERROR, text, names.JOINTS[worst].split("_")[0]),
            )
            return
        blocked = self._blocked()
        if blocked is not None and self.safety.moving:
            self.to(Mode.HOLD, blocked)

    def _blocked(self) -> Finding | None:
        """Why nothing may move at present."""
        for name, feedback in self.feedback.items():
            if (finding := watch.stale(name, feedback, self.now_ns, self.config)) is not None:
                return finding
        if len(self._commanders) > 1 and self.safety.mode != Mode.PARK:
            text = f"{len(self._commanders)} publishers of {names.TOPIC_ACTION_CHUNK}: {', '.join(self._commanders)}"
            return self.find(Severity.HOLD, Reason.TWO_COMMANDERS, f"{text}; only one may command")
        return None

    def _serve(self) -> None:
        """Start what was asked for, go on with what takes longer."""
        if self._may_auto_enable():
            self._auto_enable = False
            self._requests.append(Request("enable"))
        while self._requests:
            request = self._requests.popleft()
            if self._operation is not None:
                if not request.interrupts(self._operation):
                    request.result = (False, f"busy with {self._operation.name}")
                    continue
                self._end_operation(f"interrupted by {request.name}")
            request.started_ns = self.now_ns
            self._operation = request
            self._work()
        self._work()

    def _may_auto_enable(self) -> bool:
        """Once, when both arms have said what enabling wants to know, or have had the time to."""
        disabled_ns = self._disabled.lasted_ns(self.safety.mode == Mode.DISABLED, self.now_ns)
        answered = all(fb.limits is not None and fb.firmware for fb in self.feedback.values())
        patience_ns = self.config.timeouts__enable_s * 1e9
        return self._auto_enable and self.safety.mode == Mode.DISABLED and (answered or disabled_ns > patience_ns)

    def _work(self) -> None:
        request = self._operation
        if request is not None:
            try:
                result = OPERATIONS[request.name](self, request)
            except Exception as error:  # answered whatever happens: nobody waits for ever for an e-stop's thread
                request.result, self._operation = (False, f"{type(error).__name__}: {error}"), None
                raise
            if result is not None and request.result is None:
                request.result, self._operation = result, None

    def _end_operation(self, text: str) -> None:
        if self._operation is not None:
            self._operation.result = (False, text)
            self._operation = None

    def _drop_inbox(self) -> None:
        with self._lock:
            self._inbox = None

    def _take_chunk(self, wall_ns: int) -> None:
        with self._lock:
            chunk, self._inbox = self._inbox, None
            floods, self._floods = self._floods, 0
        if floods:
            self.rejected += floods
            limit_hz = 1.0 / self.config.timeouts__chunk_period_s
            text = f"chunk refused: they come faster than {limit_hz:.0f} Hz"
            self.say(self.find(Severity.WARN, Reason.CHUNK_FLOOD, text))
        if chunk is None:
            return
        finding = chunks.refuse(chunk, wall_ns, self.lower, self.upper, self.config) or self._accept(chunk)
        if finding is not None:
            self.rejected += 1
            self.say(finding)

    def _accept(self, chunk: chunks.Chunk) -> Finding | None:
        """Splice a well-formed chunk into the plan, or say why not."""
        if self.safety.mode not in (Mode.HOLD, Mode.FOLLOW) or self.operator_hold or self._operation is not None:
            state = "operator hold" if self.operator_hold else self.safety.mode.name
            text = f"chunk refused: arms are in {state}; enable them to follow"
            return self.find(Severity.INFO, Reason.CHUNK_NOT_WANTED, text)
        if (blocked := self._blocked()) is not None:
            return blocked
        plan = chunks.to_plan(chunk, self._wall_minus_mono_ns)
        if plan.end_ns <= self.now_ns + self.config.plan__commit_s * 1e9:
            return self.find(Severity.WARN, Reason.CHUNK_TOO_OLD, "chunk refused: all of its points are in the past")
        running = self._plan if self._plan is not None else standing(self.at.q, self._due_ns)
        here = running.at(max(self._due_ns, int(plan.t_ns[0])))
        if (jump := chunks.refuse_jump(plan, here, self._due_ns, self.config)) is not None:
            return jump
        commit_ns, blend_ns = int(self.config.plan__commit_s * 1e9), int(self.config.plan__blend_s * 1e9)
        joined = splice(running, plan, self._due_ns, commit_ns, blend_ns)
        if self.safety.mode == Mode.HOLD:
            self.to(Mode.FOLLOW, self.find(Severity.INFO, Reason.CHUNK_FOLLOWED, "following action chunks"))
        self._plan = joined
        return None

    def _stream(self) -> Vector | None:
        """The next set-point of both arms, limited, and on its way."""
        if not self.streaming:
            return None
        target = self._target()
        dt_s = self.config.period_ns * 1e-9
        wanted = limits.approach(target, self._target_before, self.at, self._a_max, dt_s)
        limited = limits.apply(wanted, self.at, self._limits, dt_s)
        self._target_before, self.at = target, limited.to
        if self.safety.moving:
            for name, joints in limited.clamped.items():
                self.clamped[name] += int(np.count_nonzero(joints))
        for i, name in enumerate(self.arms):
            if name in self.streaming:
                q = self.at.q[i * names.ARM_DOF : (i + 1) * names.ARM_DOF]
                opening = float(np.clip(q[6], 0.0, self.config.gripper__max_width))
                self.arms[name].set_point(q[:6], opening, self.config.gripper__effort_nm, self.speed_percent)
        return self.at.q

    def _target(self) -> Vector:
        if self.safety.mode == Mode.FOLLOW and (self._plan is None or self._due_ns > self._plan.end_ns):
            self.to(Mode.HOLD, self.find(Severity.HOLD, Reason.NO_ROW, "no chunk covers this moment; holding"))
        if self._plan is not None and self.safety.moving:
            return self._plan.at(self._due_ns)
        return self._target_before
