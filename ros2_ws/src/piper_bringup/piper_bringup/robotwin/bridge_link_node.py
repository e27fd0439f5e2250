"""The bridge's topics, on a node that somebody else made. Any thread may speak."""

from __future__ import annotations

import threading

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String

from piper_bringup.arm.safety import Mode
from piper_bringup.data import names
from piper_bringup.robotwin import messages
from piper_bringup.robotwin.play import Phase
from piper_bringup.robotwin.sim_time import START_NS
from piper_bringup.robotwin.stage import Begun, Moment, Stage
from smp_msgs.msg import ArmStatus, BenchmarkState, EpisodeEvent

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
EVENTS_QOS = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Speaker:
    """Time goes on with what is shown: a policy never has a time of which it has seen nothing."""

    def __init__(self, node: Node, stage: Stage) -> None:
        self._stage, self._lock = stage, threading.Lock()
        self._shown_ns, self._mode, self._episode = START_NS, Mode.DISABLED, -1
        publisher = node.create_publisher
        self._clock = publisher(Clock, names.TOPIC_CLOCK, 10)
        self._joints = publisher(JointState, names.TOPIC_JOINT_STATES, 10)
        self._targets = publisher(JointState, names.TOPIC_JOINT_TARGETS, 10)
        self._commands = {arm: publisher(JointState, names.joint_command_topic(arm), 10) for arm in names.ARMS}
        self._statuses = {arm: publisher(ArmStatus, names.arm_status_topic(arm), 10) for arm in names.ARMS}
        self._poses = {arm: publisher(PoseStamped, names.ee_pose_topic(arm), 10) for arm in names.ARMS}
        self._images = {camera: publisher(Image, names.image_topic(camera), 2) for camera in names.CAMERAS}
        self._infos = {camera: publisher(CameraInfo, names.camera_info_topic(camera), 2) for camera in names.CAMERAS}
        self._instruction = publisher(String, names.TOPIC_INSTRUCTION, LATCHED)
        self._state = publisher(BenchmarkState, names.TOPIC_BENCHMARK_STATE, LATCHED)
        self._events = publisher(EpisodeEvent, names.TOPIC_EPISODE_EVENT, EVENTS_QOS)

    def begun(self, begun: Begun, moment: Moment) -> None:
        """An episode has begun; the event is of the moment before, so that what follows is not about it."""
        self._episode += 1
        text = f"{begun.task}, seed {begun.seed}: {begun.instruction}"
        self._events.publish(messages.event(EpisodeEvent.RESET, self._shown_ns, begun, self._episode, 0.0, text))
        self._instruction.publish(String(data=begun.instruction))
        self.show(moment, Mode.HOLD)

    def ended(self, begun: Begun, phase: Phase, text: str) -> None:
        """It has ended, at what was shown last."""
        took_s = self._stage.time.elapsed_ns * 1e-9
        kind = messages.kind_of(phase)
        self._events.publish(messages.event(kind, self._shown_ns, begun, self._episode, took_s, text))

    def show(self, moment: Moment, mode: Mode) -> None:
        """All of a moment, and the time that it is of."""
        with self._lock:
            self._shown_ns, self._mode = max(self._shown_ns, moment.stamp_ns), mode
            self._pulse()
        for arm in names.ARMS:
            self._commands[arm].publish(messages.joint_command(moment, arm))
            self._poses[arm].publish(messages.ee_pose(moment, arm))
        self._targets.publish(messages.joint_targets(moment))
        self._joints.publish(messages.joint_states(moment))
        for camera, seen in moment.cameras.items():
            image, info = messages.pictures(camera, moment.stamp_ns, seen)
            self._images[camera].publish(image)
            self._infos[camera].publish(info)

    def pulse(self) -> None:
        """Time as it stands and what may be done with the arms, for those that came late."""
        with self._lock:
            self._pulse()

    def show_mode(self, mode: Mode) -> None:
        """What may be done with the arms from now on."""
        with self._lock:
            self._mode = mode
            self._pulse()

    def _pulse(self) -> None:
        self._clock.publish(messages.clock(self._shown_ns))
        for arm in names.ARMS:
            self._statuses[arm].publish(messages.arm_status(arm, self._shown_ns, self._mode))

    def state(self, phase: Phase, text: str, moment: Moment | None) -> None:
        """Where the episode stands; moment: of it, where it has begun."""
        there = moment is not None
        stamp_ns, begun = (moment.stamp_ns, self._stage.begun) if there else (self._shown_ns, None)
        self._state.publish(messages.state(stamp_ns, phase, text, begun, moment, self._stage.time.elapsed_ns))
