"""Node `evaluation`: asks the bridge for one evaluation, says how it goes, and ends with it.

Exit code 1 when not all episodes were played, unless by Ctrl-C, which ends the evaluation: what was played is in the
file.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.task import Future

from piper_bringup import parameters
from piper_bringup.data import names
from piper_bringup.spin_node import Done, every, spin
from smp_msgs.action import Evaluate

DEFAULTS: dict[str, object] = {
    "tasks": [""],
    "episodes": 100,
    "seed": 0,
    "policy": "",
    "wait_s": 120.0,
}
TICK_S = 0.1


class EvaluateNode(Node):
    """One phase after the other; `_phase` is the method that a timer calls."""

    def __init__(self) -> None:
        super().__init__("evaluation")
        values = parameters.load(self, DEFAULTS)
        tasks = [task for task in values["tasks"] if task]
        if not tasks or values["episodes"] < 1 or values["seed"] < 0:
            text = f"tasks is {tasks}, episodes {values['episodes']}, seed {values['seed']}"
            raise ValueError(f"evaluation: {text}; at least one task and one episode, and a seed from 0 on, are needed")
        self._wanted = Evaluate.Goal(
            tasks=tasks, episodes=values["episodes"], seed=values["seed"], policy=values["policy"]
        )
        self._wait_s, self._began_s = values["wait_s"], time.monotonic()
        self._client = ActionClient(self, Evaluate, names.ACTION_EVALUATE)
        self._goal: ClientGoalHandle | None = None
        self._answer: Future | None = None
        self._phase: Callable[[], None] = self._wait_for_bridge
        self._gave_up = False
        every(self, TICK_S, lambda: self._phase())

    def finish(self) -> int:
        """Cancel what goes on; the bridge writes its file."""
        if self._goal is not None:
            self._goal.cancel_goal_async()
        return int(self._gave_up)

    def _wait_for_bridge(self) -> None:
        if self._client.server_is_ready():
            self._answer = self._client.send_goal_async(self._wanted, self._on_feedback)
            self._phase = self._wait_for_acceptance
        elif 0 < self._wait_s < time.monotonic() - self._began_s:
            self._give_up(f"no bridge: {names.ACTION_EVALUATE} did not come within {self._wait_s:g} s")

    def _wait_for_acceptance(self) -> None:
        if not self._answer.done():
            return
        if not self._answer.result().accepted:
            self._give_up("the bridge refuses to evaluate")
        self._goal = self._answer.result()
        self._answer = self._goal.get_result_async()
        self._phase = self._wait_for_result

    def _wait_for_result(self) -> None:
        if not self._answer.done():
            if not self._client.server_is_ready():
                self._goal = None
                self._give_up("the bridge is gone")
            return
        result, self._goal = self._answer.result().result, None
        if not result.success:
            self._give_up(result.message)
        share = f"{result.successes} of {result.episodes}, {result.rate:.0%} ({result.low:.0%} to {result.high:.0%})"
        self.get_logger().info(f"success as RoboTwin judges it: {share}; {result.path}")
        raise Done

    def _on_feedback(self, message: Evaluate.Impl.FeedbackMessage) -> None:
        told = message.feedback
        counted = f"{told.successes} of {told.episodes} so far"
        self.get_logger().info(f"{told.task} seed {told.seed}: {told.reason}; {counted}")

    def _give_up(self, why: str) -> None:
        self.get_logger().error(why)
        self._gave_up = True
        raise Done


def main() -> None:
    """Ends with the evaluation."""
    spin(EvaluateNode)


if __name__ == "__main__":
    main()
