"""The starter's own node: takes lifecycle nodes to active, and tells which process died."""

from __future__ import annotations

from collections.abc import Callable

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String

from piper_bringup.data import names
from piper_bringup.spin_node import leave
from smp_msgs.msg import SafetyEvent

STEPS = (("configure", Transition.TRANSITION_CONFIGURE), ("activate", Transition.TRANSITION_ACTIVATE))
SLICE_S = 0.05
EVENT_QOS = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Starter:
    """Context manager. Handles no signals: whoever uses it does, and passes a `stop` to give up waiting."""

    def __enter__(self) -> Starter:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node("starter")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._obituaries = Obituaries(self._node)
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        leave(self._node)

    def spin(self, seconds: float = SLICE_S) -> None:
        """Serve the node for at most this long."""
        self._executor.spin_once(timeout_sec=seconds)

    def hear_live(self, take: Callable[[str], None]) -> None:
        """Give `take` the monitor's line about what happens now, whenever there is a new one."""
        self._node.create_subscription(String, names.TOPIC_LIVE, lambda message: take(message.data), 1)

    def bring_up(self, name: str, stop: Callable[[], bool]) -> str | None:
        """Configure and activate lifecycle node `name`; None when active, else what went wrong.

        Returns "stopped" as soon as `stop()` is true.
        """
        client = self._node.create_client(ChangeState, f"/{name}/change_state")
        while not client.service_is_ready():
            self.spin()
            if stop():
                return "stopped"
        for step, transition in STEPS:
            future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
            while not future.done():
                self.spin()
                if stop():
                    return "stopped"
            if not future.result().success:
                return f"{name} did not {step}; what it said above is why"
        return None

    def say_death(self, name: str, text: str) -> bool:
        """Publish a SafetyEvent about a process that ended unasked; false where it was published before."""
        return self._obituaries.publish(name, text)


class Obituaries:
    """SafetyEvents about processes that ended unasked, said by whoever started them."""

    def __init__(self, node: Node) -> None:
        self._node, self._count = node, 0
        self._said: set[tuple[str, str]] = set()
        self._publisher = node.create_publisher(SafetyEvent, names.TOPIC_SAFETY_EVENT, EVENT_QOS)

    def publish(self, name: str, text: str) -> bool:
        """name: of the process; text: how it ended. False: published before, of a process that ends again and again."""
        if (name, text) in self._said:
            return False
        self._said.add((name, text))
        self._count += 1
        severity = SafetyEvent.FAULT if name == names.DRIVER_NODE else SafetyEvent.WARN
        event = SafetyEvent(severity=severity, reason="PROCESS_DIED", text=text, count=self._count)
        event.source = self._node.get_name()
        event.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(event)
        return True
