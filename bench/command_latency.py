"""From an action chunk to motion that can be read back: chunk -> set-point on the bus -> feedback -> /joint_states.

    python -m bench.command_latency [--repetitions 50] [--save]

The driver and two emulated arms run in processes of their own. Each repetition publishes a chunk that moves the
first joint of both arms by 0.04 rad, at a random phase of all loops. Frames are timed where they appear on the
virtual CAN segment, /joint_states where it arrives in this process. The driver keeps its running plan for
plan.commit_s (0.05 s) after a chunk arrives, so a set-point cannot change earlier.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import tyro
from builtin_interfaces.msg import Duration, Time
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from bench.private import wait_for
from bench.report import conclude, milliseconds
from bench.sniff import Sniffer
from bench.stack import ANSWER_S, CHANNELS, Client, driver_on_emulated_arms
from piper_bringup.can import frames
from piper_bringup.data.joints import joint_vector
from piper_bringup.data.names import ARM_DOF, DT_NS, HORIZON, JOINTS, TOPIC_ACTION_CHUNK, TOPIC_JOINT_STATES

MOVE_RAD, MOVING_ROWS = 0.04, 4
FIRST_JOINTS = [0, ARM_DOF]  # columns of JOINTS
STILL_RAD = 1e-5  # the emulated encoders are free of noise
COLUMNS = ("from", "to", "p50 ms", "p99 ms", "max ms")


@dataclass(frozen=True)
class Args:
    """Latency from an action chunk to feedback."""

    repetitions: int = 50
    save: bool = False
    """Write results/command_latency.md."""


class Commanding:
    """Moves the first joint of both arms to and fro, watching the left bus."""

    def __init__(self, client: Client, sniffer: Sniffer) -> None:
        self._client, self._sniffer = client, sniffer
        self._chunks = client.node.create_publisher(JointTrajectory, TOPIC_ACTION_CHUNK, 1)
        client.node.create_subscription(JointState, TOPIC_JOINT_STATES, self._on_joints, 10)
        self._states: list[tuple[int, np.ndarray]] = []  # arrival on the system clock [ns], (14,)
        self._random = np.random.default_rng(0)
        self._direction = 1.0

    def once(self) -> tuple[int, int, int, int]:
        """System clock [ns] of: chunk published, set-point changed, feedback changed, /joint_states changed."""
        self._stand_still()
        q = self._states[-1][1]
        set_point = self._sniffer.newest(frames.JOINT_TARGET[0]).data
        feedback = self._sniffer.newest(frames.JOINTS[0]).data
        chunk = ramp(q, self._direction * MOVE_RAD)
        self._direction = -self._direction
        self._states.clear()
        published_ns = time.time_ns()
        chunk.header.stamp = Time(sec=published_ns // 10**9, nanosec=published_ns % 10**9)
        self._chunks.publish(chunk)
        wait_for(lambda: self._moved_ns(q) is not None, "motion in /joint_states", ANSWER_S, self._client.spin)
        commanded = self._sniffer.wait(frames.JOINT_TARGET[0], published_ns, lambda data: data != set_point)
        answered = self._sniffer.wait(frames.JOINTS[0], published_ns, lambda data: data != feedback)
        return published_ns, commanded.t_ns, answered.t_ns, self._moved_ns(q)

    def _stand_still(self) -> None:
        """Wait until nothing has moved for 0.2 s, and then some."""

        def still() -> bool:
            recent = [q for _, q in self._states[-20:]]
            return len(recent) == 20 and np.ptp(recent, axis=0).max() < STILL_RAD

        self._states.clear()
        wait_for(still, "arms standing still", ANSWER_S, self._client.spin)
        pause_s = time.monotonic() + self._random.uniform(0.0, 0.05)
        wait_for(lambda: time.monotonic() > pause_s, "pause", ANSWER_S, self._client.spin)

    def _moved_ns(self, q: np.ndarray) -> int | None:
        moved = (t_ns for t_ns, now in self._states if abs(now[0] - q[0]) > STILL_RAD)
        return next(moved, None)

    def _on_joints(self, message: JointState) -> None:
        self._states.append((time.time_ns(), joint_vector(message)))


def ramp(q: np.ndarray, move_rad: float) -> JointTrajectory:
    """A chunk from `q` (14,) that moves the first joint of both arms evenly over its first rows."""
    chunk = JointTrajectory(joint_names=JOINTS)
    for i in range(HORIZON):
        row = q.copy()
        row[FIRST_JOINTS] += move_rad * min((i + 1) / MOVING_ROWS, 1.0)
        due_ns = (i + 1) * DT_NS
        due = Duration(sec=due_ns // 10**9, nanosec=due_ns % 10**9)
        chunk.points.append(JointTrajectoryPoint(positions=row.tolist(), time_from_start=due))
    return chunk


def main(args: Args) -> None:
    """Move to and fro."""
    watched = (frames.JOINT_TARGET[0], frames.JOINTS[0])
    with driver_on_emulated_arms() as client, Sniffer(CHANNELS["left"], watched) as sniffer:
        commanding = Commanding(client, sniffer)
        t_ns = np.array([commanding.once() for _ in range(args.repetitions)])
    rows = [
        ("chunk published", "set-point changed on the bus", *milliseconds(t_ns[:, 1] - t_ns[:, 0])),
        (
            "set-point changed on the bus",
            "feedback changed on the bus",
            *milliseconds(t_ns[:, 2] - t_ns[:, 1]),
        ),
        ("feedback changed on the bus", "/joint_states arrived", *milliseconds(t_ns[:, 3] - t_ns[:, 2])),
        ("set-point changed on the bus", "/joint_states arrived", *milliseconds(t_ns[:, 3] - t_ns[:, 1])),
    ]
    notes = f"{args.repetitions} chunks; the first row includes the committed prefix of 50 ms."
    conclude("Command to feedback", COLUMNS, rows, notes, args.save)


if __name__ == "__main__":
    main(tyro.cli(Args, prog="python -m bench.command_latency"))
