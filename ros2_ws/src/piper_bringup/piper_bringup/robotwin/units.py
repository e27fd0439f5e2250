"""Our joints and cameras against RoboTwin's: the one place where they are converted. Pure.

Its order of joints is ours (names.JOINTS). Its grippers are 0 (closed) to 1 (open), ours metres of opening, by the
same stroke as when its data is read (`data/layouts`). Its pictures are RGB, as ours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piper_bringup.data import names

CAMERAS = {"head": "head_camera", "left_wrist": "left_camera", "right_wrist": "right_camera"}  # ours -> RoboTwin's
_GRIPPERS = list(names.GRIPPER_COLUMNS)


class NotPiper(ValueError):
    """Joints of other arms than two PiPERs."""


def ours(q: ArrayLike) -> NDArray[np.float64]:
    """(14,) rad and m of RoboTwin's. A gripper may be measured a little outside of 0 to 1. Raises NotPiper."""
    q = _of_pipers(q)
    q[_GRIPPERS] *= names.GRIPPER_MAX_M
    return q


def theirs(q: ArrayLike) -> NDArray[np.float64]:
    """(14,) rad and 0..1 of ours; an opening beyond the stroke is all of it. Raises NotPiper."""
    q = _of_pipers(q)
    q[_GRIPPERS] = np.clip(q[_GRIPPERS] / names.GRIPPER_MAX_M, 0.0, 1.0)
    return q


def _of_pipers(q: ArrayLike) -> NDArray[np.float64]:
    q = np.array(q, np.float64)
    if q.shape != (len(names.JOINTS),):
        raise NotPiper(f"joints have shape {q.shape}; two PiPERs have {len(names.JOINTS)}: six and a gripper an arm")
    return q
