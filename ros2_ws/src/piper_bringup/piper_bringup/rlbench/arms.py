"""Two Pandas as RLBench has them, right arm first, and as we do, left arm first. Pure; nowhere else is turned over.

    theirs  right joints (7, rad), right finger, left joints, left finger; fingers in m, 0 (closed) to 0.04 (open):
            rlbench/action_modes/action_mode.py:146-147, gripper_action_modes.py:153-172
    ours    JOINTS; grippers 0 (closed) to 1 (open), as RoboTwin's are on this side of the socket

Python 3.8 and numpy only: the worker imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

ARM_DOF = 8  # seven joints and the gripper
JOINTS = tuple(
    f"{side}_{joint}" for side in ("left", "right") for joint in (*(f"joint{i}" for i in range(1, 8)), "gripper")
)
GRIPPERS = (7, 15)
FINGER_M = 0.04  # peract_bimanual/agents/act_bc_lang/act_bc_lang_agent.py:283-294


class NotPandas(ValueError):
    """Somebody means other joints than those of two Pandas."""


def admit(joints: Sequence[str]) -> None:
    """Refuse who commands other joints, as a policy for two PiPERs does. Raises NotPandas, naming the field."""
    if tuple(joints) == JOINTS:
        return
    missing = [name for name in JOINTS if name not in joints]
    how = f"lack {', '.join(missing)}" if missing else "are others too, or in another order"
    raise NotPandas(
        f"joints: the policy's {len(joints)} are not the {len(JOINTS)} of two Pandas: they {how}; "
        "a policy for other arms cannot run here"
    )


def ours(q: Any) -> np.ndarray:
    """(16,) of theirs in our order; fingers that are forced out of their range count as closed or open."""
    turned = _turned(q)
    turned[list(GRIPPERS)] = np.clip(turned[list(GRIPPERS)] / FINGER_M, 0.0, 1.0)
    return turned


def theirs(q: Any) -> np.ndarray:
    """(16,) of ours in their order. Raises ValueError for a gripper outside 0 to 1, naming it."""
    for gripper in GRIPPERS:
        if not 0.0 <= q[gripper] <= 1.0:
            raise ValueError(f"{JOINTS[gripper]} is {q[gripper]:g}; valid: 0 (closed) to 1 (open)")
    turned = _turned(q)
    turned[list(GRIPPERS)] *= FINGER_M
    return turned


def w_first(pose: Any) -> np.ndarray:
    """(7,) xyz and quaternion wxyz of PyRep's xyz and xyzw: pyrep/objects/object.py:222-233."""
    return np.asarray(pose, np.float64)[[0, 1, 2, 6, 3, 4, 5]]


def _turned(q: Any) -> np.ndarray:
    """A copy with the arms exchanged, which undoes itself."""
    return np.roll(np.asarray(q, np.float64), ARM_DOF)
