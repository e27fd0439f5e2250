"""What can be asked in mode realtime, on threads of its own: RoboTwin takes minutes to begin an episode."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from std_srvs.srv import Trigger

from piper_bringup.aside_node import Aside
from piper_bringup.can.rest import Refused
from piper_bringup.data import names
from piper_bringup.robotwin.lost import WorkerError
from piper_bringup.robotwin.stage import Begun
from piper_bringup.robotwin.units import NotPiper
from smp_msgs.srv import ResetEpisode

_THREADS = 2  # a reset, and who is told that it goes on


class Desk(Node):
    """Node `robotwin_desk`: the services of the simulated cell, for whoever asks for episodes there."""

    def __init__(self, reset: Callable[[str, int], Begun], clear: Callable[[], None]) -> None:
        """reset: raises Refused, WorkerError, NotPiper, OSError."""
        super().__init__("robotwin_desk", use_global_arguments=False)  # __node:= is not for it
        self._reset, self._clear = reset, clear
        group = ReentrantCallbackGroup()
        self.create_service(ResetEpisode, names.SERVICE_RESET_EPISODE, self._on_reset, callback_group=group)
        self.create_service(Trigger, names.SERVICE_CLEAR, self._on_clear, callback_group=group)
        self._aside = Aside(self, _THREADS)

    def close(self) -> None:
        """Answer no more."""
        self._aside.close()

    def _on_reset(self, request: ResetEpisode.Request, response: ResetEpisode.Response) -> ResetEpisode.Response:
        try:
            begun = self._reset(request.task, request.seed)
        except (Refused, WorkerError, NotPiper, OSError) as error:
            response.message = str(error)
            return response
        skipped = f" after {len(begun.skipped)} that will not do" if begun.skipped else ""
        response.success, response.message = True, f"{begun.task} with seed {begun.seed} has begun{skipped}"
        response.task, response.seed, response.instruction = begun.task, begun.seed, begun.instruction
        return response

    def _on_clear(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """There is nothing to take away: the emulated arms park whatever RoboTwin's hold."""
        self._clear()
        response.success, response.message = True, "the episode is over"
        return response
