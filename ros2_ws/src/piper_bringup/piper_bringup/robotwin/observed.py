"""What a RoboTwin environment shows at one moment, as it goes over the socket.

Joints in the order left joints, left gripper, right joints, right gripper; rad, grippers 0 (closed) to 1 (open): only
the other side of the socket knows metres. Measured joints and drive targets are apart, because RoboTwin's own
`joint_action` has targets alone, and its "real" joint states have the commanded gripper.
Python 3.10 and numpy only: the worker imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_MATRICES = {"intrinsic": "intrinsic_cv", "extrinsic": "extrinsic_cv", "camera_to_world": "cam2world_gl"}


def observe(env: Any, cameras: Sequence[str]) -> dict[str, Any]:
    """Joints, poses and the named cameras. Nothing is drawn when no camera is named.

    measured: (L+1+R+1,) from the articulations; targets: the same, commanded; ee_poses: (2, 7) xyz and quaternion
    wxyz in the world's frame, 0.12 m behind the middle of the fingers, x forward; cameras: name to rgb (h, w, 3)
    uint8, intrinsic (3, 3), extrinsic (3, 4) of OpenCV, camera_to_world (4, 4) of OpenGL.
    Raises ValueError for a camera that the environment has not.
    """
    robot = env.robot
    return {
        "measured": np.concatenate([_measured(robot, side) for side in ("left", "right")]),
        "targets": np.asarray([*robot.get_left_arm_jointState(), *robot.get_right_arm_jointState()], np.float64),
        "ee_poses": np.asarray([env.get_arm_pose("left"), env.get_arm_pose("right")], np.float64),
        "cameras": _pictures(env, cameras) if cameras else {},
    }


def joint_counts(env: Any) -> tuple[int, int]:
    """Joints of the left and of the right arm, without grippers."""
    return len(env.robot.left_arm_joints), len(env.robot.right_arm_joints)


def _measured(robot: Any, side: str) -> np.ndarray:
    """(n + 1,): joints, and the gripper by where its first finger is."""
    entity = getattr(robot, f"{side}_entity")
    active, positions = list(entity.get_active_joints()), np.asarray(entity.get_qpos(), np.float64)
    finger = getattr(robot, f"{side}_gripper")[0][0]
    closed, opened = getattr(robot, f"{side}_gripper_scale")
    opening = (positions[active.index(finger)] - closed) / (opened - closed)
    joints = [positions[active.index(joint)] for joint in getattr(robot, f"{side}_arm_joints")]
    return np.asarray([*joints, opening], np.float64)


def _pictures(env: Any, cameras: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    seen = env.get_obs()["observation"]
    unknown = [name for name in cameras if "rgb" not in seen.get(name, {})]
    if unknown:
        raise ValueError(f"no camera {', '.join(unknown)} here; there are {', '.join(sorted(seen))}")
    return {name: _camera(seen[name]) for name in cameras}


def _camera(seen: dict[str, Any]) -> dict[str, np.ndarray]:
    matrices = {ours: np.asarray(seen[theirs], np.float64) for ours, theirs in _MATRICES.items()}
    return {"rgb": np.ascontiguousarray(seen["rgb"], np.uint8), **matrices}
