"""Node `cell` as a process: topics, service, ends cleanly, refuses unknown parameters."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import Trigger

from piper_bringup.can.segment import Segment
from piper_bringup.cell.graphics import NoGraphics, open_context
from piper_bringup.cell.world import SLOT_FIELDS, World
from piper_bringup.data import images, names
from smp_msgs.msg import EpisodeEvent
from smp_msgs.srv import ResetEpisode

pytestmark = pytest.mark.live

PATIENCE_S = 30.0
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def environment(folder: Path, graphics: str | None) -> dict[str, str]:
    found = os.environ | {
        "SMP_VCAN_DIR": str(folder),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOG_DIR": str(folder),
    }
    found.pop("MUJOCO_GL", None)
    return found | ({"MUJOCO_GL": graphics} if graphics else {})


def command(*parameters: str) -> list[str]:
    line = [sys.executable, "-m", "piper_bringup.cell.cell_node", "--ros-args"]
    return [*line, *(word for parameter in parameters for word in ("-p", parameter))]


@contextmanager
def running(folder: Path, *parameters: str, graphics: str | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(*parameters),
        env=environment(folder, graphics),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


@pytest.fixture
def listener(monkeypatch) -> Iterator[Node]:
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node("test_cell", context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def spin_until(node: Node, done: Callable[[], bool]) -> None:
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    end_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end_s, "nothing came in time"
        executor.spin_once(timeout_sec=0.1)
    executor.remove_node(node)


def collect(node: Node, kind: type, topic: str, qos=10) -> list:
    found: list = []
    node.create_subscription(kind, topic, found.append, qos)
    return found


def ask_reset(node: Node, **fields) -> ResetEpisode.Response:
    client = node.create_client(ResetEpisode, names.SERVICE_RESET_EPISODE)
    assert client.wait_for_service(timeout_sec=PATIENCE_S)
    future = client.call_async(ResetEpisode.Request(**fields))
    spin_until(node, future.done)
    return future.result()


def ask_clear(node: Node) -> Trigger.Response:
    client = node.create_client(Trigger, names.SERVICE_CLEAR)
    assert client.wait_for_service(timeout_sec=PATIENCE_S)
    future = client.call_async(Trigger.Request())
    spin_until(node, future.done)
    return future.result()


def height(message: PointCloud2) -> float:
    """Of the first object [m]."""
    return float(np.frombuffer(message.data, np.float32).reshape(4, len(SLOT_FIELDS))[0, 3])


def test_state_only_cell_serves_resets_says_what_is_missing_and_ends_on_ctrl_c(tmp_path, listener):
    objects = collect(listener, PointCloud2, "/cell/objects")
    told = collect(listener, DiagnosticArray, names.TOPIC_DIAGNOSTICS)
    events = collect(listener, EpisodeEvent, names.TOPIC_EPISODE_EVENT, LATCHED)
    with running(tmp_path, "seed:=5", graphics="off") as process:
        spin_until(listener, lambda: len(objects) > 3 and told and events)
        assert (events[0].kind, events[0].seed, events[0].task) == (EpisodeEvent.RESET, 5, "lift_bar")
        assert [field.name for field in objects[0].fields] == list(SLOT_FIELDS)
        slots = np.frombuffer(objects[0].data, np.float32).reshape(4, len(SLOT_FIELDS))
        assert slots == pytest.approx(World("lift_bar", 5).slots(), abs=1e-3)
        assert "real_time_factor" in [value.key for value in told[0].status[0].values]

        answer = ask_reset(listener, seed=-1)
        assert (answer.success, answer.seed, answer.task) == (True, 6, "lift_bar")
        assert "bar" in answer.instruction
        spin_until(listener, lambda: events[-1].seed == 6)
        answer = ask_reset(listener, task="juggle")
        assert not answer.success
        assert answer.message.startswith("no task 'juggle'; there are: lift_bar, lift_tray")

        assert ask_clear(listener).success
        spin_until(listener, lambda: height(objects[-1]) < -0.3)  # on the floor, under the table
        assert ask_reset(listener).success
        spin_until(listener, lambda: height(objects[-1]) > 0.0)

        topics = dict(listener.get_topic_names_and_types())
        assert not any("/cam_" in topic for topic in topics)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "no camera topics, state only: graphics are switched off" in said
    assert "real-time factor" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert list(tmp_path.glob("*.sock")) == []


def test_cameras_publish_stamped_pictures_with_their_intrinsics(tmp_path, listener):
    try:
        open_context(64, 48).free()
    except NoGraphics as why:
        pytest.skip(f"this machine cannot draw: {why}")
    pictures = {
        camera: collect(listener, Image, names.image_topic(camera), qos_profile_sensor_data) for camera in names.CAMERAS
    }
    infos = {camera: collect(listener, CameraInfo, names.camera_info_topic(camera)) for camera in names.CAMERAS}
    with running(tmp_path) as process:
        spin_until(listener, lambda: all(len(found) > 2 for found in (*pictures.values(), *infos.values())))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    for camera in names.CAMERAS:
        message, info = pictures[camera][-1], infos[camera][-1]
        assert (message.encoding, message.width, message.height) == ("rgb8", 320, 240)
        assert message.header.frame_id == info.header.frame_id == names.camera_frame(camera)
        assert images.decode(message).std() > 10
        stamp_s = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        assert abs(time.time() - stamp_s) < 60
        assert info.k[0] == info.k[4] > 100
        assert (info.k[2], info.k[5]) == (159.5, 119.5)


@pytest.mark.parametrize(
    ("parameter", "sentence"),
    [
        ("camera_fps:=10", "cell: unknown parameter 'camera_fps'; valid: arms.left.can_channel"),
        ("task:=juggle", "no task 'juggle'; there are: lift_bar"),
        ("camera_hz:=0.1", "cell: parameter 'camera_hz' is 0.1, valid: 1 to 100"),
        ("arms.left.can_channel:=taken", "segment taken is already hosted by process"),
    ],
)
def test_a_wrong_parameter_ends_the_node_with_one_sentence(tmp_path, monkeypatch, parameter, sentence):
    monkeypatch.setenv("SMP_VCAN_DIR", str(tmp_path))
    wanted = environment(tmp_path, "off")
    with Segment("taken"):
        ended = subprocess.run(command(parameter), env=wanted, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


BREAKING = """
from piper_bringup.cell import cell_node
from piper_bringup.cell.world import PhysicsError, World

def step(world, dt_s):
    raise PhysicsError("physics of lift_bar broke at 0.0050 s")

World.step = step
cell_node.main()
"""


def test_broken_physics_ends_the_node_and_is_told(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", BREAKING],
        env=environment(tmp_path, "off"),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 1
    assert "both arms are gone from the bus: physics of lift_bar broke at 0.0050 s" in ended.stderr
    assert list(tmp_path.glob("*.sock")) == []
