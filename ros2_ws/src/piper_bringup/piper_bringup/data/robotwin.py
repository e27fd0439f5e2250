"""RoboTwin 2.0's names and numbers, for its files and for what its environment shows: converted by these, nowhere else.

No I/O and nothing but numpy: RoboTwin's own Python imports it as well. From RoboTwin-Platform/RoboTwin main cf47ab5 and
stable_2.0 13c3c47. Columns of joints are ours already, and so are radians; a gripper is 0 closed to 1 open.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piper_bringup.data.names import GRIPPER_COLUMNS, GRIPPER_MAX_M

Floats = NDArray[np.float64]

STEP_NS = 4_000_000  # physics step: scene.set_timestep(1 / 250)
SAVE_FREQ = 15  # steps a frame, task_config/*.yml
FRAME_NS = SAVE_FREQ * STEP_NS  # what one action spans in their files

STABLE_CAMERAS = {"head_camera": "head", "left_camera": "left_wrist", "right_camera": "right_wrist"}
MAIN_CAMERAS = {"cam_head": "head", "cam_left_wrist": "left_wrist", "cam_right_wrist": "right_wrist"}


def in_metres(q: Floats) -> Floats:
    """Joints (..., 14) with grippers 0 to 1, to metres of opening; what is outside 0 to 1 is taken for its end."""
    return _scaled(q, GRIPPER_MAX_M, 0.0, 1.0)


def normalised(q: Floats) -> Floats:
    """Undo `in_metres`; an opening that a PiPER's gripper does not have is taken for the end that is nearer."""
    return _scaled(q, 1.0 / GRIPPER_MAX_M, 0.0, GRIPPER_MAX_M)


def _scaled(q: Floats, factor: float, low: float, high: float) -> Floats:
    q = np.array(q, np.float64)
    columns = list(GRIPPER_COLUMNS)
    q[..., columns] = np.clip(q[..., columns], low, high) * factor
    return q
