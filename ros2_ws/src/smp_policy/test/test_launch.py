"""piper_real.launch.py: its arguments are the options, its processes the graph; refusals and deaths end it with 1."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

pytest.importorskip("launch_ros", reason="launch_ros has no PyPI wheel: runs where ROS 2 itself is installed")

from launch.actions import DeclareLaunchArgument
from launch_ros.actions import LifecycleNode

from piper_bringup.options import Options
from piper_bringup.system import graph

pytestmark = pytest.mark.live

FILE = Path(__file__).parents[1] / "launch" / "piper_real.launch.py"
PATIENCE_S = 40.0
SERVE = """
import sys
from launch import LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch import LaunchDescription
path, *texts = sys.argv[1:]
service = LaunchService(argv=texts, noninteractive=True)
arguments = [tuple(text.split(":=", 1)) for text in texts]
source = PythonLaunchDescriptionSource(path)
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""


@pytest.fixture(scope="module")
def launch_file():
    spec = importlib.util.spec_from_file_location("piper_real_launch", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Launched:
    """The launch file, started as `ros2 launch` does."""

    def __init__(self, folder: Path, *texts: str) -> None:
        env = os.environ | {"SMP_VCAN_DIR": str(folder), "ROS_LOG_DIR": str(folder / "log")}
        self.popen = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(FILE), *texts],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.text = ""
        self._new = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Launched:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
        self._reader.join()

    def _read(self) -> None:
        for line in self.popen.stdout:
            with self._new:
                self.text += line
                self._new.notify_all()

    def wait_for(self, text: str) -> None:
        with self._new:
            assert self._new.wait_for(lambda: text in self.text, PATIENCE_S), self.text

    def end(self) -> int:
        code = self.popen.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def pid(self, name: str) -> int:
        line = next(line for line in self.text.splitlines() if f"[{name}-" in line and "started with pid" in line)
        return int(line.split("[")[-1].rstrip("]"))


def test_arguments_are_the_options_each_with_a_description(launch_file):
    entities = launch_file.generate_launch_description().entities
    declared = [entity for entity in entities if isinstance(entity, DeclareLaunchArgument)]
    assert [argument.name for argument in declared] == [f.name for f in fields(Options)]
    assert all(len(argument.description) > 10 for argument in declared)


def named_cameras(folder: Path) -> Path:
    """A config folder that names one camera."""
    said = {"used": ["head"], "head.device": "/dev/v4l/by-id/one", "head.serial": "0123"}
    (folder / "cameras.yaml").write_text(yaml.safe_dump({"cameras": {"ros__parameters": said}}))
    return folder


@pytest.mark.parametrize(
    "options",
    [
        Options(backend="mujoco", model="m", task="lift_bar,lift_tray"),
        Options(cameras="realsense"),
        Options(cameras="usb"),
    ],
)
def test_every_process_of_the_graph_becomes_a_node(launch_file, tmp_path, options):
    sources = FILE.parents[2]
    config = sources / "piper_bringup" / "config" if options.simulated else named_cameras(tmp_path)
    for process in graph(options, config, lambda package: True):
        node = launch_file._node(process, str(sources / process.package / "config"))
        assert node.node_package == process.package and node.node_executable == process.executable
        assert isinstance(node, LifecycleNode) == process.lifecycle
        environment = {key[0].text: value[0].text for key, value in node.process_description.additional_env}
        assert environment == process.environment
        assert len(node._Node__remappings) == len(process.remaps)
        assert node._ExecuteLocal__respawn == process.respawn


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("backend:=robotwin", "needs robotwin_root"),
        ("backend:=robotwin robotwin_root:=/tmp", "/tmp is no RoboTwin checkout"),
        ("backend:=gazebo", "('real', 'mujoco', 'robotwin')"),
        ("backend:=mujoco model:=nowhere", "nowhere is no model: contract.json is missing"),
        ("autoenable:=true", "unknown argument autoenable; valid: backend"),
        ("left_can:=can_nowhere", "CAN interface can_nowhere is not there; those here: "),
    ],
)
def test_what_cannot_be_started_is_refused(tmp_path, text, says):
    with Launched(tmp_path, *text.split()) as launched:
        assert launched.end() == 1
    assert says in launched.text and "process started" not in launched.text


def test_the_driver_comes_up_and_its_death_ends_the_rest(tmp_path):
    with Launched(tmp_path, "backend:=real", "can_backend:=smp_vcan") as launched:
        launched.wait_for("left DISCONNECTED")  # the monitor hears the driver: configured and activated
        os.kill(launched.pid("piper_driver"), signal.SIGKILL)
        assert launched.end() == 1
    assert "process piper_driver was killed by signal 9; the arms hold" in launched.text
    assert "PROCESS_DIED" in launched.text  # in the monitor's table: it arrived as a SafetyEvent
