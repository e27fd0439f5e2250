"""Keeps one camera going: a thread that hands on every picture, says what is wrong, and opens a lost camera again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from piper_bringup.arm.clock import Clock
from piper_bringup.record.cameras import Camera
from piper_bringup.record.capture import CameraError, Capture, Picture

RETRY_S = 1.0
SILENT_NS = 1_000_000_000  # a reader that waits longer than this waits for a camera that hangs
Open = Callable[[Camera, Clock], Capture]
Deliver = Callable[[Camera, Picture], None]


class Reader:
    """`start`, and `stop` in the end. Pictures are delivered on its own thread."""

    def __init__(self, camera: Camera, deliver: Deliver, clock: Clock, open_camera: Open = Capture) -> None:
        """Opens the camera and waits for its first picture. Raises CameraError."""
        self.camera = camera
        self.pictures = self.losses = 0
        self._deliver, self._clock, self._open = deliver, clock, open_camera
        self._capture: Capture | None = open_camera(camera, clock)
        try:
            self._capture.read()  # a USB bus without room for one camera more says so only now
        except CameraError:
            self._capture.close()
            raise
        self._lost = ""
        self._newest_ns = clock.mono_ns()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=camera.node, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self, patience_s: float = 1.0) -> None:
        """Let go of the camera; one that hangs is left to the end of the process."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(patience_s)
        if not self._thread.is_alive() and self._capture is not None:
            self._capture.close()
            self._capture = None

    def trouble(self) -> str:
        """Why no pictures come; empty while they do. Any thread may ask."""
        if self._lost:
            return self._lost
        if self._clock.mono_ns() - self._newest_ns > SILENT_NS:
            return f"camera {self.camera.name} ({self.camera.device}) hangs: no picture for over {SILENT_NS * 1e-9:g} s"
        return ""

    def step(self) -> float:
        """One picture, or one try to get the camera back; how long to wait before the next step [s]."""
        try:
            if self._capture is None:
                self._capture = self._open(self.camera, self._clock)
            picture = self._capture.read()
        except CameraError as error:
            self._lose(error)
            return RETRY_S
        self._lost, self._newest_ns = "", self._clock.mono_ns()
        self.pictures += 1
        if not self._stop.is_set():  # a camera that hung until after the end
            self._deliver(self.camera, picture)
        return 0.0 if self._capture.live else 1.0 / self.camera.rate_hz

    def _lose(self, error: CameraError) -> None:
        self.losses += self._capture is not None
        self._lost = str(error)
        if self._capture is not None:
            self._capture.close()
            self._capture = None

    def _run(self) -> None:
        wait_s = 0.0
        while not self._stop.wait(wait_s):
            wait_s = self.step()
