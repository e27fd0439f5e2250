"""What is told as committed is what the driver executes: its real core, on emulated arms and an injected clock."""

from __future__ import annotations

import numpy as np
import pytest
from rig import Rig

from piper_bringup.arm.config import DriverConfig
from piper_bringup.arm.safety import Mode, Reason
from piper_bringup.data.names import DT_NS, HORIZON
from smp_policy.run.chunk import BLEND_NS, BRAKE, BRAKE_ROWS, COMMIT_NS, Latency, Schedule

MS = 1_000_000
STRIDE_NS = 4 * DT_NS


class Sender:
    """Observes every STRIDE_NS and sends what it made of it a while later, as a policy does."""

    def __init__(self, rig: Rig, delay_ns: int) -> None:
        self.rig, self.delay_ns, self.rng = rig, delay_ns, np.random.default_rng(1)
        self.schedule = Schedule(rig.core.motion.at.q, rig.ns)
        self.told: dict[int, np.ndarray] = {}  # due -> committed row
        self.executed: dict[int, np.ndarray] = {}  # instant -> target of the driver
        self.waiting: tuple[int, np.ndarray] | None = None
        self.next_ns = rig.ns + 10 * MS

    def each(self) -> None:
        """Before every tick of the driver."""
        self.look()
        now_ns = self.rig.ns
        if now_ns >= self.next_ns:
            committed = self.schedule.committed(now_ns, now_ns + self.delay_ns)
            self.told |= {now_ns + (i + 1) * DT_NS: row for i, row in enumerate(committed)}
            rows = self.schedule.plan.at(now_ns) + np.cumsum(self.rng.normal(0.0, 0.005, (HORIZON, 14)), axis=0)
            rows[:, [6, 13]] = 0.03
            rows[: len(committed)] = committed
            self.waiting, self.next_ns = (now_ns, rows), now_ns + STRIDE_NS
        if self.waiting is not None and now_ns == self.waiting[0] + self.delay_ns:
            t_obs_ns, rows = self.waiting
            self.send(t_obs_ns, rows)
            self.schedule.take(t_obs_ns, rows, now_ns)

    def send(self, t_obs_ns: int, rows: np.ndarray) -> None:
        """To the driver, which looks at it in the tick that follows."""
        chunk = self.rig.chunk(lambda t: rows[round(t * 1e9 / DT_NS) - 1], t_obs_ns=t_obs_ns + self.rig.wall_offset_ns)
        self.rig.send(chunk)

    def look(self) -> None:
        """What the driver's newest tick was aimed at."""
        if self.rig.mode() == Mode.FOLLOW:
            self.executed[self.rig.core.now_ns] = self.rig.core.motion.plan.at(self.rig.core.now_ns)


@pytest.mark.parametrize("delay_ms", [0, 50, 130])
def test_committed_rows_are_what_the_driver_executes(delay_ms):
    with Rig() as rig:
        rig.enabled()
        sender = Sender(rig, delay_ms * MS)
        rig.run(1.3, sender.each)
        sender.look()
        both = sorted(sender.told.keys() & sender.executed.keys())
        assert len(both) >= 5 * ((delay_ms * MS + COMMIT_NS) // DT_NS) - 1 and rig.core.rejected == 0
        for due_ns in both:
            np.testing.assert_allclose(sender.told[due_ns], sender.executed[due_ns], atol=1e-9)
        now_ns = rig.core.now_ns  # and the whole belief is what the driver has
        for t_ns in range(now_ns, now_ns + 400 * MS, 10 * MS):
            np.testing.assert_allclose(sender.schedule.plan.at(t_ns), rig.core.motion.plan.at(t_ns), atol=1e-9)


def test_a_refused_chunk_is_taken_back_and_a_hold_stands():
    with Rig() as rig:
        rig.enabled()
        sender = Sender(rig, 50 * MS)
        rig.run(0.5, sender.each)
        far = sender.schedule.plan.at(rig.ns) + 0.6 * (np.arange(14) == 0)
        sender.send(rig.ns, np.tile(far, (HORIZON, 1)))
        sender.schedule.take(rig.ns, np.tile(far, (HORIZON, 1)), rig.ns)
        rig.tick()
        assert rig.core.rejected == 1 and Reason.CHUNK_JUMP in rig.reasons()
        sender.schedule.undo()
        t_ns = rig.ns + 300 * MS
        np.testing.assert_allclose(sender.schedule.plan.at(t_ns), rig.core.motion.plan.at(t_ns), atol=1e-9)
        rig.run(1.0)
        assert rig.mode() == Mode.HOLD
        sender.schedule.stand(rig.core.motion.at.q, rig.ns)
        assert np.array_equal(sender.schedule.committed(rig.ns, rig.ns)[0], rig.core.motion.at.q)


def test_braking_comes_to_rest_inside_the_drivers_limits():
    config = DriverConfig(speed_percent=100.0)
    start = np.zeros(14)
    schedule = Schedule(start, 0)
    v = np.where(np.isin(np.arange(14), (6, 13)), 0.15, 1.4)
    rows = start + v * (np.arange(HORIZON)[:, None] + 1) * DT_NS * 1e-9
    schedule.take(0, rows, 0)
    t_ns = 300 * MS
    brake = schedule.brake(t_ns, t_ns + 10 * MS)
    assert brake.shape == (BRAKE_ROWS, 14) and np.array_equal(brake[-1], brake[-2])
    np.testing.assert_allclose(brake[0], schedule.plan.at(t_ns + DT_NS))  # committed
    schedule.take(t_ns, brake, t_ns + 10 * MS)
    every = np.stack([schedule.plan.at(t) for t in range(t_ns, t_ns + 500 * MS, 10 * MS)])
    speed = np.diff(every, axis=0) * 100
    assert (np.abs(speed) <= config.v_max(100.0) * 1.01).all() and np.abs(speed[-1]).max() < 0.01
    # The way that is left is the brake's, within what blending adds.
    assert (brake[-1] - schedule.plan.at(t_ns + 60 * MS) <= v**2 / (2 * BRAKE) + 0.01).all()


def test_what_is_committed_counts_rows_due_before_the_chunk_acts():
    schedule = Schedule(np.zeros(14), 0, commit_ns=50 * MS, blend_ns=BLEND_NS)
    counts = {ms: schedule.committed(1_000 * MS, (1_000 + ms) * MS) for ms in (0, 49, 50, 99, 100, 500)}
    assert {ms: 0 if rows is None else len(rows) for ms, rows in counts.items()} == {
        0: 1, 49: 1, 50: 2, 99: 2, 100: 3, 500: 11
    }  # fmt: skip
    assert Schedule(np.zeros(14), 0, commit_ns=0).committed(0, 49 * MS) is None
    assert schedule.committed(1_000 * MS, 900 * MS) is None  # a clock that jumped


def test_what_was_in_force_before_the_newest_chunk_is_remembered():
    """An observation may be older than that: cameras are slow, and inference as long as a stride."""
    schedule = Schedule(np.zeros(14), 0)
    rows = np.linspace(0.0, 0.3, HORIZON)[:, None] * np.ones(14)
    schedule.take(0, rows, 0)
    before = schedule.plan
    schedule.take(200 * MS, rows + 0.1, 250 * MS)
    assert np.array_equal(schedule.at(220 * MS), before.at(220 * MS))
    assert np.array_equal(schedule.at(300 * MS), schedule.plan.at(300 * MS))
    told = schedule.committed(200 * MS, 350 * MS)
    assert np.allclose(told, [schedule.at((250 + 50 * i) * MS) for i in range(4)])


def test_a_chunk_that_comes_after_its_last_row_is_refused():
    schedule = Schedule(np.zeros(14), 0)
    with pytest.raises(ValueError, match="committed prefix"):
        schedule.take(0, np.ones((HORIZON, 14)), HORIZON * DT_NS)
    assert np.array_equal(schedule.plan.at(2_000 * MS), np.zeros(14))


def test_latency_forgets_and_one_spike_does_not_count():
    latency = Latency(30 * MS)
    assert latency.expected_ns == 30 * MS
    for _ in range(10):
        latency.add(20 * MS)
    latency.add(2_000 * MS)
    assert latency.expected_ns == 20 * MS
    for _ in range(Latency.WINDOW):
        latency.add(80 * MS)  # it has really become slower
    assert latency.expected_ns == 80 * MS
    for _ in range(Latency.WINDOW):
        latency.add(15 * MS)
    assert latency.expected_ns == 15 * MS
