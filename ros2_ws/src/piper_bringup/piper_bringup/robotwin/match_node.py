"""The policy node as somebody who is evaluated: asked for a run an episode, and for one chunk at a time.

On a node that somebody else made, whose executor has other threads than the one that plays.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rclpy.action import ActionClient
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from trajectory_msgs.msg import JointTrajectory

from piper_bringup.arm.safety import Mode
from piper_bringup.data import names
from piper_bringup.robotwin import messages
from piper_bringup.robotwin.bridge_link_node import Speaker
from piper_bringup.robotwin.play import Phase, PolicyError, Stopped
from piper_bringup.robotwin.stage import Begun, Moment
from smp_msgs.action import RunPolicy

CHUNKS = 10  # that are kept until they are looked at; outside an evaluation nobody does
LOOK_S = 0.02  # between two looks at what may have ended
TELL_S = 0.25  # between two times that an observation is shown
SETTLE_S = 0.5  # for the first moment of an episode to be heard before a run is asked for
INACTIVE = "INACTIVE"  # as the policy node calls it
INACTIVE_S = 0.2  # for it to say so
END_S = 10.0  # for a run to end once its episode has
HURRY_S = 1.0  # the same, where a person ends the evaluation


class Match:
    """A Player and a Teller of `play`. Chunks belong to a moment by their stamp; others are not for us."""

    def __init__(self, node: Node, speaker: Speaker, patience_s: float, stopped: Callable[[], bool]) -> None:
        self._phase, self._text = Phase.IDLE, ""
        self._node, self._speaker, self._patience_s, self._stopped = node, speaker, patience_s, stopped
        self._run = ActionClient(node, RunPolicy, names.ACTION_RUN_POLICY, callback_group=ReentrantCallbackGroup())
        self._chunks: deque[JointTrajectory] = deque(maxlen=CHUNKS)
        group, hear = ReentrantCallbackGroup(), lambda chunk: self._chunks.append(chunk)
        node.create_subscription(JointTrajectory, names.TOPIC_ACTION_CHUNK, hear, CHUNKS, callback_group=group)
        self._begun: Begun | None = None
        self._moment: Moment | None = None
        self._asked: Future | None = None  # for a run
        self._ended: Future | None = None  # of the run under way

    # --- Player ---------------------------------------------------------------------------------------------

    def begin(self, begun: Begun, moment: Moment) -> None:
        """See `play.Player`."""
        self._begun, self._moment = begun, moment
        self._speaker.begun(begun, moment)
        self._wait(self._run.server_is_ready, f"no action {names.ACTION_RUN_POLICY}; is a policy node active?")
        self._sleep(SETTLE_S)
        end_s = time.monotonic() + self._patience_s
        self._ask(begun.task)
        while self._is_inactive() and time.monotonic() < end_s:
            self._ended = None
            self._sleep(SETTLE_S)
            self._ask(begun.task)

    def chunk(self, moment: Moment) -> NDArray[np.float64]:
        """See `play.Player`; of each chunk only what is due until the policy was trained to look again."""
        mode = Mode.FOLLOW if moment.action_count else Mode.HOLD
        found: list[JointTrajectory] = []
        text = f"no chunk of the observation at {moment.stamp_ns * 1e-9:.3f} s"
        self._wait(lambda: self._found(moment.stamp_ns, found), text, lambda: self._speaker.show(moment, mode))
        others = self._node.count_publishers(names.TOPIC_ACTION_CHUNK)
        if others > 1:
            raise PolicyError(f"{others} publishers of {names.TOPIC_ACTION_CHUNK}; only one may command (S27)")
        try:
            rows = messages.actions_of(found[0])
        except ValueError as error:
            raise PolicyError(f"a chunk cannot be executed: {error}") from error
        self._speaker.show_mode(Mode.FOLLOW)
        return rows

    def end(self, phase: Phase, text: str) -> None:
        """See `play.Player`."""
        self._speaker.show(self._moment, Mode.FOLLOW if self._moment.action_count else Mode.HOLD)
        self._speaker.ended(self._begun, phase, text)
        if self._asked is not None and not (self._ended is not None and self._settled(self._ended)):
            self._asked.add_done_callback(_cancel)
            self._settled(self._asked)
            if self._ended is not None:
                self._settled(self._ended)
        self._asked = self._ended = None
        self._speaker.show_mode(Mode.DISABLED)

    def stopped(self) -> bool:
        """See `play.Player`."""
        return self._stopped()

    # --- Teller ---------------------------------------------------------------------------------------------

    def phase(self, phase: Phase, text: str) -> None:
        """See `play.Teller`."""
        if phase == Phase.RESETTING:
            self._moment = None
        self._phase, self._text = phase, text
        self._speaker.state(phase, text, self._moment)

    def moment(self, moment: Moment) -> None:
        """See `play.Teller`."""
        self._moment = moment
        self._speaker.state(self._phase, self._text, moment)

    # --- helpers --------------------------------------------------------------------------------------------

    def _ask(self, task: str) -> None:
        self._ended = None
        self._asked = self._run.send_goal_async(RunPolicy.Goal(task=task, max_duration_s=0.0))
        self._wait(self._asked.done, f"no answer of {names.ACTION_RUN_POLICY}")
        if not self._asked.result().accepted:
            raise PolicyError("the policy refuses to run")
        self._ended = self._asked.result().get_result_async()

    def _is_inactive(self) -> bool:
        """Whether the run has ended at once because the policy node is yet to be activated."""
        return _done(self._ended, lambda: INACTIVE_S) and self._ended.result().result.reason == INACTIVE

    def _settled(self, future: Future) -> bool:
        """Whether it is in the time that a person who may end the evaluation meanwhile leaves it."""
        return _done(future, lambda: HURRY_S if self.stopped() else END_S)

    def _found(self, stamp_ns: int, found: list[JointTrajectory]) -> bool:
        """Take what came; whether one is of this moment."""
        while self._chunks:
            message = self._chunks.popleft()
            if messages.stamp_ns(message.header.stamp) == stamp_ns:
                found.append(message)
        return bool(found)

    def _wait(self, true: Callable[[], bool], missing: str, tell: Callable[[], None] = lambda: None) -> None:
        """Raises PolicyError where it does not come true in time, or the run ends before; Stopped.

        tell: what is said now and then meanwhile: pictures get lost, and time comes later than what is of it.
        """
        end_s, tell_s = time.monotonic() + self._patience_s, 0.0
        while not true():
            if time.monotonic() > tell_s:
                tell()
                tell_s = time.monotonic() + TELL_S
            if self.stopped():
                raise Stopped("ended by a person")
            if self._ended is not None and self._ended.done():
                raise PolicyError(f"the policy ended its run: {self._ended.result().result.reason}")
            if time.monotonic() > end_s:
                raise PolicyError(f"{missing} within {self._patience_s:g} s")
            time.sleep(LOOK_S)

    def _sleep(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        self._wait(lambda: time.monotonic() > end_s, "")


def _cancel(asked: Future) -> None:
    """The run that was asked for, also where its acceptance comes after nobody wants it any more."""
    if asked.result().accepted:
        asked.result().cancel_goal_async()


def _done(future: Future, seconds: Callable[[], float]) -> bool:
    """Whether it is within so long, which may shrink meanwhile."""
    began_s = time.monotonic()
    while not future.done() and time.monotonic() - began_s < seconds():
        time.sleep(LOOK_S)
    return future.done()
