"""Pictures as ROS messages, for whoever takes them: the simulated cell and the robot's cameras. Pure."""

from __future__ import annotations

import array

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from piper_bringup.data import names


def time_of(stamp_ns: int) -> Time:
    """builtin_interfaces/Time of integer nanoseconds."""
    return Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)


def image(camera: str, stamp_ns: int, pixels: NDArray[np.uint8], encoding: str = "rgb8") -> Image:
    """Image of (height, width, 3), of three bytes a pixel as `encoding` orders them."""
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=pixels.shape[1] * 3)
    message.header.stamp, message.header.frame_id = time_of(stamp_ns), names.camera_frame(camera)
    message.data = array.array("B", pixels.tobytes())  # any other type is checked byte by byte: 30 ms
    return message


def pinhole(camera: str, width_px: int, height_px: int, k: NDArray[np.float64]) -> CameraInfo:
    """Without distortion; `k` (3, 3) in pixels, zero where nobody calibrated. The stamp is set with each image."""
    message = CameraInfo(height=height_px, width=width_px, distortion_model="plumb_bob")
    message.header.frame_id = names.camera_frame(camera)
    message.d = [0.0] * 5
    message.k = k.ravel().tolist()
    message.r = np.eye(3).ravel().tolist()
    message.p = np.hstack([k, np.zeros((3, 1))]).ravel().tolist()
    return message
