"""pictures_node: raw or compressed, whichever is published; and a camera that changes from one to the other."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from piper_bringup.data import names, topics
from piper_bringup.pictures_node import Pictures

QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
PATIENCE_S = 20.0
RAW, COMPRESSED = names.image_topic("head"), topics.compressed_topic("head")


@pytest.mark.parametrize(
    ("published", "present", "topic"),
    [
        ({}, None, RAW),
        ({COMPRESSED}, None, COMPRESSED),
        ({RAW, COMPRESSED}, None, RAW),  # image_transport offers both, and encodes for whoever asks
        ({}, topics.IMAGES[0], COMPRESSED),
        ({RAW}, topics.IMAGES[0], RAW),
    ],
)
def test_raw_pictures_unless_only_compressed_ones_are_published(published, present, topic):
    assert topics.pictures("head", lambda name: int(name in published), present).name == topic


@pytest.fixture
def node():
    with ExitStack() as ends:
        rclpy.init()
        ends.callback(rclpy.shutdown)
        node = Node("pictures_test")
        ends.callback(node.destroy_node)
        yield node


def heard(pictures: Pictures, publisher, message) -> object:
    """The first picture that comes of those published meanwhile."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        publisher.publish(message)
        time.sleep(0.05)
        for one in pictures.read():
            if isinstance(one.message, type(message)):
                return one
    raise AssertionError(f"nothing on {publisher.topic_name}")


@pytest.mark.live
def test_whichever_is_published_is_heard(node):
    pictures = Pictures(node, ["head", "left_wrist"], QOS)
    compressed = node.create_publisher(CompressedImage, COMPRESSED, 2)
    one = heard(pictures, compressed, CompressedImage(format="jpeg"))
    assert (one.camera, one.topic, one.message.format) == ("head", COMPRESSED, "jpeg")
    node.destroy_publisher(compressed)
    raw = node.create_publisher(Image, RAW, 2)
    one = heard(pictures, raw, Image(encoding="rgb8"))
    assert (one.camera, one.topic, one.message.encoding) == ("head", RAW, "rgb8")
    pictures.close()
    assert list(pictures.read()) == []
