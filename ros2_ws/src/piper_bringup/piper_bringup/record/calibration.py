"""sensor_msgs/CameraInfo of a camera, from the file that ROS's camera_calibration writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from sensor_msgs.msg import CameraInfo

from piper_bringup import image_message
from piper_bringup.data import names
from piper_bringup.record.cameras import Camera

_MATRICES = {"k": ("camera_matrix", 9), "r": ("rectification_matrix", 9), "p": ("projection_matrix", 12)}


def info_of(camera: Camera) -> CameraInfo:
    """Without a file, the size alone (all of k zero, as ROS says "not calibrated").

    Raises ValueError, in one sentence, for a file that does not read or is of another picture size.
    """
    size_px = (camera.width_px, camera.height_px)
    if not camera.calibration:
        return image_message.pinhole(camera.name, *size_px, np.zeros((3, 3)))
    try:
        info = _read(yaml.safe_load(Path(camera.calibration).expanduser().read_text()))
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AssertionError) as error:
        text = " ".join(str(error).split())
        raise ValueError(
            f"calibration of camera {camera.name}, {camera.calibration}, does not read: {type(error).__name__}: {text}"
        ) from error
    if (info.width, info.height) != size_px:
        raise ValueError(
            f"calibration of camera {camera.name} is of {info.width}x{info.height} px, "
            f"and the camera is to give {size_px[0]}x{size_px[1]}"
        )
    info.header.frame_id = names.camera_frame(camera.name)
    return info


def _read(said: dict) -> CameraInfo:
    info = CameraInfo(width=said["image_width"], height=said["image_height"])
    info.distortion_model = said["distortion_model"]
    info.d = [float(x) for x in said["distortion_coefficients"]["data"]]
    for field, (name, count) in _MATRICES.items():
        data = [float(x) for x in said[name]["data"]]
        if len(data) != count:
            raise ValueError(f"{name} has {len(data)} numbers, not {count}")
        setattr(info, field, data)
    return info
