"""Which rows of a scripted motion are published when, as what message, and when to stop. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from builtin_interfaces.msg import Duration, Time
from numpy.typing import NDArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from piper_bringup.arm.safety import Mode
from piper_bringup.data.names import DRIVER_NODE, DT_NS, GRIPPER_COLUMNS, HORIZON, JOINTS, REPLAN_ROWS
from smp_msgs.msg import ArmStatus

REPLAN_NS = REPLAN_ROWS * DT_NS
REWIND_ROWS = 20
SILENT_NS = 1_000_000_000  # arm_status comes ten times a second
HELD_NS = 3_000_000_000  # a driver that holds this long will not follow


@dataclass(frozen=True)
class Window:
    """A chunk: row i belongs to `t_obs_ns + (i + 1) * DT_NS`."""

    t_obs_ns: int
    rows: NDArray[np.float64]  # (HORIZON, 14)


@dataclass(frozen=True)
class Stream:
    """A motion of T rows, begun at `began_ns`; row i is due at `began_ns + (i + 1) * DT_NS`.

    Windows lie on the replan grid of the motion, so that each continues the one before exactly; a publisher
    that wakes up late skips rows instead of sending old ones.
    """

    q: NDArray[np.float64]  # (T, 14), in the order of names.JOINTS
    began_ns: int

    def __post_init__(self) -> None:
        if self.q.ndim != 2 or self.q.shape[1] != len(JOINTS) or len(self.q) == 0:
            raise ValueError(f"a motion has shape (T, {len(JOINTS)}) with T above 0, not {self.q.shape}")

    @property
    def end_ns(self) -> int:
        """When the last row is due."""
        return self.began_ns + len(self.q) * DT_NS

    def resumed(self, at: NDArray[np.float64], now_ns: int) -> Stream:
        """The same motion, going on at `now_ns` from the row of the last second that is nearest to `at` (14,).

        For arms that were stopped: they stand behind the row that was due, by the lag of their servos and more.
        """
        due = int(np.clip((now_ns - self.began_ns) // DT_NS - 1, 0, len(self.q) - 1))
        first = max(0, due - REWIND_ROWS)
        away = np.abs(self.q[first : due + 1] - at)
        away[:, list(GRIPPER_COLUMNS)] = 0.0  # a gripper that holds something is never where it was sent
        nearest = first + int(np.argmin(away.max(axis=1)))
        return replace(self, began_ns=now_ns - (nearest + 1) * DT_NS)

    def window(self, now_ns: int) -> Window | None:
        """The chunk to publish at `now_ns` (same clock as `began_ns`), None once the last row is due.

        The last row is repeated behind the end.
        """
        if now_ns >= self.end_ns:
            return None
        first = max(0, now_ns - self.began_ns) // REPLAN_NS * REPLAN_ROWS
        index = np.minimum(np.arange(first, first + HORIZON), len(self.q) - 1)
        return Window(self.began_ns + first * DT_NS, self.q[index])

    def halted(self, now_ns: int) -> Window:
        """The chunk that ends the motion at the row that is due next, whatever was sent before."""
        first = int(np.clip((now_ns - self.began_ns) // DT_NS, 0, len(self.q) - 1))
        return Window(self.began_ns + first * DT_NS, np.repeat(self.q[first : first + 1], HORIZON, axis=0))


def trouble(statuses: Mapping[str, tuple[ArmStatus, int]], followed_ns: int, now_ns: int) -> str | None:
    """Why a motion cannot go on, or None.

    statuses: arm -> newest status and when it came; followed_ns: when the driver last followed. One clock.
    """
    for arm, (status, heard_ns) in statuses.items():
        if now_ns - heard_ns > SILENT_NS:
            return f"no arm_status of the {arm} arm for 1 s; is {DRIVER_NODE} alive?"
        if status.mode not in (Mode.HOLD, Mode.FOLLOW):
            return f"the driver is in {status.mode_name} ({status.reason})"
    if now_ns - followed_ns > HELD_NS:
        status = next(iter(statuses.values()))[0]
        return f"the driver does not follow: {status.mode_name} ({status.reason})"
    return None


def chunk(window: Window, wall_minus_mono_ns: int) -> JointTrajectory:
    """The message of a window whose `t_obs_ns` is on the monotonic clock; its stamp is on the system clock."""
    message = JointTrajectory(joint_names=list(JOINTS))
    message.header.stamp = Time(**_split(window.t_obs_ns + wall_minus_mono_ns))
    for i, row in enumerate(window.rows):
        due = Duration(**_split((i + 1) * DT_NS))
        message.points.append(JointTrajectoryPoint(positions=row.tolist(), time_from_start=due))
    return message


def _split(t_ns: int) -> dict[str, int]:
    return dict(zip(("sec", "nanosec"), divmod(t_ns, 1_000_000_000), strict=True))
