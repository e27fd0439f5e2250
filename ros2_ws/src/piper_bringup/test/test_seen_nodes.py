"""Nodes `monitor` and `viz` as processes among published messages: page and file hold what was sent, exactly."""

from __future__ import annotations

import array
import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from rrd_rig import rows, scalars
from sensor_msgs.msg import Image, JointState

from piper_bringup.data import images, names
from smp_msgs.msg import EpisodeEvent, SafetyEvent, SkillState

pytestmark = pytest.mark.live
PATIENCE_S = 40.0
KEPT = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)
GATES = ((0.8125, 0.1875), (0.3125, 0.6875), (0.0625, 0.9375))  # float32 holds them exactly
FRAMES, FRAME_S = 30, 0.05
WINDOW_PORT = 9876  # Rerun's own
SETTLE_S = 1.0  # a reader finds its writer a moment after the writer found it, and is not sent what came before


class Robot:
    """What a run publishes, sent from here."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        node = self.node = Node("robot", context=self.context)
        self.episodes = node.create_publisher(EpisodeEvent, names.TOPIC_EPISODE_EVENT, KEPT)
        self.safety = node.create_publisher(SafetyEvent, names.TOPIC_SAFETY_EVENT, KEPT)
        self.skills = node.create_publisher(SkillState, names.TOPIC_SKILL_STATE, 10)
        self.joints = node.create_publisher(JointState, names.TOPIC_JOINT_STATES, 10)
        self.head = node.create_publisher(Image, names.image_topic("head"), 10)
        self.diagnostics = node.create_publisher(DiagnosticArray, names.TOPIC_DIAGNOSTICS, 10)
        self.began_ns = time.time_ns()
        self.frames: dict[int, bytes] = {}  # stamp -> the JPEG that it becomes

    def stamped(self, message: object, t_s: float) -> object:
        """At t_s of the episode."""
        message.header.stamp = Time(nanoseconds=self.began_ns + round(t_s * 1e9)).to_msg()
        return message

    def tell(self) -> None:
        """An episode of 1.5 s, its pictures at their rate."""
        self.episodes.publish(self.stamped(EpisodeEvent(kind=EpisodeEvent.STARTED, task="lift_bar", seed=7), 0.0))
        for i, gate in enumerate(GATES):
            state = SkillState(chunk_id=i, task="lift_bar", gate=gate, active_experts=[i % 2], total_ms=4.0 + i)
            self.skills.publish(self.stamped(state, 0.2 * i))
        refused = SafetyEvent(severity=1, reason="CHUNK_JUMP", source="piper_driver", text="far", count=3)
        self.safety.publish(self.stamped(refused, 0.3))
        for i in range(FRAMES):
            self.joints.publish(self.stamped(JointState(name=names.JOINTS, position=[i + 0.5] * 14), FRAME_S * i))
            self.head.publish(self._frame(i))
            time.sleep(FRAME_S)
        goals = DiagnosticStatus(values=[KeyValue(key="goals_reached", value="grasped")])
        self.diagnostics.publish(self.stamped(DiagnosticArray(status=[goals]), 1.0))

    def end(self) -> None:
        """Of the episode."""
        event = EpisodeEvent(kind=EpisodeEvent.SUCCEEDED, task="lift_bar", seed=7, duration_s=1.5)
        self.episodes.publish(self.stamped(event, 1.5))

    def _frame(self, i: int) -> Image:
        rgb = np.random.default_rng(i).integers(0, 256, (names.IMAGE_HEIGHT, names.IMAGE_WIDTH, 3), np.uint8)
        message = Image(height=rgb.shape[0], width=rgb.shape[1], encoding="rgb8", step=rgb.shape[1] * 3)
        message.data = array.array("B", rgb.tobytes())
        self.stamped(message, FRAME_S * i)
        self.frames[self.began_ns + round(FRAME_S * i * 1e9)] = images.to_jpeg(message)
        return message

    def wait_until_heard(self) -> None:
        """By whoever was started."""
        publishers = (self.episodes, self.safety, self.skills, self.joints, self.head)
        end = time.monotonic() + PATIENCE_S
        while not all(publisher.get_subscription_count() for publisher in publishers):
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(SETTLE_S)
        self.began_ns = time.time_ns()


@contextmanager
def robot_and(module: str, out: Path, *words: str, display: str = "") -> Iterator[tuple[Robot, subprocess.Popen]]:
    """A robot, and a node that hears it."""
    hidden = {"DISPLAY": display, "WAYLAND_DISPLAY": ""}
    line = [sys.executable, "-m", f"piper_bringup.{module}", "--ros-args", "-p", f"out:={out}", *words]
    robot = Robot()
    node = subprocess.Popen(line, env=os.environ | hidden, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        robot.wait_until_heard()
        yield robot, node
    finally:
        node.kill()
        node.communicate()
        robot.node.destroy_node()
        rclpy.try_shutdown(context=robot.context)


def interrupt(node: subprocess.Popen) -> str:
    """Ctrl-C; what the node said."""
    time.sleep(1.0)  # for what is under way
    node.send_signal(signal.SIGINT)
    said, _ = node.communicate(timeout=PATIENCE_S)
    assert node.returncode == 0, said
    return said


def test_what_was_sent_is_on_the_page(tmp_path):
    with robot_and("seen.monitor_node", tmp_path, "-p", "model:=models/mine") as (robot, node):
        robot.tell()
        robot.end()
        said = interrupt(node)
    assert f"page of the run: {tmp_path / 'report.html'}" in said
    text = (tmp_path / "report.html").read_text()
    means = ", ".join(f"{i}: {mean:.3f}" for i, mean in enumerate(np.mean(GATES, axis=0)))
    assert f"Mean gate of each expert: {means}" in text
    for wanted in (
        "models/mine",
        "lift_bar</td><td>7<",
        "succeeded",
        "<td>grasped</td><td>1.5</td>",
        "5.0 / 6.0 / 6.0",
    ):
        assert wanted in text
    assert "<td>CHUNK_JUMP</td><td></td><td>piper_driver</td><td>3</td><td>far</td>" in text
    jpegs = [base64.b64decode(one) for one in re.findall(r'image/jpeg;base64,([^"]+)', text)]
    assert 3 <= len(jpegs) <= 5 and set(jpegs) <= set(robot.frames.values())
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["episodes"] == [
        {"task": "lift_bar", "seed": 7, "outcome": "succeeded", "duration_s": 1.5, "goals": ["grasped"]}
    ]


def test_a_run_that_was_interrupted_in_an_episode_has_its_page(tmp_path):
    with robot_and("seen.monitor_node", tmp_path) as (robot, node):
        robot.tell()
        interrupt(node)
    text = (tmp_path / "report.html").read_text()
    assert "unfinished" in text and "Mean gate of each expert" in text and "image/png" in text and "image/jpeg" in text
    assert (tmp_path / "head.mp4").exists()


def test_what_was_sent_is_in_the_file(tmp_path):
    pytest.importorskip("rerun", reason="rerun-sdk is optional")
    with robot_and("look.viz_node", tmp_path) as (robot, node):
        robot.tell()
        robot.end()
        assert not (tmp_path / "run.rrd").exists()  # it appears when it is whole
        said = interrupt(node)
    path = tmp_path / "run.rrd"
    assert f"rerun {path}" in said
    assert [file.name for file in tmp_path.iterdir()] == ["run.rrd"]
    gates = [tuple(gate) for _, gate in rows(path, "/gate/over_time", "Scalars:scalars")]
    assert gates == list(GATES)
    pictures = [(t_s, bytes(jpeg)) for t_s, (jpeg,) in rows(path, "/camera/head", "EncodedImage:blob")]
    assert pictures and {jpeg for _, jpeg in pictures} <= set(robot.frames.values())
    stamp_of = {jpeg: t_ns for t_ns, jpeg in robot.frames.items()}
    starts = [t_s - stamp_of[jpeg] * 1e-9 for t_s, jpeg in pictures]
    assert max(starts) - min(starts) < 1e-4  # each at the time of its stamp
    times, values = scalars(path, "/joint/right_joint3/state")
    assert len(values) > FRAMES / 2 and set(values) <= {i + 0.5 for i in range(FRAMES)}
    assert np.allclose(np.diff(times), np.diff(values) * FRAME_S, atol=1e-4)
    events = [text for _, (text,) in rows(path, "/event", "TextLog:text")]
    assert "piper_driver: CHUNK_JUMP: far" in events and any("succeeded" in text for text in events)


@contextmanager
def window() -> Iterator[subprocess.Popen]:
    """What stands behind Rerun's window: its own server, at the window's place."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", WINDOW_PORT)) == 0:
            pytest.skip(f"somebody else listens on port {WINDOW_PORT}")
    server = subprocess.Popen(
        [sys.executable, "-m", "rerun", "--serve-grpc", "--port", str(WINDOW_PORT)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # the program is a child of its Python
    )
    try:
        end = time.monotonic() + PATIENCE_S
        while socket.socket().connect_ex(("127.0.0.1", WINDOW_PORT)):
            assert time.monotonic() < end and server.poll() is None
            time.sleep(0.1)
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_a_window_that_somebody_closes_is_no_trouble(tmp_path):
    pytest.importorskip("rerun", reason="rerun-sdk is optional")
    with window() as server, robot_and("look.viz_node", tmp_path, display=":0") as (robot, node):
        robot.tell()
        os.killpg(server.pid, signal.SIGKILL)
        robot.tell()
        said = interrupt(node)
    assert "the window of Rerun is gone" in said and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_ends_the_start_with_a_sentence(tmp_path):
    pytest.importorskip("rerun", reason="rerun-sdk is optional")
    (tmp_path / "file").write_text("")
    line = [
        sys.executable,
        "-m",
        "piper_bringup.look.viz_node",
        "--ros-args",
        "-p",
        f"out:={tmp_path / 'file' / 'out'}",
    ]
    hidden = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    done = subprocess.run(
        line, env=os.environ | hidden, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 1 and "does not open" in done.stderr and "Traceback" not in done.stderr
