"""Powering both arms where they stand, and taking the power away where they lie (S2, S15-S17)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from piper_bringup.arm import watch
from piper_bringup.arm.limits import Vector
from piper_bringup.arm.request import CONFIRM_NS, Request, Result
from piper_bringup.arm.safety import Finding, Mode, Reason, Severity
from piper_bringup.data import names

if TYPE_CHECKING:
    from piper_bringup.arm.core import Core

_GRIPPER_SLACK_M = 0.002
_WAY_OUT = {
    Mode.FAULT: "call clear_errors",
    Mode.ESTOP: "call reset_estop",
    Mode.DISCONNECTED: "an arm does not answer",
    Mode.PARK: "call hold first",
}


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
    core.motion.latch(core.feedback, grippers_too=True)  # the arm may sag until its last joint has power
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
        core.motion.bound(*_narrower_limits(core), core.motion.speed_percent)
        against = [finding.text for finding in _outside(core)]
    if against:
        text = "; ".join(against)
        core.say(core.find(Severity.WARN, Reason.ENABLE_REFUSED, text))
        return False, text
    core.to(Mode.ENABLING, core.find(Severity.INFO, Reason.ENABLING, "enabling, joint by joint"))
    core.motion.latch(core.feedback, grippers_too=True)
    core.streaming = set(core.arms)
    request.acted_ns = core.now_ns  # the measured position is the target before the first joint has power
    return None


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


def _narrower_limits(core: Core) -> tuple[Vector, Vector]:
    """(14,) lower and upper: the published limits, narrowed by what each arm answered (S2)."""
    lower, upper = core.motion.lower.copy(), core.motion.upper.copy()
    for i, name in enumerate(core.arms):
        joints, own = slice(i * names.ARM_DOF, i * names.ARM_DOF + 6), core.feedback[name].limits
        lower[joints] = np.maximum(names.JOINT_LOWER_RAD, own[:, 0])
        upper[joints] = np.minimum(names.JOINT_UPPER_RAD, own[:, 1])
    return lower, upper


def _outside(core: Core) -> Iterator[Finding]:
    for i, name in enumerate(core.arms):
        joints = slice(i * names.ARM_DOF, i * names.ARM_DOF + 6)
        finding = watch.outside(name, core.feedback[name].q_rad, core.motion.lower[joints], core.motion.upper[joints])
        if finding is not None:
            yield finding
        opening, widest = core.feedback[name].gripper_m, core.config.gripper__max_width
        if opening > widest + _GRIPPER_SLACK_M:
            text = f"the {name} gripper stands open {opening * 1e3:.0f} mm, gripper.max_width is {widest * 1e3:.0f} mm"
            yield Finding(Severity.FAULT, Reason.OUTSIDE_LIMITS, name, text)


def disable(core: Core, request: Request) -> Result:
    """Take the power away, only where no arm can drop (S15)."""
    mode = core.safety.mode
    if mode == Mode.DISABLED and not any(f.enabled.any() for f in core.feedback.values()):
        return True, "disabled"
    if mode in (Mode.DISCONNECTED, Mode.ESTOP):
        return False, f"cannot disable in mode {mode.name}"
    if mode in (Mode.FOLLOW, Mode.PARK):
        return False, "an arm is moving: call hold or park first"
    if away := core.away():
        return False, f"the {' and '.join(away)} arm does not answer"
    far = [n for n in core.feedback if not is_parked(core, n)]
    if far:
        return False, f"the {' and '.join(far)} arm would drop: park first (an arm has no brakes)"
    if request.due(core.now_ns):
        core.to(Mode.DISABLED, core.find(Severity.INFO, Reason.DISABLED, "disabled at the rest pose"))
        core.streaming.clear()
        for arm in core.arms.values():
            arm.disable()
    if core.now_ns - request.started_ns > CONFIRM_NS:
        return False, "the motors still report power"
    return None


def is_parked(core: Core, name: str) -> bool:
    """Whether one arm may lose its power without dropping."""
    away = np.abs(core.feedback[name].q_rad - names.REST_RAD).max()
    return bool(away <= core.config.limits__park_tolerance_rad)
