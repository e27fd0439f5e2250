"""The policy's action and services, on threads of their own.

A goal lasts as long as its run and is served by a thread that waits for it, while others must still be able to cancel
it. One executor thread cannot do both: rclpy 7.1.6 starves timers while a coroutine callback is pending.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from std_srvs.srv import Trigger

from piper_bringup.aside_node import Aside
from piper_bringup.data import topics
from smp_msgs.action import RunPolicy
from smp_policy.run import messages
from smp_policy.run.pilot import Pilot
from smp_policy.run.runs import Run
from smp_policy.run.session import Ending, Why
from smp_policy.run.table import ACTION, RELOAD

_THREADS = 4  # a run, one that cancels it, one to say that there is one already, and a reload
_FEEDBACK_S = 0.1


class Desk(Node):
    """Node `smp_policy_desk`: action `/run_policy`, service `/smp/reload_policy`."""

    def __init__(self, pilot: Callable[[], Pilot | None], reload: Callable[[], tuple[bool, str]]) -> None:
        """pilot: whom to ask, None while the node is not active; reload: whether it came off, and a sentence."""
        super().__init__("smp_policy_desk", use_global_arguments=False)  # __node:= is not for it
        self._pilot, self._reload = pilot, reload
        group = ReentrantCallbackGroup()
        self._server = ActionServer(
            self,
            RunPolicy,
            ACTION,
            self._run,
            callback_group=group,
            cancel_callback=lambda goal: CancelResponse.ACCEPT,
        )
        self.create_service(Trigger, RELOAD, self._on_reload, callback_group=group)
        self._aside = Aside(self, _THREADS)

    def close(self) -> None:
        """Answer no more. Runs have ended by then."""
        self._aside.close()
        self._server.destroy()

    def _run(self, goal: ServerGoalHandle) -> RunPolicy.Result:
        wanted, pilot = goal.request, self._pilot()
        limit_s = float(wanted.max_duration_s)
        run = Run(wanted.task, limit_s)
        if pilot is None:
            run.ending = Ending(Why.INACTIVE, topics.UNKNOWN, "the policy node is not active: activate it first")
        elif not (math.isfinite(limit_s) and limit_s >= 0.0):
            run.ending = Ending(Why.BAD_DURATION, topics.UNKNOWN, f"max_duration_s is {limit_s}, valid: 0 and above")
        else:
            run = pilot.ask(wanted.task, limit_s)
        if run.ending is not None:
            self.get_logger().error(f"no run: {run.ending.text}")
        while run.ending is None:
            if goal.is_cancel_requested:
                run.cancelled = "cancelled by who asked for it"
            goal.publish_feedback(messages.feedback(pilot, run, pilot.clock.mono_ns()))
            time.sleep(_FEEDBACK_S)
        _conclude(goal, run.ending)
        return messages.result(run)

    def _on_reload(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self._reload()
        return response


def _conclude(goal: ServerGoalHandle, ending: Ending) -> None:
    """The goal's state is how the run went, not whether the task succeeded."""
    if goal.is_cancel_requested and ending.reason == Why.CANCELLED:
        goal.canceled()
    elif ending.is_trouble or ending.reason == Why.CANCELLED:
        goal.abort()
    else:
        goal.succeed()
