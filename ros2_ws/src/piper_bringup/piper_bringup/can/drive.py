"""What the emulated firmware asks of its joints, and what the joints answer.

The wall between the arm's electronics (`arm.py`) and whoever owns its dynamics: the first-order model of
`plant.py`, or MuJoCo in the cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Power(IntEnum):
    """State of one joint's drive."""

    OFF = 0  # no torque: the joint falls under gravity, PiPER has no brakes
    DAMPED = 1  # emergency stop (0x150 = 1): the windings brake, the joint sinks slowly
    SERVO = 2  # the position loop is closed


@dataclass(frozen=True)
class Drive:
    """What the firmware wants from one arm's joints at this instant."""

    q_rad: NDArray[np.float64]  # (6,) set-point of the position loop
    power: NDArray[np.int64]  # (6,) Power of each joint
    gripper_m: float  # opening to move to
    gripper_effort_nm: float  # torque limit of the gripper
    gripper_on: bool


@dataclass(frozen=True)
class PlantState:
    """What one arm's joints did."""

    q_rad: NDArray[np.float64]  # (6,)
    qd_rad_s: NDArray[np.float64]  # (6,)
    tau_nm: NDArray[np.float64]  # (6,)
    gripper_m: float
    gripper_effort_nm: float
