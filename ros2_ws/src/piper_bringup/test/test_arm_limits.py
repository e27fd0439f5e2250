"""Limits: what they allow always contains where the arm stands, and nothing faster than they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piper_bringup.arm import limits
from piper_bringup.arm.limits import AccelerationLimit, PositionLimit, SetPoint, VelocityLimit

N, DT = 4, 0.01
V_MAX, A_MAX = np.full(N, 1.5), np.full(N, 5.0)
LIMITS = (PositionLimit(np.full(N, -1.0), np.full(N, 1.0)), VelocityLimit(V_MAX), AccelerationLimit(A_MAX))
finite = st.floats(-10, 10, allow_nan=False)
vectors = st.lists(finite, min_size=N, max_size=N).map(np.array)
speeds = st.lists(st.floats(-1.5, 1.5), min_size=N, max_size=N).map(np.array)


@given(wanted=vectors, q=vectors, v=speeds)
@settings(deadline=None)
def test_standing_still_is_always_allowed(wanted, q, v):
    at = SetPoint(q, v)
    assert np.array_equal(limits.apply(q, at, LIMITS, DT).to.q, q)
    low_high = [limit.interval(at, DT) for limit in LIMITS]
    result = limits.apply(wanted, at, LIMITS, DT).to.q
    for low, high in low_high:
        assert np.all(result >= np.minimum(low, q) - 1e-12)
        assert np.all(result <= np.maximum(high, q) + 1e-12)


@given(wanted=vectors, q=vectors, v=speeds)
@settings(deadline=None)
def test_an_arm_outside_is_not_pushed_and_may_come_back(wanted, q, v):
    result = limits.apply(wanted, SetPoint(q, v), LIMITS, DT).to.q
    outside = np.abs(q) > 1.0
    assert np.all(np.abs(result[outside]) <= np.abs(q[outside]) + 1e-12)
    stay = limits.apply(q, SetPoint.at_rest(q), LIMITS, DT)
    assert np.array_equal(stay.to.q, q)
    assert not any(clamped.any() for clamped in stay.clamped.values())


@given(targets=st.lists(vectors, min_size=5, max_size=30))
@settings(deadline=None)
def test_speed_acceleration_and_range_hold_for_any_target_sequence(targets):
    at, before = SetPoint.at_rest(np.zeros(N)), np.zeros(N)
    for target in targets:
        wanted = limits.approach(target, before, at, A_MAX, DT)
        to = limits.apply(wanted, at, LIMITS, DT).to
        assert np.all(np.abs(to.v) <= V_MAX + 1e-9)
        speeding_up = np.abs(to.v) > np.abs(at.v)
        assert np.all(np.abs(to.v - at.v)[speeding_up] <= A_MAX[speeding_up] * DT + 1e-9)
        assert np.all(np.abs(to.q) <= 1.0 + 1e-9)
        at, before = to, target


def test_a_step_is_approached_without_overshoot_and_braked_within_the_acceleration_limit():
    at, target, path = SetPoint.at_rest(np.zeros(N)), np.full(N, 0.8), [np.zeros(N)]
    for _ in range(200):
        at = limits.apply(limits.approach(target, target, at, A_MAX, DT), at, LIMITS, DT).to
        path.append(at.q)
    path = np.array(path)
    assert np.all(path <= 0.8 + 1e-9)
    assert path[-1] == pytest.approx(target)
    acceleration = np.diff(path, 2, axis=0) / DT**2
    assert np.abs(acceleration).max() <= 5.0 * 1.15  # the last tick takes the remainder


def test_a_target_that_moves_within_the_limits_is_followed_exactly():
    at, before = SetPoint(np.zeros(N), np.full(N, 0.5)), np.zeros(N)
    for i in range(1, 50):
        target = np.full(N, 0.5 * i * DT)
        limited = limits.apply(limits.approach(target, before, at, A_MAX, DT), at, LIMITS, DT)
        assert limited.to.q == pytest.approx(target, abs=1e-12)
        assert not any(clamped.any() for clamped in limited.clamped.values())
        at, before = limited.to, target


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nothing_that_is_not_finite_passes(bad):
    wanted = np.zeros(N)
    wanted[2] = bad
    with pytest.raises(ValueError, match="not finite"):
        limits.apply(wanted, SetPoint.at_rest(np.zeros(N)), LIMITS, DT)
