"""What makes an action chunk acceptable. Wrong ones are refused whole, never repaired (S1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piper_bringup.arm.config import DriverConfig, columns
from piper_bringup.arm.plan import Plan
from piper_bringup.arm.safety import Finding, Reason, Severity
from piper_bringup.data import names

MAX_ROWS = 256
MAX_UNEVENNESS = 4  # of the steps in time; the curve through very uneven rows swings far from them


@dataclass(frozen=True)
class Chunk:
    """As it arrived."""

    t_obs_ns: int  # system clock
    joint_names: Sequence[str]
    from_t_obs_ns: NDArray[np.int64]  # (N,)
    q: NDArray[np.float64]  # (N, 14), or (0, 0) when the rows do not have one length


def refuse(chunk: Chunk, wall_ns: int, lower, upper, config: DriverConfig) -> Finding | None:
    """Why ``chunk`` cannot be used whatever the arms do, or None. ``lower``, ``upper``: (14,) position limits."""
    for check in (_joints, _shape, _finite, _times):
        finding = check(chunk, config)
        if finding is not None:
            return finding
    return _age(chunk, wall_ns, config) or _range(chunk, lower, upper, config)


def to_plan(chunk: Chunk, wall_minus_mono_ns: int) -> Plan:
    """The chunk's rows on the monotonic clock: row i at t_obs + its time, whenever it came."""
    return Plan.through(chunk.t_obs_ns + chunk.from_t_obs_ns - wall_minus_mono_ns, chunk.q)


def refuse_jump(plan: Plan, here: NDArray[np.float64], now_ns: int, config: DriverConfig) -> Finding | None:
    """Whether the first row still to be executed is too far from ``here`` (14,), where the command will be (S6)."""
    first_ns = max(now_ns, int(plan.t_ns[0]))
    jump = np.abs(plan.at(first_ns) - here)
    jump[list(names.GRIPPER_COLUMNS)] = 0.0  # a gripper may open or close at once; its speed limit acts
    worst = int(np.argmax(jump))
    if jump[worst] <= config.limits__first_point_rad:
        return None
    return _wrong(
        Reason.CHUNK_JUMP,
        f"first point of {names.JOINTS[worst]} is {jump[worst]:.3f} rad from the plan, "
        f"at most {config.limits__first_point_rad} rad",
    )


def _wrong(reason: Reason, text: str) -> Finding:
    return Finding(Severity.WARN, reason, "", f"chunk refused: {text}")


def _joints(chunk: Chunk, config: DriverConfig) -> Finding | None:
    if tuple(chunk.joint_names) == names.JOINTS:
        return None
    got = ", ".join(chunk.joint_names) or "none"
    return _wrong(Reason.CHUNK_WRONG_JOINTS, f"joint names are [{got}], expected [{', '.join(names.JOINTS)}]")


def _shape(chunk: Chunk, config: DriverConfig) -> Finding | None:
    rows = len(chunk.from_t_obs_ns)
    if 2 <= rows <= MAX_ROWS and chunk.q.shape == (rows, len(names.JOINTS)):
        return None
    return _wrong(
        Reason.CHUNK_WRONG_COUNT,
        f"{rows} points of shape {chunk.q.shape}, expected 2 to {MAX_ROWS} points of {len(names.JOINTS)} positions",
    )


def _finite(chunk: Chunk, config: DriverConfig) -> Finding | None:
    if np.all(np.isfinite(chunk.q)):
        return None
    row, column = np.argwhere(~np.isfinite(chunk.q))[0]
    return _wrong(Reason.CHUNK_NON_FINITE, f"row {row} of {names.JOINTS[column]} is {chunk.q[row, column]}")


def _times(chunk: Chunk, config: DriverConfig) -> Finding | None:
    t_ns = chunk.from_t_obs_ns
    if t_ns[0] < 0 or np.any(np.diff(t_ns) <= 0):
        return _wrong(Reason.CHUNK_TIMES, "time_from_start is not increasing from zero")
    steps = np.diff(t_ns)
    if steps.min() < config.period_ns or steps.max() > MAX_UNEVENNESS * steps.min():
        least_ms, most_ms = steps.min() * 1e-6, steps.max() * 1e-6
        return _wrong(Reason.CHUNK_TIMES, f"rows are {least_ms:.3f} to {most_ms:.0f} ms apart, expected an even grid")
    if t_ns[-1] > config.plan__max_horizon_s * 1e9:
        return _wrong(
            Reason.CHUNK_TIMES,
            f"it ends {t_ns[-1] * 1e-9:.2f} s ahead, at most {config.plan__max_horizon_s} s",
        )
    return None


def _age(chunk: Chunk, wall_ns: int, config: DriverConfig) -> Finding | None:
    age_s = (wall_ns - chunk.t_obs_ns) * 1e-9
    if age_s > config.timeouts__chunk_age_s:
        return _wrong(
            Reason.CHUNK_TOO_OLD,
            f"its observation is {age_s:.3f} s old, at most {config.timeouts__chunk_age_s} s",
        )
    if -age_s > config.timeouts__chunk_future_s:
        return _wrong(
            Reason.CHUNK_FROM_FUTURE,
            f"its observation is {-age_s:.3f} s ahead of the clock, at most {config.timeouts__chunk_future_s} s",
        )
    return None


def _range(chunk: Chunk, lower, upper, config: DriverConfig) -> Finding | None:
    slack = columns(config.limits__reject_beyond_rad, config.gripper__reject_beyond_m)
    outside = np.maximum(lower - slack - chunk.q, chunk.q - upper - slack)
    row, column = np.unravel_index(int(np.argmax(outside)), outside.shape)
    if outside[row, column] <= 0:
        return None
    return _wrong(
        Reason.CHUNK_OUT_OF_LIMITS,
        f"row {row} of {names.JOINTS[column]} is {chunk.q[row, column]:.3f}, "
        f"limits {lower[column]:.3f} to {upper[column]:.3f} and at most {slack[column]} beyond",
    )
