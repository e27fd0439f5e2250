"""The policy's topics, on a node that somebody else made: what the pilot calls its Link."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState, PointCloud2
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from piper_bringup.arm.clock import Clock
from piper_bringup.commander import Window, chunk
from piper_bringup.data import names, topics
from piper_bringup.data.observe import JOINT_STATES
from piper_bringup.pictures_node import Pictures
from piper_bringup.polled_node import read, subscribe
from smp_msgs.msg import ArmStatus, EpisodeEvent, SafetyEvent, SkillState
from smp_policy.run import messages
from smp_policy.run.contract import Contract
from smp_policy.run.pilot import Pilot
from smp_policy.run.runs import Run, Told
from smp_policy.run.senses import OBJECTS, Senses
from smp_policy.run.session import Level
from smp_policy.run.settings import Settings
from smp_policy.run.table import chunk_topic

KEPT_QOS = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)
NEWEST_QOS = QoSProfile(depth=1)
CAMERA_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
JOINTS_QOS = QoSProfile(depth=50)  # half a second, while an inference keeps the reader
DELIVER_S = 0.2  # for the last chunk to reach the driver
LOOK_NS = 100_000_000  # between two looks at who else commands


class RosLink:
    """Everything but `poll` may be called before `connect`; `poll` hands tasks and events to the pilot."""

    def __init__(
        self, node: Node, settings: Settings, clock: Clock, halves_ms: Callable[[], tuple[float, float]]
    ) -> None:
        """clock: of stamps and ages. halves_ms: what the newest chunk's halves took, see messages.skill_state."""
        self._node, self._settings, self._clock, self._halves_ms = node, settings, clock, halves_ms
        self._count: Counter[str] = Counter()
        self._chunks: Publisher | None = None
        self._others, self._looked_ns = (), 0
        self._pictures: Pictures | None = None
        self._readers: list[tuple] = []  # subscription, what to do with a message
        self._events = node.create_publisher(SafetyEvent, names.TOPIC_SAFETY_EVENT, KEPT_QOS)
        self._episodes = node.create_publisher(EpisodeEvent, names.TOPIC_EPISODE_EVENT, KEPT_QOS)
        self._skills = node.create_publisher(SkillState, names.TOPIC_SKILL_STATE, 10)

    def connect(self, pilot: Pilot, contract: Contract) -> None:
        """Listen to what the model wants, in place of what another one wanted."""
        self.disconnect()
        self._contract, senses = contract, pilot.senses

        def source(name: str) -> Callable:
            return lambda message: senses.hear(name, message, self._clock.wall_ns())

        self._listen(JointState, names.TOPIC_JOINT_STATES, JOINTS_QOS, source(JOINT_STATES))
        self._pictures = Pictures(self._node, contract.cameras, CAMERA_QOS)
        if contract.needs_objects:
            self._listen(PointCloud2, topics.TOPIC_OBJECTS, CAMERA_QOS, source(OBJECTS))
        for arm in names.ARMS:
            hear = lambda message, arm=arm: senses.command(arm, message, self._clock.mono_ns())  # noqa: E731
            self._listen(JointState, names.joint_command_topic(arm), NEWEST_QOS, hear)
            status = lambda message: senses.status(message, self._clock.mono_ns())  # noqa: E731
            self._listen(ArmStatus, names.arm_status_topic(arm), NEWEST_QOS, status)
        self._listen(EpisodeEvent, names.TOPIC_EPISODE_EVENT, KEPT_QOS, pilot.heard_event)
        # Not the latched ones: arms are not to move because of what was wanted before we were there.
        self._listen(String, names.TOPIC_TASK, QoSProfile(depth=10), lambda message: pilot.heard_task(message.data))
        self._tasks, _ = self._readers[-1]

    def forget_tasks(self) -> None:
        """Tasks that were sent while nobody took orders are not begun now."""
        for _ in read(self._tasks):
            pass

    def disconnect(self) -> None:
        """Listen to nothing."""
        for subscription, _ in self._readers:
            self._node.destroy_subscription(subscription)
        self._readers = []
        if self._pictures is not None:
            self._pictures.close()

    def _listen(self, kind: type, topic: str, qos: QoSProfile, take: Callable) -> None:
        self._readers.append((subscribe(self._node, kind, topic, qos), take))

    # --- what the pilot calls -------------------------------------------------------------------------------

    def poll(self, senses: Senses) -> None:
        """Hand on whatever came."""
        for subscription, take in self._readers:
            for message, _ in read(subscription):
                take(message)
        for heard in self._pictures.read():
            senses.hear(heard.camera, heard.message, self._clock.wall_ns())

    def open(self) -> None:
        """Become a publisher of chunks (S27: only while a run goes on)."""
        if self._chunks is None:
            # No event handlers: the executor of another thread would wait on them while we close.
            silent = PublisherEventCallbacks(use_default_callbacks=False)
            topic = chunk_topic(self._settings)
            self._chunks = self._node.create_publisher(JointTrajectory, topic, 1, event_callbacks=silent)

    def close(self) -> None:
        """Be none, once the last chunk was delivered."""
        if self._chunks is not None:
            self._chunks.wait_for_all_acked(Duration(seconds=DELIVER_S))
            self._node.destroy_publisher(self._chunks)
            self._chunks = None

    def others(self) -> tuple[str, ...]:
        """Other publishers of chunks."""
        now_ns = time.monotonic_ns()
        if now_ns - self._looked_ns > LOOK_NS:
            self._looked_ns = now_ns
            found = self._node.get_publishers_info_by_topic(names.TOPIC_ACTION_CHUNK)
            who = sorted(f"{i.node_namespace.rstrip('/')}/{i.node_name}" for i in found)
            own = self._node.get_fully_qualified_name()
            if self._chunks is not None and own in who:
                who.remove(own)  # once: a second node of our name is another commander
            self._others = tuple(who)
        return self._others

    def is_heard(self) -> bool:
        """Whether anybody listens to our chunks; to those of a dry run nobody need."""
        return self._settings.dry_run or (self._chunks is not None and self._chunks.get_subscription_count() > 0)

    def send(self, t_obs_ns: int, rows: np.ndarray) -> None:
        """A chunk (n, 14) of t_obs_ns, system clock."""
        if self._chunks is not None:
            self._chunks.publish(chunk(Window(t_obs_ns, rows), 0))

    def tell(self, told: Told) -> None:
        """Beside it."""
        self._skills.publish(messages.skill_state(told, self._halves_ms()))

    def episode(self, kind: int, run: Run, text: str, reset: EpisodeEvent | None) -> None:
        """An event of the run's episode."""
        instruction = dict(zip(self._contract.tasks, self._contract.instructions, strict=True)).get(run.task, run.task)
        now_ns = self._clock.wall_ns(), self._clock.mono_ns()
        self._episodes.publish(messages.episode(kind, run, text, reset, instruction, now_ns))

    def say(self, level: Level, reason: str, text: str) -> None:
        """To people and logs."""
        if level == Level.INFO:  # rclpy refuses a line of code that logs at two levels
            self._node.get_logger().info(f"{reason}: {text}")
        else:
            self._node.get_logger().warning(f"{reason}: {text}")
        self._count[reason] += 1
        event = SafetyEvent(severity=int(level), reason=str(reason), source=self._node.get_name(), text=text)
        event.header.stamp, event.count = messages.time_of(self._clock.wall_ns()), self._count[reason]
        self._events.publish(event)
