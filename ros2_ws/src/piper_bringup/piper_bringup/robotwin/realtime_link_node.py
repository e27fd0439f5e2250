"""The topics of mode realtime, on a node that somebody else made; the driver has those of the arms."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String

from piper_bringup.cell.pace import Report
from piper_bringup.data import names
from piper_bringup.robotwin import messages
from piper_bringup.robotwin.bridge_link_node import EVENTS_QOS, LATCHED
from piper_bringup.robotwin.play import Phase
from piper_bringup.robotwin.shadow import Ended, Shadow
from piper_bringup.robotwin.stage import Begun, Moment
from smp_msgs.msg import BenchmarkState, EpisodeEvent

IMAGE_QOS = QoSProfile(depth=2)


class Voice:
    """Stamps are of the system's clock. Any thread may speak."""

    def __init__(self, node: Node, shadow: Shadow) -> None:
        self._shadow, self._episode, self.pictures = shadow, -1, 0
        publisher = node.create_publisher
        self._targets = publisher(JointState, names.TOPIC_JOINT_TARGETS, 10)
        self._images = {camera: publisher(Image, names.image_topic(camera), IMAGE_QOS) for camera in names.CAMERAS}
        self._infos = {c: publisher(CameraInfo, names.camera_info_topic(c), IMAGE_QOS) for c in names.CAMERAS}
        self._instruction = publisher(String, names.TOPIC_INSTRUCTION, LATCHED)
        self._state = publisher(BenchmarkState, names.TOPIC_BENCHMARK_STATE, LATCHED)
        self._events = publisher(EpisodeEvent, names.TOPIC_EPISODE_EVENT, EVENTS_QOS)
        self._diagnostics = publisher(DiagnosticArray, names.TOPIC_DIAGNOSTICS, 10)

    def begun(self, begun: Begun, moment: Moment) -> None:
        """An episode has begun."""
        self._episode += 1
        text = f"{begun.task}, seed {begun.seed}: {begun.instruction}"
        self._events.publish(messages.event(EpisodeEvent.RESET, time.time_ns(), begun, self._episode, 0.0, text))
        self._instruction.publish(String(data=begun.instruction))
        self.show(moment)

    def ended(self, begun: Begun, ended: Ended) -> None:
        """It has ended. What ended with the policy, the policy has told."""
        if ended.reason in (Phase.TIME_OVER, Phase.POLICY_ERROR):
            return
        kind, seconds = messages.kind_of(ended.reason), ended.duration_s
        text = f"{ended.reason}: {ended.detail}"
        self._events.publish(messages.event(kind, time.time_ns(), begun, self._episode, seconds, text))

    def show(self, moment: Moment) -> None:
        """What RoboTwin's arms are told, and pictures where there are some."""
        self._targets.publish(messages.joint_targets(moment))
        for camera, seen in moment.cameras.items():
            image, info = messages.pictures(camera, moment.stamp_ns, seen)
            self._images[camera].publish(image)
            self._infos[camera].publish(info)
        self.pictures += bool(moment.cameras)

    def state(self, phase: Phase, text: str) -> None:
        """Where the episode stands."""
        begun, moment, elapsed_ns = self._shadow.now
        shown = moment if begun is not None else None
        self._state.publish(messages.state(time.time_ns(), phase, text, begun, shown, elapsed_ns))

    def report(self, report: Report) -> None:
        """How the simulator keeps up."""
        self._diagnostics.publish(messages.diagnostics(time.time_ns(), report, self.pictures))
