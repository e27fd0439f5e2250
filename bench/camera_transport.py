"""Three 640x480 rgb8 cameras at 30 Hz between two processes: with Fast DDS as it comes, and as the graph sets it.

    python -m bench.camera_transport [--seconds 10] [--save]

"As deployed" gives both ends the environment that the node graph gives the cell and the monitor: the shared-memory
profile and the memory settings. Publisher and subscriber have the same QoS, depth 1. Latency runs from the stamp,
taken before publishing, to the callback with the pixels as a numpy array. A frame that never arrived is lost.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection

import numpy as np
import tyro

from bench.private import private
from bench.report import conclude, milliseconds
from piper_bringup.data.names import CAMERAS, image_topic
from piper_bringup.options import Options
from piper_bringup.process import config_dir
from piper_bringup.system import graph

WARM_UP_FRAMES = 30
DISCOVERY_S = 20.0
COLUMNS = ("environment", "QoS", "Hz per camera", "lost", "p50 ms", "p99 ms", "max ms", "CPU pub", "CPU sub")


@dataclass(frozen=True)
class Args:
    """Camera transport between two processes."""

    seconds: float = 10.0
    """Measured time of each of the four runs."""
    width: int = 640
    height: int = 480
    hz: float = 30.0
    save: bool = False
    """Write results/camera_transport.md."""

    @property
    def frames(self) -> int:
        """Frames measured per camera."""
        return round(self.seconds * self.hz)


@contextmanager
def running_node(name: str):
    """A node for the time of a run; rclpy is imported here, in the process that has the right environment."""
    import rclpy

    from piper_bringup.spin_node import leave

    rclpy.init()
    node = rclpy.create_node(name)
    try:
        yield node
    finally:
        leave(node)


def depth_1(reliable: bool):
    """QoS of both ends."""
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(depth=1, reliability=policy)


def publish(args: Args, reliable: bool, report: Connection) -> None:
    """Publisher process: numbered frames on absolute deadlines; reports its CPU share."""
    with running_node("bench_cameras") as node:
        from sensor_msgs.msg import Image

        qos = depth_1(reliable)
        publishers = [node.create_publisher(Image, image_topic(camera), qos) for camera in CAMERAS]
        wait_for_subscribers(publishers)
        message = Image(width=args.width, height=args.height, step=3 * args.width, encoding="rgb8")
        pixels = np.random.default_rng(0).integers(0, 256, message.step * args.height, np.uint8)
        message.data = pixels.tobytes()
        start_s = time.monotonic()
        for i in range(-WARM_UP_FRAMES, args.frames):
            if i == 0:
                cpu_s = time.process_time()
            time.sleep(max(0.0, start_s + (i + WARM_UP_FRAMES) / args.hz - time.monotonic()))
            for publisher in publishers:
                message.header.frame_id = str(i)
                message.header.stamp = node.get_clock().now().to_msg()
                publisher.publish(message)
        report.send((time.process_time() - cpu_s) / args.seconds)
        report.recv()  # the subscriber has what it will get: only now may the shared memory go


def wait_for_subscribers(publishers) -> None:
    """Return once every publisher has found one; SystemExit after DISCOVERY_S."""
    deadline_s = time.monotonic() + DISCOVERY_S
    while any(publisher.get_subscription_count() == 0 for publisher in publishers):
        if time.monotonic() > deadline_s:
            raise SystemExit(f"camera_transport: no subscriber found within {DISCOVERY_S:.0f} s")
        time.sleep(0.05)


def subscribe(args: Args, reliable: bool, report: Connection) -> None:
    """Subscriber process: reports latencies [ns] per camera and its CPU share."""
    latencies_ns: list[list[int]] = [[] for _ in CAMERAS]
    cpu_s = []

    def seen(camera: int, message) -> None:
        pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        if int(message.header.frame_id) < 0 or pixels.size == 0:
            return
        stamp = message.header.stamp
        latencies_ns[camera].append(time.time_ns() - stamp.sec * 10**9 - stamp.nanosec)
        cpu_s.append(time.process_time())

    with running_node("bench_viewer") as node:
        from rclpy.executors import SingleThreadedExecutor
        from sensor_msgs.msg import Image

        for i, camera in enumerate(CAMERAS):
            node.create_subscription(Image, image_topic(camera), partial(seen, i), depth_1(reliable))
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not report.poll():
            executor.spin_once(timeout_sec=0.2)
        report.send((latencies_ns, (cpu_s[-1] - cpu_s[0]) / args.seconds if cpu_s else 0.0))


@contextmanager
def environment(extra: dict[str, str]):
    """Environment that processes started meanwhile inherit: some of it is read before Python runs."""
    before = os.environ.copy()
    os.environ.update(extra)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def measure(args: Args, deployed: bool, reliable: bool) -> tuple[str, ...]:
    """One run in two fresh processes; a row of the table."""
    context = multiprocessing.get_context("spawn")
    publisher_end, to_publisher = context.Pipe()
    subscriber_end, to_subscriber = context.Pipe()
    sender = context.Process(target=publish, args=(args, reliable, publisher_end), daemon=True)
    viewer = context.Process(target=subscribe, args=(args, reliable, subscriber_end), daemon=True)
    for process, node in ((viewer, "monitor"), (sender, "cell")):
        with environment(environment_of_node(node) if deployed else {}):
            process.start()
    publisher_end.close()  # so that a dead process ends recv() below with EOFError
    subscriber_end.close()
    cpu_publisher = to_publisher.recv()
    time.sleep(0.5)  # frames still under way
    to_subscriber.send("stop")
    latencies_ns, cpu_subscriber = to_subscriber.recv()
    to_publisher.send("stop")
    for process in (viewer, sender):
        process.join()
    received = [len(camera) for camera in latencies_ns]
    sent = args.frames * len(CAMERAS)
    return (
        "as deployed" if deployed else "defaults",
        "reliable" if reliable else "best effort",
        f"{np.mean(received) / args.seconds:.1f}",
        f"{sent - sum(received)} of {sent}",
        *milliseconds(np.concatenate(latencies_ns)),
        f"{cpu_publisher:.1%}",
        f"{cpu_subscriber:.1%}",
    )


def environment_of_node(name: str) -> dict[str, str]:
    """What the node graph gives a process: Fast DDS profile, memory settings."""
    processes = graph(Options(backend="mujoco"), config_dir())
    return next(process.environment for process in processes if process.name == name)


def main(args: Args) -> None:
    """Four runs: Fast DDS defaults and the graph's environment, best effort and reliable."""
    with private():
        rows = [measure(args, deployed, reliable) for deployed in (False, True) for reliable in (False, True)]
        title = f"Camera transport: {len(CAMERAS)} x {args.width}x{args.height} rgb8 at {args.hz:g} Hz"
        notes = f"{args.seconds:g} s a run; CPU in percent of one core; latency from stamp to callback."
        conclude(title, COLUMNS, rows, notes, args.save)


if __name__ == "__main__":
    main(tyro.cli(Args, prog="python -m bench.camera_transport"))
