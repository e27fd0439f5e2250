"""Recorded pictures that stand in for cameras: OpenCV opens files as it opens devices."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from piper_bringup.data import names
from piper_bringup.record.cameras import Camera

WIDTH_PX, HEIGHT_PX = 64, 48


def picture(number: int) -> np.ndarray:
    """(48, 64, 3) BGR; no two of 200 are alike, and each tells its number by its brightness."""
    return np.full((HEIGHT_PX, WIDTH_PX, 3), 40 + number, np.uint8)


def film(path: Path, pictures: int = 30) -> Path:
    """A video file."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (WIDTH_PX, HEIGHT_PX))
    for number in range(pictures):
        video.write(picture(number))
    video.release()
    return path


def sequence(folder: Path, pictures: int = 5) -> str:
    """Numbered pictures, as a device."""
    for number in range(pictures):
        cv2.imwrite(str(folder / f"frame_{number:04d}.png"), picture(number))
    return str(folder / "frame_%04d.png")


def camera(device: object, name: str = "head", **more: object) -> Camera:
    """Of the size of these pictures."""
    return Camera(name, device=str(device), width_px=WIDTH_PX, height_px=HEIGHT_PX, **more)


def films(folder: Path) -> dict[str, Path]:
    """Camera -> its film."""
    return {name: film(folder / f"{name}.avi") for name in names.CAMERAS}
