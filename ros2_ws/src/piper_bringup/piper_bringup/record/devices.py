"""Cameras that are plugged in, found without opening any."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from piper_bringup.record.cameras import Camera

V4L = Path("/dev/v4l")
_ENUMERATE = ("rs-enumerate-devices", "-s")  # comes with librealsense2
_SERIAL = re.compile(r"\b\d{9,15}\b")
ENUMERATE_S = 15.0


def missing_devices(cameras: Sequence[Camera], below: Path = V4L) -> str:
    """One sentence about cameras whose device is not there; empty: all are."""
    lost = [f"{camera.name} ({camera.device})" for camera in cameras if not is_there(camera.device)]
    return _sentence(lost, sorted(str(path) for path in below.glob("by-*/*-video-index0")))


def missing_serials(cameras: Sequence[Camera], found: Sequence[str]) -> str:
    """As missing_devices, for RealSense cameras by their serial numbers."""
    return _sentence([f"{c.name} ({c.serial})" for c in cameras if c.serial not in found], found)


def is_there(device: str) -> bool:
    """A path, or the first of numbered pictures (name_%04d.png)."""
    if "%" not in device:
        return Path(device).exists()
    folder, name = Path(device).parent, re.sub(r"%0?\d*d", "*", Path(device).name)
    return any(folder.glob(name))


def realsense_serials() -> tuple[str, ...] | None:
    """Of every RealSense that is plugged in; None where nobody can tell."""
    if shutil.which(_ENUMERATE[0]) is None:
        return None
    try:
        done = subprocess.run(_ENUMERATE, capture_output=True, text=True, timeout=ENUMERATE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return serials_in(done.stdout)


def serials_in(text: str) -> tuple[str, ...]:
    """Serial numbers in the table of `rs-enumerate-devices -s`: the second column, behind the model's name."""
    return tuple(found[0] for line in text.splitlines() if (found := _SERIAL.search(line)))


def _sentence(lost: list[str], found: Sequence[str]) -> str:
    if not lost:
        return ""
    verb = "is" if len(lost) == 1 else "are"
    return f"camera {', '.join(lost)} {verb} not plugged in; cameras here: {', '.join(found) or 'none'}"
