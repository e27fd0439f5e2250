"""Node `robotwin_bridge` as a process on a RoboTwin checkout, and a node that asks it. For tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import rclpy
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from robotwin_rig import Place

from piper_bringup.data import names
from smp_msgs.action import Evaluate

PATIENCE_S = 40.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
MODULE = "piper_bringup.robotwin.bridge_node"


def command(module: str, *parameters: str) -> list[str]:
    line = [sys.executable, "-m", module, "--ros-args"]
    return [*line, *(word for parameter in parameters for word in ("-p", parameter))]


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOG_DIR": str(folder),
    }


class Bridge:
    """A bridge on a checkout, and a node that asks it; patience_s: for each answer."""

    def __init__(self, folder: Path, place: Place, *parameters: str, patience_s: float = PATIENCE_S) -> None:
        self.folder, self.root, self.out, self._patience_s = folder, place.root, folder / "out", patience_s
        given = (f"root:={place.root}", f"python:={place.python}", f"out:={self.out}", *parameters)
        self.process = subprocess.Popen(
            command(MODULE, *given),
            env=environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = Node("test_bridge", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def until(self, true) -> None:
        end_s = time.monotonic() + self._patience_s
        while not true():
            assert time.monotonic() < end_s, "nothing came in time"
            self.executor.spin_once(timeout_sec=0.1)

    def collect(self, kind: type, topic: str, qos=10) -> list:
        found: list = []
        self.node.create_subscription(kind, topic, found.append, qos)
        return found

    def call(self, kind: type, name: str, **fields):
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready)
        future = client.call_async(kind.Request(**fields))
        self.until(future.done)
        return future.result()

    def evaluate(self, **goal):
        """The goal's handle."""
        self.action = ActionClient(self.node, Evaluate, names.ACTION_EVALUATE)
        self.until(self.action.server_is_ready)
        future = self.action.send_goal_async(Evaluate.Goal(**goal))
        self.until(future.done)
        return future.result()

    def result(self, handle):
        future = handle.get_result_async()
        self.until(future.done)
        return future.result().status, future.result().result

    def files(self) -> list[dict]:
        """What lies in the folder of results: every file reads."""
        return [json.loads(path.read_text()) for path in sorted(self.out.iterdir())]

    def end(self, number: int = signal.SIGINT) -> str:
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=PATIENCE_S)
        return said


def workers(root: Path) -> list[int]:
    """Processes that were started for this checkout."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(root).encode() in line and any(word.endswith(b"worker.py") for word in line):
            found.append(int(path.parent.name))
    return found
