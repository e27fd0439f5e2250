"""The real driver node in its own process, on two emulated arms in this one, watched over ROS 2."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from piper_bringup.can.arm import EmulatedArm
from piper_bringup.can.emulator import Emulator
from piper_bringup.data import names
from smp_msgs.msg import ArmStatus, SafetyEvent
from smp_msgs.srv import ResetEstop, SetSpeed

READY_RAD = (0.0, 1.0, -1.0, 0.0, 0.3, 0.0)
SERVICES = {"enable": SetBool, "reset_estop": ResetEstop, "set_speed": SetSpeed}
PATIENCE_S = 20.0
_fresh = itertools.count()


def ended(command: list[str], ends: ExitStack, **more: object) -> subprocess.Popen[str]:
    """A process that `ends` kills where nobody has ended it before."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)

    def end() -> None:
        if process.poll() is None:
            process.kill()
            process.communicate()

    ends.callback(end)
    return process


class DriverRig:
    """Context manager: emulated arms, driver process, a node that listens and commands."""

    def __init__(self, *, activate: bool = True, prelude: str = "", **parameters: object) -> None:
        """prelude: Python that the driver's process runs first, to break it where no input can."""
        stem = f"node{os.getpid()}_{next(_fresh)}"
        self.channels = {arm: f"{stem}_{arm}" for arm in names.ARMS}
        self.emulated = {arm: EmulatedArm(q_rad=READY_RAD) for arm in names.ARMS}
        for arm in self.emulated.values():  # held by their firmware, as after a restart of the driver
            arm.receive(0x471, bytes([7, 2, 0, 0, 0, 0, 0, 0]), 0)
        self.emulator = Emulator(*((self.channels[arm], self.emulated[arm]) for arm in names.ARMS))
        self._activate = activate
        given = {"can_backend": "smp_vcan", "speed_percent": 80.0}
        given |= {f"arms.{arm}.can_channel": channel for arm, channel in self.channels.items()}
        words = [w for name, value in (given | parameters).items() for w in ("-p", f"{name}:={value}")]
        program = f"{prelude}\nfrom piper_bringup.arm.driver_node import main\nmain()"
        self.command = [sys.executable, "-c", program, "--ros-args", *words]
        self.statuses: dict[str, ArmStatus] = {}
        self.events: list[SafetyEvent] = []
        self.joint_states: list[JointState] = []
        self.commands: list[JointState] = []

    def __enter__(self) -> DriverRig:
        with ExitStack() as ends:  # what is begun ends with a failure too, or another try of the test would meet it
            self._begin(ends)
            self._ends = ends.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _begin(self, ends: ExitStack) -> None:
        rclpy.init()
        ends.callback(rclpy.shutdown)
        self.node = Node("driver_test")
        ends.callback(self.node.destroy_node)
        self._executor = SingleThreadedExecutor()
        ends.callback(self._executor.shutdown)
        self._executor.add_node(self.node)
        ends.callback(lambda: self.emulator.close())
        self.emulator.start()
        self.process = ended(self.command, ends)
        self._listen()
        if self._activate:
            self.change(Transition.TRANSITION_CONFIGURE)
            self.change(Transition.TRANSITION_ACTIVATE)
            self.until(lambda: self.mode() == "DISABLED")

    def _listen(self) -> None:
        kept = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node = self.node
        node.create_subscription(SafetyEvent, names.TOPIC_SAFETY_EVENT, self.events.append, kept)
        node.create_subscription(JointState, names.TOPIC_JOINT_STATES, self.joint_states.append, 50)
        node.create_subscription(JointState, names.joint_command_topic("left"), self.commands.append, 50)
        for arm in names.ARMS:
            keep = lambda status, arm=arm: self.statuses.__setitem__(arm, status)  # noqa: E731
            node.create_subscription(ArmStatus, names.arm_status_topic(arm), keep, 1)
        self.chunks = node.create_publisher(JointTrajectory, names.TOPIC_ACTION_CHUNK, 1)

    def spin(self, seconds: float) -> None:
        """Listen for this long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.01)

    def until(self, true: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        """Listen until ``true()``; fails with what the driver said last."""
        end = time.monotonic() + seconds
        while not true():
            self._executor.spin_once(timeout_sec=0.01)
            said = [f"{e.reason}: {e.text}" for e in self.events[-5:]]
            assert time.monotonic() < end, f"not in {seconds} s; mode {self.mode()}, last said {said}"

    def call(self, kind: type, name: str, request: object):
        """One service call; its response."""
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready)
        future = client.call_async(request)
        self.until(future.done)
        self.node.destroy_client(client)
        return future.result()

    def change(self, transition: int) -> bool:
        """One lifecycle transition; whether it succeeded."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(ChangeState, f"/{names.DRIVER_NODE}/change_state", request).success

    def ask(self, name: str, **fields: object):
        """One of the driver's services."""
        kind = SERVICES.get(name, Trigger)
        return self.call(kind, f"/{names.DRIVER_NODE}/{name}", kind.Request(**fields))

    def mode(self) -> str:
        """Of the driver, as its newest status has it."""
        return self.statuses["left"].mode_name if "left" in self.statuses else ""

    def reasons(self) -> set[str]:
        """Of every event so far."""
        return {event.reason for event in self.events}

    def q(self) -> np.ndarray:
        """(12,) set-points inside both firmwares: where the arms are sent."""
        return np.concatenate([arm.drive.q_rad for arm in self.emulated.values()])

    def chunk(self, column: int = 0, speed: float = 0.3, **changes: object) -> JointTrajectory:
        """A chunk from the newest joint state on: one joint moves, the others stand."""
        here = list(self.joint_states[-1].position)
        message = JointTrajectory(joint_names=list(names.JOINTS))
        message.header.stamp = self.node.get_clock().now().to_msg()
        for i in range(names.HORIZON):
            point = JointTrajectoryPoint(positions=here)
            point.positions[column] += speed * (i + 1) * 0.05
            point.time_from_start.nanosec = (i + 1) * names.DT_NS % 1_000_000_000
            point.time_from_start.sec = (i + 1) * names.DT_NS // 1_000_000_000
            message.points.append(point)
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    def follow(self, seconds: float, **changes: object) -> None:
        """Publish chunks at 5 Hz."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.chunks.publish(self.chunk(**changes))
            self.spin(0.2)

    def enabled(self) -> DriverRig:
        """Holding, and listening to our chunks."""
        response = self.ask("enable", data=True)
        assert response.success, response.message
        self.until(lambda: self.mode() == "HOLD" and self.chunks.get_subscription_count() == 1)
        return self

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Signal the driver; its exit code and everything it printed."""
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, output
