"""Mode realtime with real nodes on the fake: driver and CAN move emulated arms, and RoboTwin's follow those."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from robotwin_bridge_rig import workers
from robotwin_rig import TASK, lay
from sensor_msgs.msg import Image, JointState
from stack_rig import Stack
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from piper_bringup.can.segment import Segment
from piper_bringup.commander import Window, chunk
from piper_bringup.data import names
from piper_bringup.data.joints import joint_vector, stamp_ns
from piper_bringup.robotwin.record import LABEL
from smp_msgs.msg import BenchmarkState, EpisodeEvent
from smp_msgs.srv import ResetEpisode

pytestmark = pytest.mark.live

PATIENCE_S = 60.0
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RATE_RAD_S = 0.5
ENDS = (EpisodeEvent.SUCCEEDED, EpisodeEvent.TIMED_OUT, EpisodeEvent.ABORTED)


class Asker:
    """A node that turns the left arm, hears, and asks."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = Node("test_realtime", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.joints = self.collect(JointState, names.TOPIC_JOINT_STATES, 1)
        self._chunks = self.node.create_publisher(JointTrajectory, names.TOPIC_ACTION_CHUNK, 1)

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *_: object) -> None:
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def collect(self, kind: type, topic: str, qos=10) -> list:
        found: list = []
        self.node.create_subscription(kind, topic, found.append, qos)
        return found

    def until(self, true, patience_s: float = PATIENCE_S) -> bool:
        """Whether it came true."""
        end_s = time.monotonic() + patience_s
        while not true() and time.monotonic() < end_s:
            self.executor.spin_once(timeout_sec=0.05)
        return true()

    def call(self, kind: type, name: str, **fields):
        client = self.node.create_client(kind, name)
        assert self.until(client.service_is_ready), f"no {name}"
        future = client.call_async(kind.Request(**fields))
        assert self.until(future.done), f"no answer of {name}"
        return future.result()

    def turn(self) -> None:
        """A chunk from where the arms are: the left one on, both grippers open."""
        q = joint_vector(self.joints[-1])
        rows = np.tile(q, (names.HORIZON, 1))
        rows[:, 0] += RATE_RAD_S * names.DT_NS * 1e-9 * np.arange(1, names.HORIZON + 1)
        rows[:, list(names.GRIPPER_COLUMNS)] = names.GRIPPER_MAX_M
        self._chunks.publish(chunk(Window(stamp_ns(self.joints[-1]), rows), 0))

    def turn_to_the_end(self, events: list) -> int:
        """Kind of the event that ends the episode."""
        end_s = time.monotonic() + PATIENCE_S
        while not any(event.kind in ENDS for event in events) and time.monotonic() < end_s:
            self.turn()
            self.until(lambda: False, 0.15)
        (end,) = {event.kind for event in events if event.kind in ENDS}
        return end


def started(*parameters: str) -> subprocess.Popen[str]:
    """The node as a process."""
    line = [sys.executable, "-m", "piper_bringup.robotwin.realtime_node", "--ros-args"]
    line += [word for parameter in (f"python:={sys.executable}", *parameters) for word in ("-p", parameter)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_driver_and_can_move_the_arms_and_robotwin_judges(tmp_path):
    root = lay(tmp_path / "checkout", "stable_2.0").root
    options = ("--backend", "robotwin", "--mode", "realtime", "--robotwin-root", str(root))
    with Stack(tmp_path, *options, "--robotwin-python", sys.executable) as stack, Asker() as asker:
        targets = asker.collect(JointState, names.TOPIC_JOINT_TARGETS)
        pictures = asker.collect(Image, names.image_topic("left_wrist"), 2)
        events = asker.collect(EpisodeEvent, names.TOPIC_EPISODE_EVENT, LATCHED)
        states = asker.collect(BenchmarkState, names.TOPIC_BENCHMARK_STATE, LATCHED)
        stack.wait_for("both arms enabled")
        begun = asker.call(ResetEpisode, names.SERVICE_RESET_EPISODE, task=TASK, seed=100003)
        assert (begun.success, begun.task, begun.seed) == (True, TASK, 100007), begun.message
        assert asker.until(lambda: pictures and targets and asker.joints)
        assert 0 <= time.time_ns() - stamp_ns(pictures[0]) < PATIENCE_S * 1e9  # the system's time
        np.testing.assert_allclose(joint_vector(targets[0]), joint_vector(asker.joints[0]), atol=0.01)

        solved = asker.turn_to_the_end(events) == EpisodeEvent.SUCCEEDED  # or this machine was too slow for it
        assert asker.call(Trigger, names.SERVICE_CLEAR).success
        refused = asker.call(ResetEpisode, names.SERVICE_RESET_EPISODE, task=TASK, seed=-1)
        assert not refused.success and "park the arms first" in refused.message
        stack.run.send_signal(signal.SIGINT)
        assert stack.end() == 0, stack.text
    assert "acting" in [state.phase for state in states]
    assert stack.text.count(LABEL) >= 3 and "Traceback" not in stack.text
    (path,) = (tmp_path / "out").glob("robotwin_*.json")
    assert str(path) in stack.text
    check(json.loads(path.read_text()), solved)


def check(file: dict, solved: bool) -> None:
    """What it says of its one episode."""
    (episode,) = file["episodes"]
    assert episode["success"] is solved is (episode["real_time_factor"] >= file["min_real_time_factor"]), episode
    assert episode["reason"] == ("success" if solved else "too_slow") and file["total"]["successes"] == solved
    assert file["protocol"].startswith(LABEL)


def test_a_worker_that_is_killed_is_named_and_the_next_episode_has_another(tmp_path, monkeypatch):
    monkeypatch.setenv("SMP_VCAN_DIR", str(tmp_path))
    root = lay(tmp_path / "checkout", "main").root
    process = started(f"root:={root}", f"out:={tmp_path / 'out'}", "expert_check:=false")
    try:
        with Asker() as asker:
            states = asker.collect(BenchmarkState, names.TOPIC_BENCHMARK_STATE, LATCHED)
            events = asker.collect(EpisodeEvent, names.TOPIC_EPISODE_EVENT, LATCHED)
            assert asker.call(ResetEpisode, names.SERVICE_RESET_EPISODE, task=TASK, seed=100000).success
            assert asker.until(lambda: states and states[-1].phase == BenchmarkState.ACTING)
            refused = asker.call(ResetEpisode, names.SERVICE_RESET_EPISODE, task="juggle")
            assert not refused.success and "no task juggle" in refused.message  # and the present episode goes on
            (pid,) = workers(root)
            os.kill(pid, signal.SIGKILL)
            assert asker.until(lambda: states and states[-1].phase == BenchmarkState.WORKER_LOST)
            assert "was killed by signal 9" in states[-1].text
            assert asker.until(lambda: events and events[-1].kind == EpisodeEvent.ABORTED)
            assert asker.call(ResetEpisode, names.SERVICE_RESET_EPISODE, seed=-1).seed == 100001
            assert workers(root) not in ([], [pid])
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait(timeout=10)
    assert process.returncode == 0 and "Traceback" not in said and workers(root) == []
    (path,) = (tmp_path / "out").iterdir()
    assert json.loads(path.read_text())["left_out"] == {"worker_lost": 1, "stopped": 1}


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (("root:=''",), "robotwin_bridge: parameter root is empty"),
        (("root:=/tmp",), "is no RoboTwin checkout: it has no envs/_base_task.py"),
        (("root:=/tmp", "realtime.servo_hz:=1.0"), "parameter realtime.servo_hz is 1, valid: 10 to 250"),
        (("root:=/tmp", "arms.left.can_channel:=taken"), "robotwin_bridge: segment taken"),
        (("root:=/tmp", "servo_hz:=50.0"), "unknown parameter 'servo_hz'"),
    ],
)
def test_what_is_wrong_ends_the_node_with_one_sentence(tmp_path, monkeypatch, parameters, sentence):
    monkeypatch.setenv("SMP_VCAN_DIR", str(tmp_path))
    with Segment("taken"):
        process = started(*parameters)
        try:
            said, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 1 and sentence in said and "Traceback" not in said
