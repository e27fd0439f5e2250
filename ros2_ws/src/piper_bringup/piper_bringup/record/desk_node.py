"""The recorder's action and services, on threads of their own.

A goal lasts as long as its recording and is served by the thread that records, while others must still be able to
end it. One executor thread cannot do both: rclpy 7.1.6 starves timers while a coroutine callback is pending.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from piper_bringup.aside_node import Aside
from piper_bringup.data import topics
from piper_bringup.record.recorder import Recorder
from piper_bringup.record.session import CANCELLED, DISCARDED, SAVED, Order, Result, Session
from piper_bringup.record.writer import BagError
from smp_msgs.action import RecordEpisode

ACTION = "/record_episode"
SAVE, DISCARD = "/recorder/save", "/recorder/discard"
NOTHING = "nothing is being recorded"
_THREADS = 4  # the recording, one that ends it, and still one to say that there is one already


class Desk(Node):
    """Node `recorder_desk`: action `/record_episode`, services `/recorder/save`, `/recorder/discard`."""

    def __init__(self, recorder: Recorder, order: Order, say: Callable[[Result], None]) -> None:
        """order: what every recording has in common; say: told of every result."""
        super().__init__("recorder_desk", use_global_arguments=False)  # __node:= is not for it
        self._recorder, self._order, self._say = recorder, order, say
        group = ReentrantCallbackGroup()
        self._server = ActionServer(
            self,
            RecordEpisode,
            ACTION,
            self._record,
            callback_group=group,
            cancel_callback=lambda goal: CancelResponse.ACCEPT,
        )
        self.create_service(SetBool, SAVE, self._save, callback_group=group)
        self.create_service(Trigger, DISCARD, self._discard, callback_group=group)
        self._aside = Aside(self, _THREADS)

    def close(self) -> None:
        """Answer no more."""
        self._aside.close()
        self._server.destroy()

    def _record(self, goal: ServerGoalHandle) -> RecordEpisode.Result:
        wanted = goal.request
        order = replace(
            self._order, task=wanted.task, operator=wanted.operator_name, longest_s=float(wanted.max_duration_s)
        )

        def tell(session: Session, elapsed_s: float) -> None:
            counts = session.counts
            goal.publish_feedback(
                RecordEpisode.Feedback(
                    elapsed_s=elapsed_s, bytes=session.bytes, topics=list(counts), counts=list(counts.values())
                )
            )

        self.get_logger().info(f"recording an episode of {order.task}")
        try:
            result = self._recorder.record(order, lambda: goal.is_cancel_requested, tell)
        except (BagError, ValueError) as error:
            self.get_logger().error(str(error))
            goal.abort()
            return RecordEpisode.Result(success=False, reason=str(error), outcome=topics.UNKNOWN)
        self._say(result)
        _conclude(goal, result)
        return _message(result)

    def _save(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        result = self._recorder.ask(SAVED[request.data])
        response.success = result is not None and result.good
        response.message = NOTHING if result is None else sentence(result)
        return response

    def _discard(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        result = self._recorder.ask(DISCARDED)
        response.success = result is not None and result.reason == DISCARDED.reason
        response.message = NOTHING if result is None else sentence(result)
        return response


def sentence(result: Result) -> str:
    """What became of it, and where it is."""
    return f"{result.reason}; outcome {result.outcome}; {result.bag}"


def _conclude(goal: ServerGoalHandle, result: Result) -> None:
    """The goal's state is how the recording went, not whether the task succeeded."""
    if goal.is_cancel_requested and result.reason.startswith(CANCELLED.reason):
        goal.canceled()
    elif result.good:
        goal.succeed()
    else:
        goal.abort()


def _message(result: Result) -> RecordEpisode.Result:
    rows = result.verdict.rows
    return RecordEpisode.Result(
        success=result.good,
        reason=result.reason,
        bag_path=str(Path(result.bag).absolute()),
        topics=[row.topic for row in rows],
        counts=[row.count for row in rows],
        rates_hz=[row.hz for row in rows],
        outcome=result.outcome,
    )
