"""Where hands will be when they next close or open: what cameras can be taught from bags alone, without a simulator.

An object is where a demonstrator will take hold of it, and its goal where the hand will let go. Keyframes in this sense
are C2F-ARM's and PerAct's (James et al. 2022, Shridhar et al. 2022), found there by the same change of the gripper.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from piper_bringup.cell.kinematics import forward
from piper_bringup.data import names
from smp_policy.learn.data import Demonstrations

SWING_M = 0.01  # of a gripper's command, one way: less is a hand that is not quite still
STILL_M = 0.001
FIELDS = 10  # there, place x y z in the base frame of the arm [m], two columns of the flange's rotation


def keyposes(data: Demonstrations) -> NDArray[np.float64]:
    """(R, 4, FIELDS): the pads of each arm when next it closes, when next it opens; zeros where it no more does.

    The layout is that of `objects`. Raises ValueError where no gripper ever moves: nothing to teach by.
    """
    table = np.zeros((len(data.state), 4, FIELDS))
    for begin, end in pairwise(data.first):
        for arm, gripper in enumerate(names.GRIPPER_COLUMNS):
            q = data.state[begin:end, gripper - 6 : gripper]
            for row, opens in reversed(turns(data.target[begin:end, gripper])):
                table[begin : begin + row + 1, 2 * arm + opens] = _seen_as(q[row])
    if not table[..., 0].any():
        raise ValueError(f"no gripper moves by {SWING_M} m in these episodes: hands tell nothing of where things are")
    return table


def turns(opening_m: NDArray[np.float64]) -> list[tuple[int, bool]]:
    """Rows at which a gripper's command (T,) begins to close (False) or to open (True), by SWING_M or more."""
    found: list[tuple[int, bool]] = []
    bottom = top = opening_m[0]
    low = high = 0  # last rows at these extremes
    for row, value in enumerate(opening_m):
        bottom, top = min(bottom, value), max(top, value)
        low = row if value <= bottom + STILL_M else low
        high = row if value >= top - STILL_M else high
        closes, opens = top - value >= SWING_M, value - bottom >= SWING_M
        if not closes and not opens:
            continue
        if not found or found[-1][1] != opens:
            found.append((low, True) if opens else (high, False))
        bottom = top = value
        low = high = row
    return found


def _seen_as(q_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    pose = forward(q_rad)
    return np.concatenate([[1.0], pose.position_m, pose.rotation[:, 0], pose.rotation[:, 1]])
