"""From a recording at its own rate to rows 50 ms apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piper_bringup.data.episode_rules import EpisodeError
from piper_bringup.data.names import DT_NS, GRIPPER_COLUMNS, JOINTS
from piper_bringup.data.robotwin import in_metres

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

# Calibration and overshoot leave a normalised gripper a little outside 0..1; metres or radians are not "a little".
OUTSIDE = 0.5


@dataclass(frozen=True)
class Camera:
    """One camera of a recording: when its images were taken, (K,), and image k as a JPEG of ours."""

    t_ns: Times
    jpeg: Callable[[int], bytes]


@dataclass(frozen=True)
class Tracks:
    """A recording on its own times: state (N, 14) at state_t_ns, set-points (M, 14) in force at target_t_ns."""

    state_t_ns: Times
    state: Floats
    target_t_ns: Times
    target: Floats
    cameras: Mapping[str, Camera] = field(default_factory=dict)


def resample(tracks: Tracks) -> dict[str, Any]:
    """Make the fields of an Episode that depend on time; EpisodeError if the recording is too short for two rows."""
    first = max(tracks.state_t_ns[0], tracks.target_t_ns[0])
    last = min(tracks.state_t_ns[-1], tracks.target_t_ns[-1] - DT_NS)
    rows = int((last - first) // DT_NS) + 1
    if rows < 2:
        seconds = (tracks.target_t_ns[-1] - tracks.target_t_ns[0]) * 1e-9
        raise EpisodeError(f"lasts {seconds:.2f} s; an episode needs at least two rows of {DT_NS * 1e-9} s")
    t_ns = first + np.arange(rows + 1, dtype=np.int64) * DT_NS
    target = linear(t_ns, tracks.target_t_ns, tracks.target)
    fields: dict[str, Any] = {
        "t_ns": t_ns[:-1],
        "state": linear(t_ns[:-1], tracks.state_t_ns, tracks.state),
        "target": target[:-1],
        "action": target[1:],
        "images": {},
        "image_t_ns": {},
    }
    for name, camera in tracks.cameras.items():
        chosen = nearest(t_ns[:-1], camera.t_ns)
        jpegs = {int(k): camera.jpeg(int(k)) for k in np.unique(chosen)}
        fields["images"][name] = tuple(jpegs[int(k)] for k in chosen)
        fields["image_t_ns"][name] = camera.t_ns[chosen]
    return fields


def linear(t_ns: Times, at_ns: Times, values: Floats) -> Floats:
    """`values` (N, n), known at `at_ns` (N,), interpolated at `t_ns` (T,)."""
    return np.column_stack([np.interp(t_ns, at_ns, column) for column in values.T])


def nearest(t_ns: Times, at_ns: Times) -> NDArray[np.intp]:
    """Index (T,) into `at_ns` of the time nearest to each of `t_ns`; of two equally near the earlier."""
    after = np.clip(np.searchsorted(at_ns, t_ns), 1, len(at_ns) - 1) if len(at_ns) > 1 else np.zeros(len(t_ns), int)
    before = np.maximum(after - 1, 0)
    return np.where(t_ns - at_ns[before] <= at_ns[after] - t_ns, before, after)


def metres(q: Floats, name: str) -> Floats:
    """Joints (N, 14) with grippers 0 closed to 1 open, to metres of opening; `name` is the field, for errors."""
    if q.ndim != 2 or q.shape[1] != len(JOINTS):
        raise EpisodeError(f"{name}: shape {q.shape}; expected (rows, {len(JOINTS)}), six joints and a gripper an arm")
    if not np.isfinite(q).all():
        row, column = np.argwhere(~np.isfinite(q))[0].tolist()
        raise EpisodeError(f"{name} row {row}, {JOINTS[column]}: {q[row, column]}; every value has to be finite")
    q = q.astype(np.float64)
    for column in GRIPPER_COLUMNS:
        low, high = q[:, column].min(), q[:, column].max()
        if low < -OUTSIDE or high > 1.0 + OUTSIDE:
            raise EpisodeError(f"{name}, {JOINTS[column]}: {low:.2f} to {high:.2f}; expected 0 closed to 1 open")
    return in_metres(q)
