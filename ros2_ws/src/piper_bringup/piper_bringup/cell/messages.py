"""What the cell publishes, as ROS messages. Pure."""

from __future__ import annotations

import array
import sys

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField

from piper_bringup.cell.host import Episode
from piper_bringup.cell.pace import Report
from piper_bringup.cell.world import SLOT_FIELDS
from piper_bringup.data import names
from piper_bringup.image_message import time_of
from smp_msgs.msg import EpisodeEvent

SLOW = 0.98  # a real-time factor below this is a warning


def objects(stamp_ns: int, slots: NDArray[np.float64]) -> PointCloud2:
    """Ground truth as a cloud of one point a slot: the fields of World.slots() by name, float32."""
    message = PointCloud2(height=1, width=len(slots), is_bigendian=sys.byteorder == "big", is_dense=True)
    message.header.stamp, message.header.frame_id = time_of(stamp_ns), names.WORLD_FRAME
    message.fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate(SLOT_FIELDS)
    ]
    message.point_step = 4 * len(SLOT_FIELDS)
    message.row_step = message.point_step * len(slots)
    message.data = array.array("B", slots.astype(np.float32).tobytes())
    return message


def episode_event(kind: int, stamp_ns: int, episode: Episode, duration_s: float, text: str) -> EpisodeEvent:
    """smp_msgs/EpisodeEvent of the present episode."""
    message = EpisodeEvent(kind=kind, task=episode.task, instruction=episode.instruction, text=text)
    message.header.stamp = time_of(stamp_ns)
    message.seed, message.episode, message.duration_s = episode.seed, episode.number, duration_s
    return message


def diagnostics(stamp_ns: int, report: Report, pictures: int, goals: str) -> DiagnosticArray:
    """The cell's line in /diagnostics; key `real_time_factor` is what the run's summary reads."""
    slow = report.real_time_factor < SLOW
    status = DiagnosticStatus(name="cell: physics", hardware_id="mujoco")
    status.level = DiagnosticStatus.WARN if slow else DiagnosticStatus.OK
    status.message = "slower than real time" if slow else "in step with real time"
    values = {
        "real_time_factor": f"{report.real_time_factor:.4f}",
        "ticks": str(report.ticks),
        "worst_late_ms": f"{report.worst_late_ms:.2f}",
        "given_up_ms": f"{report.given_up_ms:.2f}",
        "pictures": str(pictures),
        "goals_reached": goals,
    }
    status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    message = DiagnosticArray(status=[status])
    message.header.stamp = time_of(stamp_ns)
    return message
