"""Node `episodes`: lets the policy do episodes in the simulated cell, one after the other, and counts successes.

Waits until both arms hold under power, places the objects, asks for a run (action /run_policy), takes the objects out
of the hands (on one that both hold they would pull against each other) and parks the arms. The cell judges; exit code 0
when every episode was run to its end, whatever its outcome.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from piper_bringup import parameters
from piper_bringup.arm.safety import Mode
from piper_bringup.data import names, topics
from piper_bringup.spin_node import Done, every, spin
from piper_bringup.stage_node import BAG_S, RECORDER_S, Bags, BothArms
from smp_msgs.action import RunPolicy
from smp_msgs.srv import ResetEpisode
from smp_policy.run.contract import Contract, ContractError
from smp_policy.run.rounds import Episode, line, order, table
from smp_policy.run.table import ACTION

ALL = "all"  # in place of tasks: those that the model was trained on
DEFAULTS: dict[str, object] = {
    "tasks": [ALL],
    "model": "",
    "seed": 0,
    "episodes": 1,
    "limit_s": 20.0,
    "reset_s": 15.0,
    "enable": True,
    "wait_s": 60.0,
    "record": False,
    "label": "",
}
TICK_S = 0.05
SAY_WAITING_NS = 5_000_000_000
ANSWER_S = 15.0  # for a service or an action to answer; the driver enables within 5
PARK_S = 30.0  # the driver gives up after 20
PARK_TRIES = 4  # an arm that was stuck or not heard for a moment stops the parking of both
OVERTIME_S = 15.0  # for a run to end once its time is over


class EpisodesNode(Node):
    """One phase after the other; `_phase` is the method that a timer calls."""

    def __init__(self) -> None:
        super().__init__("episodes")
        self._values = parameters.load(self, DEFAULTS)
        self._order = order(tasks_of(self._values), int(self._values["seed"]), int(self._values["episodes"]))
        self._task, self._seed = next(self._order)
        self._used: dict[str, int] = {}  # task -> seed of its last episode, which may be later than the one asked for
        self._done: list[Episode] = []
        self._gave_up, self._park_tries = False, 0
        self._answer: Future | None = None
        self._goal: ClientGoalHandle | None = None
        self._since_ns = self._said_ns = time.monotonic_ns()
        self._phase: Callable[[], None] = self._wait_for_arms
        self._arms = BothArms(self)
        self._run = ActionClient(self, RunPolicy, ACTION)
        self._bags = Bags(self) if self._values["record"] else None
        self._reset = self.create_client(ResetEpisode, names.SERVICE_RESET_EPISODE)
        self._take_away = self.create_client(Trigger, names.SERVICE_CLEAR)
        self._park = self.create_client(Trigger, f"/{names.DRIVER_NODE}/park")
        self._clear = self.create_client(Trigger, f"/{names.DRIVER_NODE}/clear_errors")
        every(self, TICK_S, self._tick)

    def finish(self) -> int:
        """Cancel what goes on, tell what was counted."""
        if self._goal is not None:
            self._goal.cancel_goal_async()
        if self._done:
            label = f" ({self._values['label']})" if self._values["label"] else ""
            self.get_logger().info(f"successes{label}\n{table(self._done)}")
        return 1 if self._gave_up or any(episode.trouble for episode in self._done) else 0

    def _tick(self) -> None:
        self._arms.poll()
        self._phase()

    # --- phases, in their order -----------------------------------------------------------------------------

    def _wait_for_arms(self) -> None:
        now_ns = time.monotonic_ns()
        missing = [name for name, ready in self._needed().items() if not ready]
        if self._arms.are(Mode.HOLD) and not missing:
            self._call(self._reset, ResetEpisode.Request(task=self._task, seed=self._seed), self._wait_for_reset)
            return
        if self._arms.are(Mode.DISABLED) and self._values["enable"] and not self._arms.estopped:
            self._arms.ask_for_power(now_ns)
        told = "; ".join([self._arms.told, *(f"{name} not there" for name in missing)])
        if 0 < self._values["wait_s"] * 1e9 < now_ns - self._since_ns:
            self._give_up(f"the arms do not hold under power: {told}")
        if now_ns - self._said_ns > SAY_WAITING_NS:
            self._said_ns = now_ns
            self.get_logger().info(f"waiting for both arms to hold under power: {told}")

    def _needed(self) -> dict[str, bool]:
        needed = {
            "cell": self._reset.service_is_ready() and self._take_away.service_is_ready(),
            "driver": self._park.service_is_ready(),
            "policy": self._run.server_is_ready(),
        }
        return needed | ({"recorder": self._bags.is_ready()} if self._bags is not None else {})

    def _wait_for_reset(self) -> None:
        if not self._reset.service_is_ready() and not self._answer.done():
            self._give_up("the cell is gone")
        if not self._answered("the cell", self._values["reset_s"] or math.inf):
            return
        placed = self._answer.result()
        if not placed.success:
            self._give_up(f"the cell refuses the episode: {placed.message}")
        self._seed = self._used[self._task] = placed.seed
        if self._bags is None:
            self._ask_to_follow()
            return
        self._answer = self._bags.begin(placed.task)
        self._to(self._wait_for_recorder)

    def _wait_for_recorder(self) -> None:
        if not self._answered("the recorder", ANSWER_S):
            return
        if not self._bags.begun(self._answer):
            self._give_up("the recorder refuses to record")
        if time.monotonic_ns() - self._since_ns > RECORDER_S * 1e9:
            self._ask_to_follow()

    def _ask_to_follow(self) -> None:
        self._call(self._arms.enable, SetBool.Request(data=True), self._wait_for_enable)  # parked arms follow nobody

    def _wait_for_enable(self) -> None:
        if not self._answered("the driver, asked to enable,", ANSWER_S):
            return
        if not self._answer.result().success:
            self._give_up(f"the arms do not follow: {self._answer.result().message}")
        goal = RunPolicy.Goal(task=self._task, max_duration_s=self._values["limit_s"])
        self._answer = self._run.send_goal_async(goal)
        self._to(self._wait_for_run)

    def _wait_for_run(self) -> None:
        if not self._answered("the policy", ANSWER_S):
            return
        self._goal = self._answer.result()
        if not self._goal.accepted:
            self._give_up("the policy refuses to run")
        self._answer = self._goal.get_result_async()
        self._to(self._wait_for_result)

    def _wait_for_result(self) -> None:
        if not self._run.server_is_ready() and not self._answer.done():
            self._give_up("the policy is gone")
        limit_s = self._values["limit_s"]
        if not self._answered("the policy, whose time is over,", limit_s + OVERTIME_S if limit_s else math.inf):
            return
        result, status, self._goal = self._answer.result().result, self._answer.result().status, None
        trouble = status != GoalStatus.STATUS_SUCCEEDED
        outcome = result.outcome or topics.UNKNOWN
        episode = Episode(self._task, self._seed, result.reason, outcome, result.duration_s, result.chunks, trouble)
        self._done.append(episode)
        self.get_logger().info(line(episode))
        if self._bags is None:
            self._empty_hands()
            return
        self._answer = self._bags.end()
        self._to(self._wait_for_bag)

    def _wait_for_bag(self) -> None:
        """Before anything is taken away: no bag shows that."""
        if not self._answered("the recorder, asked to end its bag,", BAG_S):
            return
        self._gave_up |= not self._bags.ended(self._answer)
        self._empty_hands()

    def _empty_hands(self) -> None:
        self._call(self._take_away, Trigger.Request(), self._wait_for_empty_hands)

    def _wait_for_empty_hands(self) -> None:
        if self._answered("the cell", ANSWER_S):
            self._park_tries = 1
            self._call(self._park, Trigger.Request(), self._wait_for_park)

    def _wait_for_park(self) -> None:
        if not self._answered("the driver, asked to park,", PARK_S):
            return
        if not self._answer.result().success:
            if self._park_tries == PARK_TRIES or self._arms.estopped:
                self._give_up(f"the arms do not park: {self._answer.result().message}")
            self._park_tries += 1
            self._call(self._clear, Trigger.Request(), self._wait_for_clear)
            return
        self._next()

    def _wait_for_clear(self) -> None:
        """An episode that ended with an arm stuck somewhere is lost, the next one is not.

        Arms that only hold have nothing to clear; whether they can park again, parking says.
        """
        if self._answered("the driver, asked to clear errors,", ANSWER_S):
            self._call(self._park, Trigger.Request(), self._wait_for_park)

    def _next(self) -> None:
        following = next(self._order, None)
        if following is None:
            raise Done
        self._task, self._seed = following
        self._seed = max(self._seed, self._used.get(self._task, self._seed - 1) + 1)
        self._to(self._wait_for_arms)

    # --- helpers --------------------------------------------------------------------------------------------

    def _to(self, phase: Callable[[], None]) -> None:
        self._phase, self._since_ns = phase, time.monotonic_ns()

    def _call(self, client: object, request: object, phase: Callable[[], None]) -> None:
        self._answer = client.call_async(request)
        self._to(phase)

    def _answered(self, who: str, seconds: float) -> bool:
        """Whether the answer is there; gives up where it did not come within `seconds`."""
        waited_s = (time.monotonic_ns() - self._since_ns) * 1e-9
        if not self._answer.done() and waited_s > seconds:
            self._give_up(f"{who} did not answer within {seconds:.0f} s")
        return self._answer.done()

    def _give_up(self, why: str) -> None:
        self.get_logger().error(why)
        self._gave_up = True
        raise Done


def tasks_of(values: dict[str, object]) -> list[str]:
    """Names of the tasks to do. Raises ValueError, which ends the start, where nobody says which."""
    if values["tasks"] != [ALL]:
        return values["tasks"]
    if not values["model"]:
        raise ValueError(f"episodes: tasks is [{ALL}] and model is empty; name tasks, or the folder of a model")
    try:
        return list(Contract.read(Path(values["model"])).tasks)
    except ContractError as error:
        raise ValueError(f"episodes: {error}") from error


def main() -> None:
    """Run the episodes; exit code 0 when each was run to its end."""
    spin(EpisodesNode)


if __name__ == "__main__":
    main()
