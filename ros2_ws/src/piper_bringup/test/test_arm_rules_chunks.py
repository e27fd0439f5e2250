"""S-rules about chunks: wrong ones are refused whole, named, and move nothing (HARDWARE §d, house plan)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rig import READY_RAD, Rig

from piper_bringup.arm import messages
from piper_bringup.arm.clock import Clock
from piper_bringup.arm.intake import Intake
from piper_bringup.arm.safety import Mode, Reason
from piper_bringup.data import names


@pytest.fixture(scope="module")
def rig():
    with Rig() as rig:
        yield rig.enabled()


def offer_and_watch(rig: Rig, chunk) -> tuple[set[Reason], float]:
    """Reasons counted, and how far any joint moved or was told to move."""
    rig.run(0.1)
    first, before, counted = len(rig.ticks), rig.q(), rig.core.safety.counts.copy()
    rig.send(chunk)
    rig.run(0.25)
    told = np.array([q for q in rig.sent[first:] if q is not None])
    moved = max(np.abs(rig.measured[-1] - before).max(), np.ptp(told, axis=0).max())
    return {reason for reason, _ in rig.core.safety.counts - counted}, float(moved)


def spoil(rig: Rig, **changes):
    return replace(rig.chunk(), **changes)


def with_value(rig: Rig, value: float, row: int = 3, column: int = 1):
    q = rig.chunk().q.copy()
    q[row, column] = value
    return spoil(rig, q=q)


MS = 1_000_000
WRONG = {
    "nan": (lambda r: with_value(r, np.nan), Reason.CHUNK_NON_FINITE),
    "inf": (lambda r: with_value(r, np.inf), Reason.CHUNK_NON_FINITE),
    "reversed names": (lambda r: spoil(r, joint_names=names.JOINTS[::-1]), Reason.CHUNK_WRONG_JOINTS),
    "swapped arms": (
        lambda r: spoil(r, joint_names=names.JOINTS[7:] + names.JOINTS[:7]),
        Reason.CHUNK_WRONG_JOINTS,
    ),
    "duplicate name": (
        lambda r: spoil(r, joint_names=(names.JOINTS[0], *names.JOINTS[:13])),
        Reason.CHUNK_WRONG_JOINTS,
    ),
    "missing name": (lambda r: spoil(r, joint_names=names.JOINTS[:13]), Reason.CHUNK_WRONG_JOINTS),
    "damaged": (lambda r: messages.unpack_chunk(b"\0\1\0\0" + b"\xff" * 300), Reason.CHUNK_WRONG_JOINTS),
    "far too long": (lambda r: messages.unpack_chunk(bytes(10**6)), Reason.CHUNK_WRONG_COUNT),
    "no names": (lambda r: spoil(r, joint_names=()), Reason.CHUNK_WRONG_JOINTS),
    "13 columns": (lambda r: spoil(r, q=r.chunk().q[:, :13]), Reason.CHUNK_WRONG_COUNT),
    "ragged": (lambda r: spoil(r, q=np.zeros((0, 0))), Reason.CHUNK_WRONG_COUNT),
    "empty": (
        lambda r: spoil(r, q=np.zeros((0, 14)), from_t_obs_ns=np.zeros(0, dtype=np.int64)),
        Reason.CHUNK_WRONG_COUNT,
    ),
    "times fall": (
        lambda r: spoil(r, from_t_obs_ns=r.chunk().from_t_obs_ns[::-1].copy()),
        Reason.CHUNK_TIMES,
    ),
    "times equal": (lambda r: spoil(r, from_t_obs_ns=np.full(16, 50 * MS)), Reason.CHUNK_TIMES),
    "crowded rows": (
        lambda r: spoil(r, from_t_obs_ns=np.append(np.arange(1, 16) * 50 * MS, 750 * MS + 1)),
        Reason.CHUNK_TIMES,
    ),
    "uneven rows": (
        lambda r: spoil(r, from_t_obs_ns=np.append(np.arange(1, 16) * 20 * MS, 900 * MS)),
        Reason.CHUNK_TIMES,
    ),
    "an hour long": (lambda r: spoil(r, from_t_obs_ns=r.chunk().from_t_obs_ns * 5000), Reason.CHUNK_TIMES),
    "over a limit": (lambda r: with_value(r, -0.15), Reason.CHUNK_OUT_OF_LIMITS),
    "gripper in percent": (lambda r: with_value(r, 0.5, column=6), Reason.CHUNK_OUT_OF_LIMITS),
    "degrees": (lambda r: spoil(r, q=np.degrees(r.chunk().q)), Reason.CHUNK_OUT_OF_LIMITS),
    "jump": (lambda r: spoil(r, q=r.chunk().q + 0.36 * (np.arange(14) == 0)), Reason.CHUNK_JUMP),
    "zero pose": (lambda r: spoil(r, q=np.zeros((16, 14))), Reason.CHUNK_JUMP),
    "over 0.5 s late": (lambda r: spoil(r, t_obs_ns=r.wall_ns() - 401 * MS), Reason.CHUNK_TOO_OLD),
    "no stamp": (lambda r: spoil(r, t_obs_ns=0), Reason.CHUNK_TOO_OLD),
    "from the future": (lambda r: spoil(r, t_obs_ns=r.wall_ns() + 161 * MS), Reason.CHUNK_FROM_FUTURE),
    "all in the past": (
        lambda r: spoil(r, t_obs_ns=r.wall_ns() - 200 * MS, from_t_obs_ns=np.arange(1, 17) * 10 * MS),
        Reason.CHUNK_TOO_OLD,
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_s01_s06_s09_a_wrong_chunk_is_refused_whole(rig, case):
    make, reason = WRONG[case]
    rejected = rig.core.rejected
    said, moved = offer_and_watch(rig, make(rig))
    assert said == {reason}
    assert rig.core.rejected == rejected + 1
    assert rig.mode() == Mode.HOLD
    assert moved < 1e-4


def test_a_right_chunk_is_followed(rig):
    """The counterpart of every refusal above: the same chunk unspoilt moves the arms."""
    start = rig.core.motion.at.q.copy()
    goal = start.copy()
    goal[0] += 0.2

    def motion(t: float) -> np.ndarray:
        return start + (goal - start) * np.clip(t / 0.6, 0, 1)

    rig.follow(motion, 1.2)
    assert Reason.CHUNK_FOLLOWED in rig.reasons()
    assert rig.q()[0] == pytest.approx(goal[0], abs=0.01)
    rig.run(1.0)


def test_s27_two_commanders_hold_and_are_named(rig):
    start = rig.core.motion.at.q.copy()

    def motion(t: float) -> np.ndarray:
        return start + 0.1 * t * (np.arange(14) == 0)

    rig.follow(motion, 0.5)
    assert rig.mode() == Mode.FOLLOW
    rig.core.intake.commanders = ("/smp_policy", "/intruder")
    rig.run(0.02)
    assert rig.mode() == Mode.HOLD
    event = next(e for e in reversed(rig.events) if e.reason == Reason.TWO_COMMANDERS)
    assert "/smp_policy" in event.text and "/intruder" in event.text
    here = rig.q()
    rig.follow(lambda t: rig.core.motion.at.q + 0.1 * t, 0.6)
    assert rig.mode() == Mode.HOLD
    assert np.abs(rig.q() - here).max() < 0.02
    rig.core.intake.commanders = ("/smp_policy",)
    held = rig.core.motion.at.q.copy()
    rig.follow(lambda t: held, 0.3)
    assert rig.mode() == Mode.FOLLOW
    rig.run(1.5)


def test_a_flood_is_refused_and_named(rig):
    start = rig.core.motion.at.q.copy()
    first = len(rig.ticks)
    said = len(rig.events)

    def flood() -> None:
        for _ in range(100):  # 10 kHz
            rig.send(rig.chunk(lambda t: start + 0.3 * (np.arange(14) == 0)))

    rig.run(0.5, flood)
    assert Reason.CHUNK_FLOOD in [e.reason for e in rig.events[said:]]
    told = np.array([q for q in rig.sent[first:] if q is not None])
    assert np.abs(np.diff(told[:, 0])).max() <= 1.5 * 0.01 + 1e-9  # what little got through is limited as ever
    rig.run(1.5)
    assert rig.mode() == Mode.HOLD


def test_two_chunks_may_come_at_once_and_a_flood_ends_with_a_quiet_period():
    now_ns = 0
    intake = Intake(Clock(lambda: now_ns, lambda: now_ns), 10_000_000)
    said = []
    for now_ns in (0, 0, 1, 9_000_000, 18_000_000, 28_000_000, 38_000_000):  # noqa: B007
        said.append(intake.admit())
    assert said == [True, True, False, False, False, True, True]
    assert intake.take() == (None, 3)


def test_a_clock_jump_holds_and_is_named(rig):
    start = rig.core.motion.at.q.copy()
    for jump_s in (+10.0, -10.0):
        rig.run(1.2)
        rig.follow(lambda t: start, 0.4)
        assert rig.mode() == Mode.FOLLOW
        rig.wall_offset_ns += int(jump_s * 1e9)
        said = len(rig.events)
        rig.run(0.02)
        assert rig.mode() == Mode.HOLD
        assert Reason.CLOCK_JUMP in [e.reason for e in rig.events[said:]]
        rig.follow(lambda t: start, 0.3)  # chunks stamped on the new clock are welcome
        assert rig.mode() == Mode.FOLLOW
    rig.run(1.2)


def test_s15_an_operator_hold_outlasts_the_chunks_until_enable(rig):
    start = rig.core.motion.at.q.copy()
    rig.follow(lambda t: start, 0.3)
    assert rig.ask("hold")[0]
    rig.follow(lambda t: start + 0.1 * (np.arange(14) == 0), 0.5)
    assert rig.mode() == Mode.HOLD
    assert Reason.CHUNK_NOT_WANTED in rig.reasons()
    assert rig.core.safety.reason == Reason.OPERATOR_HOLD
    assert rig.ask("enable")[0]
    assert rig.core.safety.reason == Reason.ENABLED  # else whoever waits for the enabling waits for ever
    rig.follow(lambda t: start, 0.3)
    assert rig.mode() == Mode.FOLLOW
    rig.run(1.2)


def test_chunks_move_nothing_while_disabled():
    with Rig() as rig:
        rig.run(1.3)
        assert rig.mode() == Mode.DISABLED
        before = [s.firmware.drive.q_rad.copy() for s in rig.sides.values()]
        here = np.tile(np.append(READY_RAD, 0.0), 2)
        rig.follow(lambda t: here + 0.1 * t * (np.arange(14) == 0), 0.5)
        assert all(
            not side.heard or all(i not in (0x155, 0x156, 0x157, 0x159, 0x151) for i, _ in side.heard)
            for side in rig.sides.values()
        )
        for side, q in zip(rig.sides.values(), before, strict=True):
            assert side.firmware.drive.q_rad == pytest.approx(q, abs=0.05)
        assert Reason.CHUNK_NOT_WANTED in rig.reasons()
