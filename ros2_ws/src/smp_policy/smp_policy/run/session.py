"""One run of a policy: what it waits for, why it stops. Named reasons, each said when it begins and not again.

    IDLE     no run
    WAITING  a run goes on, and no chunk can be made at present; goes on by itself
    RUNNING  chunks are made
    STOPPED  the run is over; its Ending says why

Pure; time is handed in, monotonic ns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from piper_bringup.arm.safety import Mode, Reason
from piper_bringup.commander import SILENT_NS
from piper_bringup.data import names, topics
from piper_bringup.data.observation import Stale
from smp_msgs.msg import ArmStatus, EpisodeEvent

Statuses = Mapping[str, tuple[ArmStatus, int]]  # arm -> newest status, when it came


class State(StrEnum):
    """Of the policy node."""

    IDLE = "IDLE"
    WAITING = "WAITING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class Why(StrEnum):
    """Why a run waits or stopped. Where the driver's state stops it, the driver's own reason is given instead."""

    TASK_UNKNOWN = "TASK_UNKNOWN"
    BUSY = "BUSY"  # another run goes on
    INACTIVE = "INACTIVE"  # the node's lifecycle
    BAD_DURATION = "BAD_DURATION"
    OBSERVATION_STALE = "OBSERVATION_STALE"  # S12: a source is missing, old, skewed, frozen, malformed
    INFERENCE_SLOW = "INFERENCE_SLOW"
    DRIVER_SILENT = "DRIVER_SILENT"
    DRIVER_NOT_READY = "DRIVER_NOT_READY"  # not enabled, parked, held by a person, or still following somebody
    NOT_FOLLOWED = "NOT_FOLLOWED"
    TWO_COMMANDERS = "TWO_COMMANDERS"  # S27
    MODEL_BROKEN = "MODEL_BROKEN"
    INFERENCE_FAILED = "INFERENCE_FAILED"
    POLICY_ERROR = "POLICY_ERROR"  # of this program; the driver has an INTERNAL_ERROR of its own
    EPISODE_RESET = "EPISODE_RESET"
    SUCCESS = "success"
    FAILED = "failed"
    TIME_OVER = "time_over"
    CANCELLED = "cancelled"


class Level(IntEnum):
    """Values of smp_msgs/SafetyEvent.severity."""

    INFO = 0
    WARN = 1


@dataclass(frozen=True)
class Trouble:
    """What keeps a run from going on; `fatal`: it will not pass by itself."""

    reason: str
    text: str
    fatal: bool = False
    about: str = ""  # which of several things with this reason: another one is said anew


@dataclass(frozen=True)
class Ending:
    """How a run ended; `outcome`: of topics.SUCCESS, FAILURE, UNKNOWN, whatever the reason."""

    reason: str
    outcome: str
    text: str

    @property
    def is_trouble(self) -> bool:
        """Whether somebody should look into it."""
        return self.reason not in (Why.SUCCESS, Why.FAILED, Why.TIME_OVER, Why.CANCELLED)


class Session:
    """State and reason; `say(level, reason, text)` is told of each change."""

    def __init__(self, say: Callable[[Level, str, str], None], patience_ns: int) -> None:
        """patience_ns: how long a run waits for the driver; 0: for ever."""
        self.state, self.reason, self.text = State.IDLE, "", ""
        self._say, self._patience_ns = say, patience_ns
        self._key: tuple[str, str] = ("", "")
        self._since_ns = 0

    @property
    def word(self) -> str:
        """State, or what is waited for: one word, as RunPolicy's feedback has it."""
        return self.reason if self.state == State.WAITING else str(self.state)

    def begin(self, text: str, now_ns: int) -> None:
        """A run begins."""
        self._to(State.WAITING, "", "", now_ns)
        self._say(Level.INFO, "POLICY_STARTED", text)

    def wait(self, trouble: Trouble, now_ns: int) -> Ending | None:
        """No chunk at present. An Ending where the driver was waited for too long."""
        if self.state != State.WAITING or self._key != (trouble.reason, trouble.about):
            driver = (Why.DRIVER_SILENT, Why.DRIVER_NOT_READY)
            since_ns = self._since_ns if self.reason in driver and trouble.reason in driver else now_ns
            self._to(State.WAITING, trouble.reason, trouble.text, since_ns, trouble.about)
            self._say(Level.WARN, trouble.reason, f"no new chunk: {trouble.text}")
        waited_ns = now_ns - self._since_ns
        bounded = trouble.reason in (Why.DRIVER_SILENT, Why.DRIVER_NOT_READY) and self._patience_ns > 0
        if not bounded or waited_ns <= self._patience_ns:
            return None
        return Ending(trouble.reason, topics.UNKNOWN, f"{trouble.text}; waited {waited_ns * 1e-9:.0f} s")

    def run(self, now_ns: int) -> None:
        """A chunk was sent."""
        if self.state != State.RUNNING:
            waited_for, self._key = self.reason, ("", "")
            self._to(State.RUNNING, "", "", now_ns)
            self._say(Level.INFO, "POLICY_RUNNING", f"chunks again after {waited_for}" if waited_for else "first chunk")

    def stop(self, ending: Ending, now_ns: int) -> None:
        """The run is over."""
        self._to(State.STOPPED, ending.reason, ending.text, now_ns)
        level = Level.WARN if ending.is_trouble else Level.INFO
        self._say(level, "POLICY_STOPPED", f"{ending.reason}: {ending.text}; outcome {ending.outcome}")

    def _to(self, state: State, reason: str, text: str, since_ns: int, about: str = "") -> None:
        self.state, self.reason, self.text = state, str(reason), text
        self._key, self._since_ns = (reason, about), since_ns


def of_stale(stale: Stale) -> Trouble:
    """S12: why there is no observation. Numbers change all the time, the source and what is wrong with it do not."""
    return Trouble(Why.OBSERVATION_STALE, str(stale), about=f"{stale.source} {stale.reason.value}")


def of_commanders(others: tuple[str, ...], commanding: bool) -> Trouble | None:
    """S27. A run does not begin beside another commander; one that goes on waits until the other has gone.

    It stays on the topic meanwhile: two publishers keep the driver from following either.
    """
    if not others:
        return None
    text = f"{', '.join(others)} commands the arms too ({names.TOPIC_ACTION_CHUNK}); only one may"
    return Trouble(Why.TWO_COMMANDERS, text, fatal=not commanding, about=text)


def of_driver(statuses: Statuses, now_ns: int, commanding: bool) -> Trouble | None:
    """Why the driver follows no chunk. What a person has to look into is fatal; a run that has begun does not wait
    for a person either."""
    for arm in names.ARMS:
        if arm not in statuses or now_ns - statuses[arm][1] > SILENT_NS:
            text = f"no arm_status of the {arm} arm for 1 s; is {names.DRIVER_NODE} alive and active?"
            return Trouble(Why.DRIVER_SILENT, text, about=arm)
    for status, _ in statuses.values():
        told = f"the driver is in {status.mode_name} ({status.reason})"
        if status.mode in (Mode.ESTOP, Mode.FAULT):
            return Trouble(status.reason, told, fatal=True)
        if status.mode not in (Mode.HOLD, Mode.FOLLOW) or (status.mode == Mode.HOLD and status.reason in _NOBODY):
            hint = f"{told}; call /{names.DRIVER_NODE}/enable"
            reason = status.reason if commanding else Why.DRIVER_NOT_READY
            return Trouble(reason, hint, fatal=commanding, about=told)
        if status.mode == Mode.FOLLOW and not commanding:
            text = "the driver still follows an earlier chunk"
            return Trouble(Why.DRIVER_NOT_READY, text, about=text)
    return None


def of_event(event: EpisodeEvent, task: str) -> Ending | None:
    """What an episode event from somebody else means for a run of `task`."""
    if event.task != task:
        return None
    if event.kind == EpisodeEvent.SUCCEEDED:
        return Ending(Why.SUCCESS, topics.SUCCESS, event.text)
    if event.kind in (EpisodeEvent.FAILED, EpisodeEvent.TIMED_OUT):
        return Ending(Why.FAILED, topics.FAILURE, event.text)
    if event.kind == EpisodeEvent.ABORTED:
        return Ending(Why.CANCELLED, topics.UNKNOWN, event.text)
    if event.kind == EpisodeEvent.RESET:
        return Ending(Why.EPISODE_RESET, topics.UNKNOWN, "the episode was set back")
    return None


# Reasons of a hold in which the driver follows nobody until it is enabled anew.
_NOBODY = (Reason.OPERATOR_HOLD, Reason.PARKED, Reason.PARK_TIMEOUT, Reason.ERRORS_CLEARED, Reason.SHUTDOWN)
