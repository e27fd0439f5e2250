"""What an operator can ask for. Each is called once a tick until it returns (success, sentence)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from piper_bringup.arm import watch
from piper_bringup.arm.feedback import Feedback
from piper_bringup.arm.limits import Vector
from piper_bringup.arm.plan import Plan
from piper_bringup.arm.safety import Finding, Mode, Reason, Severity
from piper_bringup.data import names

if TYPE_CHECKING:
    from piper_bringup.arm.core import Core

Result = tuple[bool, str] | None
_AGAIN_NS = 100_000_000  # pause between repeated enable and e-stop frames
_CONFIRM_NS = 1_000_000_000  # for an emergency stop, or leaving it, to show in the feedback
_PARK_ROWS = 64
_GRIPPER_SLACK_M = 0.002


@dataclass
class Request:
    """One request; ``result`` is set once, by the command thread."""

    name: str
    argument: object = None
    result: Result = None
    started_ns: int = 0
    acted_ns: int = -(1 << 62)
    arms: tuple[str, ...] = ()  # that it was sent to

    def interrupts(self, running: Request) -> bool:
        """Whether this one does not wait for ``running``."""
        return self.name == "estop" or (self.name == "hold" and running.name not in UNSTOPPABLE)

    def due(self, now_ns: int) -> bool:
        """Whether it is time to send a repeated frame again."""
        if now_ns - self.acted_ns < _AGAIN_NS:
            return False
        self.acted_ns = now_ns
        return True


def enable(core: Core, request: Request) -> Result:
    """Power both arms where they stand (S16, S17); also ends an operator's hold."""
    mode = core.safety.mode
    if mode in (Mode.HOLD, Mode.FOLLOW):
        if core.operator_hold:  # said anew, for whoever waits because of the reason of the hold
            core.to(Mode.HOLD, core.find(Severity.INFO, Reason.ENABLED, "enabled; chunks are followed again"))
        core.operator_hold = False
        return True, "enabled"
    if mode == Mode.DISABLED:
        return _begin_enable(core, request)
    if mode != Mode.ENABLING:
        return (
            False,
            f"cannot enable in mode {mode.name} ({core.safety.reason}): {_WAY_OUT.get(mode, 'wait')}",
        )
    core.latch(grippers_too=True)  # the arm may sag until its last joint has power
    waiting = {n: [j + 1 for j in range(6) if not f.enabled[j]] for n, f in core.feedback.items()}
    if not any(waiting.values()):
        core.operator_hold = False
        core.to(Mode.HOLD, core.find(Severity.INFO, Reason.ENABLED, "both arms enabled, holding where they stand"))
        return True, "enabled"
    if core.now_ns - request.started_ns > core.config.timeouts__enable_s * 1e9:
        text = "; ".join(f"{n} joint {', '.join(map(str, j))}" for n, j in waiting.items() if j)
        text = f"no power after {core.config.timeouts__enable_s:.0f} s at {text}"
        core.to(Mode.DISABLED, core.find(Severity.FAULT, Reason.ENABLE_TIMEOUT, text))
        return False, text
    if request.due(core.now_ns):
        for name, joints in waiting.items():
            for joint in joints:
                core.arms[name].enable_joint(joint)
    return None


def _begin_enable(core: Core, request: Request) -> Result:
    against = [finding.text for finding in _against_enabling(core)]
    if not against:
        core.bound(*_narrower_limits(core), core.speed_percent)
        against = [finding.text for finding in _outside(core)]
    if against:
        text = "; ".join(against)
        core.say(core.find(Severity.WARN, Reason.ENABLE_REFUSED, text))
        return False, text
    core.to(Mode.ENABLING, core.find(Severity.INFO, Reason.ENABLING, "enabling, joint by joint"))
    core.latch(grippers_too=True)
    core.streaming = set(core.arms)
    request.acted_ns = core.now_ns  # the measured position is the target before the first joint has power
    return None


def _narrower_limits(core: Core) -> tuple[Vector, Vector]:
    """(14,) lower and upper: the published limits, narrowed by what each arm answered (S2)."""
    lower, upper = core.lower.copy(), core.upper.copy()
    for i, name in enumerate(core.arms):
        joints, own = slice(i * names.ARM_DOF, i * names.ARM_DOF + 6), core.feedback[name].limits
        lower[joints] = np.maximum(names.JOINT_LOWER_RAD, own[:, 0])
        upper[joints] = np.minimum(names.JOINT_UPPER_RAD, own[:, 1])
    return lower, upper


def _outside(core: Core) -> Iterator[Finding]:
    for i, name in enumerate(core.arms):
        joints = slice(i * names.ARM_DOF, i * names.ARM_DOF + 6)
        finding = watch.outside(name, core.feedback[name].q_rad, core.lower[joints], core.upper[joints])
        if finding is not None:
            yield finding
        opening, widest = core.feedback[name].gripper_m, core.config.gripper__max_width
        if opening > widest + _GRIPPER_SLACK_M:
            text = f"the {name} gripper stands open {opening * 1e3:.0f} mm, gripper.max_width is {widest * 1e3:.0f} mm"
            yield Finding(Severity.FAULT, Reason.OUTSIDE_LIMITS, name, text)


def _against_enabling(core: Core) -> Iterator[Finding]:
    for name, feedback in core.feedback.items():
        yield from filter(
            None,
            (
                watch.stale(name, feedback, core.now_ns, core.config),
                watch.foreign_mode(name, feedback),
                watch.absurd_limits(name, feedback),
                watch.old_firmware(name, feedback, core.config),
            ),
        )
        yield from watch.faults(name, feedback, core.config)


def disable(core: Core, request: Request) -> Result:
    """Take the power away, only where no arm can drop (S15)."""
    mode = core.safety.mode
    if mode == Mode.DISABLED and not any(f.enabled.any() for f in core.feedback.values()):
        return True, "disabled"
    if mode in (Mode.DISCONNECTED, Mode.ESTOP):
        return False, f"cannot disable in mode {mode.name}"
    if mode in (Mode.FOLLOW, Mode.PARK):
        return False, "an arm is moving: call hold or park first"
    if away := _away(core):
        return False, f"the {' and '.join(away)} arm does not answer"
    far = [n for n in core.feedback if not is_parked(core, n)]
    if far:
        return False, f"the {' and '.join(far)} arm would drop: park first (an arm has no brakes)"
    if request.due(core.now_ns):
        core.to(Mode.DISABLED, core.find(Severity.INFO, Reason.DISABLED, "disabled at the rest pose"))
        core.streaming.clear()
        for arm in core.arms.values():
            arm.disable()
    if core.now_ns - request.started_ns > _CONFIRM_NS:
        return False, "the motors still report power"
    return None


def is_parked(core: Core, name: str) -> bool:
    """Whether one arm may lose its power without dropping."""
    away = np.abs(core.feedback[name].q_rad - names.REST_RAD).max()
    return bool(away <= core.config.limits__park_tolerance_rad)


def hold(core: Core, request: Request) -> Result:
    """Stop and hold until enable is called (S15); the argument True: because the driver ends (S18)."""
    reason = Reason.SHUTDOWN if request.argument is True else Reason.OPERATOR_HOLD
    severity = Severity.INFO if request.argument is True else Severity.HOLD
    if core.safety.mode == Mode.ENABLING:
        text = "enabling stopped; joints that have power hold by their own firmware"
        core.to(Mode.DISABLED, core.find(severity, reason, text))
        return True, text
    if core.safety.mode not in (Mode.HOLD, Mode.FOLLOW, Mode.PARK):
        return False, f"nothing to hold in mode {core.safety.mode.name}"
    core.operator_hold = True
    core.to(Mode.HOLD, core.find(severity, reason, "held until enable"))
    return True, "holding; call enable to follow again"


def estop(core: Core, request: Request) -> Result:
    """Latched emergency stop of both arms (S13); sent when it was asked for, repeated until both confirm."""
    if core.safety.mode != Mode.ESTOP:
        core.to(Mode.ESTOP, core.find(Severity.ESTOP, Reason.ESTOP_REQUESTED, "emergency stop, arms sink"))
    away = _away(core)
    silent = [n for n, f in core.feedback.items() if n in away or f.arm_status != watch.ARM_ESTOP]
    if not silent:
        return True, "both arms confirm the emergency stop"
    if core.now_ns - request.started_ns > _CONFIRM_NS:
        return False, f"sent, but the {' and '.join(silent)} arm has not confirmed"
    return None


def reset_estop(core: Core, request: Request) -> Result:
    """Leave an emergency stop, ours or one that an arm reports (S14): those arms lose their power and drop."""
    away = _away(core)
    if not request.arms:
        stopped = tuple(n for n, f in core.feedback.items() if f.arm_status == watch.ARM_ESTOP)
        if core.safety.mode != Mode.ESTOP and not stopped:
            return False, "there is no emergency stop to leave"
        if request.argument is not True:
            return False, "the arms will lose power and drop: support them and set confirm_arm_may_drop"
        if away:
            return False, f"the {' and '.join(away)} arm does not answer, it cannot be told"
        request.arms = tuple(core.arms) if core.safety.mode == Mode.ESTOP else stopped
    waiting = [n for n in request.arms if n in away or not _has_reset(core.feedback[n], request.acted_ns)]
    if not waiting:
        text = "emergency stop left; the arms have no power: enable them"
        core.to(Mode.DISABLED, core.find(Severity.INFO, Reason.ESTOP_RESET, text))
        return True, text
    if core.now_ns - request.started_ns > _CONFIRM_NS:
        return False, f"the {' and '.join(waiting)} arm has not left its emergency stop"
    if request.due(core.now_ns):
        for name in waiting:
            core.arms[name].reset()
    return None


def _has_reset(feedback: Feedback, sent_ns: int) -> bool:
    """Whether everything that came after the reset frame says: no emergency stop, no power."""
    heard_ns = min(feedback.arrived_ns, feedback.motors_arrived_ns)
    return 0 < sent_ns < heard_ns and feedback.arm_status != watch.ARM_ESTOP and not feedback.enabled.any()


def _away(core: Core) -> list[str]:
    return [n for n, f in core.feedback.items() if watch.lost(n, f, core.now_ns, core.config)]


def park(core: Core, request: Request) -> Result:
    """Both arms slowly to the rest pose, grippers as they are (S18)."""
    mode = core.safety.mode
    if mode in (Mode.HOLD, Mode.FOLLOW) and request.acted_ns < 0:
        request.acted_ns = core.now_ns
        core.operator_hold = True  # a commander that goes on must not unfold the arms again
        if mode == Mode.FOLLOW:
            core.to(Mode.HOLD, core.find(Severity.INFO, Reason.PARKING, "stopping to park"))
        core.follow_path(_park_path(core), Mode.PARK, core.find(Severity.INFO, Reason.PARKING, "parking"))
        return None
    if mode != Mode.PARK:
        return False, f"cannot park in mode {mode.name} ({core.safety.reason})"
    if core.now_ns > core.path_end_ns and all(is_parked(core, n) for n in core.arms):
        core.to(Mode.HOLD, core.find(Severity.INFO, Reason.PARKED, "both arms parked, held until enable"))
        return True, "parked"
    if core.now_ns - request.started_ns > core.config.timeouts__park_s * 1e9:
        text = f"not at rest after {core.config.timeouts__park_s:.0f} s; holding"
        core.to(Mode.HOLD, core.find(Severity.HOLD, Reason.PARK_TIMEOUT, text))
        return False, text
    return None


def _park_path(core: Core) -> Plan:
    """Minimum jerk, both arms together, peak speed limits.park_velocity_rad_s."""
    start, end = core.at.q, core.at.q.copy()
    for i in range(len(core.arms)):
        end[i * names.ARM_DOF : i * names.ARM_DOF + 6] = names.FOLDED_RAD
    peak_over_mean = 1.875
    seconds = peak_over_mean * float(np.abs(end - start).max()) / core.config.limits__park_velocity_rad_s
    x = np.linspace(0.0, 1.0, _PARK_ROWS)
    share = (10 * x**3 - 15 * x**4 + 6 * x**5)[:, None]
    t_ns = core.now_ns + np.rint(x * max(seconds, 0.1) * 1e9).astype(np.int64)
    return Plan.through(t_ns, start + share * (end - start))


def clear_errors(core: Core, request: Request) -> Result:
    """Leave FAULT once its cause is gone; following needs an enable afterwards."""
    if core.safety.mode != Mode.FAULT:
        return False, f"there is no fault to clear in mode {core.safety.mode.name}"
    for name, feedback in core.feedback.items():
        found = [
            watch.lost(name, feedback, core.now_ns, core.config),
            watch.foreign_mode(name, feedback),
            watch.rate(name, core.fps(name) or None, core.config),
            *watch.faults(name, feedback, core.config),
        ]
        causes = [f.text for f in found if f is not None and f.severity == Severity.FAULT]
        if causes:
            return False, f"still there: {'; '.join(causes)}"
    held = core.streaming == set(core.arms) and all(f.enabled.all() for f in core.feedback.values())
    core.operator_hold = True
    core.latch()
    finding = core.find(Severity.INFO, Reason.ERRORS_CLEARED, "errors cleared; enable to follow again")
    core.to(Mode.HOLD if held else Mode.DISABLED, finding)
    return True, finding.text


def set_speed(core: Core, request: Request) -> Result:
    """Speed percentage of the firmware, and with it the velocity limit (S4, S20)."""
    percent = float(request.argument)
    if not 1.0 <= percent <= 100.0:  # also refuses NaN
        return False, f"speed_percent is {percent}, valid: 1 to 100"
    core.bound(core.lower, core.upper, percent)
    core.say(core.find(Severity.INFO, Reason.SPEED_CHANGED, f"speed {percent:.0f} %"))
    return True, f"speed {percent:.0f} %"


_WAY_OUT = {
    Mode.FAULT: "call clear_errors",
    Mode.ESTOP: "call reset_estop",
    Mode.DISCONNECTED: "an arm does not answer",
    Mode.PARK: "call hold first",
}

UNSTOPPABLE = frozenset({"estop", "reset_estop"})  # go on whatever the mode becomes

OPERATIONS: dict[str, Callable[[Core, Request], Result]] = {
    "enable": enable,
    "disable": disable,
    "hold": hold,
    "estop": estop,
    "reset_estop": reset_estop,
    "park": park,
    "clear_errors": clear_errors,
    "set_speed": set_speed,
}
