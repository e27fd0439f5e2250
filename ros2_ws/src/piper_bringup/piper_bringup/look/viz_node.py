"""Node `viz`: shows a run in Rerun's window, or writes it to run.rrd where there is no display. It only listens.

Nobody waits for it: best effort everywhere, and its queues are read a few times a second.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from piper_bringup import parameters
from piper_bringup.data import names
from piper_bringup.look import entities
from piper_bringup.look.live import APPLICATION, Live, blueprint
from piper_bringup.pictures_node import Pictures
from piper_bringup.polled_node import read, subscribe
from piper_bringup.spin_node import every, spin
from smp_msgs.msg import EpisodeEvent, SafetyEvent, SkillState

DEFAULTS: dict[str, object] = {
    "out": "",
    "camera_hz": 5.0,
    "least_free_mb": 1000.0,
    "memory": "25%",
}
WATCH_S, OPEN_S = 1.0, 20.0
POLL_S = 0.5  # joints come in pieces: small ones cost, and fill the file
SAY_S = 10.0


def best_effort(depth: int) -> QoSProfile:
    """No publisher ever sends anything twice for us."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)


def open_window(memory: str) -> None:
    """Rerun's window, which stays open after the run; one that is open already is used. `memory`: MB, GB or %.

    By its program, for `rerun.spawn` opens windows that the whole network can write to.
    """
    line = [sys.executable, "-m", "rerun", "--bind", "127.0.0.1", "--memory-limit", memory, "--hide-welcome-screen"]
    subprocess.Popen(line, start_new_session=True, stdin=subprocess.DEVNULL)


class VizNode(Node):
    """Refuses, in one sentence, to be made where Rerun or a place for its file is missing (ValueError)."""

    def __init__(self) -> None:
        super().__init__("viz")
        self._values = parameters.load(self, DEFAULTS)
        if not self._values["camera_hz"] > 0.0:
            raise parameters.ParameterError(
                f"viz: parameter 'camera_hz' is {self._values['camera_hz']:g}, valid: above 0"
            )
        self._path = None if entities.has_display() else Path(self._values["out"]) / entities.RECORDING
        self._recording = self._open()
        self._readers: list[tuple[Subscription, Callable]] = []
        self._listen()
        every(self, POLL_S, self._poll)
        every(self, 1.0 / self._values["camera_hz"], self._look)
        every(self, WATCH_S, self._watch_window if self._path is None else self._watch_disk)

    def finish(self) -> int:
        """Close the file; a window stays open."""
        if self._recording is not None:
            self._poll()
            self._close()
        return 0

    def _open(self) -> Any:
        try:
            import rerun as rr
            import rerun.blueprint as rrb
        except ImportError as error:
            raise ValueError(f"viz needs Rerun ({error}): pip install {entities.REQUIREMENT}") from error
        if self._path is not None and not self._values["out"]:
            raise ValueError("viz: no display, and parameter 'out' names no folder for the file")
        recording = rr.RecordingStream(APPLICATION)
        try:
            if self._path is None:
                open_window(self._values["memory"])
                recording.connect_grpc()
                recording.flush(timeout_sec=OPEN_S)  # raises where nobody answers
            else:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                recording.save(self._partial)
        except (OSError, RuntimeError) as error:
            raise ValueError(f"viz: {self._path or 'the window of Rerun'} does not open: {error}") from error
        recording.send_blueprint(blueprint(rrb))
        self._live = Live(recording, rr, time.time_ns())
        return recording

    @property
    def _partial(self) -> Path:
        return self._path.with_name(f".{self._path.name}")

    def _listen(self) -> None:
        live = self._live
        self._subscribe(JointState, names.TOPIC_JOINT_STATES, 200, lambda new: live.joints("state", new))
        for arm in names.ARMS:
            own = [joint for joint in names.JOINTS if joint.startswith(f"{arm}_")]
            take = lambda new, own=own: live.joints("action", new, own)  # noqa: E731
            self._subscribe(JointState, names.joint_command_topic(arm), 200, take)
        for topic in (names.TOPIC_ACTION_CHUNK, names.TOPIC_ACTION_CHUNK_DRY):
            self._subscribe(JointTrajectory, topic, 10, _each(live.chunk))
        self._subscribe(SkillState, names.TOPIC_SKILL_STATE, 10, _each(live.skill_state))
        self._subscribe(SafetyEvent, names.TOPIC_SAFETY_EVENT, 50, _each(live.safety_event))
        self._subscribe(EpisodeEvent, names.TOPIC_EPISODE_EVENT, 50, _each(live.episode_event))
        self._cameras = Pictures(self, names.CAMERAS, best_effort(1))

    def _subscribe(self, kind: type, topic: str, depth: int, take: Callable[[list], None]) -> None:
        self._readers.append((subscribe(self, kind, topic, best_effort(depth)), take))

    def _poll(self) -> None:
        if self._recording is None:
            return
        for subscription, take in self._readers:
            try:
                take([message for message, _ in read(subscription)])
            except ValueError as error:
                self._say(f"{subscription.topic_name} is not shown: {error}")

    def _look(self) -> None:
        """The newest picture of every camera."""
        for heard in self._cameras.read() if self._recording is not None else ():
            try:
                self._live.picture(heard.camera, heard.message)
            except ValueError as error:
                self._say(f"a picture of camera {heard.camera} is not shown: {error}")

    def _watch_disk(self) -> None:
        free_mb = shutil.disk_usage(self._path.parent).free * 1e-6
        if self._recording is not None and free_mb < self._values["least_free_mb"]:
            self.get_logger().error(f"{free_mb:.0f} MB left on the disk: the file ends here")
            self._close()

    def _watch_window(self) -> None:
        """Somebody may close it."""
        try:
            if self._recording is not None:
                self._recording.flush(timeout_sec=WATCH_S)
        except RuntimeError:
            self.get_logger().info("the window of Rerun is gone: nothing more is shown")
            self._recording = None

    def _close(self) -> None:
        self._live.end_plan()
        try:
            self._recording.flush()
            self._recording.disconnect()
        except RuntimeError as error:
            self.get_logger().error(f"not everything was shown: {error}")
        self._recording = None
        if self._path is not None:
            self._partial.replace(self._path)
            self.get_logger().info(f"look at the run: rerun {self._path}")

    def _say(self, text: str) -> None:
        self.get_logger().warning(text, throttle_duration_sec=SAY_S)


def _each(take: Callable[[Any], None]) -> Callable[[list], None]:
    def all_of(messages: list) -> None:
        for message in messages:
            take(message)

    return all_of


def main() -> None:
    """Show until Ctrl-C."""
    spin(VizNode)


if __name__ == "__main__":
    main()
