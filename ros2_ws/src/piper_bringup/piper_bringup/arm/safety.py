"""The state machine of both arms, and the name of every reason for which they stop.

Pure: time comes in as monotonic nanoseconds, events go out as data. Both arms share one mode, so when either
stops, both do (S25).
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from enum import IntEnum, StrEnum, auto


class Mode(IntEnum):
    """Values of smp_msgs/ArmStatus.mode."""

    DISCONNECTED = 0  # no feedback from at least one arm yet
    DISABLED = 1  # nothing is sent; motors may still hold by their own firmware
    ENABLING = 2
    HOLD = 3  # both arms held where they stood, grippers at their last target
    FOLLOW = 4  # following the plan
    PARK = 5  # moving slowly to the rest pose
    FAULT = 6  # held, latched until clear_errors or, for a lost arm, until it is back (then DISABLED)
    ESTOP = 7  # latched until reset_estop


class Severity(IntEnum):
    """Values of smp_msgs/SafetyEvent.severity."""

    INFO = 0
    WARN = 1
    HOLD = 2
    FAULT = 3
    ESTOP = 4


class Reason(StrEnum):
    """Why something was refused, held, faulted or recovered."""

    @staticmethod
    def _generate_next_value_(name, start, count, last_values):
        return name

    STARTED = auto()
    CONNECTED = auto()
    BUS_MISSING = auto()
    BUS_LOST = auto()
    FEEDBACK_STALE = auto()
    FEEDBACK_LOST = auto()
    FEEDBACK_BACK = auto()
    LEADER_MODE = auto()
    TEACH_MODE = auto()
    CAN_RATE_LOW = auto()
    SEND_FAILED = auto()
    SEND_BLOCKED = auto()
    ENABLE_REFUSED = auto()
    ENABLE_TIMEOUT = auto()
    ENABLING = auto()
    ENABLED = auto()
    DISABLED = auto()
    LIMITS_ABSURD = auto()
    OUTSIDE_LIMITS = auto()
    FIRMWARE_REFUSED = auto()
    OPERATOR_HOLD = auto()
    PARKING = auto()
    PARKED = auto()
    PARK_TIMEOUT = auto()
    CHUNK_FOLLOWED = auto()
    CHUNK_NON_FINITE = auto()
    CHUNK_WRONG_JOINTS = auto()
    CHUNK_WRONG_COUNT = auto()
    CHUNK_TIMES = auto()
    CHUNK_OUT_OF_LIMITS = auto()
    CHUNK_JUMP = auto()
    CHUNK_TOO_OLD = auto()
    CHUNK_FROM_FUTURE = auto()
    CHUNK_FLOOD = auto()
    CHUNK_NOT_WANTED = auto()
    NO_ROW = auto()
    TWO_COMMANDERS = auto()
    CLOCK_JUMP = auto()
    LOOP_LATE = auto()
    TRACKING_ERROR = auto()
    ARM_STATUS = auto()
    ARM_ESTOP = auto()
    JOINT_COMMUNICATION = auto()
    MOTOR_FAULT = auto()
    MOTOR_POWER_LOST = auto()
    GRIPPER_FAULT = auto()
    OVER_TEMPERATURE = auto()
    TEMPERATURE_HIGH = auto()
    ESTOP_REQUESTED = auto()
    ESTOP_RESET = auto()
    ERRORS_CLEARED = auto()
    SPEED_CHANGED = auto()
    INTERNAL_ERROR = auto()
    SHUTDOWN = auto()


@dataclass(frozen=True)
class Event:
    """One thing worth saying: published as smp_msgs/SafetyEvent, logged, counted in diagnostics."""

    t_ns: int
    severity: Severity
    mode: Mode
    reason: Reason
    arm: str  # "" when it concerns both arms or neither
    text: str
    count: int  # how often this reason came, for this arm, so far


@dataclass(frozen=True)
class Finding:
    """What a check found, before it becomes an event."""

    severity: Severity
    reason: Reason
    arm: str
    text: str


# From each mode, the modes it may be left for. ESTOP and FAULT can be entered from anywhere; see Safety.to.
_ALLOWED: dict[Mode, frozenset[Mode]] = {
    Mode.DISCONNECTED: frozenset({Mode.DISABLED}),
    Mode.DISABLED: frozenset({Mode.DISCONNECTED, Mode.ENABLING, Mode.HOLD}),
    Mode.ENABLING: frozenset({Mode.DISCONNECTED, Mode.DISABLED, Mode.HOLD}),
    Mode.HOLD: frozenset({Mode.FOLLOW, Mode.PARK, Mode.DISABLED, Mode.HOLD}),
    Mode.FOLLOW: frozenset({Mode.HOLD, Mode.PARK}),
    Mode.PARK: frozenset({Mode.HOLD}),
    Mode.FAULT: frozenset({Mode.HOLD, Mode.DISABLED}),
    Mode.ESTOP: frozenset({Mode.DISABLED}),
}

# A condition is seen again every tick: that is one occurrence, said again while it lasts. A reason that comes and
# goes is counted each time and said at most once a second.
_SAME_NS = 50_000_000
_REPEAT_NS = 1_000_000_000
_LASTING_NS = 5_000_000_000


class Safety:
    """Mode of both arms, with the reason for it, and the events since the last ``drain``."""

    def __init__(self) -> None:
        self.mode = Mode.DISCONNECTED
        self.reason = Reason.STARTED
        self.counts: Counter[tuple[Reason, str]] = Counter()
        self._said_ns: dict[tuple[Reason, str], int] = {}
        self._seen_ns: dict[tuple[Reason, str], int] = {}
        self._events: deque[Event] = deque()  # filled by the command thread, drained by another

    @property
    def moving(self) -> bool:
        """Whether set-points may differ from tick to tick."""
        return self.mode in (Mode.FOLLOW, Mode.PARK)

    @property
    def powered(self) -> bool:
        """Whether set-points are streamed at all: the motors hold because we ask them to."""
        return self.mode in (Mode.HOLD, Mode.FOLLOW, Mode.PARK)

    def to(self, mode: Mode, finding: Finding, t_ns: int) -> bool:
        """Change to ``mode`` because of ``finding``; False, and nothing happens, where that is not allowed."""
        if mode == self.mode and mode in (Mode.FAULT, Mode.ESTOP):
            self.say(finding, t_ns)
            return True
        latched_higher = self.mode == Mode.ESTOP and mode == Mode.FAULT
        entered_from_anywhere = mode in (Mode.FAULT, Mode.ESTOP) and not latched_higher
        if not entered_from_anywhere and mode not in _ALLOWED[self.mode]:
            return False
        changed = mode != self.mode
        self.mode, self.reason = mode, finding.reason
        self.say(finding, t_ns, always=changed)
        return True

    def say(self, finding: Finding, t_ns: int, *, always: bool = False) -> None:
        """Count ``finding`` and make it an event, unless it was said lately."""
        key = (finding.reason, finding.arm)
        lasting = t_ns - self._seen_ns.get(key, -_LASTING_NS) <= _SAME_NS
        self._seen_ns[key] = t_ns
        self.counts[key] += not lasting
        pause_ns = _LASTING_NS if lasting else _REPEAT_NS
        if not always and t_ns - self._said_ns.get(key, -_LASTING_NS) < pause_ns:
            return
        self._said_ns[key] = t_ns
        self._events.append(
            Event(t_ns, finding.severity, self.mode, finding.reason, finding.arm, finding.text, self.counts[key])
        )

    def drain(self) -> list[Event]:
        """Events since the last call."""
        return [self._events.popleft() for _ in range(len(self._events))]
