"""The plan: timestamp alignment removes the error of late chunks, blending the jerk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piper_bringup.arm.plan import Plan, splice, standing

MS = 1_000_000
ROWS = np.arange(1, 17) * 50 * MS


def plan_of(motion, t0_ns: int = 0) -> Plan:
    times = t0_ns + ROWS
    return Plan.through(times, np.array([motion(t * 1e-9) for t in times]))


@given(rows=st.lists(st.floats(-3, 3), min_size=3, max_size=20))
@settings(deadline=None)
def test_between_rows_it_stays_near_them(rows):
    q = np.array(rows)[:, None]
    plan = Plan.through(np.arange(len(q)) * 50 * MS, q)
    steps = np.abs(np.diff(q[:, 0]))
    for i in range(len(q) - 1):
        between = [plan.at(i * 50 * MS + k * 5 * MS)[0] for k in range(11)]
        low, high = sorted((q[i, 0], q[i + 1, 0]))
        swing = 0.45 * steps[max(0, i - 1) : i + 2].max() + 1e-9
        assert low - swing <= min(between) and max(between) <= high + swing


def test_rows_that_keep_the_limits_give_a_plan_that_keeps_them():
    """Full acceleration, cruise, full braking on the 20 Hz grid, evaluated at 100 Hz."""
    t = np.arange(0, 41) * 0.05
    v = np.clip(np.minimum(4.5 * t, 4.5 * (2.0 - t)), 0, 1.35)
    q = np.concatenate([[0], np.cumsum((v[1:] + v[:-1]) / 2 * 0.05)])[:, None]
    plan = Plan.through((t * 1e9).astype(np.int64), q)
    fine = np.array([plan.at(int(x)) for x in range(0, 2_000_000_000, 10 * MS)])
    assert np.abs(np.diff(fine, axis=0)).max() / 0.01 <= 1.5
    assert np.abs(np.diff(fine, 2, axis=0)).max() / 0.01**2 <= 6.0
    parabola = Plan.through(ROWS, 2.0 * (ROWS[:, None] * 1e-9) ** 2)
    for x in range(int(ROWS[0]), int(ROWS[-1]), 7 * MS):
        assert parabola.at(x) == pytest.approx([2.0 * (x * 1e-9) ** 2], abs=1e-12)


def test_rows_are_met_and_speed_is_the_derivative_of_position():
    plan = plan_of(lambda t: [np.sin(t), t])
    for t, q in zip(plan.t_ns, plan.q, strict=True):
        assert plan.at(int(t)) == pytest.approx(q)
    t = 333 * MS
    numeric = (plan.at(t + 1000) - plan.at(t - 1000)) / 2e-6
    assert plan.velocity(t) == pytest.approx(numeric, abs=1e-4)
    assert plan.velocity(plan.end_ns + 1) == pytest.approx([0.0, 0.0])


def test_times_must_increase():
    with pytest.raises(ValueError, match="increasing"):
        Plan.through(np.array([0, 5, 5]), np.zeros((3, 1)))


def test_the_committed_prefix_is_the_running_plan_exactly():
    running = plan_of(lambda t: [np.sin(3 * t)])
    chunk = plan_of(lambda t: [1.0 + t], 200 * MS)
    joined = splice(running, chunk, 230 * MS, 120 * MS, 200 * MS)
    for t in range(230 * MS, 350 * MS, 3 * MS):
        assert joined.at(t) == pytest.approx(running.at(t), abs=1e-12)
        assert joined.velocity(t) == pytest.approx(running.velocity(t), abs=1e-9)
    after_blend = [t for t in chunk.t_ns if t >= 350 * MS + 200 * MS]
    assert joined.at(int(after_blend[0])) == pytest.approx(chunk.at(int(after_blend[0])))


def test_a_late_chunk_keeps_its_place_in_time():
    """Both chunks describe the same motion; the second comes 150 ms late and nothing of it is shifted."""
    running = plan_of(lambda t: [0.7 * t])
    late = plan_of(lambda t: [0.7 * t], 200 * MS)
    joined = splice(running, late, 350 * MS, 50 * MS, 200 * MS)
    for t in range(350 * MS, joined.end_ns, 7 * MS):
        assert joined.at(t) == pytest.approx([0.7 * t * 1e-9], abs=1e-9)


def test_a_chunk_that_is_already_over_is_refused():
    with pytest.raises(ValueError, match="ends before"):
        splice(standing(np.zeros(1), 0), plan_of(lambda t: [t]), 2_000 * MS, 50 * MS, 200 * MS)


def test_stitching_random_delays_needs_alignment_and_blending():
    """RUNTIME A4 in small: 5 Hz chunks of one intent with a bias each, 60-140 ms late."""
    rng = np.random.default_rng(0)

    def intent(t):
        return np.sin(2 * t) + 0.3 * np.sin(5 * t)

    def run(align: bool, blend_ns: int) -> tuple[float, float]:
        plan, out, pending, next_obs = standing(np.array([intent(0.0)]), 0), [], [], 0
        for now in range(0, 8_000 * MS, 10 * MS):
            if now >= next_obs:
                delay = int(rng.uniform(60, 140)) * MS
                bias = rng.normal(0, 0.02)
                t0 = now if align else now + delay
                q = np.array([[intent((now + r) * 1e-9) + bias] for r in ROWS])
                pending.append((now + delay, Plan.through(t0 + ROWS, q)))
                next_obs += 200 * MS
            while pending and pending[0][0] <= now:
                commit = 50 * MS if blend_ns > 1 else 0
                plan = splice(plan, pending.pop(0)[1], now, commit, blend_ns)
            out.append(plan.at(now)[0])
        out = np.array(out[100:])
        error = out - intent(np.arange(100, 800) * 0.01)
        return float(np.sqrt(np.mean(error**2))), float(np.sqrt(np.mean(np.diff(out, 3) ** 2)) / 1e-6)

    error_naive, jerk_naive = run(align=False, blend_ns=1)
    error_aligned, jerk_aligned = run(align=True, blend_ns=1)
    error_both, jerk_both = run(align=True, blend_ns=200 * MS)
    assert error_aligned < error_naive / 3
    assert error_both < error_naive / 3
    assert jerk_both < jerk_aligned / 2 and jerk_both < jerk_naive / 2
