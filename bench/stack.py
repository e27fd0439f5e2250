"""The driver on two emulated arms, each in a process of its own, and a node that talks to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.utilities import get_rmw_implementation_identifier

from bench.private import private, wait_for
from piper_bringup.arm.transport import udp_only
from piper_bringup.can.places import live_segments
from piper_bringup.data import names
from piper_bringup.options import Options
from piper_bringup.process import Process, config_dir
from piper_bringup.run_node import Starter
from piper_bringup.supervise import Child, command
from piper_bringup.system import environment_of, graph
from smp_msgs.msg import ArmStatus

CHANNELS = {"left": "can_left", "right": "can_right"}
SIMULATED = Options(backend="mujoco")
START_S = 20.0
ANSWER_S = 10.0
PATIENCE_S = 5.0


class Client:
    """A node beside the driver, served by the caller's thread."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("bench")
        self.mode: dict[str, int] = {}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        for arm in names.ARMS:
            self.node.create_subscription(ArmStatus, names.arm_status_topic(arm), self._on_status, latched)

    def spin(self) -> None:
        """Serve what has arrived, for at most 20 ms."""
        self._executor.spin_once(timeout_sec=0.02)

    def wait_for_mode(self, mode: int) -> None:
        """Until both arms report `mode` (of ArmStatus)."""
        wait_for(lambda: list(self.mode.values()) == [mode] * 2, f"driver mode {mode}", ANSWER_S, self.spin)

    def service(self, kind: type, name: str):
        """Client of the driver's service `name`, once the driver offers it."""
        client = self.node.create_client(kind, f"/{names.DRIVER_NODE}/{name}")
        wait_for(client.service_is_ready, f"service {name}", ANSWER_S, self.spin)
        return client

    def call(self, client, request):
        """The answer to a service call; RuntimeError when it does not succeed."""
        future = client.call_async(request)
        wait_for(future.done, client.service_name, ANSWER_S, self.spin)
        answer = future.result()
        if not answer.success:
            raise RuntimeError(f"{client.service_name}: {answer.message}")
        return answer

    def insist(self, client, request) -> None:
        """Call until it succeeds, for at most ANSWER_S: a starved machine makes arms look unwell for a while."""
        deadline_s = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline_s:
            with suppress(RuntimeError):
                self.call(client, request)
                return
        self.call(client, request)

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()

    def _on_status(self, status: ArmStatus) -> None:
        self.mode[status.arm] = status.mode


@contextmanager
def driver_on_emulated_arms(**parameters: object) -> Iterator[Client]:
    """Start arms and driver as the simulated graph would, with `parameters` replaced; both arms enabled.

    Raises RuntimeError, with what the driver said, when it does not come up or does not answer.
    """
    said: list[str] = []
    with private(), emulated_arms():
        os.environ.update(environment_of(SIMULATED, config_dir()))
        udp_only(os.environ, get_rmw_implementation_identifier(), config_dir())  # or this process stalls at times
        process = process_of(names.DRIVER_NODE, parameters)
        child = Child.start(process, command(process, config_dir()), lambda _, line: said.append(line))
        try:
            with Starter() as starter:
                problem = starter.bring_up(process.name, lambda: child.returncode is not None)
                if problem is not None:
                    raise RuntimeError(f"the driver did not start: {problem}")
                client = Client()
                client.wait_for_mode(ArmStatus.HOLD)
                yield client
                client.close()
        except RuntimeError as error:
            raise RuntimeError(f"{error}\nThe driver said:\n" + "\n".join(said[-20:])) from error
        finally:
            child.end(lambda: PATIENCE_S)


def process_of(name: str, parameters: dict[str, object]) -> Process:
    """Process of the simulated graph, with some parameters replaced."""
    process = next(process for process in graph(SIMULATED, config_dir()) if process.name == name)
    return replace(process, parameters=process.parameters | parameters)


@contextmanager
def emulated_arms() -> Iterator[None]:
    """Two emulated arms with their built-in dynamics, in one process of their own."""
    line = [sys.executable, "-m", "piper_bringup.can.emulator", "--channel", *CHANNELS.values()]
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: set(CHANNELS.values()) <= set(live_segments()), "emulated arms", START_S)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
        process.kill()
