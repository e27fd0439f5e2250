"""A node that only listens to the simulated graph: episodes, objects, joints, set-points, chunks. It wires nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState, PointCloud2

from bench.recount import Said
from piper_bringup.cell.world import SLOT_FIELDS
from piper_bringup.data import names, topics
from piper_bringup.data.joints import joint_vector, stamp_ns
from piper_bringup.polled_node import read, subscribe
from smp_msgs.msg import EpisodeEvent, SkillState

LATCHED = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)
QUEUE = QoSProfile(depth=200)  # two seconds of joints
Stamped = list[tuple[int, NDArray[np.float64]]]


class Observer:
    """A context manager; `poll` takes what has arrived, a few times a second."""

    def __init__(self) -> None:
        self.events: list[Said] = []
        self.objects: Stamped = []  # (SLOTS, fields)
        self.joints: Stamped = []  # (14,) measured, stamped from CAN
        self.commands: dict[str, Stamped] = {arm: [] for arm in names.ARMS}  # (7,) as sent after every limit
        self.chunks: list[SkillState] = []
        self._readers: list[tuple[Subscription, Callable[[Any], None]]] = []

    def __enter__(self) -> Observer:
        self._node = rclpy.create_node("bench_observer")
        return self

    def __exit__(self, *_: object) -> None:
        self._node.destroy_node()

    def hear_episodes(self) -> None:
        """Events of episodes."""
        self._listen(EpisodeEvent, names.TOPIC_EPISODE_EVENT, LATCHED, self._on_event)

    def hear_objects(self) -> None:
        """The cell's ground truth."""
        self._listen(PointCloud2, topics.TOPIC_OBJECTS, QUEUE, self._on_objects)

    def hear_joints(self) -> None:
        """Both arms as measured."""
        take = lambda message: self.joints.append((stamp_ns(message), joint_vector(message)))  # noqa: E731
        self._listen(JointState, names.TOPIC_JOINT_STATES, QUEUE, take)

    def hear_commands(self) -> None:
        """Set-points of both arms."""
        for arm, into in self.commands.items():
            take = lambda message, into=into: into.append((stamp_ns(message), np.array(message.position)))  # noqa: E731
            self._listen(JointState, names.joint_command_topic(arm), QUEUE, take)

    def hear_chunks(self) -> None:
        """What the policy says of its chunks."""
        self._listen(SkillState, names.TOPIC_SKILL_STATE, QUEUE, self.chunks.append)

    def poll(self) -> None:
        """Take what waits."""
        for subscription, take in self._readers:
            for message, _ in read(subscription):
                take(message)

    def forget(self) -> None:
        """Whatever was heard."""
        for heard in (self.events, self.objects, self.joints, *self.commands.values(), self.chunks):
            heard.clear()

    def _listen(self, kind: type, topic: str, qos: QoSProfile, take: Callable[[Any], None]) -> None:
        self._readers.append((subscribe(self._node, kind, topic, qos), take))

    def _on_event(self, event: EpisodeEvent) -> None:
        self.events.append(Said(stamp_ns(event), event.kind, event.task, event.seed, event.duration_s))

    def _on_objects(self, message: PointCloud2) -> None:
        slots = np.frombuffer(message.data, np.float32).reshape(-1, len(SLOT_FIELDS)).astype(np.float64)
        self.objects.append((stamp_ns(message), slots))
