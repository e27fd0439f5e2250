"""Teleoperation through the driver's real core: lag, ramp, clutch, limits and whatever a leader may do."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from teleop_rig import READY, TICK_NS, TeleopRig

from piper_bringup.arm.safety import Mode
from piper_bringup.data import names
from piper_bringup.record.teleop import (
    BRAKE_ROWS,
    UNHEARD_NS,
    State,
    Teleop,
    TeleopConfig,
    driver_trouble,
    gripper_notice,
)
from piper_bringup.record.teleop_path import BRAKE_STEPS, CHASE_STEPS, STEP_NS, STEP_S, Limits, Path, Track

TICK_S = TICK_NS * 1e-9
ONE = np.eye(14)[0]  # left_joint1
QUICK_DRIVER = {"plan__commit_s": 0.0, "plan__blend_s": 0.05}


def reaches(t_s: float) -> np.ndarray:
    """A hand that reaches out, rests and comes back, at up to 1.1 rad/s."""
    x = np.clip(np.array([t_s - 0.3, t_s - 1.6]) / 0.9, 0.0, 1.0)
    out, back = 10 * x**3 - 15 * x**4 + 6 * x**5
    return READY + 0.55 * (out - back) * ONE


def wave(t_s: float) -> np.ndarray:
    """A hand that swings, from rest."""
    return READY + 0.3 * min(t_s, 1.0) * np.sin(np.pi * t_s) * ONE


def jump(rad: float, at_s: float = 0.3):
    """A leader that is elsewhere from one reading to the next."""
    return lambda t_s: READY + rad * (t_s >= at_s) * ONE


def lag(rig: TeleopRig) -> tuple[float, float]:
    """Seconds by which the follower is late, and what remains of the difference then [rad], root mean square."""
    q, led = rig.q[:, 0], rig.led()[:, 0]
    errors = [float(np.sqrt(np.mean((q[d:] - led[: len(led) - d]) ** 2))) for d in range(40)]
    best = int(np.argmin(errors))
    return best * TICK_S, errors[best]


def engaged(motion, driver: dict | None = None, **config) -> TeleopRig:
    rig = TeleopRig(motion, driver, **config)
    assert rig.engage() == ""
    return rig


def assert_within_limits(rig: TeleopRig) -> None:
    """What was sent kept the driver's limits; grippers too."""
    q = np.vstack([READY, rig.q])
    v = np.diff(q, axis=0) / TICK_S
    v_max, a_max = rig.core.config.v_max(rig.core.motion.speed_percent), rig.core.config.a_max
    assert np.all(np.abs(v) <= v_max + 1e-6)
    faster = np.diff(np.abs(np.vstack([np.zeros(14), v])), axis=0)  # a stop may be sudden (S5), a start may not
    assert np.all(faster <= a_max * TICK_S + 1e-6)


# --- lag -----------------------------------------------------------------------------------------------------------


def test_lag_with_the_drivers_own_parameters():
    """0.11 s behind the hand and within 6 mrad of it then; nothing clamped."""
    rig = engaged(reaches).run(2.6)
    late_s, off_rad = lag(rig)
    assert late_s <= 0.12 and off_rad < 0.006
    assert rig.q[:, 0].max() < 0.55 * 1.03  # overshoot
    assert rig.teleop.state == State.FOLLOW
    assert rig.core.motion.clamped == {"position": 0, "velocity": 0, "acceleration": 0} and rig.core.rejected == 0


def test_lag_with_a_driver_that_fades_chunks_in_quickly():
    """0.05 s, within 2 mrad: with little to fade in, nothing has to be guessed."""
    rig = engaged(reaches, QUICK_DRIVER, delay_s=0.05).run(2.6)
    late_s, off_rad = lag(rig)
    assert late_s <= 0.06 and off_rad < 0.002
    assert rig.core.motion.clamped == {"position": 0, "velocity": 0, "acceleration": 0}


def test_why_the_follower_repeats_and_does_not_guess():
    """Without the delay it lags a little less and swings past the hand."""
    swings = {}
    for delay_s in (0.0, 0.1):
        rig = engaged(wave, delay_s=delay_s).run(2.9)
        swings[delay_s] = np.abs(rig.q[180:, 0]).max() / 0.3
    assert swings[0.1] < 1.02 < 1.04 < swings[0.0]


def test_grippers_follow():
    rig = engaged(lambda t_s: READY + 0.03 * (t_s > 0.3) * np.eye(14)[13]).run(1.2)
    assert rig.q[-1, 13] == pytest.approx(0.05, abs=1e-3) and rig.q[-1, 6] == pytest.approx(0.02, abs=1e-3)
    assert_within_limits(rig)


# --- engaging ------------------------------------------------------------------------------------------------------


def test_a_leader_one_radian_away_is_approached_and_never_jumped_to():
    away = READY + 1.0 * ONE - 0.5 * np.eye(14)[9]
    rig = engaged(lambda t_s: away, engage_within_rad=1.5)
    rig.run(1.0)
    assert rig.teleop.state == State.RAMP
    rig.run(2.4)
    assert rig.teleop.state == State.FOLLOW
    assert np.abs(np.diff(np.vstack([READY, rig.q]), axis=0)).max() <= 0.4 * TICK_S * 1.02
    assert rig.q[-1] == pytest.approx(away, abs=0.01)
    assert np.all(np.diff(rig.q[:, 0]) >= -1e-6)  # straight there
    assert rig.core.motion.clamped == {"position": 0, "velocity": 0, "acceleration": 0}


def test_a_leader_too_far_away_is_refused_and_named():
    rig = TeleopRig(lambda t_s: READY - 1.0 * np.eye(14)[7])
    told = rig.engage()
    assert "right_joint1" in told and "1.00 apart" in told and "engage_within_rad (0.8)" in told
    assert rig.teleop.state == State.OFF
    rig.run(0.2)
    assert not rig.chunks and rig.core.safety.mode == Mode.HOLD


def test_a_gripper_elsewhere_does_not_refuse():
    rig = TeleopRig(lambda t_s: READY + 0.05 * np.eye(14)[6], engage_within_rad=0.01)
    assert rig.engage() == ""


@pytest.mark.parametrize("off_rad", [0.0, 0.5])
def test_a_follower_closed_on_something_opens_slowly_to_its_leader(off_rad):
    wide = READY + off_rad * ONE
    wide[[6, 13]] = 0.07
    rig = engaged(lambda t_s: wide).run(0.3)
    assert rig.teleop.state == State.RAMP
    rig.run(2.6)
    opening = np.diff(rig.q[:, [6, 13]], axis=0) / TICK_S
    assert 0.025 < opening.max() <= 0.03 * 1.02
    assert rig.teleop.state == State.FOLLOW and rig.q[-1, 6] == pytest.approx(0.07, abs=2e-3)


def test_engaging_tells_which_gripper_will_move():
    assert gripper_notice(READY, READY) == ""
    told = gripper_notice(READY, READY + 0.05 * np.eye(14)[13])
    assert told == "right_gripper goes from 20 mm to its leader's 70 mm"


def test_the_clutch_freezes_and_engaging_again_ramps():
    rig = engaged(lambda t_s: READY + 0.6 * min(t_s, 1.2) * ONE)
    rig.run(0.8)
    rig.disengage()
    rig.run(0.41)
    stood = rig.q[-1].copy()
    rig.run(0.6)
    assert rig.q[-1] == pytest.approx(stood, abs=1e-4)  # while its leader went on
    assert rig.core.safety.mode == Mode.HOLD
    assert stood[0] < 0.6 * 0.8 + 0.05
    before = len(rig.sent)
    assert rig.engage() == ""
    rig.run(1.8)
    assert np.abs(np.diff(rig.q[before:], axis=0)).max() <= 0.4 * TICK_S * 1.02
    assert rig.q[-1, 0] == pytest.approx(0.72, abs=0.01)
    assert_within_limits(rig)


# --- leaders that misbehave ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rad", [0.15, -1.0])
def test_a_leader_that_jumps_moves_the_follower_within_its_limits(rad):
    rig = engaged(jump(rad)).run(2.0)
    assert_within_limits(rig)
    assert rig.q[-1, 0] == pytest.approx(rad, abs=0.01)
    assert np.abs(rig.q[:, 0]).max() < abs(rad) + 0.02
    assert rig.core.rejected == 0 and rig.core.motion.clamped["velocity"] == 0


def test_a_leader_that_shakes_faster_than_any_arm_moves_the_follower_within_its_limits():
    rig = engaged(lambda t_s: READY + 0.5 * np.sin(40.0 * t_s) * ONE).run(1.0)
    assert_within_limits(rig)
    assert np.abs(rig.q[:, 0]).max() < 0.5


def test_a_leader_outside_the_followers_limits_stops_at_them():
    rig = engaged(lambda t_s: READY + np.array([0, 0, 1.15, 0, 0, 0, 0] * 2), engage_within_rad=2.0).run(3.5)
    assert rig.q[-1, [2, 9]] == pytest.approx(-names.POSITION_MARGIN_RAD, abs=1e-3)
    assert rig.core.rejected == 0 and rig.core.motion.clamped["position"] == 0


def test_a_leader_that_dies_in_mid_motion_leaves_the_follower_holding():
    """Its last chunk is a stop: at rest before it ends, and then the driver holds."""
    rig = engaged(lambda t_s: READY + 0.8 * t_s * ONE).run(1.0)
    assert rig.core.safety.mode == Mode.FOLLOW
    rig.alive = False
    rig.run(0.1)  # until it counts as silent
    rig.disengage()
    rig.run((BRAKE_ROWS * names.DT_NS + 2 * TICK_NS) * 1e-9)
    assert rig.core.safety.mode == Mode.HOLD and "NO_ROW" in rig.reasons()
    stood = rig.q[-1].copy()
    rig.run(0.5)
    assert rig.q[-1] == pytest.approx(stood, abs=1e-9)
    assert_within_limits(rig)


def test_a_teleoperation_that_dies_leaves_the_follower_at_rest_before_the_driver_holds():
    rig = engaged(lambda t_s: READY + 0.8 * t_s * ONE).run(1.0)
    rig.alive = False  # and nobody sends a last chunk
    rig.run(names.HORIZON * names.DT_NS * 1e-9)
    moved = np.abs(np.diff(rig.q[-6:], axis=0)).max()
    assert moved < 1e-4
    rig.run(0.1)
    assert rig.core.safety.mode == Mode.HOLD


# --- the driver ----------------------------------------------------------------------------------------------------


def test_a_slower_driver_is_not_asked_for_more():
    rig = engaged(jump(0.5), {"speed_percent": 20.0}).run(2.0)
    assert np.abs(np.diff(rig.q, axis=0)).max() < 0.95 * 0.2 * 3.0 * TICK_S
    assert rig.core.motion.clamped["velocity"] == 0


def statuses(mode: Mode, heard_ns: int = 0, reason: str = "WHY") -> dict:
    status = SimpleNamespace(mode=int(mode), mode_name=mode.name, reason=reason)
    return {arm: (status, heard_ns) for arm in names.ARMS}


@pytest.mark.parametrize("mode", set(Mode) - {Mode.HOLD, Mode.FOLLOW})
def test_a_driver_that_can_follow_nobody_is_quoted(mode):
    assert f"{mode.name} (WHY)" in driver_trouble(0, statuses(mode))
    assert ("piper_driver/enable" in driver_trouble(0, statuses(mode))) == (mode == Mode.DISABLED)


def test_a_silent_driver_is_named():
    assert "no arm_status of the left arm" in driver_trouble(0, {})
    assert "alive" in driver_trouble(2_000_000_000, statuses(Mode.HOLD))
    assert driver_trouble(0, statuses(Mode.HOLD)) == ""


def test_a_hold_ends_the_engagement_once_the_driver_has_followed():
    teleop = Teleop(TeleopConfig())
    assert teleop.engage(0, READY, READY) == ""
    assert teleop.trouble(UNHEARD_NS, statuses(Mode.HOLD, UNHEARD_NS)) == ""  # it has not heard of us yet
    late_ns = UNHEARD_NS + 1
    assert "does not follow (PARKED); call" in teleop.trouble(late_ns, statuses(Mode.HOLD, late_ns, "PARKED"))
    assert teleop.trouble(late_ns, statuses(Mode.FOLLOW, late_ns)) == ""
    held = statuses(Mode.HOLD, late_ns, "FEEDBACK_STALE")
    assert teleop.trouble(late_ns, held) == "the driver holds (FEEDBACK_STALE)"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"delay_s": 0.7}, "delay_s is 0.7, valid: 0 to 0.4"),
        ({"ramp_velocity_rad_s": float("nan")}, "ramp_velocity_rad_s is nan"),
        ({"velocity_rad_s": 1.35, "acceleration_rad_s2": 1.0}, "velocity_rad_s is 1.35, valid: at most 0.4"),
        ({"gripper__velocity_m_s": 0.9}, "gripper.velocity_m_s is 0.9, valid: at most 0.64"),
    ],
)
def test_wrong_parameters_are_named(wrong, told):
    with pytest.raises(ValueError, match=told.replace(".", r"\.")):
        TeleopConfig(**wrong)


# --- paths ---------------------------------------------------------------------------------------------------------

LIMITS = Limits(np.full(14, -2.0), np.full(14, 2.0), np.full(14, 1.35), np.full(14, 4.0))


@settings(max_examples=60)
@given(
    st.lists(st.floats(-3, 3), min_size=2, max_size=8),
    st.floats(-2, 2),
    st.floats(-1.35, 1.35),
    st.booleans(),
)
def test_a_path_keeps_its_limits_and_ends_at_rest_whatever_the_goal_does(corners, q, v, stop):
    """From any place and speed, after any goal: no step faster, no change of speed quicker than allowed."""
    goal = np.interp(np.linspace(0, 1, CHASE_STEPS + 1), np.linspace(0, 1, len(corners)), corners)
    before = Path(0, np.full((2, 14), q), np.full((2, 14), v))
    path = before.stopped(0, LIMITS) if stop else before.turned(0, np.tile(goal[:, None], 14), LIMITS)
    speed = np.diff(path.q, axis=0) / STEP_S
    assert np.abs(speed).max(initial=0.0) <= 1.35 + 1e-6
    assert np.abs(np.diff(np.vstack([np.full(14, v), speed]), axis=0)).max() <= 4.0 * STEP_S + 1e-6
    assert np.all(path.v[-1] == 0.0)
    assert len(path.q) == (0 if stop else CHASE_STEPS) + BRAKE_STEPS + 1


def test_a_chunk_is_as_long_as_its_path():
    assert (CHASE_STEPS + BRAKE_STEPS) * STEP_NS == names.HORIZON * names.DT_NS
    assert BRAKE_STEPS * STEP_NS == BRAKE_ROWS * names.DT_NS


def test_a_track_is_repeated_where_known_and_fades_where_guessed():
    t_ns = np.arange(100) * 5_000_000
    track = Track(t_ns, np.tile((t_ns * 1e-9)[:, None], 7))  # 1 rad/s
    known = track.at(np.array([100_000_000, 252_500_000]))
    assert known[:, 0] == pytest.approx([0.1, 0.2525])
    last_s = t_ns[-1] * 1e-9
    ahead = track.at(t_ns[-1] + np.array([0, 10_000_000, 2_000_000_000]))[:, 0] - last_s
    assert ahead[0] == 0.0 and ahead[1] == pytest.approx(0.01, rel=0.06)
    assert ahead[2] == pytest.approx(0.1, rel=0.01)  # FADE_S of its speed, and no further
    assert Track(t_ns[:1], track.q[:1]).at(t_ns[:3])[:, 0] == pytest.approx(0.0)
