"""Other ROS 2 processes of this machine: they come, listen to the driver, and go, some of them not politely."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from piper_bringup.options import Options
from piper_bringup.process import config_dir
from piper_bringup.system import environment_of

SHUT_DOWN, KILLED, STOPPED = WAYS = ("shut down", "killed", "stopped, 3 s later killed")
SIMULATED = Options(backend="mujoco")
STAY_S = (2.0, 4.0)
STOPPED_S = 3.0
POLL_S = 0.1
# As `ros2 topic echo` of a stranger: nothing of this project is imported.
LISTENER = """
import rclpy
from sensor_msgs.msg import JointState
rclpy.init()
node = rclpy.create_node("passer_by")
node.create_subscription(JointState, "/joint_states", lambda message: None, 10)
print("up", flush=True)
rclpy.spin(node)
"""


@dataclass
class Visit:
    """One process. `leaves_s`, `dies_s`: when it is told to go, and when it is killed."""

    popen: subprocess.Popen[bytes]
    way: str
    leaves_s: float
    dies_s: float
    left: bool = False


class PassersBy:
    """Keeps `at_once` processes coming and going on a thread of its own."""

    def __init__(self, at_once: int, ways: tuple[str, ...]) -> None:
        self.came = 0
        self._at_once, self._ways = at_once, ways
        self._visits: list[Visit] = []
        self._random = random.Random(0)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="passers-by", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """End every process."""
        self._closed.set()
        self._thread.join()
        for visit in self._visits:
            visit.popen.kill()
            visit.popen.wait()

    def _run(self) -> None:
        while not self._closed.wait(POLL_S):
            self._see_off(time.monotonic())
            if sum(not visit.left for visit in self._visits) < self._at_once:
                self._visits.append(self._come())

    def _come(self) -> Visit:
        """The next process, once it listens."""
        line = ["nice", "-n", "10", sys.executable, "-c", LISTENER]
        environment = os.environ | environment_of(SIMULATED, config_dir())  # with shared memory, as anybody has it
        popen = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        popen.stdout.readline()
        leaves_s = time.monotonic() + self._random.uniform(*STAY_S)
        way = self._ways[self.came % len(self._ways)]
        self.came += 1
        return Visit(popen, way, leaves_s, leaves_s + STOPPED_S)

    def _see_off(self, now_s: float) -> None:
        for visit in self._visits:
            if now_s > visit.leaves_s and not visit.left:
                visit.left = True
                number = {SHUT_DOWN: signal.SIGINT, KILLED: signal.SIGKILL, STOPPED: signal.SIGSTOP}[visit.way]
                with suppress(ProcessLookupError):
                    visit.popen.send_signal(number)
            if now_s > visit.dies_s:
                visit.popen.kill()
        self._visits = [visit for visit in self._visits if visit.popen.poll() is None]


@contextmanager
def passers_by(at_once: int, ways: tuple[str, ...] = WAYS) -> Iterator[PassersBy]:
    """`at_once` of them at any time while inside; `ways` in which they go, in turn."""
    passing = PassersBy(at_once, ways)
    passing.start()
    try:
        yield passing
    finally:
        passing.close()
