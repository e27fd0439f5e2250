"""Node `recorder` as a process, among synthetic topics: recorded as they came, ended in every way, killed."""

from __future__ import annotations

import array
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rclpy
from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from record_rig import by_mcap, by_rosbags, custom
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_srvs.srv import SetBool, Trigger

from piper_bringup.data import images, names, topics
from piper_bringup.data.joints import joint_vector, stamp_ns
from piper_bringup.parameters import ParameterError
from piper_bringup.record.keys_node import SETTLE_S
from piper_bringup.record.places import RECORDING
from piper_bringup.record.recorder_node import DEFAULTS, order_of
from piper_bringup.record.repair import repair
from piper_bringup.record.stamps import stamp_of
from piper_bringup.record.types import decode
from smp_msgs.action import RecordEpisode
from smp_msgs.msg import ArmStatus, EpisodeEvent

# Like the other tests of living nodes: processes find each other over DDS, on machines that do other things as well.
pytestmark = pytest.mark.live
PATIENCE_S = 30.0
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
JPEG = images.encode_jpeg(PIXELS[::-1])
# How fast this machine is must not matter: any rate, any end; stamps have no gaps, because the robot catches up.
ENDLESS = ("longest_gap_status_s", "start_s", "end_s", "oldest_joints_s", "oldest_camera_s")
LENIENT = ("lowest_share:=0.0", *(f"{name}:=60.0" for name in ENDLESS))
TICK_NS = 10_000_000


class Robot:
    """Publishes what a robot does, from a thread; keeps the stamp [ns] of every joint state."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = Node("robot", context=self.context)
        self.stamps_ns: set[int] = set()
        node = self.node
        self._joints = node.create_publisher(JointState, names.TOPIC_JOINT_STATES, 100)
        self._commands = [node.create_publisher(JointState, names.joint_command_topic(arm), 100) for arm in names.ARMS]
        self._status = {
            arm: node.create_publisher(ArmStatus, names.arm_status_topic(arm), LATCHED) for arm in names.ARMS
        }
        self.events = node.create_publisher(EpisodeEvent, names.TOPIC_EPISODE_EVENT, LATCHED)
        raw = [camera for camera in names.CAMERAS if camera != "head"]
        self._raw = [node.create_publisher(Image, names.image_topic(camera), 20) for camera in raw]
        self._jpeg = node.create_publisher(CompressedImage, topics.compressed_topic("head"), 20)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def heard(self) -> None:
        """Until somebody records everything, and has had the time to find us as well."""
        everything = (self._joints, *self._commands, *self._status.values(), *self._raw, self._jpeg)
        end_s = time.monotonic() + PATIENCE_S
        while not all(publisher.get_subscription_count() for publisher in everything):
            deaf = [p.topic_name for p in everything if not p.get_subscription_count()]
            assert time.monotonic() < end_s, f"nobody listens to {deaf}"
            time.sleep(0.05)
        time.sleep(SETTLE_S)

    def tell(self, kind: int) -> None:
        event = EpisodeEvent(kind=kind, task="lift_bar", instruction="lift the bar", seed=3)
        event.header.stamp = self.node.get_clock().now().to_msg()
        self.events.publish(event)

    def _run(self) -> None:
        image = Image(height=48, width=64, step=192, encoding="rgb8", data=array.array("B", PIXELS.tobytes()))
        jpeg = CompressedImage(format="jpeg", data=array.array("B", JPEG))
        state = JointState(name=list(names.JOINTS), position=[0.1] * 14)
        began_ns = time.time_ns()
        for i in range(10**9):
            t_ns = began_ns + i * TICK_NS
            if self._stop.wait(max(0.0, (t_ns - time.time_ns()) * 1e-9)):
                return
            image.header.stamp = jpeg.header.stamp = state.header.stamp = Time(nanoseconds=t_ns).to_msg()
            self.stamps_ns.add(stamp_ns(state))
            for publisher in (self._joints, *self._commands):
                publisher.publish(state)
            if i % 5 == 0:
                for publisher in self._raw:
                    publisher.publish(image)
                self._jpeg.publish(jpeg)
            if i % 10 == 0:
                for arm, publisher in self._status.items():
                    publisher.publish(ArmStatus(header=state.header, arm=arm, firmware="S-V1.8-9"))


class Client:
    """Asks the recorder."""

    def __init__(self, robot: Robot) -> None:
        self.node = Node("person", context=robot.context)
        self.executor = SingleThreadedExecutor(context=robot.context)
        self.executor.add_node(self.node)
        self.action = ActionClient(self.node, RecordEpisode, "/record_episode")
        self.feedback: list[RecordEpisode.Feedback] = []

    def until(self, done: Callable[[], bool]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end_s, "nothing came in time"
            self.executor.spin_once(timeout_sec=0.05)

    def record(self, task: str = "lift_bar", **goal: object):
        """Future of the result of a recording that has begun."""
        self.until(self.action.server_is_ready)
        self.settle()
        self.feedback.clear()
        sent = self.action.send_goal_async(
            RecordEpisode.Goal(task=task, **goal), lambda message: self.feedback.append(message.feedback)
        )
        self.until(sent.done)
        self.handle = sent.result()
        return self.handle.get_result_async()

    def settle(self) -> None:
        """For the recorder to know us, too: it answers nobody else."""
        end_s = time.monotonic() + SETTLE_S
        self.until(lambda: time.monotonic() > end_s)

    def result(self, future):
        self.until(future.done)
        return future.result().status, future.result().result

    def call(self, kind: type, name: str, request: object):
        client = self.node.create_client(kind, f"/recorder/{name}")
        self.until(client.service_is_ready)
        future = client.call_async(request)
        self.until(future.done)
        return future.result()

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def robot() -> Iterator[Robot]:
    """New for every test: a participant believes for seconds in recorders that were killed, and asks those."""
    before = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE")
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    robot = Robot()
    yield robot
    robot.close()
    if before is None:
        del os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"]


@pytest.fixture
def client(robot) -> Iterator[Client]:
    client = Client(robot)
    yield client
    client.close()


def environment() -> dict[str, str]:
    return os.environ | {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def command(out: Path, *parameters: str) -> list[str]:
    given = (f"out:={out}", "least_free_mb:=0.0", *(f"expected.{one}" for one in LENIENT), *parameters)
    words = [word for parameter in given for word in ("-p", parameter)]
    return [sys.executable, "-m", "piper_bringup.record.recorder_node", "--ros-args", *words]


@contextmanager
def recorder(out: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(out), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
        if process.poll() is None:  # it takes its leave: clients find those who were killed for many seconds
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.communicate(timeout=10)


def of(bag: Path, topic: str) -> list[bytes]:
    return [data for name, _, data in by_rosbags(bag) if name == topic]


def test_topics_are_recorded_as_they_came_and_saved(tmp_path, robot, client):
    robot.tell(EpisodeEvent.RESET)
    with recorder(tmp_path):
        result = client.record(operator_name="Ann")
        client.until(lambda: len(client.feedback) >= 2)
        refused = client.call(SetBool, "save", SetBool.Request(data=True))
        status, recorded = client.result(result)
        assert not client.call(SetBool, "save", SetBool.Request(data=True)).success
        assert client.call(Trigger, "discard", Trigger.Request()).message == "nothing is being recorded"
    assert refused.success and "saved as a success; outcome success" in refused.message
    assert (status, recorded.success, recorded.outcome) == (GoalStatus.STATUS_SUCCEEDED, True, "success")
    bag = Path(recorded.bag_path)
    assert bag == tmp_path / "lift_bar" / "episode_000000"
    counts = dict(zip(recorded.topics, recorded.counts, strict=True))
    read = by_rosbags(bag)
    assert read == by_mcap(bag)
    assert counts == {topic.name: sum(m[0] == topic.name for m in read) for topic in topics.RECORDED}
    states = of(bag, names.TOPIC_JOINT_STATES)
    stamps_ns = [stamp_of(data) for data in states]
    assert set(stamps_ns) <= robot.stamps_ns and len(stamps_ns) == len(set(stamps_ns)) > 20
    assert all(joint_vector(decode("sensor_msgs/msg/JointState", data)) == pytest.approx(0.1) for data in states)
    first = client.feedback[0]
    assert 0 < dict(zip(first.topics, first.counts, strict=True))[names.TOPIC_JOINT_STATES] <= len(states)
    assert 0 < first.bytes <= client.feedback[1].bytes <= (bag / "episode_000000_0.mcap").stat().st_size
    kept = decode("sensor_msgs/msg/CompressedImage", of(bag, topics.compressed_topic("head"))[0])
    assert bytes(kept.data) == JPEG and kept.format == "jpeg"
    made = decode("sensor_msgs/msg/CompressedImage", of(bag, topics.compressed_topic("left_wrist"))[0])
    assert (
        bytes(made.data) == images.encode_jpeg(images.resize(PIXELS, 320, 240))
        and made.header.stamp.sec > 1_000_000_000
    )
    said = custom(bag)
    assert (said["operator"], said["instruction"], said["seed"], said["audit"]) == (
        "Ann",
        "lift the bar",
        "3",
        "passed",
    )


def test_it_is_cancelled_discarded_over_told_and_busy(tmp_path, robot, client):
    with recorder(tmp_path) as process:
        result = client.record()
        client.until(lambda: bool(client.feedback))
        robot.tell(EpisodeEvent.FAILED)
        busy = client.result(client.record(task="lift_tray"))
        assert busy[0] == GoalStatus.STATUS_ABORTED and "an episode of lift_bar is being recorded" in busy[1].reason
        client.result(client.record(task="no/task"))
        assert client.call(Trigger, "discard", Trigger.Request()).success
        status, discarded = client.result(result)
        assert (status, discarded.success) == (GoalStatus.STATUS_ABORTED, False)
        assert discarded.bag_path.endswith("lift_bar/discarded/episode_000000") and discarded.outcome == "failure"

        result = client.record()
        client.until(lambda: bool(client.feedback))
        cancelling = client.handle.cancel_goal_async()
        client.until(cancelling.done)
        status, cancelled = client.result(result)
        assert (status, cancelled.success, cancelled.outcome) == (GoalStatus.STATUS_CANCELED, True, "unknown")

        status, over = client.result(client.record(max_duration_s=1.2))
        assert (status, over.reason) == (GoalStatus.STATUS_SUCCEEDED, "its time is over")
        assert len(of(Path(over.bag_path), names.TOPIC_JOINT_STATES)) > 10

        result = client.record()
        client.until(lambda: bool(client.feedback))
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0 and "Traceback" not in said
    assert "the recorder was ended; outcome unknown" in said
    assert of(tmp_path / "lift_bar" / "episode_000003", names.TOPIC_JOINT_STATES)


def test_keys_record_and_a_cut_recording_is_pointed_out(tmp_path, robot):
    (tmp_path / "lift_bar" / "episode_000004.recording").mkdir(parents=True)
    line = [sys.executable, "-m", "piper_bringup.record.keys", "--task", "lift_bar"]
    with recorder(tmp_path) as process:
        keys = subprocess.Popen(
            line, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said: list[str] = []

        def press(key: str, answer: str) -> None:
            keys.stdin.write(key)
            keys.stdin.flush()
            while not said or answer not in said[-1]:
                said.append(keys.stdout.readline())
                assert said[-1], f"no {answer!r} in {said}"

        try:
            press("?", "s start, y save as success")
            press("y", "nothing is being recorded")
            press("s", "1 s, ")  # the first feedback
            robot.heard()
            press("s", "an episode is being recorded: y, n or d ends it")
            press("n", "saved as a failure; outcome failure; ")
            press("s", "1 s, ")
            keys.stdin.close()
            rest = keys.stdout.read()
            assert keys.wait(timeout=PATIENCE_S) == 0
        finally:
            keys.kill()
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=PATIENCE_S)
    assert "cancelled: kept; outcome unknown" in rest
    assert "episode_000004.recording was cut off: python -m piper_bringup.record.repair" in told
    assert custom(tmp_path / "lift_bar" / "episode_000005")["outcome"] == "failure"
    assert (tmp_path / "lift_bar" / "episode_000006" / "metadata.yaml").exists()


def test_ctrl_c_in_the_keys_ends_the_recording_and_keeps_it(tmp_path, robot):
    """On a terminal of its own, where Ctrl-C is a signal."""
    line = [sys.executable, "-m", "piper_bringup.record.keys", "--task", "lift_bar"]
    ours, theirs = os.openpty()
    with recorder(tmp_path), open(ours, "r+b", buffering=0) as terminal:
        keys = subprocess.Popen(line, env=environment(), preexec_fn=lambda: os.login_tty(theirs))
        os.close(theirs)
        said = b""

        def until(answer: bytes) -> None:
            nonlocal said
            end_s = time.monotonic() + PATIENCE_S
            while answer not in said:
                assert time.monotonic() < end_s, said
                if select.select([terminal], [], [], 0.2)[0]:
                    try:
                        said += terminal.read(1000)
                    except OSError:  # the other end is closed
                        raise AssertionError(said) from None

        try:
            until(b"s start, y save as success")
            terminal.write(b"s")
            until(b"1 s, ")
            terminal.write(b"\x03")
            until(b"cancelled: kept")  # good or not: it may not have heard all of the robot yet
            assert keys.wait(timeout=PATIENCE_S) == 0
        finally:
            keys.kill()
            keys.wait(timeout=10)
    assert b"Traceback" not in said
    (bag,) = (tmp_path / "lift_bar").iterdir()
    assert (bag / "metadata.yaml").exists() and bag.suffix != RECORDING


def test_a_wrong_parameter_ends_the_node_with_one_sentence(tmp_path):
    ended = subprocess.run(
        command(tmp_path, "output:=bags"), env=environment(), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert ended.returncode == 1
    assert "recorder: unknown parameter 'output'; valid: expected.arm_status_hz" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", ["expected.camera_hz", "least_free_mb", "tail_s"])
def test_a_negative_parameter_is_named(name):
    with pytest.raises(ParameterError, match=f"recorder: parameter '{name}' is -1, valid: 0 and above"):
        order_of(DEFAULTS | {name: -1.0})


def test_kill_9_in_the_middle_loses_no_message_that_was_written(tmp_path, robot, client):
    with recorder(tmp_path) as process:
        client.record()
        client.until(lambda: len(client.feedback) >= 2)
        process.kill()
        process.wait(timeout=10)
    cut = tmp_path / "lift_bar" / "episode_000000.recording"
    assert cut.exists() and not (cut / "metadata.yaml").exists()
    bag = repair(cut).bag
    first = dict(zip(client.feedback[0].topics, client.feedback[0].counts, strict=True))
    read = by_rosbags(bag)
    assert read == by_mcap(bag)
    # What the first feedback counted was handed to the kernel before the second one.
    assert all(sum(m[0] == topic for m in read) >= count for topic, count in first.items())
    assert {stamp_of(data) for data in of(bag, names.TOPIC_JOINT_STATES)} <= robot.stamps_ns
    assert (custom(bag)["repaired"], custom(bag)["outcome"], custom(bag)["task"]) == ("true", "unknown", "lift_bar")
