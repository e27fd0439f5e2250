"""Mode realtime on the fake: RoboTwin's arms follow, the environment judges, and a slow simulator judges nothing."""

import json

import numpy as np
import pytest
from robotwin_rig import PATIENCE_S, TASK, genuine, lay

from piper_bringup.can.rest import Refused
from piper_bringup.data import names
from piper_bringup.robotwin.lost import WorkerLost
from piper_bringup.robotwin.play import Phase
from piper_bringup.robotwin.record import LABEL, Record
from piper_bringup.robotwin.settings import Settings
from piper_bringup.robotwin.shadow import SETTLE_STEPS, Shadow
from piper_bringup.robotwin.stage import Stage

SERVO_NS = 20_000_000


class Rig:
    """A shadow of arms that stand at `q`, at a time that goes on by itself where `pace_ns` says how much a servo."""

    def __init__(self, folder, place=None, **changed):
        place = place or lay(folder / "checkout", "main")
        settings = {"timeouts__reset_s": PATIENCE_S, "timeouts__step_s": PATIENCE_S, "expert_check": False} | changed
        self.settings = Settings(root=str(place.root), out=str(folder / "out"), **settings)
        self.q, self.now_ns, self.stage = np.zeros(14), 0, Stage(place.link(), self.settings)
        self.stage.start()
        self.shadow = Shadow(self.stage, self.settings, self.q.copy, lambda: self.now_ns, lambda: 10**18 + self.now_ns)

    def go(self, target, pace_ns=SERVO_NS, servos=100):
        """The arms move evenly to `target`; moments until the task is solved or they are there."""
        start, seen = self.q.copy(), []
        for i in range(1, servos + 1):
            self.q[:] = start + (target - start) * i / servos
            self.now_ns += pace_ns
            seen.append(self.shadow.follow())
            if seen[-1].solved:
                break
        return seen


@pytest.fixture
def rig(tmp_path):
    rig = Rig(tmp_path)
    yield rig
    rig.stage.close()


@pytest.fixture(params=["fake", "genuine"])
def anywhere(request, tmp_path):
    """On the fake, and on what ROBOTWIN_ROOT names."""
    place = genuine() if request.param == "genuine" else None
    if request.param == "genuine" and place is None:
        pytest.skip("ROBOTWIN_ROOT names no checkout")
    rig = Rig(tmp_path, place)
    yield rig
    rig.stage.close()


def turned(rad=0.5):
    target = np.zeros(14)
    target[0], target[list(names.GRIPPER_COLUMNS)] = rad, names.GRIPPER_MAX_M
    return target


def test_an_episode_begins_where_the_arms_stand_and_they_are_followed(anywhere):
    rig = anywhere
    assert rig.shadow.follow() is None and rig.shadow.end(Phase.STOPPED, "") is None
    begun, first = rig.shadow.reset(TASK, 100000)
    assert (begun.task, begun.seed, first.physics_steps) == (TASK, 100000, SETTLE_STEPS)
    np.testing.assert_allclose(first.targets, 0.0, atol=1e-6)  # RoboTwin's own begin with open grippers
    assert set(first.cameras) == set(names.CAMERAS) and first.stamp_ns == 10**18
    seen = rig.go(turned(0.1), servos=10)
    np.testing.assert_allclose(seen[-1].targets, turned(0.1), atol=1e-5)
    assert 0.01 < seen[-1].q[0] < 0.1
    assert [moment.physics_steps for moment in seen] == [SETTLE_STEPS + 5 * i for i in range(1, 11)]
    assert [bool(moment.cameras) for moment in seen] == [i % 3 == 2 for i in range(10)]  # every 60 of 20 ms
    assert seen[-1].stamp_ns == 10**18 + 10 * SERVO_NS and seen[-1].action_count == 0


def test_success_is_the_environments_and_counts_in_real_time_only(rig):
    rig.shadow.reset(TASK, 100000)
    assert rig.go(turned())[-1].solved
    ended = rig.shadow.end(Phase.SUCCESS, "solved")
    assert (ended.reason, ended.success, ended.valid) == (Phase.SUCCESS, True, True)
    assert ended.real_time_factor == pytest.approx(1.0)
    assert rig.shadow.end(Phase.TIME_OVER, "") is None  # once

    rig.q[:] = 0.0
    rig.shadow.reset(TASK, 100001)
    assert rig.go(turned(), pace_ns=2 * SERVO_NS)[-1].solved
    ended = rig.shadow.end(Phase.SUCCESS, "solved")
    assert (ended.reason, ended.success, ended.valid) == (Phase.TOO_SLOW, False, False)
    assert "solved; 0.50 of real time" in ended.detail


def test_what_was_before_the_motion_does_not_count(rig):
    rig.shadow.reset(TASK, 100000)
    rig.now_ns += 60 * 10**9  # a policy that takes its time, and a simulator that stands
    assert rig.shadow.falls_behind()
    rig.shadow.started()
    assert not rig.shadow.falls_behind()
    rig.go(turned(0.1))
    ended = rig.shadow.end(Phase.TIME_OVER, "60 s")
    assert (ended.reason, ended.success, ended.valid) == (Phase.TIME_OVER, False, True)
    assert ended.duration_s == pytest.approx(2.0) and ended.real_time_factor == pytest.approx(1.0)


def test_a_simulator_that_falls_behind_is_told_from_one_that_is_held_up_by_a_picture(rig):
    rig.shadow.reset(TASK, 100000)
    rig.go(turned(0.1), pace_ns=2 * SERVO_NS, servos=100)
    assert not rig.shadow.falls_behind()  # 4 s
    rig.go(turned(0.1), pace_ns=2 * SERVO_NS, servos=30)
    assert rig.shadow.falls_behind()
    assert rig.shadow.end(Phase.TOO_SLOW, "behind").reason == Phase.TOO_SLOW
    assert not rig.shadow.falls_behind() and rig.shadow.follow() is not None  # pictures go on


def test_arms_away_from_rest_and_an_unknown_task_are_refused(rig):
    with pytest.raises(Refused, match="name a task; RoboTwin has"):
        rig.shadow.reset("", -1)
    rig.q[8] = 0.3
    with pytest.raises(Refused, match=r"joint2 of the right arm is 0\.30 rad from rest"):
        rig.shadow.reset(TASK, 100000)
    rig.q[8] = 0.0
    with pytest.raises(Refused, match="no task juggle; RoboTwin has"):
        rig.shadow.reset("juggle", 100000)
    assert rig.shadow.reset(TASK, 100000)[0].seed == 100000


def test_the_present_episode_goes_on_until_another_one_is_admitted(rig):
    rig.shadow.reset(TASK, 100000)
    told = []
    rig.q[1] = 0.3
    for task in (TASK, "juggle"):
        with pytest.raises(Refused):
            rig.shadow.reset(task, 100001, told.append)
    rig.q[1] = 0.0
    assert told == [] and rig.shadow.follow() is not None

    def give_up(task):
        with pytest.raises(Refused, match="busy"):
            rig.shadow.reset(task, 100002, told.append)
        told.append((task, rig.shadow.end(Phase.STOPPED, "for another").seed))

    assert rig.shadow.reset("", 100001, give_up)[0].seed == 100001
    assert told == [(TASK, 100000)]


def test_a_seed_is_begun_by_its_number_and_the_next_one_without(tmp_path):
    rig = Rig(tmp_path, expert_check=True)
    try:
        assert rig.shadow.reset(TASK, -1)[0].seed == 100000
        assert rig.shadow.reset(TASK, 100003)[0].seed == 100007  # 3 to 6 will not do
        assert rig.shadow.reset(TASK, 100007)[0].seed == 100007
        assert [rig.shadow.reset("", -1)[0].seed for _ in range(2)] == [100008, 100009]
    finally:
        rig.stage.close()


def test_a_worker_that_is_lost_ends_the_episode_and_the_next_one_has_another(rig):
    rig.shadow.reset(TASK, 100000)
    rig.stage.drop()
    with pytest.raises(WorkerLost):
        rig.shadow.follow()
    assert rig.shadow.follow() is None
    rig.now_ns += 10**12
    ended = rig.shadow.end(Phase.WORKER_LOST, "gone")
    assert (ended.reason, ended.valid) == (Phase.WORKER_LOST, False)  # and not too slow
    rig.shadow.reset(TASK, 100001)
    assert rig.shadow.follow().physics_steps == SETTLE_STEPS + rig.settings.servo_steps
    rig.stage.close()
    with pytest.raises(WorkerLost, match="the simulation ends"):
        rig.shadow.reset(TASK, 100002)


def test_the_file_says_first_what_it_is_not_and_counts_valid_episodes(rig):
    record = Record(rig.settings, {"branch": "main"})
    record.open()
    for seed, reason, pace in ((0, Phase.SUCCESS, 1), (1, Phase.TIME_OVER, 1), (2, Phase.TIME_OVER, 3)):
        rig.q[:] = 0.0
        rig.shadow.reset(TASK, 100000 + seed)
        rig.go(turned(0.5 if reason == Phase.SUCCESS else 0.1), pace_ns=pace * SERVO_NS)
        record.add(rig.shadow.end(reason, "so it went"))
    file = json.loads(record.path.read_text())
    assert list(file)[:3] == ["benchmark", "mode", "protocol"] and file["mode"] == "realtime"
    assert file["protocol"].startswith(LABEL) and file["min_real_time_factor"] == 0.95
    assert (file["total"]["episodes"], file["total"]["successes"]) == (2, 1)
    assert file["left_out"] == {"too_slow": 1} and len(file["episodes"]) == 3
    assert file["worker"]["branch"] == "main" and file["expert_check"] is False
    assert record.told.startswith(f"1 of 2 succeeded, 1 left out; {LABEL}")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("servo_hz", 400.0, "realtime.servo_hz is 400, valid: 10 to 250"),
        ("camera_hz", 0.0, "realtime.camera_hz is 0, valid: 1 to 50"),
        ("min_factor", 1.5, "realtime.min_factor is 1.5, valid: 0.5 to 1"),
    ],
)
def test_a_rate_that_cannot_be_is_refused(name, value, says):
    with pytest.raises(ValueError, match=says):
        Settings(root="r", **{f"realtime__{name}": value})
