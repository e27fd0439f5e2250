"""A video file that appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


class Video:
    """MP4 of RGB frames at a fixed rate; `path` appears on `close`, replacing an older one."""

    def __init__(self, path: Path, hz: float) -> None:
        self._path, self._partial, self._hz = path, path.with_name(f".{path.name}"), hz
        self._writer: cv2.VideoWriter | None = None
        self.frames = 0

    def add(self, rgb: np.ndarray) -> None:
        """Append uint8 (H, W, 3), all of one size. Raises RuntimeError where nothing can be written."""
        if self._writer is None:
            height, width = rgb.shape[:2]
            fourcc = cv2.VideoWriter_fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._partial), fourcc, self._hz, (width, height))
            if not self._writer.isOpened():
                raise RuntimeError(f"OpenCV cannot write {self._path}: no mp4v encoder, or the folder is not writable")
        self._writer.write(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def close(self) -> None:
        """Finish the file; without a frame there is none."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None
            self._partial.replace(self._path)
