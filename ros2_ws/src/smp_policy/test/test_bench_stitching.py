"""Stitching of chunks: what each way of joining does to known motion, and what is said of it (RUNTIME A4 as a test)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from piper_bringup.cell.expert import COMMAND_NS
from piper_bringup.data.names import DT_NS, HORIZON
from smp_policy.run.chunk import COMMIT_NS

ROOT = Path(__file__).resolve().parents[4]
SPAN = (60, 140)


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import stitching, stitching_methods, stitching_sources, stitching_verdict

    return SimpleNamespace(
        table=stitching, methods=stitching_methods, sources=stitching_sources, verdict=stitching_verdict
    )


def named(bench, part: str):
    return next(method for method in bench.methods.METHODS if part in method.name)


def play(bench, method, source, span=SPAN, ask=None):
    """Measure of one motion."""
    timing = bench.table.timing_of(source.seed, span, source.until_ns)
    start = source.intent(np.array([0]))[0]
    motion = bench.methods.Motion(method, start, ask or source.chunk, timing).play(source.until_ns)
    t_ns = np.arange(COMMAND_NS, source.until_ns + 1, COMMAND_NS)
    return bench.verdict.measure(motion, source.meant(t_ns, motion), source.intent(t_ns))


@pytest.mark.parametrize("span", [(5, 15), (60, 140), (220, 300)])
def test_aligned_chunks_that_are_right_are_followed_however_late(bench, monkeypatch, span):
    monkeypatch.setattr(bench.sources, "ERROR_RAD", 0.0)
    waves = bench.sources.Waves(0, 6.0)
    for part in ("chosen", "aligned, blended", "aligned by"):
        assert play(bench, named(bench, part), waves, span).error < 1e-3
    lag_s = 1e-3 * (np.mean(span) + bench.table.AGE_MS)
    speed = np.diff(waves.intent(np.arange(0, waves.until_ns, COMMAND_NS)), axis=0) / (COMMAND_NS * 1e-9)
    expected = lag_s * np.sqrt((speed**2).mean())
    assert play(bench, bench.methods.NAIVE, waves, span).error == pytest.approx(expected, rel=0.3)


def test_alignment_is_for_the_error_and_blending_for_the_jerk(bench):
    waves = bench.sources.Waves(1, 10.0)
    naive, aligned, blended, both, chosen = (
        play(bench, named(bench, part), waves)
        for part in ("naive", "aligned by", "blended only", "aligned, blended", "chosen")
    )
    assert aligned.error < 0.4 * naive.error and aligned.jerk > naive.jerk
    assert blended.jerk < 0.4 * naive.jerk and blended.error > 0.7 * naive.error
    assert both.error < 1.1 * aligned.error and both.jerk < 1.3 * blended.jerk
    assert chosen.error <= both.error and chosen.jerk < both.jerk


def test_the_one_that_is_told_continues_what_is_executed(bench):
    waves, asked = bench.sources.Waves(2, 4.0), []

    def ask(t_obs_ns, target, committed):
        rows = waves.chunk(t_obs_ns, target, committed)
        asked.append((t_obs_ns, committed, rows))
        return rows

    play(bench, named(bench, "chosen"), waves, (100, 100), ask)
    assert len(asked) == 20  # a stride of 0.2 s each
    for _, committed, rows in asked:
        assert len(committed) == (bench.table.AGE_MS * 1_000_000 + 100_000_000 + COMMIT_NS) // DT_NS
        assert np.array_equal(rows[: len(committed)], committed) and rows.shape == (HORIZON, 14)
    assert all(asked[i + 1][0] - asked[i][0] == bench.methods.STRIDE_NS for i in range(len(asked) - 1))


def test_a_slow_one_is_asked_when_it_is_done(bench):
    waves, asked = bench.sources.Waves(2, 4.0), []

    def ask(t_obs_ns, target, committed):
        asked.append(t_obs_ns)
        assert committed is None
        return waves.chunk(t_obs_ns, target, committed)

    play(bench, named(bench, "aligned, blended"), waves, (260, 260), ask)
    assert set(np.diff(asked)) == {250_000_000, 300_000_000} and len(asked) >= 14  # rows, and 260 ms between


def measures(bench, error: float, jerk: float, count: int = 10):
    return [bench.verdict.Measure(error + 1e-4 * i, jerk + i, (0.0, 0.0), 0.0) for i in range(count)]


def test_the_verdict_names_who_is_better(bench):
    chosen, naive, average = bench.methods.CHOSEN, bench.methods.NAIVE, named(bench, "average of all")
    found = {
        (SPAN, chosen): measures(bench, 0.010, 100.0),
        (SPAN, naive): measures(bench, 0.0099, 500.0),
        (SPAN, average): measures(bench, 0.005, 300.0),
    }
    text = bench.verdict.said("known motion", found)
    assert "error best or equal (of averages, less with: aligned, average of all (ACT)); jerk best or equal" in text
    found[SPAN, naive] = measures(bench, 0.008, 50.0)
    text = bench.verdict.said("known motion", found)
    assert "error NOT best, less with: naive" in text and "jerk NOT best, less with: naive" in text


def test_chance_is_not_taken_for_a_difference(bench):
    rng = np.random.default_rng(0)
    noisy = [bench.verdict.Measure(0.007 + rng.normal(0, 0.01), 100.0, (0.0, 0.0), 0.0) for _ in range(10)]
    found = {(SPAN, bench.methods.CHOSEN): measures(bench, 0.010, 100.0), (SPAN, bench.methods.NAIVE): noisy}
    assert bench.verdict.better(found, SPAN, "error") == []


def test_measures_of_a_known_motion(bench):
    t_s = np.arange(1, 401)[:, None] * COMMAND_NS * 1e-9
    intent = np.zeros((400, 14))
    motion = np.repeat(t_s**3, 14, axis=1)
    found = bench.verdict.measure(motion + 0.0, intent, intent)
    assert found.jerk == pytest.approx(6.0, rel=1e-3)
    jump = intent.copy()
    jump[200:] = 0.01
    found = bench.verdict.measure(jump, intent, jump)
    assert found.way == 0.0 and found.steps[1] == 0.0
    found = bench.verdict.measure(jump, intent, intent)
    assert found.steps[1] == pytest.approx(0.01) and found.error == pytest.approx(0.01 * np.sqrt(200 / 300))


def test_what_is_meant_in_a_recorded_run_is_asked_where_the_arms_are(bench, monkeypatch):
    """A model that wants every joint 7 further on than its set-point in force, DT later."""
    monkeypatch.setattr(bench.sources.Run, "_first_row", lambda _, i, target: target + 7.0)
    recorded = np.zeros((21, 14))
    run = bench.sources.Run("lift_bar", 0, None, recorded, np.zeros((21, 1, 1)), recorded)
    t_ns = np.arange(COMMAND_NS, run.until_ns + 1, COMMAND_NS)
    assert run.intent(t_ns)[20:] == pytest.approx(np.full((len(t_ns) - 20, 14), 7.0))
    ramp = np.repeat(t_ns[:, None] / DT_NS, 14, axis=1)  # set-points go on by 1 a row, and are i at i DT
    rows = run.meant(t_ns, ramp)[DT_NS // COMMAND_NS - 1 :: DT_NS // COMMAND_NS]  # at DT, 2 DT ..
    assert rows[:, 0] == pytest.approx(np.arange(len(rows)) + 7.0)
