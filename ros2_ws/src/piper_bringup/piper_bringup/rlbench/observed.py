"""What RLBench shows at one moment, as it goes over the socket: the words of `robotwin.observed`, our order of arms.

Python 3.8 and numpy only: the worker imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from piper_bringup.rlbench import arms

# peract_bimanual/conf/eval.yaml:10
CAMERAS = ("over_shoulder_left", "over_shoulder_right", "overhead", "wrist_right", "wrist_left", "front")
# PyRep looks along z with x to the left and y up: its focal lengths are negative (vision_sensor.py:195).
TO_OPENCV = np.diag([-1.0, -1.0, 1.0, 1.0])
TO_OPENGL = np.diag([-1.0, 1.0, -1.0, 1.0])


def observe(seen: Any, cameras: Sequence[str]) -> dict[str, Any]:
    """Of a BimanualObservation (rlbench/backend/observation.py:82-85), in which `cameras` were drawn.

    measured: (16,) in the order of arms.JOINTS; ee_poses: (2, 7), left first, xyz and quaternion wxyz in the world's
    frame, of the tips of the arms; cameras: name to rgb (h, w, 3) uint8, intrinsic (3, 3), extrinsic (3, 4) of OpenCV,
    camera_to_world (4, 4) of OpenGL.
    """
    right, left = seen.right, seen.left
    both = [*right.joint_positions, right.gripper_joint_positions[0]]
    both += [*left.joint_positions, left.gripper_joint_positions[0]]
    return {
        "measured": arms.ours(both),
        "ee_poses": np.asarray([arms.w_first(left.gripper_pose), arms.w_first(right.gripper_pose)]),
        "cameras": {name: _camera(seen, name) for name in cameras},
    }


def _camera(seen: Any, name: str) -> dict[str, np.ndarray]:
    """Names of its fields: rlbench/backend/scene.py:266-267, 699-706."""
    rgb = seen.perception_data[f"{name}_rgb"]  # RGB: scene.py:228-231
    to_world = np.asarray(seen.misc[f"{name}_camera_extrinsics"], np.float64)
    intrinsic = np.asarray(seen.misc[f"{name}_camera_intrinsics"], np.float64)
    return {
        "rgb": np.ascontiguousarray(rgb, np.uint8),
        "intrinsic": intrinsic @ TO_OPENCV[:3, :3],
        "extrinsic": np.linalg.inv(to_world @ TO_OPENCV)[:3],
        "camera_to_world": to_world @ TO_OPENGL,
    }
