"""rlbench/backend/observation.py:24-34, 44-56, 81-89."""

from dataclasses import dataclass
from typing import Any


@dataclass
class UnimanualObservationData:
    """Of one arm; None where the configuration does not ask for it."""

    joint_velocities: Any
    joint_positions: Any
    joint_forces: Any
    gripper_open: Any
    gripper_pose: Any
    gripper_matrix: Any
    gripper_joint_positions: Any
    gripper_touch_forces: Any
    ignore_collisions: Any


@dataclass
class BimanualObservation:
    """Of both, and of the cameras."""

    perception_data: Any
    task_low_dim_state: Any
    misc: Any
    right: UnimanualObservationData = None
    left: UnimanualObservationData = None

    @property
    def is_bimanual(self):
        return True
