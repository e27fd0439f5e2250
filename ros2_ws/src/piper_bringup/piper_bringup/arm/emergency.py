"""The emergency stop of both arms, and the way out of it (S13, S14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from piper_bringup.arm import watch
from piper_bringup.arm.feedback import Feedback
from piper_bringup.arm.request import CONFIRM_NS, Request, Result
from piper_bringup.arm.safety import Mode, Reason, Severity

if TYPE_CHECKING:
    from piper_bringup.arm.core import Core


def estop(core: Core, request: Request) -> Result:
    """Latched emergency stop of both arms (S13); sent when it was asked for, repeated until both confirm."""
    if core.safety.mode != Mode.ESTOP:
        core.to(Mode.ESTOP, core.find(Severity.ESTOP, Reason.ESTOP_REQUESTED, "emergency stop, arms sink"))
    away = core.away()
    silent = [n for n, f in core.feedback.items() if n in away or f.arm_status != watch.ARM_ESTOP]
    if not silent:
        return True, "both arms confirm the emergency stop"
    if core.now_ns - request.started_ns > CONFIRM_NS:
        return False, f"sent, but the {' and '.join(silent)} arm has not confirmed"
    return None


def reset_estop(core: Core, request: Request) -> Result:
    """Leave an emergency stop, ours or one that an arm reports (S14): those arms lose their power and drop."""
    away = core.away()
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
    if core.now_ns - request.started_ns > CONFIRM_NS:
        return False, f"the {' and '.join(waiting)} arm has not left its emergency stop"
    if request.due(core.now_ns):
        for name in waiting:
            core.arms[name].reset()
    return None


def _has_reset(feedback: Feedback, sent_ns: int) -> bool:
    """Whether everything that came after the reset frame says: no emergency stop, no power."""
    heard_ns = min(feedback.arrived_ns, feedback.motors_arrived_ns)
    return 0 < sent_ns < heard_ns and feedback.arm_status != watch.ARM_ESTOP and not feedback.enabled.any()
