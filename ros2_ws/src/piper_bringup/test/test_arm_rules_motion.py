"""S-rules about motion: clamps, holds, tracking, both arms together (HARDWARE §d)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from rig import READY_RAD, Rig

from piper_bringup.arm.safety import Mode, Reason
from piper_bringup.can.settings import FACTORY_LIMITS
from piper_bringup.data import names

DT = 0.01
LEFT1 = np.arange(14) == 0


@pytest.fixture
def rig():
    with Rig() as rig:
        yield rig.enabled()


def told(rig: Rig, first: int) -> np.ndarray:
    """(ticks, 14) set-points since tick ``first``."""
    return np.array([q for q in rig.sent[first:] if q is not None])


def ramp(start: np.ndarray, columns: np.ndarray, speed: float, reach: float):
    """Motion that moves ``columns`` at ``speed`` until ``reach``."""
    return lambda t: start + columns * np.sign(reach) * min(speed * t, abs(reach))


def test_s02_positions_are_clamped_inside_the_margin(rig):
    start, first = rig.core.motion.at.q.copy(), len(rig.sent)
    joint2 = np.arange(14) == 1
    rig.follow(ramp(start, joint2, 1.0, -(READY_RAD[1] + 0.08)), 2.0)  # 0.08 rad past the lower limit
    assert told(rig, first)[:, 1].min() == pytest.approx(0.02, abs=1e-9)
    assert rig.core.motion.clamped["position"] > 0
    assert rig.q()[1] == pytest.approx(0.02, abs=0.005)


def test_s02_the_narrower_of_published_and_firmware_limits_counts():
    narrow = tuple(replace(limit, upper_rad=0.5) if i == 0 else limit for i, limit in enumerate(FACTORY_LIMITS))
    with Rig(firmware={"limits": narrow}) as rig:
        rig.enabled()
        start, first = rig.core.motion.at.q.copy(), len(rig.sent)
        rig.follow(ramp(start, LEFT1, 1.0, 0.55), 1.0)
        assert told(rig, first)[:, 0].max() == pytest.approx(0.48, abs=1e-3)


@pytest.mark.parametrize(("percent", "limit"), [(80.0, 1.5), (30.0, 0.9)])
def test_s04_s05_speed_and_acceleration_of_the_set_point_are_clamped(percent, limit):
    with Rig(speed_percent=percent) as rig:
        rig.enabled()
        start, first = rig.core.motion.at.q.copy(), len(rig.sent)
        rig.follow(ramp(start, LEFT1 * 1.0, 4.0, 0.34), 0.9)
        q = told(rig, first)[:, 0]
        v = np.diff(q) / DT
        assert np.abs(v).max() <= limit + 1e-6
        speeding_up = np.diff(np.abs(v)) > 0
        assert (np.diff(v)[speeding_up] / DT).max() <= 5.0 + 1e-6
        assert rig.core.motion.clamped["velocity"] + rig.core.motion.clamped["acceleration"] > 0  # S29: and counted
        assert q[-1] == pytest.approx(start[0] + 0.34, abs=0.02)


def test_s08_s09_without_a_row_for_now_both_arms_hold_within_one_cycle_where_they_are(rig):
    start = rig.core.motion.at.q.copy()
    both = (np.arange(14) == 0) | (np.arange(14) == 7)
    target = start.copy()
    target[6] = 0.05

    def motion(t: float) -> np.ndarray:
        return target + both * 0.8 * t

    rig.follow(motion, 1.0)
    end_ns = rig.core.motion.end_ns
    while rig.ns < end_ns:
        rig.run(DT)
        assert rig.mode() == Mode.FOLLOW
    rig.run(DT)
    assert rig.mode() == Mode.HOLD and rig.core.safety.reason == Reason.NO_ROW
    held = rig.sent[-1]
    joints = [i for i in range(14) if i not in names.GRIPPER_COLUMNS]
    assert held[joints] == pytest.approx(rig.measured[-1][joints], abs=2e-3)  # measured, not the last command
    assert held[6] == pytest.approx(0.05)  # the gripper keeps its target: what it holds is not dropped
    first = len(rig.sent)
    rig.run(3.0)
    assert np.ptp(told(rig, first), axis=0).max() == 0.0
    assert np.abs(rig.q() - held)[joints].max() < 0.06  # the arm's own stopping lag, then back


def test_s08_a_hold_does_not_drift_down_under_load(rig):
    """A loaded arm stands below its set-point: measuring again and again would lower it step by step."""
    plant = rig.sides["left"].plant
    unloaded = plant.step

    def loaded(drive, dt_s):
        state = unloaded(drive, dt_s)
        return replace(state, q_rad=state.q_rad - 0.02 * (np.arange(6) == 1))

    plant.step = loaded
    start = rig.core.motion.at.q.copy()
    rig.follow(lambda t: start, 0.3)
    rig.run(1.0)
    assert rig.mode() == Mode.HOLD
    held = rig.core.motion.at.q.copy()
    rig.ask("hold")
    rig.run(3.0)
    assert np.array_equal(rig.core.motion.at.q, held)


def test_s07_an_arm_that_does_not_follow_is_a_fault_and_stops_both(rig):
    start = rig.core.motion.at.q.copy()
    rig.sides["left"].fault(frozen_encoders=True)
    both = (np.arange(14) == 0) | (np.arange(14) == 7)
    rig.follow(ramp(start, both, 1.2, 1.2), 1.5)
    assert rig.mode() == Mode.FAULT
    event = next(e for e in rig.events if e.reason == Reason.TRACKING_ERROR)
    assert event.arm == "left" and "left_joint1" in event.text
    assert rig.q()[0] - start[0] < 0.35 + 1.5 * 0.3 + 0.1  # as far as S7 lets it
    here = rig.q()
    rig.follow(ramp(start, both, 1.2, 1.2), 1.0)
    assert np.abs(rig.q() - here).max() < 0.02


def test_s25_both_arms_stop_in_the_same_cycle(rig):
    start = rig.core.motion.at.q.copy()
    both = (np.arange(14) == 0) | (np.arange(14) == 7)
    rig.follow(lambda t: start + both * 0.6 * t, 0.8)
    assert rig.mode() == Mode.FOLLOW
    rig.sides["left"].fault(collision=frozenset({3}))
    while rig.mode() == Mode.FOLLOW:
        rig.run(DT)
        assert len(rig.ticks) < 1000
    stopped = len(rig.sent) - 1
    rig.run(0.3)
    assert np.ptp(told(rig, stopped)[:, 7]) == 0.0  # the healthy arm, from the very tick of the fault on
    assert rig.mode() == Mode.FAULT


def test_s17_enabling_moves_nothing(rig):
    start = rig.q()
    rig.run(2.0)
    assert np.abs(rig.q() - start).max() < 0.01


def test_s20_s28_one_set_point_a_tick_and_the_mode_twice_a_second(rig):
    rig.run(0.1)
    for side in rig.sides.values():
        side.heard.clear()
    rig.run(2.0)
    rig.ask("set_speed", 55.0)
    for side in rig.sides.values():
        counts = Counter(frame_id for frame_id, _ in side.heard)
        ticks = 200 + 5
        for frame_id in (0x155, 0x156, 0x157, 0x159):
            assert abs(counts[frame_id] - ticks) <= 2
        assert 4 <= counts[0x151] <= 7
        modes = [data for frame_id, data in side.heard if frame_id == 0x151]
        assert modes[-1][:4] == bytes([1, 1, 55, 0])


def test_a_chunk_that_comes_late_is_followed_where_it_belongs_in_time(rig):
    """300 ms late: the arms stay on the intended motion instead of replaying it 300 ms behind."""
    start, t0 = rig.core.motion.at.q.copy(), rig.ns
    waiting = []

    def intent(t: float) -> np.ndarray:
        return start + LEFT1 * 0.3 * np.sin(1.5 * t)

    def each() -> None:
        if (rig.ns - t0) % 200_000_000 < 10_000_000:
            now_s = (rig.ns - t0) * 1e-9
            waiting.append((rig.ns + 300_000_000, rig.chunk(lambda t: intent(now_s + t))))
        while waiting and waiting[0][0] <= rig.ns:
            rig.send(waiting.pop(0)[1])

    rig.run(3.0, each)
    assert rig.mode() == Mode.FOLLOW
    wanted = np.array([intent((tick.mono_ns - t0) * 1e-9)[0] for tick in rig.ticks[-150:]])
    assert np.abs(told(rig, len(rig.sent) - 150)[:, 0] - wanted).max() < 0.01


def test_a_thread_that_wakes_up_unevenly_sends_an_even_motion(rig):
    """Ticks up to 6 ms late, each told when it was due: the set-points move as if none had been."""
    start, t0, first = rig.core.motion.at.q.copy(), rig.ns, None
    rng = np.random.default_rng(0)

    def motion(t: float) -> np.ndarray:
        return start + LEFT1 * 0.5 * (t - np.sin(3 * t) / 3)  # up to 1 rad/s and 1.5 rad/s^2

    for i in range(200):
        if i % 20 == 0:
            now_s = (rig.ns - t0) * 1e-9
            rig.send(rig.chunk(lambda t, now_s=now_s: motion(now_s + t)))
        for _ in range(2):
            rig.ns += 5_000_000
            rig._step_arms()
        due_ns, late_ns = rig.ns, int(rng.uniform(0, 6_000_000))
        rig.ns += late_ns
        rig.sent.append(rig.core.tick(due_ns).command.copy())
        rig.ns = due_ns
        rig.wait(lambda: all(arm.idle() for arm in rig.arms.values()))
        first = len(rig.sent) if i == 60 else first
    steps = np.diff(told(rig, first)[:, 0])
    assert np.abs(np.diff(steps)).max() / DT**2 < 3.0
    assert rig.core.motion.clamped["acceleration"] < 20
