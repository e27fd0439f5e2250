"""What every use of Rerun here shares: its version, the names of entities, where a window can open."""

from __future__ import annotations

import os

REQUIREMENT = "rerun-sdk==0.41.0"
RECORDING = "run.rrd"  # of a run, in its folder
TIMELINE = "time"  # duration since the recording's begin


def has_display() -> bool:
    """Whether a window can open here."""
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def joint(name: str, what: str) -> str:
    """Scalars of one of names.JOINTS, rad or m. what: state (measured), action (set-points), plan, chunk/..."""
    return f"joint/{name}/{what}"


def camera(name: str) -> str:
    """JPEGs of one of names.CAMERAS."""
    return f"camera/{name}"
