"""A run in Rerun while it goes on, message by message: the entities of recorded episodes, and those of a policy.

joint/*/state measured, action sent after every limit, plan what the newest chunk said of each instant, chunk/N whole
chunks, as many side by side as overlap; camera/*; gate/bars and gate/over_time; policy/*; event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piper_bringup.data import images, names
from piper_bringup.data.joints import joint_vector, stamp_ns
from piper_bringup.look import entities

APPLICATION = "piper_run"
LANES = 8  # chunks that may overlap; of more, some are not shown
LEVELS = ("INFO", "WARN", "WARN", "ERROR", "CRITICAL")  # of a smp_msgs/SafetyEvent's severity
KINDS = ("objects placed", "begins", "succeeded", "failed", "timed out", "aborted")  # of a smp_msgs/EpisodeEvent


class Live:
    """Times are stamps, shown from `began_ns` of the system clock. Nothing here keeps more than the newest chunk."""

    def __init__(self, recording: Any, rr: Any, began_ns: int) -> None:
        """recording: a rerun.RecordingStream that goes somewhere; rr: the rerun module."""
        self._recording, self._rr, self._began_ns = recording, rr, began_ns
        self._lane_ends_ns = [0] * LANES
        self._plan: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
        self._experts = 0

    def joints(self, what: str, messages: Sequence[Any], joints: Sequence[str] = names.JOINTS) -> None:
        """sensor_msgs/JointState, oldest first. Raises ValueError for one that joint_vector refuses."""
        if messages:
            rows = np.stack([joint_vector(message, joints=joints) for message in messages])
            self._scalars(what, np.array([stamp_ns(message) for message in messages]), rows, joints)

    def chunk(self, message: Any) -> None:
        """trajectory_msgs/JointTrajectory of names.JOINTS; any other is left out, the driver says why."""
        t_ns = stamp_ns(message) + np.array([stamp(point.time_from_start) for point in message.points], dtype=np.int64)
        q = [list(point.positions) for point in message.points]
        if not q or tuple(message.joint_names) != names.JOINTS or {len(row) for row in q} != {len(names.JOINTS)}:
            return
        rows = np.array(q)
        self._replace_plan(t_ns, rows)
        free = [lane for lane, end_ns in enumerate(self._lane_ends_ns) if end_ns < t_ns[0]]
        if free:
            self._lane_ends_ns[free[0]] = int(t_ns[-1])
            self._scalars(f"chunk/{free[0]}", t_ns, rows, names.JOINTS)

    def end_plan(self) -> None:
        """Nothing replaces the newest chunk any more: show all of it."""
        if self._plan is not None:
            self._scalars("plan", *self._plan, names.JOINTS)
            self._plan = None

    def skill_state(self, state: Any) -> None:
        """A smp_msgs/SkillState."""
        rr, recording = self._rr, self._recording
        gate = np.asarray(state.gate, dtype=np.float64)
        if len(gate) != self._experts:
            self._experts = len(gate)
            labels = rr.SeriesLines(names=[f"expert {i}" for i in range(len(gate))])
            recording.log("gate/over_time", labels, static=True)
        self._at(stamp_ns(state))
        recording.log("gate/bars", rr.BarChart(gate))
        recording.log("gate/over_time", rr.Scalars(gate))
        recording.log("policy/latency_ms", rr.Scalars(state.total_ms))
        experts = " ".join(map(str, state.active_experts)) or "none"
        text = f"{state.task}, chunk {state.chunk_id}: experts {experts}, {state.total_ms:.1f} ms"
        recording.log("policy/now", rr.TextDocument(text))

    def picture(self, camera: str, message: Any) -> None:
        """A camera's image, as an episode would store it. Raises ValueError for a damaged one."""
        jpeg = images.to_jpeg(message)
        self._at(stamp_ns(message))
        self._recording.log(entities.camera(camera), self._rr.EncodedImage(contents=jpeg, media_type="image/jpeg"))

    def safety_event(self, event: Any) -> None:
        """A smp_msgs/SafetyEvent."""
        who = " ".join(filter(None, (event.source, event.arm)))
        self._event(event, f"{who}: {event.reason}: {event.text}", LEVELS[event.severity])

    def episode_event(self, event: Any) -> None:
        """A smp_msgs/EpisodeEvent."""
        self._event(event, f"{event.task}, seed {event.seed}: {KINDS[event.kind]}; {event.text}", "INFO")

    def _event(self, event: Any, text: str, level: str) -> None:
        self._at(stamp_ns(event))
        self._recording.log("event", self._rr.TextLog(text, level=level))

    def _replace_plan(self, t_ns: NDArray[np.int64], rows: NDArray[np.float64]) -> None:
        if self._plan is not None:
            old_ns, old = self._plan
            stands = old_ns < t_ns[0]
            self._scalars("plan", old_ns[stands], old[stands], names.JOINTS)
        self._plan = t_ns, rows

    def _scalars(self, what: str, t_ns: NDArray[np.int64], rows: NDArray[np.float64], joints: Sequence[str]) -> None:
        if not len(t_ns):
            return
        time = self._rr.TimeColumn(entities.TIMELINE, duration=(t_ns - self._began_ns) * 1e-9)
        for column, joint in enumerate(joints):
            values = self._rr.Scalars.columns(scalars=rows[:, column])
            self._recording.send_columns(entities.joint(joint, what), [time], values)

    def _at(self, t_ns: int) -> None:
        self._recording.set_time(entities.TIMELINE, duration=(t_ns - self._began_ns) * 1e-9)


def stamp(time: Any) -> int:
    """builtin_interfaces/Time or Duration in ns."""
    return time.sec * 1_000_000_000 + time.nanosec


def blueprint(rrb: Any) -> Any:
    """What lies where in the window. rrb: the module rerun.blueprint."""
    cameras = [rrb.Spatial2DView(origin=entities.camera(camera), name=camera) for camera in names.CAMERAS]
    shown = {arm: [entities.joint(f"{arm}_{joint}", "**") for joint in names.ARM_JOINTS] for arm in names.ARMS}
    arms = [rrb.TimeSeriesView(origin="/", name=arm, contents=[f"+ /{path}" for path in shown[arm]]) for arm in shown]
    gates = [rrb.BarChartView(origin="gate/bars"), rrb.TimeSeriesView(origin="gate/over_time")]
    words = [rrb.TextDocumentView(origin="policy/now"), rrb.TextLogView(origin="event")]
    lines = (rrb.Horizontal(*cameras), rrb.Horizontal(*arms), rrb.Horizontal(*gates), rrb.Horizontal(*words))
    return rrb.Blueprint(rrb.Vertical(*lines, row_shares=[2, 3, 2, 1]))
