"""Pushes: what a demonstrator who never errs does not show is how to come back (Laskey et al. 2017, DART)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piper_bringup.data.names import DT_NS, GRIPPER_COLUMNS, JOINT_LOWER_RAD, JOINT_UPPER_RAD, POSITION_MARGIN_RAD

Array = NDArray[np.float64]

PUSH_RAD = 0.05  # 2 cm at the hands: what policies drift by; of 100 seeds of a task 97 to 100 still succeed
EVERY_S = 0.8  # on average, an arm is pushed; a push comes and goes within LONG_S
LONG_S = (0.6, 1.4)
NEAR = 0.15  # of a push is left where the pads are about to touch something
HARD_RAD_S2 = 2.0  # no push accelerates more: with the expert's own motion the driver would cut it
_ARM_COLUMNS = (slice(0, 6), slice(7, 13))


def pushed(rows: Array, near: NDArray[np.bool_], push_rad: float, rng: np.random.Generator) -> Array:
    """Rows (T, 14) of a way, pushed off it by `push_rad`, one sigma a joint; grippers are left alone.

    near (T,): rows at which a push is NEAR of that. Each push is a raised cosine; the last rows are not pushed.
    """
    push = np.zeros_like(rows)
    for columns in _ARM_COLUMNS:
        push[:, columns] = _pushes(len(rows), push_rad, rng)
    room = np.where(near, NEAR, 1.0)
    push *= np.convolve(np.pad(room, 4, mode="edge"), np.full(9, 1 / 9), mode="valid")[:, None]
    low, high = (np.array(x * 2) for x in (JOINT_LOWER_RAD, JOINT_UPPER_RAD))
    arms = [i for i in range(rows.shape[1]) if i not in GRIPPER_COLUMNS]
    out = rows.copy()
    least = np.minimum(rows[:, arms], low + POSITION_MARGIN_RAD)  # a folded arm lies on its limits
    most = np.maximum(rows[:, arms], high - POSITION_MARGIN_RAD)
    out[:, arms] = np.clip(rows[:, arms] + push[:, arms], least, most)
    return out


def _pushes(count: int, push_rad: float, rng: np.random.Generator) -> Array:
    """(T, 6) of one arm."""
    dt_s = DT_NS * 1e-9
    out, t_s = np.zeros((count, 6)), np.arange(1, count + 1) * dt_s
    for _ in range(rng.poisson(count * dt_s / EVERY_S)):
        begin_s, long_s = rng.uniform(0.0, count * dt_s), rng.uniform(*LONG_S)
        tau = np.clip((t_s - begin_s) / long_s, 0.0, 1.0)
        most_rad = HARD_RAD_S2 * long_s**2 / (2.0 * np.pi**2)
        size_rad = np.clip(rng.normal(0.0, push_rad, 6), -most_rad, most_rad)
        out += 0.5 * (1.0 - np.cos(2.0 * np.pi * tau))[:, None] * size_rad
    return out
