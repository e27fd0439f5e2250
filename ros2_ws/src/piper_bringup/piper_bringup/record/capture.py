"""One camera through OpenCV: opened as described, read picture by picture, each with the time of its capture."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from piper_bringup.arm.clock import Clock
from piper_bringup.record.cameras import Camera
from piper_bringup.record.devices import is_there

_MANUAL, _AUTOMATIC = 1, 3  # V4L2_EXPOSURE_MANUAL, V4L2_EXPOSURE_APERTURE_PRIORITY
_EXPOSURE_UNIT_S = 100e-6  # of V4L2_CID_EXPOSURE_ABSOLUTE
OLDEST_MS = 2000.0  # a device that says more tells another time than the kernel's
SELECT_TIMEOUT = {"OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "2"}  # [s]; OpenCV's own ten keep a thread as long


class CameraError(OSError):
    """A camera does not open, or gives no picture; the text says which and why."""


@dataclass(frozen=True)
class Picture:
    """As the camera gave it."""

    stamp_ns: int  # system clock, of its capture
    bgr: NDArray[np.uint8]  # (height, width, 3)


def captured_ns(device_ms: float, mono_ns: int, wall_ns: int) -> int:
    """When a picture was taken, on the system clock.

    device_ms: what the device says, which is the kernel's monotonic time for every V4L2 camera that tells it; any
    other number counts for nothing. mono_ns, wall_ns: read together as soon as the picture was there.
    """
    age_ms = mono_ns * 1e-6 - device_ms
    told = 0.0 <= age_ms <= OLDEST_MS and device_ms > 0.0
    return wall_ns - (round(age_ms * 1e6) if told else 0)


class Capture:
    """An open camera. One thread uses it; the clock is injectable, and so is what opens a device."""

    def __init__(self, camera: Camera, clock: Clock, make: Callable[..., cv2.VideoCapture] = cv2.VideoCapture) -> None:
        """Raises CameraError: not plugged in, in use, or with another size than wanted."""
        self._camera, self._clock = camera, clock
        if not is_there(camera.device):
            raise self._error("is not plugged in")
        self._live = _is_device(camera.device)
        self._last_ms = -1.0
        self._video = make(camera.device, cv2.CAP_V4L2 if self._live else cv2.CAP_ANY)
        try:
            self._set_up()
        except CameraError:
            self.close()
            raise

    @property
    def live(self) -> bool:
        """Whether pictures come in their own time; those of a file are there at once."""
        return self._live

    def read(self) -> Picture:
        """Wait for the next picture. Raises CameraError where none comes, or the last one once more."""
        if not self._video.grab():
            raise self._error("gives no picture: was it unplugged?" if self._live else "is at its end")
        mono_ns, wall_ns = self._clock.mono_ns(), self._clock.wall_ns()
        device_ms = self._video.get(cv2.CAP_PROP_POS_MSEC)
        if self._live and device_ms == self._last_ms and device_ms > 0.0:
            raise self._error("repeats its last picture")
        self._last_ms = device_ms
        came, bgr = self._video.retrieve()
        if not came or bgr is None:
            raise self._error("gave a picture that does not decode")
        if bgr.shape != (self._camera.height_px, self._camera.width_px, 3):
            size = f"{bgr.shape[1]}x{bgr.shape[0]}"
            raise self._error(f"gives {size} px, not {self._wanted}: see v4l2-ctl --list-formats-ext")
        return Picture(captured_ns(device_ms if self._live else 0.0, mono_ns, wall_ns), bgr)

    def close(self) -> None:
        """Let go of the device."""
        self._video.release()

    def _set_up(self) -> None:
        camera, video = self._camera, self._video
        if not video.isOpened():
            raise self._error("does not open: is another program using it?")
        if not self._live:
            return
        # Raw pictures of three cameras are more than one USB 2 bus carries, and OpenCV asks for them first.
        video.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        video.set(cv2.CAP_PROP_FRAME_WIDTH, camera.width_px)
        video.set(cv2.CAP_PROP_FRAME_HEIGHT, camera.height_px)
        video.set(cv2.CAP_PROP_FPS, camera.rate_hz)
        video.set(cv2.CAP_PROP_AUTO_EXPOSURE, _MANUAL if camera.exposure_s else _AUTOMATIC)
        if camera.exposure_s and not video.set(cv2.CAP_PROP_EXPOSURE, round(camera.exposure_s / _EXPOSURE_UNIT_S)):
            raise self._error(f"does not take an exposure of {camera.exposure_s:g} s; 0 leaves it to the camera")

    @property
    def _wanted(self) -> str:
        return f"{self._camera.width_px}x{self._camera.height_px}"

    def _error(self, what: str) -> CameraError:
        return CameraError(f"camera {self._camera.name} ({self._camera.device}) {what}")


def _is_device(path: str) -> bool:
    try:
        return stat.S_ISCHR(Path(path).stat().st_mode)
    except OSError:
        return False
