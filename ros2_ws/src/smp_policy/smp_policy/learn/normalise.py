"""Scales of a data set: what `run.normaliser` divides by. Statistics are taken after the transform, not before."""

from __future__ import annotations

import numpy as np

from piper_bringup.data import names
from piper_bringup.data.names import HORIZON
from smp_policy.learn.data import Demonstrations
from smp_policy.run.normaliser import Normaliser

# How far training displaces the arms, and the least scale of their lag, which is of that size when they move fast.
AWAY = np.where(np.isin(np.arange(len(names.JOINTS)), names.GRIPPER_COLUMNS), 0.005, 0.1)
LEAST = 1e-2  # rad, m: what hardly ever moves is not blown up to full size
QUANTILE = 0.99  # a few strange rows do not squeeze all others


def fit(data: Demonstrations, with_target: bool) -> Normaliser:
    """Scales by which almost all of the data lies in [-1, 1]. ``with_target``: proprioception includes set-points."""
    state = data.state
    seen = np.concatenate([state, data.target - state], axis=1) if with_target else state
    low, high = np.quantile(seen, (1.0 - QUANTILE, QUANTILE), axis=0)
    least = np.concatenate([np.full(state.shape[1], LEAST), AWAY])[: seen.shape[1]]
    slots = data.objects[data.objects[..., 0] > 0] if data.objects is not None else np.zeros((1, 0))
    slot_low, slot_high = slots.min(0), slots.max(0)
    flat = slot_high - slot_low < LEAST  # the flag, a size that never varies: 0 or 1 times its own size
    return Normaliser(
        proprio_centre=(low + high) / 2,
        proprio_scale=np.maximum((high - low) / 2, least),
        action_scale=_action_scale(data),
        slot_centre=np.where(flat, 0.0, (slot_low + slot_high) / 2),
        slot_scale=np.where(flat, np.maximum(np.abs(slot_high), LEAST), (slot_high - slot_low) / 2),
    )


def _action_scale(data: Demonstrations) -> np.ndarray:
    """(14,): the 99 % quantile of what a chunk's rows are away from the set-points of its observation."""
    rows = chunk_rows(data, np.arange(len(data.state)), HORIZON)
    away = np.abs(data.action[rows] - data.target[:, None, :])
    return np.maximum(np.quantile(away.reshape(-1, away.shape[-1]), QUANTILE, axis=0), LEAST)


def principal(data: Demonstrations, normaliser: Normaliser, length: int, count: int) -> np.ndarray:
    """(length, count): the orthonormal directions that hold most of the energy of all chunks, normalised.

    length: 14, of their rows, or 14 H, of whole chunks.
    """
    every = np.arange(len(data.state))
    chunks = normaliser.encode(data.action[chunk_rows(data, every, HORIZON)], data.target).reshape(-1, length)
    _, vectors = np.linalg.eigh(chunks.T @ chunks)  # ascending
    return vectors[:, ::-1][:, :count]


def chunk_rows(data: Demonstrations, row: np.ndarray, rows: int) -> np.ndarray:
    """[..., rows] rows of `action` that the chunk of each row holds; the episode's last is repeated behind its end."""
    last = data.first[np.searchsorted(data.first, row, side="right")] - 1
    return np.minimum(row[..., None] + np.arange(rows), last[..., None])
