"""Streams scripted episodes of a task as action chunks, until there is a policy to do it.

Plans with the simulated cell's expert, waits until both arms hold under power, resets the episode, streams,
parks.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from rclpy.client import Client
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from piper_bringup import parameters
from piper_bringup.arm.safety import Mode, Reason
from piper_bringup.cell.expert import demonstrate
from piper_bringup.cell.task import Difficulty
from piper_bringup.cell.world import World
from piper_bringup.commander import REPLAN_NS, Stream, Window, chunk, trouble
from piper_bringup.data import names
from piper_bringup.data.joints import joint_vector
from piper_bringup.polled_node import read, subscribe
from piper_bringup.spin_node import Done, every, spin
from piper_bringup.stage_node import BAG_S, RECORDER_S, Bags, BothArms
from smp_msgs.msg import EpisodeEvent
from smp_msgs.srv import ResetEpisode

DEFAULTS: dict[str, object] = {
    "task": "lift_bar",
    "seed": 0,
    "episodes": 1,
    "enable": True,
    "record": False,
    "push_rad": 0.0,
    "wait_s": 60.0,
    "settle_s": 3.0,
}
EVENT_QOS = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TICK_S = 0.05
SAY_WAITING_NS = 5_000_000_000


class CommanderNode(Node):
    """One phase after the other; `_phase` is the method that a timer calls."""

    def __init__(self) -> None:
        super().__init__("commander")
        self._values = parameters.load(self, DEFAULTS)
        self._difficulty = Difficulty(push_rad=float(self._values["push_rad"]))
        self._seed, self._done, self._failed = int(self._values["seed"]), 0, 0
        self._outcome: int | None = None
        self._stream: Stream | None = None
        self._episode = EpisodeEvent()
        self._sent: Window | None = None
        self._moved_ns = self._began_ns = 0
        self._since_ns = self._said_ns = time.monotonic_ns()
        self._answer: Future | None = None
        self._phase: Callable[[], None] = self._plan
        self._chunks = self.create_publisher(JointTrajectory, names.TOPIC_ACTION_CHUNK, QoSProfile(depth=1))
        self._events = self.create_publisher(EpisodeEvent, names.TOPIC_EPISODE_EVENT, EVENT_QOS)
        self.create_subscription(EpisodeEvent, names.TOPIC_EPISODE_EVENT, self._on_episode, 10)
        self._arms = BothArms(self)
        self._joints = subscribe(self, JointState, names.TOPIC_JOINT_STATES, QoSProfile(depth=1))
        self._q: np.ndarray | None = None  # (14,) measured
        self._reset = self.create_client(ResetEpisode, names.SERVICE_RESET_EPISODE)
        self._park = self.create_client(Trigger, f"/{names.DRIVER_NODE}/park")
        self._bags = Bags(self) if self._values["record"] else None
        every(self, TICK_S, self._tick)

    def finish(self) -> int:
        """0 when every episode begun has succeeded."""
        return 1 if self._failed else 0

    def _tick(self) -> None:
        self._arms.poll()
        self._phase()

    # --- phases, in their order -----------------------------------------------------------------------------

    def _plan(self) -> None:
        task = str(self._values["task"])
        demonstration = demonstrate(task, self._seed, World(task, self._seed, self._difficulty))
        if not demonstration.success:
            self.get_logger().warning(f"the expert fails seed {self._seed}; taking the next")
            self._seed += 1
            return
        self._motion = demonstration.q
        self._to(self._wait_for_arms)

    def _wait_for_arms(self) -> None:
        now_ns = time.monotonic_ns()
        matched = self._chunks.get_subscription_count() > 0
        ready = matched and self._reset.service_is_ready() and self._park.service_is_ready()
        ready = ready and (self._bags is None or self._bags.is_ready())
        held_by_person = any(s.reason == Reason.OPERATOR_HOLD for s, _ in self._arms.status.values())
        if self._arms.are(Mode.HOLD) and ready and not held_by_person:
            request = ResetEpisode.Request(task=self._values["task"], seed=self._seed)
            self._call(self._reset, request, self._wait_for_reset)
            return
        if self._arms.are(Mode.DISABLED) and self._values["enable"] and not self._arms.estopped:
            self._arms.ask_for_power(now_ns)
        told = f"{self._arms.told}; cell {_there(self._reset.service_is_ready())}"
        if self._bags is not None:
            told += f"; recorder {_there(self._bags.is_ready())}"
        if 0 < self._values["wait_s"] * 1e9 < now_ns - self._since_ns:
            self._give_up(f"the arms do not hold under power: {told}")
        if now_ns - self._said_ns > SAY_WAITING_NS:
            self._said_ns = now_ns
            self.get_logger().info(f"waiting for both arms to hold under power: {told}")

    def _wait_for_reset(self) -> None:
        if not self._answer.done():
            return
        self._placed = self._answer.result()
        if not self._placed.success:
            self._give_up(f"the cell refuses the episode: {self._placed.message}")
        if self._bags is None:
            self._ask_to_follow()
            return
        self._answer = self._bags.begin(self._placed.task)
        self._to(self._wait_for_recorder)

    def _wait_for_recorder(self) -> None:
        if not self._answer.done():
            return
        if not self._bags.begun(self._answer):
            self._give_up("the recorder refuses to record")
        if time.monotonic_ns() - self._since_ns > RECORDER_S * 1e9:
            self._ask_to_follow()

    def _ask_to_follow(self) -> None:
        self._call(self._arms.enable, SetBool.Request(data=True), self._wait_for_enable)  # parked arms follow nobody

    def _wait_for_enable(self) -> None:
        if not self._answer.done():
            return
        if not self._answer.result().success:
            self._give_up(f"the arms do not follow: {self._answer.result().message}")
        answer = self._placed
        self._outcome = None
        self._stream = Stream(self._motion, time.monotonic_ns())
        self._moved_ns = self._began_ns = self._stream.began_ns
        self._episode = EpisodeEvent(
            task=answer.task, instruction=answer.instruction, seed=answer.seed, episode=self._done
        )
        self._publish_episode(EpisodeEvent.STARTED, answer.instruction)
        self.get_logger().info(f"episode {self._done}: {answer.task}, seed {answer.seed}, {self._length_s:.1f} s")
        self._to(self._follow)

    def _follow(self) -> None:
        now_ns = time.monotonic_ns()
        for message, _ in read(self._joints):
            self._q = joint_vector(message)
        if {status.mode for status, _ in self._arms.status.values()} == {Mode.FOLLOW}:
            self._moved_ns = now_ns
        elif self._q is not None:  # it holds: the motion waits there until the driver follows again
            self._stream = self._stream.resumed(self._q, now_ns)
        reason = trouble(self._arms.status, self._moved_ns, now_ns)
        if reason is not None:
            self._publish_episode(EpisodeEvent.ABORTED, reason)
            self._give_up(f"streaming stopped: {reason}")
        window = self._stream.window(now_ns)
        if window is None:
            self._call(self._park, Trigger.Request(), self._wait_for_park)
        elif self._sent is None or window.t_obs_ns - self._sent.t_obs_ns >= REPLAN_NS:
            self._publish(window)

    def _wait_for_park(self) -> None:
        if self._answer.done():
            if not self._answer.result().success:
                self._give_up(f"the arms do not park: {self._answer.result().message}")
            self._to(self._settle)

    def _settle(self) -> None:
        waited_ns = time.monotonic_ns() - self._since_ns
        if self._outcome is None and waited_ns < self._values["settle_s"] * 1e9:
            return
        if self._outcome is None:
            self._publish_episode(EpisodeEvent.FAILED, "the motion is over and the goals are not reached")
        if self._outcome != EpisodeEvent.SUCCEEDED:
            self._failed += 1
        if self._bags is None:
            self._next()
            return
        self._answer = self._bags.end()
        self._to(self._wait_for_bag)

    def _wait_for_bag(self) -> None:
        if self._answer.done():
            self._failed += not self._bags.ended(self._answer)
            self._next()
        elif time.monotonic_ns() - self._since_ns > BAG_S * 1e9:
            self._give_up(f"the recorder does not end its bag within {BAG_S:.0f} s")

    def _next(self) -> None:
        self._done += 1
        self._seed += 1
        if self._done == self._values["episodes"]:
            raise Done
        self._to(self._plan)

    # --- helpers --------------------------------------------------------------------------------------------

    @property
    def _length_s(self) -> float:
        return len(self._motion) * names.DT_NS * 1e-9

    def _to(self, phase: Callable[[], None]) -> None:
        self._phase, self._since_ns, self._sent = phase, time.monotonic_ns(), None

    def _call(self, client: Client, request: object, phase: Callable[[], None]) -> None:
        self._answer = client.call_async(request)
        self._to(phase)

    def _give_up(self, why: str) -> None:
        self.get_logger().error(why)
        self._failed += 1
        raise Done

    def _publish(self, window: Window) -> None:
        self._sent = window
        self._chunks.publish(chunk(window, time.time_ns() - time.monotonic_ns()))

    def _publish_episode(self, kind: int, text: str) -> None:
        self._episode.kind, self._episode.text = kind, text
        self._episode.header.stamp = self.get_clock().now().to_msg()
        if kind != EpisodeEvent.STARTED:
            self._episode.duration_s = (time.monotonic_ns() - self._began_ns) * 1e-9
        self._events.publish(self._episode)

    def _on_episode(self, event: EpisodeEvent) -> None:
        if (
            event.kind in (EpisodeEvent.SUCCEEDED, EpisodeEvent.FAILED, EpisodeEvent.TIMED_OUT)
            and self._outcome is None
        ):
            self._outcome = event.kind


def _there(ready: bool) -> str:
    return "there" if ready else "not there"


def main() -> None:
    """Stream the episodes; exit code 0 when all of them succeeded."""
    spin(CommanderNode)


if __name__ == "__main__":
    main()
