"""Joints and cameras of the worker against ours: data/robotwin.py, for one moment of two PiPERs. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from piper_bringup.data import names
from piper_bringup.data.robotwin import STABLE_CAMERAS, in_metres, normalised

CAMERAS = {ours: theirs for theirs, ours in STABLE_CAMERAS.items()}  # the environment's, on both branches


class NotPiper(ValueError):
    """Joints that two PiPERs do not have, or not so."""


def ours(q: ArrayLike) -> NDArray[np.float64]:
    """(14,) rad and m of RoboTwin's. Raises NotPiper."""
    return in_metres(_of_pipers(q))


def theirs(q: ArrayLike) -> NDArray[np.float64]:
    """(14,) rad and 0..1 of ours. Raises NotPiper."""
    return normalised(_of_pipers(q))


def admit(q: ArrayLike) -> None:
    """Refuse (14,) rad and m with a gripper where a PiPER's does not go, which `theirs` takes for its nearer end.

    Raises NotPiper, naming it.
    """
    q = _of_pipers(q)
    for column in names.GRIPPER_COLUMNS:
        if not 0.0 <= q[column] <= names.GRIPPER_MAX_M:
            raise NotPiper(f"{names.JOINTS[column]} is {q[column]:g} m, valid: 0 to {names.GRIPPER_MAX_M:g}")


def _of_pipers(q: ArrayLike) -> NDArray[np.float64]:
    q = np.asarray(q, np.float64)
    if q.shape != (len(names.JOINTS),):
        raise NotPiper(f"joints have shape {q.shape}; two PiPERs have {len(names.JOINTS)}: six and a gripper an arm")
    return q
