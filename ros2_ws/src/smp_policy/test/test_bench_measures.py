"""What benchmarks conclude from what they measured: agreement, recount, growth, first motion. No node is started."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from piper_bringup.cell.expert import demonstrate
from piper_bringup.data.names import DT_NS
from smp_msgs.msg import EpisodeEvent

ROOT = Path(__file__).resolve().parents[4]
SECOND_NS = 1_000_000_000


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import agreement, closed_loop, first_motion, growth, recount, training

    return SimpleNamespace(
        agreement=agreement,
        closed_loop=closed_loop,
        first_motion=first_motion,
        growth=growth,
        recount=recount,
        training=training,
    )


def result(over: list[bool], inside: list[bool], recounted: list[bool] | None = None, task: str = "lift_bar") -> dict:
    """Of one task, as closed_loop keeps it."""
    again = over if recounted is None else recounted
    return {
        "asked": {"task": task},
        "commit": "abc",
        "over_ros": [
            {"seed": i, "success": s, "seconds": 6.0, "recounted": r}
            for i, (s, r) in enumerate(zip(over, again, strict=True))
        ],
        "in_process": [{"seed": i, "success": s, "seconds": 5.0, "goals": []} for i, s in enumerate(inside)],
        "run": {
            "policy": {"chunks": 30, "latency_ms": {"p50": 6.0, "p99": 9.0, "max": 12.0}},
            "rejected_chunks": 1,
            "clamped": {"position": 3, "velocity": 0, "acceleration": 4},
            "real_time_factor": {"mean": 1.0, "min": 0.99},
            "safety_events": [
                {"reason": "BUS_MISSING", "count": 1, "severity": 1},
                {"reason": "BUS_MISSING", "count": 2, "severity": 1},
                {"reason": "MODE", "count": 9, "severity": 0},
            ],
        },
    }


# --- over ROS against in process -----------------------------------------------------------------------------------


def test_equal_successes_agree(bench):
    every = [result([True] * 20, [True] * 20), result([True] * 19 + [False], [False] + [True] * 19, task="lift_tray")]
    text = bench.agreement.verdict(every)
    assert "agree**" in text and "40 episodes" in text and "same of every episode" in text
    row = bench.agreement.row(bench.agreement.together(every))
    assert row[:3] == ("all", "39 of 40", "87% - 100%") and row[-1] == "agree"


def test_other_successes_differ_and_the_task_is_named(bench):
    every = [result([False] * 20, [True] * 20, task="lift_tray"), result([True] * 20, [True] * 20)]
    text = bench.agreement.verdict(every)
    assert "DIFFER**" in text and "By itself lift_tray differs." in text
    assert bench.agreement.row(every[0])[-1] == "DIFFER" and bench.agreement.row(every[1])[-1] == "agree"


def test_few_episodes_agree_about_nothing(bench):
    assert bench.agreement.row(result([True] * 3, [True] * 3))[-1] == "too few to tell"
    assert "Too few episodes" in bench.agreement.verdict([result([True], [False])])


def test_a_recount_that_says_otherwise_is_told(bench):
    text = bench.agreement.verdict([result([True] * 10, [True] * 10, [True] * 9 + [False])])
    assert "otherwise of 1: lift_bar 9 (cell success, recount failure)" in text


def test_other_seeds_are_not_compared(bench):
    mixed = result([True] * 2, [True] * 2)
    mixed["in_process"][1]["seed"] = 7
    with pytest.raises(ValueError, match="lift_bar: over ROS and in process other seeds"):
        bench.agreement.row(mixed)


def test_what_a_run_was_like(bench):
    row = bench.agreement.run_row(result([True, False], [True, True]))
    assert row == ("lift_bar", "30", "6.0 / 9.0 / 12.0", "1", "3 / 0 / 4", "BUS_MISSING 3", "1.000 / 0.990", "6.0; 5.0")


def test_finished_tasks_are_not_played_again(bench, monkeypatch, tmp_path, capsys):
    played = []

    def over_ros(model, task, first_seed, count, out):
        played.append((task, first_seed, count))
        out.mkdir(parents=True, exist_ok=True)
        return {key: result([True] * count, [])[key] for key in ("over_ros", "run")}

    inside = lambda args, model, task: result([], [True] * args.episodes)["in_process"]  # noqa: E731
    monkeypatch.setattr(bench.closed_loop, "over_ros", over_ros)
    monkeypatch.setattr(bench.closed_loop, "in_process", inside)
    args = bench.closed_loop.Args(model=ROOT / "models/state", tasks=("lift_bar",), episodes=9, out=tmp_path)
    bench.closed_loop.run(args)
    bench.closed_loop.run(args)
    assert played == [("lift_bar", 90_000, 9)]
    assert "lift_bar: kept in" in capsys.readouterr().out
    bench.closed_loop.run(bench.closed_loop.Args(args.model, args.tasks, 9, 90_001, out=tmp_path))
    assert played[1:] == [("lift_bar", 90_001, 9)]


# --- the recount ---------------------------------------------------------------------------------------------------


def test_episodes_are_told_by_events(bench):
    said = bench.recount.Said
    events = [
        said(0, EpisodeEvent.RESET, "lift_bar", 5),
        said(1, EpisodeEvent.SUCCEEDED, "lift_bar", 5),  # nobody had begun
        said(2, EpisodeEvent.RESET, "lift_bar", 6),
        said(4, EpisodeEvent.TIMED_OUT, "lift_bar", 6, 20.0),
        said(3, EpisodeEvent.STARTED, "lift_bar", -1),
        said(5, EpisodeEvent.SUCCEEDED, "lift_bar", 6),  # after the end
        said(6, EpisodeEvent.RESET, "lift_bar", 7),
        said(7, EpisodeEvent.STARTED, "lift_bar", 7),
        said(8, EpisodeEvent.SUCCEEDED, "lift_bar", 7, 6.0),
        said(9, EpisodeEvent.RESET, "lift_bar", 8),
        said(10, EpisodeEvent.STARTED, "lift_bar", 8),  # goes on
    ]
    found = bench.recount.episodes(events)
    assert [(one.seed, one.success, one.began_ns, one.ended_ns) for one in found] == [(6, False, 3, 4), (7, True, 7, 8)]


def heard(shown, rows: int) -> tuple[list, list]:
    """Of a demonstration's first rows: slots as messages carry them, joints as CAN does."""
    joints = np.round(np.rad2deg(shown.state), 3)
    joints = np.deg2rad(joints)
    objects = shown.objects.astype(np.float32).astype(np.float64)
    return [(i * DT_NS, objects[i]) for i in range(rows)], [(i * DT_NS, joints[i]) for i in range(rows)]


@pytest.mark.parametrize("task", ["pick_dual_bottles", "stack_two_blocks", "right_open_drawer"])
def test_goals_are_found_again_from_what_is_published(bench, task):
    shown = demonstrate(task, 90_000)
    assert shown.success
    for rows in (len(shown.q), len(shown.q) // 2):
        episode = bench.recount.Heard(task, 90_000, 0, rows * DT_NS, EpisodeEvent.TIMED_OUT, 0.0)
        success, goals = bench.recount.recount(episode, *heard(shown, rows))
        assert success == (rows == len(shown.q))
        assert goals == shown.goals[: len(goals)] and len(goals) >= 1


def test_what_comes_after_the_end_does_not_count(bench):
    shown = demonstrate("stack_two_blocks", 90_000)
    rows = len(shown.q)
    episode = bench.recount.Heard("stack_two_blocks", 90_000, 0, rows // 2 * DT_NS, EpisodeEvent.SUCCEEDED, 0.0)
    assert bench.recount.recount(episode, *heard(shown, rows))[0] is False


def test_what_still_moves_was_not_let_go(bench):
    shown = demonstrate("stack_two_blocks", 90_000)
    objects, joints = heard(shown, len(shown.q))
    shaken = [(t_ns, slots + 0.0) for t_ns, slots in objects]
    for i in range(len(shaken) // 2, len(shaken)):
        shaken[i][1][:, 1] += 0.001 * (-1) ** i  # x: 4 cm/s
    episode = bench.recount.Heard("stack_two_blocks", 90_000, 0, len(objects) * DT_NS, EpisodeEvent.SUCCEEDED, 0.0)
    assert bench.recount.recount(episode, objects, joints)[0]
    assert bench.recount.recount(episode, shaken, joints)[0] is False


def test_arms_that_are_elsewhere_hold_nothing(bench):
    shown = demonstrate("lift_bar", 90_000)
    objects, joints = heard(shown, len(shown.q))
    episode = bench.recount.Heard("lift_bar", 90_000, 0, len(objects) * DT_NS, EpisodeEvent.SUCCEEDED, 0.0)
    assert bench.recount.recount(episode, objects, joints)[0]
    resting = [(t_ns, joints[0][1]) for t_ns, _ in joints]
    assert bench.recount.recount(episode, objects, resting) == (False, ())
    assert bench.recount.recount(episode, objects, []) == (False, ())


# --- growth --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mb_h", "word"), [(0.0, "does not grow"), (3.0, "does not grow"), (60.0, "GROWS"), (10.0, "undecided")]
)
def test_growth_is_told_from_noise(bench, mb_h, word):
    seconds = np.arange(0.0, 1800.0, 5.0)
    mb = 80.0 + mb_h * seconds / 3600.0 + np.random.default_rng(0).normal(0.0, 0.5, len(seconds))
    found = bench.growth.slope(seconds, mb)
    assert found.low < mb_h < found.high and abs(found.value - mb_h) < 1.5
    assert bench.growth.verdict(found) == word


def test_a_step_at_the_start_decides_nothing(bench):
    mb = np.r_[np.full(45, 60.0), np.full(315, 80.0)]
    assert bench.growth.verdict(bench.growth.slope(np.arange(0.0, 1800.0, 5.0), mb)) == "undecided"
    assert bench.growth.verdict(bench.growth.slope([0.0, 5.0], [60.0, 70.0])) == "too few samples"


def test_what_is_not_decided_is_not_called_steady(bench):
    headline, steady = bench.growth.headline, {"cell": "does not grow", "monitor": "does not grow"}
    assert headline(steady) == "no process grows"
    assert headline(steady | {"cell": "undecided"}) == "not decided of cell"
    assert headline({"cell": "GROWS", "monitor": "too few samples"}) == "cell GROWS; not decided of monitor"


def test_memory_is_that_of_the_process(bench):
    before = bench.growth.memory_mb(os.getpid())
    with mmap.mmap(-1, 64_000_000) as block:  # never from what the heap still holds
        block.write(bytes(64_000_000))
        after = bench.growth.memory_mb(os.getpid())
    assert 50.0 < after - before < 150.0  # the bytes written from may stay, too
    with pytest.raises(OSError):
        bench.growth.memory_mb(2**22 + 1)


# --- first motion --------------------------------------------------------------------------------------------------


def stamped(moves_ns: int, columns: int, moved: int, before: float = 0.0) -> list:
    """100 a second from 0 to 3 s, joint `moved` standing until moves_ns; `before`: where it was until 1.95 s."""
    rows = []
    for t_ns in range(0, 3 * SECOND_NS, 10_000_000):
        q = np.zeros(columns)
        q[moved] = 1e-3 * (1 + (t_ns - moves_ns) * 1e-8) if t_ns >= moves_ns else before * (t_ns < 1_950_000_000)
        rows.append((t_ns, q))
    return rows


def test_the_arm_that_moves_first_is_followed(bench):
    commands = {"left": stamped(2_140_000_000, 7, 2), "right": stamped(2_110_000_000, 7, 3)}
    both = zip(stamped(2_180_000_000, 14, 2), stamped(2_150_000_000, 14, 10), strict=True)
    states = [(t_ns, left + right) for (t_ns, left), (_, right) in both]
    motion = bench.first_motion.first_motion(2 * SECOND_NS, commands, states)
    assert motion == (2 * SECOND_NS, 2_110_000_000, 2_150_000_000)


def test_what_did_not_stand_or_did_not_move_is_no_sample(bench):
    states = stamped(2_150_000_000, 14, 3)
    first_motion = bench.first_motion.first_motion
    still = {"left": stamped(4 * SECOND_NS, 7, 3)}
    wandering = {"left": stamped(2_100_000_000, 7, 3, before=5e-4)}
    late = {"left": stamped(2_100_000_000, 7, 3)}
    assert first_motion(2 * SECOND_NS, still, states) is None
    assert first_motion(2 * SECOND_NS, wandering, states) is None
    assert first_motion(2 * SECOND_NS, late, states) is not None
    assert first_motion(2 * SECOND_NS, late, stamped(4 * SECOND_NS, 14, 3)) is None


def test_speed_of_training_is_measured_on_the_training_itself(bench, monkeypatch):
    args = bench.training.Args(steps=1, device="cpu")
    monkeypatch.setattr(bench.training, "SEGMENTS", {"state": 2, "image": 1})
    for preset, chunks in (("state", "2 x 2"), ("image", "1 x 2")):
        name, batch, _, seconds, _, waiting, _ = bench.training.measure(preset, args)
        assert (name, batch) == (preset, chunks) and float(seconds) > 0.0
        assert 0.0 < float(waiting.rstrip("%")) < 100.0
