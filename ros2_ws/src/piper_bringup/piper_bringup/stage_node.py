"""Whom episodes in the cell need, on a node that somebody else made: both arms under power, and the recorder."""

from __future__ import annotations

import time

from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future
from std_srvs.srv import SetBool

from piper_bringup.arm.safety import Mode
from piper_bringup.data import names
from piper_bringup.polled_node import read, subscribe
from smp_msgs.action import RecordEpisode
from smp_msgs.msg import ArmStatus

RECORDER_S = 1.0  # for a new recording to find every publisher
BAG_S = 60.0  # for a bag to be closed and looked through
_ENABLE_AGAIN_NS = 3_000_000_000


class BothArms:
    """What both arms say of themselves, as of the last `poll`."""

    def __init__(self, node: Node) -> None:
        self.status: dict[str, tuple[ArmStatus, int]] = {}  # arm -> newest, monotonic time when it came
        self.estopped = False  # from then on only a person enables
        self.enable = node.create_client(SetBool, f"/{names.DRIVER_NODE}/enable")
        self._asked_ns = time.monotonic_ns()
        self._statuses = [
            subscribe(node, ArmStatus, names.arm_status_topic(arm), QoSProfile(depth=10)) for arm in names.ARMS
        ]

    def poll(self) -> None:
        """Take what came."""
        for subscription in self._statuses:
            for status, _ in read(subscription):
                self.status[status.arm] = (status, time.monotonic_ns())
                self.estopped |= status.mode == Mode.ESTOP

    def are(self, mode: Mode) -> bool:
        """Whether both say so."""
        return [status.mode for status, _ in self.status.values()] == [mode] * len(names.ARMS)

    def ask_for_power(self, now_ns: int) -> None:
        """An arm that was lost for a moment comes back disabled; the answer shows in arm_status."""
        if now_ns - self._asked_ns > _ENABLE_AGAIN_NS and self.enable.service_is_ready():
            self._asked_ns = now_ns
            self.enable.call_async(SetBool.Request(data=True))

    @property
    def told(self) -> str:
        """For people."""
        arms = ", ".join(f"{a} arm {s.mode_name} ({s.reason})" for a, (s, _) in sorted(self.status.items()))
        return arms or "nothing heard of the arms"


class Bags:
    """The recorder, asked for one bag an episode."""

    def __init__(self, node: Node) -> None:
        self._node, self._client = node, ActionClient(node, RecordEpisode, "/record_episode")
        self._goal: ClientGoalHandle | None = None

    def is_ready(self) -> bool:
        """Whether the recorder is there."""
        return self._client.server_is_ready()

    def begin(self, task: str) -> Future:
        """Ask for a bag; the answer is for `begun`."""
        return self._client.send_goal_async(RecordEpisode.Goal(task=task))

    def begun(self, answer: Future) -> bool:
        """Whether the recorder agreed."""
        self._goal = answer.result()
        return self._goal.accepted

    def end(self) -> Future:
        """What becomes of the bag that was begun; the answer is for `ended`."""
        return self._goal.get_result_async()

    def ended(self, answer: Future) -> bool:
        """Whether it is a good one."""
        bag = answer.result().result
        self._node.get_logger().info(f"recorded: {bag.reason}; {bag.bag_path}")
        return bag.success
