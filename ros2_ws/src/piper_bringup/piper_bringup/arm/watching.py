"""What follows from the feedback of both arms, tick by tick: who is gone, back, broken, late, not following."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from piper_bringup.arm import watch
from piper_bringup.arm.feedback import Feedback
from piper_bringup.arm.gauges import Rate, Stretch
from piper_bringup.arm.safety import Finding, Mode, Reason, Severity
from piper_bringup.data import names

if TYPE_CHECKING:
    from piper_bringup.arm.core import Core

_ESTOP_AGAIN_NS = 100_000_000


class Watching:
    """Asks the questions of `watch` about `core.feedback` and changes the mode of `core` by the answers."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._rates = {arm: Rate() for arm in core.arms}
        self._tracking, self._live = Stretch(), Stretch()
        self._estop_sent_ns = 0

    def fps(self, arm: str) -> float:
        """CAN frames per second over the last second."""
        return self._rates[arm].per_second or 0.0

    def look(self) -> None:
        """What this tick's feedback says, and what follows from it."""
        core = self._core
        if core.safety.mode == Mode.ESTOP:
            self._repeat_estop()
            return
        gone = self._connection()
        if core.safety.mode == Mode.DISCONNECTED:
            return
        for name in core.arms:
            if name not in gone:
                self._one(name, core.feedback[name])
        self._following()

    def _repeat_estop(self) -> None:
        """An arm that came back, or lost the frame, is stopped too; only reset_estop leads out."""
        core = self._core
        leaving = core.serving.operation is not None and core.serving.operation.name == "reset_estop"
        if leaving or core.now_ns - self._estop_sent_ns < _ESTOP_AGAIN_NS:
            return
        self._estop_sent_ns = core.now_ns
        for name, feedback in core.feedback.items():
            if feedback.arm_status != watch.ARM_ESTOP:
                core.arms[name].estop()

    def _connection(self) -> set[str]:
        """Arms that are away; nothing they said counts."""
        core = self._core
        config, mode = core.config, core.safety.mode
        gone = [f for n, fb in core.feedback.items() if (f := watch.lost(n, fb, core.now_ns, config))]
        live = all(watch.is_live(fb, core.now_ns, config) for fb in core.feedback.values())
        stable = self._live.lasted_ns(live, core.now_ns) >= config.timeouts__feedback_stable_s * 1e9
        if gone and mode not in (Mode.DISCONNECTED, Mode.DISABLED, Mode.ENABLING):
            for finding in gone:
                core.streaming.discard(finding.arm)  # it may have moved by the time it is back
                core.to(Mode.FAULT, finding)
        elif gone and mode != Mode.DISCONNECTED:
            core.serving.end(gone[0].text)
            core.to(Mode.DISCONNECTED, gone[0])
        elif mode == Mode.DISCONNECTED and gone:
            for name, feedback in core.feedback.items():
                if feedback.link_error:
                    core.say(core.find(Severity.WARN, Reason.BUS_MISSING, feedback.link_error, name))
                elif (foreign := watch.foreign_mode(name, feedback)) is not None:
                    core.say(foreign)
        elif stable and mode == Mode.DISCONNECTED:
            text = "; ".join(f"{n} arm: firmware {fb.firmware or 'unknown'}" for n, fb in core.feedback.items())
            core.to(
                Mode.DISABLED,
                core.find(Severity.INFO, Reason.CONNECTED, f"both arms answer, disabled; {text}"),
            )
        elif stable and mode == Mode.FAULT and core.safety.reason in (Reason.BUS_LOST, Reason.FEEDBACK_LOST):
            text = "both arms answer again; disabled, enable to go on"
            core.to(Mode.DISABLED, core.find(Severity.INFO, Reason.FEEDBACK_BACK, text))
        return {finding.arm for finding in gone}

    def _one(self, name: str, feedback: Feedback) -> None:
        core = self._core
        streaming = name in core.streaming
        rate = watch.rate(name, self._rates[name].add(core.now_ns, feedback.frames), core.config)
        found = [
            rate,
            *watch.faults(name, feedback, core.config),
            *watch.warnings(name, feedback, core.config),
        ]
        foreign = watch.foreign_mode(name, feedback)
        if foreign:
            core.streaming.discard(name)
            found.append(foreign)
        if streaming:
            found += [self._send_trouble(name, feedback), self._implausible(name, feedback)]
            if core.safety.mode != Mode.ENABLING:
                found.append(watch.power_lost(name, feedback))
        for finding in filter(None, found):
            if finding.severity == Severity.FAULT and (core.streaming or streaming):
                core.to(Mode.FAULT, finding)
            else:
                core.say(finding)

    def _implausible(self, name: str, feedback: Feedback) -> Finding | None:
        """Where no arm can stand: an encoder or the bus lies."""
        core, first = self._core, list(self._core.arms).index(name) * names.ARM_DOF
        joints = slice(first, first + 6)
        beyond = core.config.limits__reject_beyond_rad
        return watch.outside(name, feedback.q_rad, core.motion.lower[joints], core.motion.upper[joints], beyond)

    def _send_trouble(self, name: str, feedback: Feedback) -> Finding | None:
        core = self._core
        if feedback.send_failures >= 3:  # S22
            text = f"{feedback.send_failures} sends in a row to the {name} arm failed"
            return core.find(Severity.FAULT, Reason.SEND_FAILED, text, name)
        since_ns = feedback.sending_since_ns
        if since_ns and core.now_ns - since_ns > core.config.timeouts__feedback_fault_s * 1e9:
            return core.find(Severity.FAULT, Reason.SEND_BLOCKED, f"sending to the {name} arm blocks", name)
        return None

    def _following(self) -> None:
        """Feedback late, two commanders, arms that do not follow: only while set-points are streamed."""
        core = self._core
        if not core.streaming or core.safety.mode == Mode.ENABLING:
            return
        measured = np.concatenate(
            [[*core.feedback[n].q_rad, np.nan] if n in core.streaming else [np.nan] * names.ARM_DOF for n in core.arms]
        )
        core.tracking_error = np.nan_to_num(np.abs(core.motion.at.q - measured))
        worst = int(np.argmax(core.tracking_error))
        off = core.tracking_error[worst] > core.config.limits__tracking_error_rad
        if self._tracking.lasted_ns(bool(off), core.now_ns) >= core.config.timeouts__tracking_s * 1e9 and off:
            text = f"{names.JOINTS[worst]} is {core.tracking_error[worst]:.2f} rad from its set-point"
            core.to(
                Mode.FAULT,
                core.find(Severity.FAULT, Reason.TRACKING_ERROR, text, names.JOINTS[worst].split("_")[0]),
            )
            return
        blocked = core.blocked()
        if blocked is not None and core.safety.moving:
            core.to(Mode.HOLD, blocked)
