"""Watches a run: rates, gaps, the driver's counts, episodes, the head camera; says at once which topic fell silent."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import Bool, String
from trajectory_msgs.msg import JointTrajectory

from piper_bringup import parameters
from piper_bringup.data import images, names
from piper_bringup.data.joints import stamp_ns
from piper_bringup.pictures_node import Heard, Pictures
from piper_bringup.polled_node import read, subscribe
from piper_bringup.seen import report
from piper_bringup.seen.chronicle import RESET
from piper_bringup.seen.monitor import Record
from piper_bringup.seen.silence import Expected, Outage, Silence
from piper_bringup.spin_node import every, spin
from piper_bringup.video import Video
from smp_msgs.msg import ArmStatus, EpisodeEvent, SafetyEvent, SkillState

DEFAULTS: dict[str, object] = {
    "out": "",
    "model": "",
    "cameras": list(names.CAMERAS),
    "camera_node": "cell",
    "cameras_due": False,
    "due_camera_s": 15.0,
    "silent_joints_s": 0.5,
    "silent_status_s": 1.0,
    "silent_camera_s": 1.0,
    "live_line_s": 5.0,
    "video_hz": 20.0,
    "video_max_s": 300.0,
}
POLL_S, CHECK_S, LIVE_S = 0.05, 0.1, 0.5
QUEUE_QOS = QoSProfile(depth=100)
IMAGE_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
# Every publisher of events keeps them, so that what happened before we were found is told, too.
EVENT_QOS = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class MonitorNode(Node):
    """Only listens, but for the SafetyEvents about topics that fell silent and the line for who shows it in place."""

    def __init__(self) -> None:
        super().__init__("monitor")
        self._values = parameters.load(self, DEFAULTS)
        now_ns = time.monotonic_ns()
        self._polled_ns = now_ns
        self._record = Record(now_ns)
        self._silence = Silence(self._expected(), now_ns)
        self._said = 0
        self._began = datetime.now().astimezone()
        self._out = Path(self._values["out"]) if self._values["out"] else None
        self._video: Video | None = None
        if self._out is not None:
            self._out.mkdir(parents=True, exist_ok=True)
            report.clear(self._out)
            self._begin_video()
        self._events = self.create_publisher(SafetyEvent, names.TOPIC_SAFETY_EVENT, EVENT_QOS)
        self._live = self.create_publisher(String, names.TOPIC_LIVE, 1)
        self._readers: list[tuple[str, Subscription, Callable | None]] = []
        self._listen()
        every(self, POLL_S, self._poll)
        every(self, CHECK_S, self._check)
        every(self, LIVE_S, lambda: self._live.publish(String(data=self._record.doing(time.time_ns()))))
        every(self, self._values["live_line_s"], self._say_live)

    def finish(self) -> int:
        """Keep or print what was recorded."""
        self._poll()
        self._record.chronicle.close()
        summary = self._record.summary(time.monotonic_ns())
        if self._out is None:
            report.make_console().print(report.render(summary))
            return 0
        if self._video is not None:
            self._video.close()
        report.save(summary, self._out)
        self._save_page(summary)
        return 0

    def _save_page(self, summary: dict[str, object]) -> None:
        from piper_bringup.seen import page  # drawing weighs 40 MB, and nothing is drawn before the end

        began, model = f"{self._began:%Y-%m-%d %H:%M:%S %Z}", self._values["model"]
        about = page.About(began, model, page.commit(Path(__file__).resolve()))
        try:
            path = page.save(summary, self._record.chronicle.scenes, about, self._out)
        except OSError as error:
            self.get_logger().error(f"no page of the run: {error}")
        else:
            self.get_logger().info(f"page of the run: {path}")

    def _expected(self) -> tuple[Expected, ...]:
        def one(topic: str, node: str, limit: str, due_s: float = 0.0) -> Expected:
            return Expected(topic, node, int(self._values[f"silent_{limit}_s"] * 1e9), int(due_s * 1e9))

        node, due_s = self._values["camera_node"], self._values["due_camera_s"] * self._values["cameras_due"]
        return (
            one(names.TOPIC_JOINT_STATES, names.DRIVER_NODE, "joints"),
            *(one(names.arm_status_topic(arm), names.DRIVER_NODE, "status") for arm in names.ARMS),
            *(one(names.image_topic(camera), node, "camera", due_s) for camera in self._values["cameras"]),
        )

    def _listen(self) -> None:
        """Subscribe to every documented topic; those that are only counted stay serialised."""
        record = self._record
        counted = [(names.TOPIC_JOINT_STATES, JointState), (names.TOPIC_ACTION_CHUNK, JointTrajectory)]
        counted += [(names.joint_command_topic(arm), JointState) for arm in names.ARMS]
        counted += [(names.camera_info_topic(camera), CameraInfo) for camera in self._values["cameras"]]
        for topic, kind in counted:
            self._subscribe(topic, kind, QUEUE_QOS)
        filmed = ["head"] if self._out is not None else []
        self._head = Pictures(self, filmed, IMAGE_QOS)
        self._pictures = Pictures(self, [c for c in self._values["cameras"] if c not in filmed], IMAGE_QOS, raw=True)
        self._subscribe(names.TOPIC_SKILL_STATE, SkillState, QUEUE_QOS, record.skill_state)
        for arm in names.ARMS:
            self._subscribe(names.arm_status_topic(arm), ArmStatus, QUEUE_QOS, record.arm_status)
        self._subscribe(names.TOPIC_EPISODE_EVENT, EpisodeEvent, QUEUE_QOS, self._on_episode)
        self._subscribe(names.TOPIC_DIAGNOSTICS, DiagnosticArray, QUEUE_QOS, record.diagnostics)
        self._subscribe(names.TOPIC_ESTOP_STATE, Bool, EVENT_QOS)
        self._subscribe(names.TOPIC_SAFETY_EVENT, SafetyEvent, EVENT_QOS, record.safety_event)

    def _subscribe(self, topic: str, kind: type, qos: QoSProfile, take: Callable | None = None) -> None:
        self._readers.append((topic, subscribe(self, kind, topic, qos, raw=take is None), take))

    def _poll(self) -> None:
        """Read every queue; what counts as arrival, and as order, is when DDS received, however late we look."""
        before_ns, self._polled_ns = self._polled_ns, time.monotonic_ns()
        wall_minus_mono_ns = time.time_ns() - self._polled_ns
        news = [(ns, topic, topic, take, message) for topic, one, take in self._readers for message, ns in read(one)]
        news += [_picture(heard, self._on_head) for heard in self._head.read()]
        news += [_picture(heard, None) for heard in self._pictures.read()]
        for received_ns, topic, watched, take, message in sorted(news, key=lambda new: new[0]):
            # Since the last poll for certain, whatever the system clock did meanwhile.
            arrived_ns = min(max(received_ns - wall_minus_mono_ns, before_ns), self._polled_ns)
            self._record.arrived(topic, arrived_ns)
            self._silence.heard(watched, arrived_ns)
            if take is not None:
                take(message)

    def _on_head(self, message: Image | CompressedImage) -> None:
        if self._video is None:
            return
        try:
            self._record.chronicle.picture(stamp_ns(message), lambda: images.to_jpeg(message))
            if self._video.frames < self._values["video_max_s"] * self._values["video_hz"]:
                self._video.add(images.decode(message))
        except (RuntimeError, ValueError) as error:
            self.get_logger().error(f"no more pictures of the head camera: {error}")
            self._video = None

    def _on_episode(self, event: EpisodeEvent) -> None:
        self._record.episode_event(event)
        if event.kind == RESET and self._video is not None:
            self._video.close()
            self._begin_video()

    def _begin_video(self) -> None:
        self._video = Video(self._out / report.VIDEO, self._values["video_hz"])

    def _check(self) -> None:
        self._poll()
        for outage in self._silence.check(time.monotonic_ns()):
            self._publish(outage)

    def _publish(self, outage: Outage) -> None:
        if outage.back:  # rclpy refuses one call with changing severity
            self.get_logger().info(outage.text)
        else:
            self.get_logger().error(outage.text)
        self._said += 1
        event = SafetyEvent(
            severity=SafetyEvent.INFO if outage.back else SafetyEvent.WARN,
            reason="TOPIC_BACK" if outage.back else "TOPIC_SILENT",
            source=self.get_name(),
            text=outage.text,
            count=self._said,
        )
        event.header.stamp = self.get_clock().now().to_msg()
        self._events.publish(event)

    def _say_live(self) -> None:
        rates, doing = self._record.rates(time.monotonic_ns()), self._record.doing(time.time_ns())
        self.get_logger().info("; ".join(filter(None, (rates, doing))))


def _picture(heard: Heard, take: Callable | None) -> tuple:
    """When, on which topic, as whose pictures, and what to do with it: raw or compressed, the camera is the same."""
    return heard.received_ns, heard.topic, names.image_topic(heard.camera), take, heard.message


def main() -> None:
    """Watch until Ctrl-C, then tell."""
    spin(MonitorNode)


if __name__ == "__main__":
    main()
