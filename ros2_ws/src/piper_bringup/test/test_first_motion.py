"""first_motion: small, slow, back to where it began; refused unless both arms hold at 10 %; on the real driver."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest
from driver_rig import DriverRig, ended
from hypothesis import given
from hypothesis import strategies as st

from piper_bringup.arm.config import DriverConfig
from piper_bringup.arm.safety import Mode
from piper_bringup.data import names
from piper_bringup.first_motion import AWAY_M, AWAY_RAD, against, motion
from piper_bringup.first_motion_node import FirstMotionNode
from smp_msgs.msg import ArmStatus

DT_S = names.DT_NS * 1e-9
LOW = np.array([*names.JOINT_LOWER_RAD, 0.0] * 2)
HIGH = np.array([*names.JOINT_UPPER_RAD, names.GRIPPER_MAX_M] * 2)


@given(st.lists(st.floats(0.0, 1.0), min_size=14, max_size=14))
def test_it_stays_inside_the_limits_is_slow_and_comes_back(share):
    at = LOW + np.array(share) * (HIGH - LOW)
    q = motion(at).q
    assert np.array_equal(q[0], at) and np.array_equal(q[-1], at)
    assert (q >= LOW - 1e-9).all() and (q <= HIGH + 1e-9).all()
    assert np.abs(np.diff(q, axis=0)).max() / DT_S < 0.5 * DriverConfig().v_max(10.0)[0]
    assert ((np.abs(q - at) > 1e-9).sum(axis=1) <= 1).all()  # one at a time


def test_each_step_says_what_moves():
    told = [text for _, text in motion(np.zeros(14)).said]
    assert told[0] == f"left gripper: +{AWAY_M:g} m and back"
    assert told[-1] == f"right joint1: +{AWAY_RAD:g} rad and back"
    rows = [row for row, _ in motion(np.zeros(14)).said]
    assert rows == sorted(set(rows)) and rows[0] == 0


def holding(**changes: object) -> dict[str, ArmStatus]:
    status = ArmStatus(mode=Mode.HOLD, mode_name="HOLD", reason="ENABLED", speed_percent=10.0)
    other = ArmStatus(mode=Mode.HOLD, mode_name="HOLD", reason="ENABLED", speed_percent=10.0)
    for name, value in changes.items():
        setattr(other, name, value)
    return {"left": status, "right": other}


@pytest.mark.parametrize(
    ("statuses", "commanders", "says"),
    [
        ({}, 0, "nothing heard of the left arm"),
        (holding(mode=int(Mode.DISABLED), mode_name="DISABLED"), 0, "the right arm is in DISABLED"),
        (holding(speed_percent=30.0), 0, "speed is 30 %: set_speed 10 first"),
        (holding(), 1, "somebody else commands the arms"),
        (holding(), 0, ""),
    ],
)
def test_nothing_moves_unless_both_arms_hold_slowly_and_alone(statuses, commanders, says):
    told = against(statuses, commanders)
    assert told.startswith(says) and bool(told) == bool(says)


def refused(line: list[str]) -> str:
    """What the program says when it moves nothing."""
    done = subprocess.run(line, capture_output=True, text=True, timeout=60.0, check=False)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.live
@pytest.mark.timeout(180)
def test_the_real_driver_follows_it_and_holds_afterwards():
    line = [sys.executable, "-m", "piper_bringup.first_motion_node"]
    with DriverRig() as rig, ExitStack() as ends:
        assert "has to hold: enable first" in refused(line)
        rig.until(lambda: rig.ask("set_speed", speed_percent=10.0).success)
        rig.until(lambda: rig.ask("enable", data=True).success)
        rig.until(lambda: rig.mode() == "HOLD" and rig.statuses["left"].speed_percent == 10.0)
        assert "somebody else commands the arms" in refused(line)
        rig.node.destroy_publisher(rig.chunks)
        program = ended(line, ends)
        rig.until(lambda: rig.mode() == "FOLLOW" and rig.commands[-1].position[6] > 0.9 * AWAY_M)
        rig.until(lambda: program.poll() is not None, 60.0)
        assert program.returncode == 0, program.stdout.read()
        rig.until(lambda: rig.mode() == "HOLD")
        assert rig.statuses["left"].rejected_chunks == 0


@pytest.mark.live
@pytest.mark.timeout(180)
def test_an_interrupt_stops_the_arms_where_they_are():
    line = [sys.executable, "-m", "piper_bringup.first_motion_node"]
    column = names.JOINTS.index("left_joint6")
    with DriverRig() as rig, ExitStack() as ends:
        rig.until(lambda: rig.ask("set_speed", speed_percent=10.0).success)
        rig.until(lambda: rig.ask("enable", data=True).success)
        rig.until(lambda: rig.mode() == "HOLD" and rig.statuses["left"].speed_percent == 10.0)
        rig.node.destroy_publisher(rig.chunks)
        program = ended(line, ends)
        rig.until(lambda: rig.mode() == "FOLLOW" and rig.commands[-1].position[column] > 0.3 * AWAY_RAD, 60.0)
        program.send_signal(signal.SIGINT)
        was = rig.commands[-1].position[column]
        rig.until(lambda: program.poll() is not None, 60.0)
        rig.until(lambda: rig.mode() == "HOLD")
        assert program.returncode == 1 and "stopped; both arms hold where they are" in program.stdout.read()
        assert rig.commands[-1].position[column] - was < 0.3 * AWAY_RAD  # the chunk before leads half of it further
        assert rig.statuses["left"].rejected_chunks == 0


@pytest.mark.parametrize(
    ("taken", "readers", "says"), [(True, 1, "hold where they are"), (False, 1, "e-stop"), (True, 0, "e-stop")]
)
def test_a_stop_that_the_driver_did_not_take_is_said(taken, readers, says):
    told: list[str] = []
    node = FirstMotionNode.__new__(FirstMotionNode)  # no ROS: only what is said of an answer
    node._stream, node._send = SimpleNamespace(halted=lambda now_ns: "chunk"), lambda chunk: None
    node._chunks = SimpleNamespace(wait_for_all_acked=lambda _: taken, get_subscription_count=lambda: readers)
    node.get_logger = lambda: SimpleNamespace(info=told.append, error=told.append)
    node._stop()
    assert len(told) == 1 and says in told[0]
