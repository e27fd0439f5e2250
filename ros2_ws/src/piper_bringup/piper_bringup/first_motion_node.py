"""Moves both arms a little, slowly, one joint after the other, and back: the first motion of real arms.

    python -m piper_bringup.first_motion_node

Wants both arms enabled and the speed at 10 %. Ctrl-C stops the arms where they are, and they hold there.
"""

from __future__ import annotations

import time

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from piper_bringup.commander import REPLAN_NS, Stream, Window, chunk, trouble
from piper_bringup.data import names
from piper_bringup.data.joints import joint_vector
from piper_bringup.first_motion import Motion, against, motion
from piper_bringup.polled_node import read, subscribe
from piper_bringup.spin_node import Done, every, spin
from smp_msgs.msg import ArmStatus

TICK_S = 0.05
ACKNOWLEDGE_S = 1.0  # for the driver to have the chunk that stops it; without, it ends the one it has, in 0.8 s
LISTEN_NS = 5_000_000_000  # for everybody to be found: who was missed at first announces itself every 3 s


class FirstMotionNode(Node):
    """Listens, moves or refuses, and ends."""

    def __init__(self) -> None:
        super().__init__("first_motion")
        self._statuses: dict[str, tuple[ArmStatus, int]] = {}
        self._held: dict[str, np.ndarray] = {}  # arm -> (7,) where the driver holds it
        self._motion: Motion | None = None
        self._stream: Stream | None = None
        self._sent: Window | None = None
        self._said, self._failed, self._under_way = 0, True, False
        self._began_ns = self._followed_ns = time.monotonic_ns()
        self._chunks = None  # no commander before it is clear that nobody else is one
        qos = QoSProfile(depth=10)
        self._status_ears = [subscribe(self, ArmStatus, names.arm_status_topic(arm), qos) for arm in names.ARMS]
        self._held_ears = {a: subscribe(self, JointState, names.joint_command_topic(a), qos) for a in names.ARMS}
        every(self, TICK_S, self._tick)

    def finish(self) -> int:
        """Stop the arms if they are under way; 0 when every step was done."""
        if self._under_way:
            self._stop()
        return int(self._failed)

    def _stop(self) -> None:
        self._send(self._stream.halted(time.monotonic_ns()))
        taken = self._chunks.wait_for_all_acked(Duration(seconds=ACKNOWLEDGE_S))
        if taken and self._chunks.get_subscription_count():  # without a reader everything counts as acknowledged
            self.get_logger().info("stopped; both arms hold where they are")
        else:
            self.get_logger().error(f"{names.DRIVER_NODE} did not take the stop: use the e-stop if the arms move")

    def _tick(self) -> None:
        now_ns = time.monotonic_ns()
        self._hear(now_ns)
        if self._stream is not None:
            self._follow(now_ns)
        elif now_ns - self._began_ns > LISTEN_NS:
            self._begin(now_ns)

    def _hear(self, now_ns: int) -> None:
        for ear in self._status_ears:
            for status, _ in read(ear):
                self._statuses[status.arm] = (status, now_ns)
        for i, (arm, ear) in enumerate(self._held_ears.items()):
            joints = names.JOINTS[i * names.ARM_DOF : (i + 1) * names.ARM_DOF]
            for message, _ in read(ear):
                self._held[arm] = joint_vector(message, joints=joints)

    def _begin(self, now_ns: int) -> None:
        others = self.count_publishers(names.TOPIC_ACTION_CHUNK)
        why = against({arm: status for arm, (status, _) in self._statuses.items()}, others)
        if why or len(self._held) < len(names.ARMS):
            self.get_logger().error(f"nothing is moved: {why or 'the driver does not say where the arms hold'}")
            raise Done
        self._chunks = self.create_publisher(JointTrajectory, names.TOPIC_ACTION_CHUNK, QoSProfile(depth=1))
        self._motion = motion(np.concatenate([self._held[arm] for arm in names.ARMS]))
        self._stream = Stream(self._motion.q, now_ns)
        self._followed_ns, self._under_way = now_ns, True

    def _follow(self, now_ns: int) -> None:
        modes = {status.mode for status, _ in self._statuses.values()}
        self._followed_ns = now_ns if modes == {ArmStatus.FOLLOW} else self._followed_ns
        if reason := trouble(self._statuses, self._followed_ns, now_ns):
            self._under_way = False
            self.get_logger().error(f"stopped: {reason}")
            raise Done
        self._say(now_ns)
        window = self._stream.window(now_ns)
        if window is None:
            self.get_logger().info("done; both arms hold where they were")
            self._failed = self._under_way = False
            raise Done
        if self._sent is None or window.t_obs_ns - self._sent.t_obs_ns >= REPLAN_NS:
            self._send(window)

    def _send(self, window: Window) -> None:
        self._sent = window
        self._chunks.publish(chunk(window, time.time_ns() - time.monotonic_ns()))

    def _say(self, now_ns: int) -> None:
        row = (now_ns - self._stream.began_ns) // names.DT_NS
        while self._said < len(self._motion.said) and self._motion.said[self._said][0] <= row:
            self.get_logger().info(self._motion.said[self._said][1])
            self._said += 1


def main() -> None:
    """Move, or say why not."""
    spin(FirstMotionNode)


if __name__ == "__main__":
    main()
