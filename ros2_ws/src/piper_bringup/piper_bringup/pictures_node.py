"""The newest pictures of cameras, raw or compressed, whichever somebody publishes: nobody has to be told."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from piper_bringup.data import topics
from piper_bringup.polled_node import read, subscribe

LOOK_S = 0.5
CLASSES = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}


class Heard(NamedTuple):
    """A picture that came."""

    camera: str
    topic: str
    message: object
    received_ns: int  # system time at which DDS had it


class Pictures:
    """Subscriptions to some cameras; `close` ends them. One thread reads."""

    def __init__(self, node: Node, cameras: Iterable[str], qos: QoSProfile, *, raw: bool = False) -> None:
        """raw: messages stay serialised (bytes)."""
        self._node, self._qos, self._raw = node, qos, raw
        self._looked_s = time.monotonic()
        self._ears: dict[str, tuple[topics.Topic, Subscription]] = {}
        for camera in cameras:
            self._listen(camera, self._choose(camera))

    def read(self) -> Iterator[Heard]:
        """What waits, camera by camera, oldest first."""
        self._look_again()
        for camera, (topic, subscription) in self._ears.items():
            for message, received_ns in read(subscription):
                yield Heard(camera, topic.name, message, received_ns)

    def close(self) -> None:
        """Hear no more."""
        for _, subscription in self._ears.values():
            self._node.destroy_subscription(subscription)
        self._ears = {}

    def _look_again(self) -> None:
        """A camera that was not there before may publish otherwise than was guessed."""
        if time.monotonic() - self._looked_s < LOOK_S:
            return
        self._looked_s = time.monotonic()
        for camera, (topic, subscription) in tuple(self._ears.items()):
            chosen = self._choose(camera)
            if chosen != topic:
                self._node.destroy_subscription(subscription)
                self._listen(camera, chosen)

    def _choose(self, camera: str) -> topics.Topic:
        present = self._ears[camera][0] if camera in self._ears else None
        return topics.pictures(camera, self._node.count_publishers, present)

    def _listen(self, camera: str, topic: topics.Topic) -> None:
        kind = CLASSES[topic.type]
        self._ears[camera] = (topic, subscribe(self._node, kind, topic.name, self._qos, raw=self._raw))
