"""Node `cell`: the simulated cell below the CAN wire, its cameras and its episodes.

Without OpenGL it publishes no camera topics, says so, and does everything else.
"""

from __future__ import annotations

import sys
import time

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import Trigger

from piper_bringup import image_message, parameters
from piper_bringup.can.places import SegmentError
from piper_bringup.cell import messages
from piper_bringup.cell.graphics import NoGraphics
from piper_bringup.cell.host import TICK_NS, Cell
from piper_bringup.cell.loop import Loop
from piper_bringup.cell.render import Instant, Pictures, Studio, intrinsics
from piper_bringup.data import names
from piper_bringup.spin_node import Done, every, spin
from smp_msgs.msg import EpisodeEvent
from smp_msgs.srv import ResetEpisode

DEFAULTS: dict[str, object] = {
    "task": "lift_bar",
    "seed": 0,
    "arms.left.can_channel": "can_left",
    "arms.right.can_channel": "can_right",
    "camera_hz": 20.0,
    "cameras": True,
    "fifo_priority": 10,  # of the loop, below every thread of the driver; 0: none
}
EVENTS_QOS = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
IMAGE_QOS = QoSProfile(depth=2)
WARN_EVERY_S = 5.0


class CellNode(Node):
    """Wires the cell, its loop and its cameras to topics."""

    def __init__(self) -> None:
        super().__init__("cell")
        values = parameters.load(self, DEFAULTS)
        channels = {arm: str(values[f"arms.{arm}.can_channel"]) for arm in names.ARMS}
        self._picture_ticks = _ticks_between_pictures(float(values["camera_hz"]))
        self._cell = Cell(str(values["task"]), int(values["seed"]), channels)
        self._failure: Exception | None = None
        self._tick_count = self._pictures = 0
        self._began_ns = time.monotonic_ns()
        self._events = self.create_publisher(EpisodeEvent, names.TOPIC_EPISODE_EVENT, EVENTS_QOS)
        self._objects = self.create_publisher(PointCloud2, "~/objects", 2)
        self._diagnostics = self.create_publisher(DiagnosticArray, names.TOPIC_DIAGNOSTICS, 10)
        self._studio = self._open_studio() if values["cameras"] else None
        self.create_subscription(EpisodeEvent, names.TOPIC_EPISODE_EVENT, self._on_event, 10)
        self.create_service(ResetEpisode, names.SERVICE_RESET_EPISODE, self._on_reset)
        self.create_service(Trigger, names.SERVICE_CLEAR, self._on_clear)
        self._wake = self.create_guard_condition(self._end_after_failure)
        every(self, 1.0, self._report)
        self._loop = Loop(self._tick, TICK_NS, self._on_failure, int(values["fifo_priority"]))
        self._loop.start()
        self._publish_episode(EpisodeEvent.RESET, 0.0, "objects placed")
        self.get_logger().info(self._table(channels))

    def finish(self) -> int:
        """Ends loop, cameras and segments; 1 when physics broke."""
        self._loop.stop()
        if self._studio is not None:
            self._studio.close()
        self._cell.close()
        ticks, factor = self._loop.overall()
        print(f"cell: {ticks} ticks of 5 ms, real-time factor {factor:.3f}, {self._pictures} pictures", flush=True)
        return 1 if self._failure is not None else 0

    # --- the loop's thread ----------------------------------------------------------------------------------

    def _tick(self) -> None:
        succeeded = self._cell.tick()
        self._tick_count += 1
        if self._tick_count % self._picture_ticks == 0:
            world, now_ns = self._cell.world, time.time_ns()
            if self._studio is not None:
                self._studio.offer(Instant(now_ns, world.model, world.positions()))
            self._objects.publish(messages.objects(now_ns, world.slots()))
        if succeeded:
            took_s = (time.monotonic_ns() - self._began_ns) * 1e-9
            self._publish_episode(EpisodeEvent.SUCCEEDED, took_s, "all goals of the task are reached")

    def _on_failure(self, error: Exception) -> None:
        self._failure = error
        self._wake.trigger()

    # --- the cameras' thread --------------------------------------------------------------------------------

    def _deliver(self, stamp_ns: int, pictures: Pictures) -> None:
        for camera, rgb in pictures.items():
            (images, infos), info = self._senders[camera], self._infos[camera]
            image = image_message.image(camera, stamp_ns, rgb)
            info.header.stamp = image.header.stamp
            images.publish(image)
            infos.publish(info)
        self._pictures += 1

    # --- the executor's thread ------------------------------------------------------------------------------

    def _open_studio(self) -> Studio | None:
        model = self._cell.world.model
        size_px = (names.IMAGE_WIDTH, names.IMAGE_HEIGHT)
        self._infos = {c: image_message.pinhole(c, *size_px, intrinsics(model, c)) for c in names.CAMERAS}
        self._senders: dict[str, tuple] = {}
        try:
            studio = Studio(model, self._deliver, self._on_failure)
        except NoGraphics as error:
            self.get_logger().warning(f"no camera topics, state only: {error}")
            return None
        for camera in names.CAMERAS:
            self._senders[camera] = (
                self.create_publisher(Image, names.image_topic(camera), IMAGE_QOS),
                self.create_publisher(CameraInfo, names.camera_info_topic(camera), IMAGE_QOS),
            )
        return studio

    def _on_event(self, event: EpisodeEvent) -> None:
        """Whoever commands the arms says when the motion begins; the time to success counts from there."""
        if event.kind == EpisodeEvent.STARTED:
            self._began_ns = time.monotonic_ns()

    def _on_reset(self, request: ResetEpisode.Request, response: ResetEpisode.Response) -> ResetEpisode.Response:
        try:
            episode = self._cell.reset(request.task, request.seed)
        except ValueError as error:
            response.success, response.message = False, str(error)
        else:
            self._began_ns = time.monotonic_ns()
            response.success, response.message = True, f"objects of {episode.task} placed for seed {episode.seed}"
            self._publish_episode(EpisodeEvent.RESET, 0.0, response.message)
        episode = self._cell.episode
        response.task, response.seed, response.instruction = episode.task, episode.seed, episode.instruction
        return response

    def _on_clear(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._cell.clear()
        response.success, response.message = True, "loose objects taken away until the next reset"
        return response

    def _report(self) -> None:
        report = self._loop.report()
        goals = ", ".join(self._cell.world.goals_reached())
        self._diagnostics.publish(messages.diagnostics(time.time_ns(), report, self._pictures, goals))
        if report.real_time_factor < messages.SLOW:
            self.get_logger().warning(
                f"slower than real time: factor {report.real_time_factor:.2f}, {report.given_up_ms:.0f} ms of the "
                f"last second given up, worst tick {report.worst_late_ms:.0f} ms late",
                throttle_duration_sec=WARN_EVERY_S,
            )

    def _end_after_failure(self) -> None:
        self.get_logger().fatal(f"the cell stops, both arms are gone from the bus: {self._failure}")
        raise Done

    def _publish_episode(self, kind: int, duration_s: float, text: str) -> None:
        event = messages.episode_event(kind, time.time_ns(), self._cell.episode, duration_s, text)
        self._events.publish(event)

    def _table(self, channels: dict[str, str]) -> str:
        episode = self._cell.episode
        seen = f"{len(names.CAMERAS)} at {200 / self._picture_ticks:g} Hz" if self._studio else "none"
        arms = ", ".join(f"{arm} arm on {channel}" for arm, channel in channels.items())
        return f"{arms}; task {episode.task}, seed {episode.seed}; physics 400 Hz, firmware 200 Hz, cameras {seen}"


def _ticks_between_pictures(hz: float) -> int:
    if not 1.0 <= hz <= 100.0:
        raise parameters.ParameterError(f"cell: parameter 'camera_hz' is {hz:g}, valid: 1 to 100")
    return round(1e9 / hz / TICK_NS)


def make() -> CellNode:
    """The node. Raises ValueError, in one sentence, for a wrong parameter or a segment that is taken."""
    try:
        return CellNode()
    except SegmentError as error:
        raise ValueError(str(error)) from error


def main() -> None:
    """Run until Ctrl-C."""
    sys.setswitchinterval(0.0005)  # the loop must not wait 5 ms for the interpreter
    spin(make)


if __name__ == "__main__":
    main()
