"""Node `cameras` in its own process, on films in place of cameras: what it publishes, what it says, how it ends."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest
import rclpy
from camera_rig import HEIGHT_PX, WIDTH_PX, film, films
from diagnostic_msgs.msg import DiagnosticArray
from driver_rig import ended
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from piper_bringup.data import images, names
from piper_bringup.data.joints import stamp_ns

pytestmark = pytest.mark.live

PATIENCE_S = 30.0


def command(devices: dict, **parameters: object) -> list[str]:
    given = {f"{name}.device": path for name, path in devices.items()}
    given |= {"width_px": WIDTH_PX, "height_px": HEIGHT_PX, "rate_hz": 20.0} | parameters
    words = [w for name, value in given.items() for w in ("-p", f"{name}:={value}")]
    return [sys.executable, "-m", "piper_bringup.record.cameras_node", "--ros-args", *words]


class Rig:
    """The node, and one that listens to it."""

    def __init__(self, ends: ExitStack, devices: dict) -> None:
        rclpy.init()
        ends.callback(rclpy.shutdown)
        self.node = Node("cameras_test")
        ends.callback(self.node.destroy_node)
        self._executor = SingleThreadedExecutor()
        ends.callback(self._executor.shutdown)
        self._executor.add_node(self.node)
        self.images: dict[str, list[Image]] = {name: [] for name in names.CAMERAS}
        self.infos: dict[str, list[CameraInfo]] = {name: [] for name in names.CAMERAS}
        self.status: dict[str, object] = {}
        for name in names.CAMERAS:
            self.node.create_subscription(Image, names.image_topic(name), self.images[name].append, 10)
            self.node.create_subscription(CameraInfo, names.camera_info_topic(name), self.infos[name].append, 10)
        self.node.create_subscription(DiagnosticArray, names.TOPIC_DIAGNOSTICS, self._on_diagnostics, 10)
        self.process = ended(command(devices), ends)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.status |= {status.name: status for status in message.status}

    def until(self, true) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not true():
            self._executor.spin_once(timeout_sec=0.05)
            assert time.monotonic() < end_s, (self.process.poll(), {n: len(i) for n, i in self.images.items()})

    def end(self) -> str:
        self.process.send_signal(signal.SIGINT)
        text, _ = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, text
        return text

    def message(self, name: str) -> str:
        status = self.status.get(f"cameras: {name}")
        return "" if status is None else status.message


@pytest.fixture
def ends():
    with ExitStack() as ends:
        yield ends


def test_three_cameras_a_lost_one_is_named_silent_and_comes_back(ends, tmp_path):
    devices = films(tmp_path)
    rig = Rig(ends, devices)
    rig.until(lambda: all(len(taken) > 5 for taken in rig.images.values()))
    for name, taken in rig.images.items():
        assert taken[-1].header.frame_id == names.camera_frame(name)
        assert images.decode(taken[-1]).shape == (HEIGHT_PX, WIDTH_PX, 3)
        stamps = [stamp_ns(message) for message in taken]
        assert stamps == sorted(set(stamps)) and 0 <= time.time_ns() - stamps[-1] < PATIENCE_S * 1e9
    rig.until(lambda: rig.infos["head"] and rig.infos["head"][-1].width == WIDTH_PX)
    assert {stamp_ns(info) for info in rig.infos["head"]} <= {stamp_ns(image) for image in rig.images["head"]}
    away = shutil.move(devices["left_wrist"], tmp_path / "away.avi")  # noticed when it is opened again
    rig.until(lambda: "left_wrist" in rig.message("left_wrist") and "not plugged in" in rig.message("left_wrist"))
    lost_at, before = len(rig.images["left_wrist"]), len(rig.images["head"])
    rig.until(lambda: len(rig.images["head"]) > before + 10)
    assert len(rig.images["left_wrist"]) == lost_at
    shutil.move(away, devices["left_wrist"])
    rig.until(lambda: len(rig.images["left_wrist"]) > lost_at + 3)
    text = rig.end()
    assert "/cam_head/image_raw" in text and "its topic is silent, trying again" in text
    assert "camera left_wrist is back" in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"head": "/dev/v4l/by-id/none"}, "camera head (/dev/v4l/by-id/none) is not plugged in"),
        ({"used": "[tail]"}, "cameras: parameter 'used' is ['tail'], valid: each once"),
        ({"head.calibration": "/nowhere.yaml"}, "calibration of camera head, /nowhere.yaml, does not read"),
        ({"width_px": 80}, "gives 64x48 px, not 80x48"),
    ],
)
def test_what_cannot_be_served_ends_the_start_with_one_sentence(tmp_path, changes, says):
    devices = dict.fromkeys(names.CAMERAS, "")
    for name in names.CAMERAS:
        devices[name] = film(tmp_path / f"{name}.avi", 5)
    devices |= {name: changes.pop(name) for name in tuple(changes) if name in names.CAMERAS}
    done = subprocess.run(command(devices, **changes), capture_output=True, text=True, timeout=60.0, check=False)
    assert done.returncode == 1 and says in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
