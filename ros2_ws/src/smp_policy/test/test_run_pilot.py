"""A run of a policy on an injected clock: what is sent when, what is waited for, why it stops."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from policy_rig import MS, TASKS, WALL_NS, World, wait_real

from piper_bringup.arm.plan import Plan, splice, standing
from piper_bringup.arm.safety import Mode
from piper_bringup.data import names, robotwin
from piper_bringup.image_message import image
from smp_msgs.msg import EpisodeEvent
from smp_policy.run.chunk import BLEND_NS, BRAKE_ROWS, COMMIT_NS
from smp_policy.run.jumps import GRACE_NS, Jumps
from smp_policy.run.session import State, Why


def test_chunks_come_at_the_rate_and_bear_the_observations_time():
    world = World()
    run = world.flying()
    world.run(2.0)
    stamps = [stamp for stamp, _ in world.sent]
    assert np.all(np.diff(stamps)[1:] == 200 * MS) and len(stamps) in (10, 11)
    assert (world.wall_ns - stamps[-1]) <= 200 * MS and run.chunks == len(stamps) == len(world.told)
    assert [told.number for told in world.told] == list(range(len(stamps)))
    assert world.pilot.session.state == State.RUNNING and world.reasons() == ["POLICY_STARTED", "POLICY_RUNNING"]
    assert world.episodes == [EpisodeEvent.STARTED] and run.active == (0, 1)


def test_nothing_is_published_before_a_run_and_after_it():
    world = World().run(1.0)
    assert not world.is_open and not world.sent
    run = world.flying()
    assert world.is_open
    run.cancelled = "enough"
    world.run(0.1)
    assert not world.is_open and (run.ending.reason, run.ending.outcome) == (Why.CANCELLED, "unknown")


def test_committed_rows_are_those_of_the_plan_as_the_driver_splices_it():
    world = World()
    world.backend.before = lambda: world.pass_ns(30 * MS)  # what inference takes
    world.flying()
    world.run(1.0)
    delivery_ns = round(world.settings.latency__delivery_s * 1e9)
    plan = standing(world.q, 0)
    for i, ((t_obs_ns, rows), inputs) in enumerate(zip(world.sent, world.backend.inputs, strict=True)):
        expected_ns = 20 * MS if i == 0 else 30 * MS
        n = (expected_ns + delivery_ns + COMMIT_NS) // names.DT_NS
        assert inputs.committed.tolist() == [True] * n + [False] * (16 - n)
        due = t_obs_ns + names.DT_NS * np.arange(1, 17)
        told = np.stack([plan.at(int(t)) for t in due[:n]])
        np.testing.assert_allclose(inputs.prefix[:n], told - plan.at(t_obs_ns), atol=1e-6)
        np.testing.assert_allclose(rows[:n], told, atol=1e-9)
        plan = splice(plan, Plan.through(due, rows), t_obs_ns + 30 * MS + delivery_ns, COMMIT_NS, BLEND_NS)
    assert i >= 4


def test_in_lockstep_a_chunk_begins_where_the_arms_are_observed_whatever_was_planned():
    world = World(lockstep=True, driver__commit_s=0.0, latency__delivery_s=0.0)
    world.flying()
    for place in (0.1, 0.3):
        world.q[0] = place
        world.run(0.3)
        assert np.isclose(world.sent[-1][1][0, 0], place + 0.015)


def test_in_lockstep_the_arms_were_an_action_before_where_the_chunk_had_them_and_a_run_begins_at_rest():
    world = World(lockstep=True, driver__commit_s=0.0, latency__delivery_s=0.0)
    world.flying()
    world.run(0.5)
    told = robotwin.actions(world.sent[-2][1])
    assert np.allclose(world.backend.inputs[-1].proprio[:14], told[-2], atol=1e-6)
    world.pilot.run.cancelled = "enough"
    world.run(0.1)
    world.mode = Mode.HOLD
    seen = len(world.backend.inputs)
    world.flying()
    world.run(0.5)
    assert np.allclose(world.backend.inputs[seen].proprio[:14], world.q)


def test_a_model_of_objects_and_cameras_sees_them_and_the_joints_before():
    world = World(cameras=3, slots=4)
    world.q[0] = 0.5
    world.flying()
    world.q[0] = 0.6
    world.run(0.4)
    inputs = world.backend.inputs[-1]
    assert inputs.images.shape == (3, 3, 96, 96) and np.allclose(inputs.slots, 0.25)
    assert np.isclose(inputs.proprio[0], 0.6)


@pytest.mark.parametrize("source", ["joint_states", "head", "right_wrist", "objects"])
@pytest.mark.parametrize("how", ["silent", "late"])
def test_S12_without_a_source_there_is_no_new_chunk_it_is_named_and_it_recovers(source, how):
    world = World(cameras=3, slots=4)
    world.flying()
    if how == "silent":
        world.silent.add(source)
    else:
        world.late_ns[source] = 400 * MS  # of stamps: the cable is slow
    world.run(0.5)
    before = len(world.sent)
    world.run(2.0)
    assert len(world.sent) == before and world.pilot.session.state == State.WAITING
    assert world.pilot.session.reason == Why.OBSERVATION_STALE and world.pilot.session.text.startswith(source)
    stale = [text for reason, text in world.said if reason == Why.OBSERVATION_STALE]
    assert len(stale) <= 2 and source in stale[-1], stale  # once, and again where the reason changed
    world.silent.clear()
    world.late_ns.clear()
    world.run(1.0)
    assert len(world.sent) > before and world.pilot.session.state == State.RUNNING
    assert ("POLICY_RUNNING", "chunks again after OBSERVATION_STALE") in world.said


def test_a_source_that_was_never_there_is_named_from_the_beginning():
    world = World(cameras=3)
    world.silent.add("left_wrist")
    run = world.pilot.ask(TASKS[0])
    world.run(3.0)
    assert not world.sent and run.ending is None and world.pilot.session.text == "left_wrist: missing"


def test_a_frozen_camera_is_named_and_so_are_swapped_ones():
    world = World(cameras=3)
    world.flying()
    world.run(1.0)
    world.moving_picture = False
    for _ in range(10):
        world.q[0] += 0.02
        world.run(0.2)
    assert "head: frozen" in world.pilot.session.text
    before = len(world.sent)
    world.run(1.0)  # still, though the arm rests now
    assert len(world.sent) == before
    world.moving_picture = True
    world.run(0.5)
    assert len(world.sent) > before
    swapped = image("right_wrist", 0, np.zeros((240, 320, 3), np.uint8))
    world.pilot.senses.hear("left_wrist", swapped, world.wall_ns)
    assert "swapped" in str(world.pilot.senses.observe(world.wall_ns))


def test_pictures_that_rest_with_the_arms_are_not_frozen():
    world = World(cameras=3).run(0.1)
    world.moving_picture = False
    world.flying()
    world.run(3.0)
    assert Why.OBSERVATION_STALE not in world.reasons()


def test_in_lockstep_a_picture_that_is_drawn_alike_again_and_again_is_not_frozen():
    world = World(cameras=3, lockstep=True, driver__commit_s=0.0, latency__delivery_s=0.0)
    world.moving_picture = False
    world.flying()
    for _ in range(10):
        world.q[0] += 0.02
        world.run(0.2)
    assert "frozen" not in world.pilot.session.text and len(world.sent) >= 10


@pytest.mark.parametrize(
    ("silent", "why"), [("piper_driver", Why.DRIVER_SILENT), ("joint_states", Why.OBSERVATION_STALE)]
)
def test_in_lockstep_silence_is_said_only_once_the_clock_has_stood_still_for_a_while(silent, why):
    real_ns = [0]
    world = World(lockstep=True, driver__commit_s=0.0, latency__delivery_s=0.0)
    world.pilot._jumps = Jumps(lambda: real_ns[0])
    world.flying()
    world.silent.add(silent)
    for _ in range(3):  # chunks of three seconds of simulated time, and messages are on their way
        world.pass_ns(3_000 * MS)
        world.pilot.step()
        assert world.reasons() == ["POLICY_STARTED", "POLICY_RUNNING"]
    real_ns[0] = GRACE_NS
    world.pilot.step()
    assert world.reasons()[-1] == why and world.pilot.session.state == State.WAITING


def test_of_a_clock_that_runs_silence_is_said_in_lockstep_too():
    world = World(lockstep=True, driver__commit_s=0.0, latency__delivery_s=0.0)
    real_ns = [0]
    world.pilot._jumps = Jumps(lambda: real_ns[0])
    world.flying()
    world.silent.add("piper_driver")
    world.run(1.5)
    real_ns[0] = GRACE_NS
    world.run(0.1)
    assert Why.DRIVER_SILENT in world.reasons()


def test_inference_slower_than_a_chunk_is_said_and_sends_nothing_until_it_is_fast():
    world = World()
    run = world.flying()
    world.backend.before = lambda: world.pass_ns(2_000 * MS)
    before = len(world.sent)
    world.run(1.0)
    assert len(world.sent) == before and world.pilot.session.reason == Why.INFERENCE_SLOW
    assert world.reasons().count(Why.INFERENCE_SLOW) == 1 and "2.0" in world.pilot.session.text
    world.mode = Mode.HOLD  # the driver ran out of rows
    world.backend.before = lambda: None
    world.run(1.0)
    assert world.pilot.session.state == State.RUNNING and run.ending is None
    assert world.backend.inputs[-1].committed.sum() <= 2  # two seconds of latency are not remembered


def test_an_inference_that_hangs_is_said_meanwhile():
    world = World()
    world.flying()
    entered, leave = threading.Event(), threading.Event()
    world.backend.before = lambda: (entered.set(), leave.wait(5.0))
    thread = threading.Thread(target=world.run, args=(0.4,))
    thread.start()
    assert entered.wait(5.0)
    world.pass_ns(600 * MS)
    world.pilot.watch()
    assert world.pilot.session.reason == Why.INFERENCE_SLOW
    leave.set()
    thread.join(5.0)
    wait_real(lambda: not thread.is_alive())


@pytest.mark.parametrize("worth", [np.nan, np.inf])
def test_an_answer_that_is_no_number_never_becomes_a_chunk(worth):
    world = World()
    run = world.flying()
    before = len(world.sent)
    world.backend.worth = worth
    world.run(1.0)
    assert run.ending.reason == Why.MODEL_BROKEN and "not finite" in run.ending.text
    assert all(np.isfinite(rows).all() for _, rows in world.sent)
    assert len(world.sent) == before + 1 and len(world.sent[-1][1]) == BRAKE_ROWS  # to rest
    assert not world.is_open and world.episodes == [EpisodeEvent.STARTED, EpisodeEvent.FAILED]


def test_a_backend_that_raises_ends_the_run_in_one_sentence():
    world = World()
    run = world.flying()

    def lost() -> None:
        raise RuntimeError("CUDA error: device lost\nmore\nlines")

    world.backend.before = lost
    world.run(0.5)
    assert run.ending.reason == Why.INFERENCE_FAILED and run.ending.text == "RuntimeError: CUDA error: device lost"
    assert run.ending.is_trouble and world.episodes == [EpisodeEvent.STARTED, EpisodeEvent.FAILED]
    world.backend.before, world.mode = (lambda: None), Mode.HOLD
    assert world.flying().ending is None  # and the next run is none the worse


def test_a_policy_that_never_had_a_chunk_in_time_is_told_to_have_failed():
    world = World()
    world.backend.before = lambda: world.pass_ns(2_000 * MS)
    run = world.pilot.ask(TASKS[0], 5.0)
    world.run(1.0)
    assert run.ending.reason == Why.TIME_OVER and not world.sent and world.episodes == [EpisodeEvent.TIMED_OUT]
    world.backend.before, world.backend.worth = (lambda: None), np.nan
    run = world.pilot.ask(TASKS[0])
    world.run(0.5)
    assert run.ending.reason == Why.MODEL_BROKEN and world.episodes[1:] == [EpisodeEvent.FAILED]


def test_nothing_is_told_of_a_policy_that_was_never_asked():
    world = World(cameras=3)
    world.silent.add("head")
    run = world.pilot.ask(TASKS[0], 1.0)
    world.run(1.5)
    assert run.ending.reason == Why.TIME_OVER and world.episodes == []
    run = world.pilot.ask(TASKS[0])
    world.run(0.5)
    world.pilot.abandon("KeyError: 'x'", Why.POLICY_ERROR)
    assert run.ending.reason == Why.POLICY_ERROR and run.ending.is_trouble and world.episodes == []


def test_an_unknown_task_and_a_second_run_are_refused():
    world = World()
    run = world.pilot.ask("juggle")
    assert run.ending.reason == Why.TASK_UNKNOWN and "left_there, right_there" in run.ending.text
    world.flying()
    assert world.pilot.ask(TASKS[1]).ending.reason == Why.BUSY
    assert world.pilot.run.task == TASKS[0]


def test_a_task_by_topic_begins_changes_and_ends_a_run():
    world = World()
    world.pilot.heard_task("")
    world.pilot.heard_task("juggle")
    assert world.pilot.run is None and world.reasons() == [Why.TASK_UNKNOWN]
    world.pilot.heard_task(TASKS[0])
    world.run(0.3)
    run, world.mode = world.pilot.run, Mode.FOLLOW
    world.pilot.heard_task("juggle")
    assert run.task == TASKS[0]
    world.pilot.heard_task(TASKS[1])
    world.run(0.3)
    assert run.task == TASKS[1] and world.told[-1].task == TASKS[1] and world.backend.inputs[-1].task == 1
    world.pilot.heard_task("")
    world.run(0.1)
    assert run.ending.reason == Why.CANCELLED and world.pilot.run is None


def test_time_over_brings_the_arms_to_rest_and_is_nobodys_judgement():
    world = World()
    run = world.flying(limit_s=1.0)
    world.run(1.5)
    assert (run.ending.reason, run.ending.outcome, run.ending.is_trouble) == (Why.TIME_OVER, "unknown", False)
    assert run.seconds == pytest.approx(1.0, abs=0.02) and world.episodes[-1] == EpisodeEvent.TIMED_OUT
    brake = world.sent[-1][1]
    assert len(brake) == BRAKE_ROWS and np.abs(np.diff(brake, axis=0)[-1]).max() < 1e-9
    world = World()
    world.pilot.heard_event(world.event(EpisodeEvent.RESET))
    run = world.flying(limit_s=1.0)
    world.run(1.5)
    assert run.ending.outcome == "failure"  # whoever places objects would have told of success


@pytest.mark.parametrize(
    ("kind", "reason", "outcome"),
    [
        (EpisodeEvent.SUCCEEDED, Why.SUCCESS, "success"),
        (EpisodeEvent.FAILED, Why.FAILED, "failure"),
        (EpisodeEvent.RESET, Why.EPISODE_RESET, "unknown"),
        (EpisodeEvent.ABORTED, Why.CANCELLED, "unknown"),
    ],
)
def test_what_the_cell_tells_ends_the_run(kind, reason, outcome):
    world = World()
    run = world.flying()
    world.pilot.heard_event(world.event(kind, ago_ns=10_000 * MS))  # of an episode before
    world.pilot.heard_event(world.event(kind, task=TASKS[1]))
    world.pilot.heard_event(world.event(EpisodeEvent.STARTED))
    world.run(0.3)
    assert run.ending is None
    world.pilot.heard_event(world.event(kind))
    world.run(0.1)
    assert (run.ending.reason, run.ending.outcome) == (reason, outcome)


def test_S27_beside_another_commander_no_run_begins():
    world = World()
    world.foreign = ("/teleop",)
    run = world.pilot.ask(TASKS[0])
    world.run(0.5)
    assert run.ending.reason == Why.TWO_COMMANDERS and "/teleop" in run.ending.text
    assert not world.is_open and not world.sent and not world.episodes


def test_S27_a_commander_that_appears_is_named_and_waited_for():
    world = World()
    run = world.flying()
    world.foreign, before = ("/intruder",), len(world.sent)
    world.run(2.0)
    assert len(world.sent) == before and world.pilot.session.reason == Why.TWO_COMMANDERS
    assert world.is_open and run.ending is None  # or the driver would follow the other one
    world.foreign = ()
    world.run(0.5)
    assert len(world.sent) > before


@pytest.mark.parametrize(
    ("mode", "reason"),
    [(Mode.ESTOP, "ESTOP_REQUESTED"), (Mode.FAULT, "TRACKING_ERROR"), (Mode.FAULT, "INTERNAL_ERROR")],
)
@pytest.mark.parametrize("begun", [True, False])
def test_an_estop_or_a_fault_ends_a_run_by_the_drivers_own_name(mode, reason, begun):
    world = World()
    run = world.flying() if begun else world.pilot.ask(TASKS[0])
    before = len(world.sent)
    world.mode, world.reason = mode, reason
    world.run(0.5)
    assert run.ending.reason == reason and mode.name in run.ending.text and len(world.sent) == before
    assert world.episodes == ([EpisodeEvent.STARTED, EpisodeEvent.ABORTED] if begun else [])


@pytest.mark.parametrize(("mode", "reason"), [(Mode.HOLD, "OPERATOR_HOLD"), (Mode.DISABLED, "CONNECTED")])
def test_arms_that_follow_nobody_are_waited_for_and_end_a_run_that_has_begun(mode, reason):
    world = World()
    world.mode, world.reason = mode, reason
    run = world.pilot.ask(TASKS[0])
    world.run(2.0)
    assert run.ending is None and world.pilot.session.reason == Why.DRIVER_NOT_READY and not world.is_open
    world.mode, world.reason = Mode.HOLD, "ENABLED"
    world.run(0.5)
    assert world.sent
    world.mode, world.reason = mode, reason
    world.run(0.1)
    assert run.ending.reason == reason


def test_the_driver_is_not_waited_for_for_ever():
    world = World(timeouts__driver_s=5.0)
    world.silent.add("piper_driver")
    run = world.pilot.ask(TASKS[0])
    world.run(4.0)
    assert run.ending is None and world.pilot.session.reason == Why.DRIVER_SILENT
    world.silent.clear()
    world.mode = Mode.DISABLED
    world.run(2.0)
    assert run.ending.reason == Why.DRIVER_NOT_READY and "waited 5 s" in run.ending.text


def test_a_driver_that_nobody_connects_to_is_named():
    world = World()
    world.heard = False
    world.pilot.ask(TASKS[0])
    world.run(0.9)
    assert not world.sent and world.pilot.session.reason == ""
    world.run(0.5)
    assert "nobody listens" in world.pilot.session.text
    world.heard = True
    world.run(0.3)
    assert world.sent


def test_a_driver_that_holds_in_spite_of_chunks_ends_the_run():
    world = World()
    run = world.flying()
    world.mode, world.reason, world.rejected = Mode.HOLD, "NO_ROW", 9
    world.run(2.5)
    assert run.ending is None
    world.run(1.0)
    assert run.ending.reason == Why.NOT_FOLLOWED and "NO_ROW" in run.ending.text and "9" in run.ending.text
    assert world.episodes == [EpisodeEvent.STARTED, EpisodeEvent.FAILED]


def test_after_a_hold_chunks_go_on_from_where_the_driver_holds():
    world = World()
    world.flying()
    world.run(1.0)
    world.mode, world.reason = Mode.HOLD, "NO_ROW"
    world.silent.add("joint_states")
    world.run(1.0)
    world.silent.clear()
    world.q = np.full(14, 0.02)
    world.run(0.3)
    stood = world.backend.inputs[-1]
    first = np.flatnonzero([np.array_equal(rows[0], world.q) for _, rows in world.sent])
    assert len(first) and stood.committed.any()


def test_a_dry_run_needs_no_driver_and_tells_no_episode():
    world = World(dry_run=True)
    world.silent.add("piper_driver")
    world.foreign, world.heard = ("/teleop",), True
    run = world.pilot.ask(TASKS[0], 2.0)
    world.run(2.5)
    assert run.ending.reason == Why.TIME_OVER and len(world.sent) in (9, 10, 11) and world.episodes == []
    assert all(len(rows) == names.HORIZON for _, rows in world.sent)  # no braking where nothing moves


def test_a_clock_that_is_set_back_does_not_end_the_chunks():
    world = World()
    world.flying()
    world.wall_ns -= 3_600_000 * MS
    world.run(2.0)
    assert world.pilot.session.state == State.RUNNING and world.sent[-1][0] > world.wall_ns - 300 * MS


def test_the_end_of_the_node_ends_the_run():
    world = World()
    run = world.flying()
    world.pilot.abandon("the policy node ends")
    assert run.ending.reason == Why.CANCELLED and not world.is_open and world.pilot.run is None
    assert world.episodes[-1] == EpisodeEvent.ABORTED


def test_an_inference_that_outlasts_its_run_is_not_sent():
    world = World()
    run = world.flying()
    world.run(0.5)
    before = len(world.sent)
    world.backend.before = lambda: world.pilot.abandon("the policy node ends")
    world.run(0.5)
    assert run.ending.reason == Why.CANCELLED and not world.is_open
    assert len(world.sent) == before + 1 and len(world.sent[-1][1]) == BRAKE_ROWS  # to rest, and nothing behind it
    assert world.pilot.session.state == State.STOPPED


def test_no_chunk_is_made_before_it_is_known_where_the_driver_holds():
    world = World()
    world.q[:] = 0.3
    world.status_wall_ns = -WALL_NS + 1  # stamps without a clock: nothing tells how old they are
    world.pilot.ask(TASKS[0])
    world.run(0.5)
    assert not world.sent and world.pilot.session.reason == Why.DRIVER_SILENT
    world.status_wall_ns = 0
    world.run(0.5)
    assert np.abs(world.sent[0][1][0, 1:] - 0.3).max() < 1e-6
