"""What an operator can ask for. Each is called once a tick until it returns (success, sentence)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from piper_bringup.arm import watch
from piper_bringup.arm.emergency import estop, reset_estop
from piper_bringup.arm.plan import Plan
from piper_bringup.arm.power import disable, enable, is_parked
from piper_bringup.arm.request import Request, Result
from piper_bringup.arm.safety import Mode, Reason, Severity
from piper_bringup.data import names

if TYPE_CHECKING:
    from piper_bringup.arm.core import Core

PARK_GRIPPER_M_S = 0.02  # a finger between jaws has time to leave; what they hold is held by their effort limit
_PARK_ROWS = 64


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


def park(core: Core, request: Request) -> Result:
    """Both arms slowly to the rest pose, where episodes begin: folded, grippers closed, on what they hold (S18)."""
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
    if core.now_ns > core.motion.end_ns and all(is_parked(core, n) for n in core.arms):
        core.to(Mode.HOLD, core.find(Severity.INFO, Reason.PARKED, "both arms parked, held until enable"))
        return True, "parked"
    if core.now_ns - request.started_ns > core.config.timeouts__park_s * 1e9:
        text = f"not at rest after {core.config.timeouts__park_s:.0f} s; holding"
        core.to(Mode.HOLD, core.find(Severity.HOLD, Reason.PARK_TIMEOUT, text))
        return False, text
    return None


def _park_path(core: Core) -> Plan:
    """Minimum jerk, both arms together; peak speeds limits.park_velocity_rad_s and PARK_GRIPPER_M_S."""
    start = core.motion.at.q
    end = np.tile([*names.FOLDED_RAD, 0.0], len(core.arms))
    peak_over_mean = 1.875
    fastest = np.tile([*[core.config.limits__park_velocity_rad_s] * 6, PARK_GRIPPER_M_S], len(core.arms))
    seconds = peak_over_mean * float((np.abs(end - start) / fastest).max())
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
    core.motion.latch(core.feedback)
    finding = core.find(Severity.INFO, Reason.ERRORS_CLEARED, "errors cleared; enable to follow again")
    core.to(Mode.HOLD if held else Mode.DISABLED, finding)
    return True, finding.text


def set_speed(core: Core, request: Request) -> Result:
    """Speed percentage of the firmware, and with it the velocity limit (S4, S20)."""
    percent = float(request.argument)
    if not 1.0 <= percent <= 100.0:  # also refuses NaN
        return False, f"speed_percent is {percent}, valid: 1 to 100"
    core.motion.bound(core.motion.lower, core.motion.upper, percent)
    core.say(core.find(Severity.INFO, Reason.SPEED_CHANGED, f"speed {percent:.0f} %"))
    return True, f"speed {percent:.0f} %"


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
