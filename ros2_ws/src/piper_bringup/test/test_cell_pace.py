"""How the cell keeps step with real time."""

from __future__ import annotations

import threading

import pytest

from piper_bringup.cell.loop import Loop
from piper_bringup.cell.pace import Pace

MS = 1_000_000


def test_pace_keeps_absolute_deadlines():
    pace = Pace(5 * MS, now_ns=0)
    assert pace.wait_ns(1 * MS) == 4 * MS
    assert pace.wait_ns(7 * MS) == 3 * MS  # a late tick shortens the next wait
    assert pace.wait_ns(25 * MS) == 0
    assert pace.wait_ns(25 * MS) == 0  # catching up
    assert pace.wait_ns(25 * MS) == 0
    assert pace.wait_ns(25 * MS) == 5 * MS


def test_pace_gives_up_what_is_more_than_50_ms_behind():
    pace = Pace(5 * MS, now_ns=0)
    burst = 0
    now_ns = 505 * MS
    while pace.wait_ns(now_ns) == 0:
        burst += 1
    assert burst == 11  # the late tick and 50 ms more
    report = pace.report(now_ns)
    assert report.given_up_ms == pytest.approx(450)
    assert report.worst_late_ms == pytest.approx(500)
    assert report.real_time_factor == pytest.approx(12 * 5 / 505)


def test_real_time_factor_is_that_of_the_time_since_the_last_report():
    pace = Pace(5 * MS, now_ns=0)
    for tick in range(1, 201):
        pace.wait_ns(tick * 5 * MS)
    assert pace.report(1000 * MS).real_time_factor == pytest.approx(1.0)
    for tick in range(1, 101):
        pace.wait_ns(1000 * MS + tick * 10 * MS)
    assert pace.report(2000 * MS).real_time_factor == pytest.approx(0.5)
    assert pace.overall(2000 * MS) == (300, pytest.approx(0.75))


def test_loop_hands_over_the_error_that_ended_it():
    ended, errors = threading.Event(), []

    def tick() -> None:
        raise RuntimeError("broken")

    loop = Loop(tick, 5 * MS, lambda error: (errors.append(error), ended.set()))
    loop.start()
    assert ended.wait(timeout=10)
    loop.stop()
    assert [str(error) for error in errors] == ["broken"]


def test_loop_stops_between_two_ticks():
    ticked = threading.Event()
    loop = Loop(ticked.set, 5 * MS, lambda error: None)
    loop.start()
    assert ticked.wait(timeout=10)
    loop.stop()
    count, _ = loop.overall()
    ticked.clear()
    assert not ticked.wait(timeout=0.05)
    assert loop.overall()[0] == count
