"""commander: windows of a motion continue each other, whenever the publisher wakes up."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piper_bringup.arm.safety import Mode
from piper_bringup.commander import HELD_NS, REPLAN_NS, SILENT_NS, Stream, chunk, trouble
from piper_bringup.data.joints import stamp_ns
from piper_bringup.data.names import DT_NS, GRIPPER_COLUMNS, HORIZON, JOINTS, REPLAN_ROWS

T = 37
BEGAN_NS = 1_000_000_000_000
Q = np.arange(T, dtype=float)[:, None] + np.zeros(len(JOINTS))  # row i holds i
STREAM = Stream(Q, BEGAN_NS)


def row_at(t_ns: int) -> float:
    """What the motion says for a row due at t_ns."""
    return min(max((t_ns - BEGAN_NS) // DT_NS - 1, 0), T - 1)


@given(st.integers(0, T * DT_NS - 1))
def test_every_row_is_due_when_the_motion_says(elapsed_ns):
    window = STREAM.window(BEGAN_NS + elapsed_ns)
    assert window.rows.shape == (HORIZON, len(JOINTS))
    for i, row in enumerate(window.rows):
        assert row[0] == row_at(window.t_obs_ns + (i + 1) * DT_NS)


@given(st.integers(0, T * DT_NS - 1))
def test_a_window_is_never_from_the_future_nor_older_than_one_replan(elapsed_ns):
    now_ns = BEGAN_NS + elapsed_ns
    age_ns = now_ns - STREAM.window(now_ns).t_obs_ns
    assert 0 <= age_ns < REPLAN_NS


def test_the_first_window_begins_with_the_first_row():
    assert STREAM.window(BEGAN_NS).rows[0, 0] == 0
    assert STREAM.window(BEGAN_NS).t_obs_ns == BEGAN_NS


def test_windows_follow_every_four_rows():
    stamps = {STREAM.window(BEGAN_NS + i * DT_NS).t_obs_ns for i in range(2 * REPLAN_ROWS)}
    assert stamps == {BEGAN_NS, BEGAN_NS + REPLAN_NS}


def test_the_last_row_is_repeated_and_then_it_ends():
    last = STREAM.window(STREAM.end_ns - 1)
    assert last.rows[0, 0] == 36 and np.all(last.rows[:, 0] == T - 1)
    assert STREAM.window(STREAM.end_ns) is None


def test_the_plan_outlasts_the_last_window_long_enough_to_park():
    last = STREAM.window(STREAM.end_ns - 1)
    assert last.t_obs_ns + HORIZON * DT_NS - STREAM.end_ns >= (HORIZON - REPLAN_ROWS) * DT_NS


@given(st.integers(0, T * DT_NS - 1))
def test_a_halted_motion_ends_at_the_row_due_next(elapsed_ns):
    halted = STREAM.halted(BEGAN_NS + elapsed_ns)
    assert 0 <= BEGAN_NS + elapsed_ns - halted.t_obs_ns < DT_NS
    assert halted.rows.shape == (HORIZON, len(JOINTS))
    assert (halted.rows == row_at(halted.t_obs_ns + DT_NS)).all()


def test_a_stalled_publisher_skips_rows():
    assert STREAM.window(BEGAN_NS + 7 * REPLAN_NS).rows[0, 0] == 7 * REPLAN_ROWS


@given(st.integers(0, T - 2), st.integers(0, 15), st.floats(-0.4, 0.4))  # when the last row is due it is over
def test_a_stopped_motion_goes_on_from_the_row_where_the_arms_stand(due, behind, off):
    now_ns = BEGAN_NS + (due + 1) * DT_NS
    stand = max(due - behind, 0)
    resumed = STREAM.resumed(Q[stand] + off, now_ns)
    assert resumed.began_ns + (stand + 1) * DT_NS == now_ns
    window = resumed.window(now_ns)
    assert window.rows[(now_ns - window.t_obs_ns) // DT_NS - 1, 0] == stand or window.t_obs_ns == now_ns


def test_a_motion_never_resumes_ahead_of_what_was_due():
    now_ns = BEGAN_NS + 5 * DT_NS
    assert STREAM.resumed(Q[30], now_ns) == STREAM


def test_a_gripper_that_holds_something_does_not_count():
    now_ns = BEGAN_NS + 6 * DT_NS
    stand = Q[5].copy()
    stand[list(GRIPPER_COLUMNS)] = -100.0
    assert STREAM.resumed(stand, now_ns).began_ns == BEGAN_NS


@pytest.mark.parametrize("q", [np.zeros((0, 14)), np.zeros((5, 7)), np.zeros(14)])
def test_a_motion_of_another_shape_is_refused(q):
    with pytest.raises(ValueError, match=r"shape \(T, 14\)"):
        Stream(q, 0)


def test_the_message_is_a_chunk_as_the_driver_wants_it():
    offset_ns = 1_700_000_000_123_456_789
    window = STREAM.window(BEGAN_NS + REPLAN_NS)
    message = chunk(window, offset_ns)
    assert stamp_ns(message) == BEGAN_NS + REPLAN_NS + offset_ns
    assert tuple(message.joint_names) == JOINTS
    assert [list(point.positions) for point in message.points] == window.rows.tolist()
    due = [p.time_from_start.sec * 1_000_000_000 + p.time_from_start.nanosec for p in message.points]
    assert due == [(i + 1) * DT_NS for i in range(HORIZON)]
    assert not any(p.velocities or p.accelerations or p.effort for p in message.points)


def statuses(left: Mode, right: Mode | None = None, heard_ns: int = 0) -> dict:
    modes = {"left": left, "right": left if right is None else right}
    return {
        arm: (SimpleNamespace(mode=int(mode), mode_name=mode.name, reason="WHY"), heard_ns)
        for arm, mode in modes.items()
    }


@pytest.mark.parametrize("mode", [Mode.FAULT, Mode.ESTOP, Mode.DISCONNECTED, Mode.DISABLED, Mode.PARK])
def test_a_driver_that_stopped_stops_the_motion_and_is_quoted(mode):
    assert trouble(statuses(Mode.FOLLOW, mode), 0, 0) == f"the driver is in {mode.name} (WHY)"


def test_a_short_hold_is_waited_out_and_a_long_one_is_not():
    assert trouble(statuses(Mode.HOLD, heard_ns=HELD_NS), 0, HELD_NS) is None
    told = trouble(statuses(Mode.HOLD, heard_ns=HELD_NS + 1), 0, HELD_NS + 1)
    assert told == "the driver does not follow: HOLD (WHY)"


def test_a_silent_driver_stops_the_motion():
    assert trouble(statuses(Mode.FOLLOW), SILENT_NS, SILENT_NS) is None
    assert "left arm" in trouble(statuses(Mode.FOLLOW), SILENT_NS + 1, SILENT_NS + 1)
