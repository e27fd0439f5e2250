"""monitor, silence: rates, gaps, outages and what the end table is made from."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piper_bringup.arm.safety import Mode
from piper_bringup.data import names
from piper_bringup.seen.chronicle import RESET, STARTED
from piper_bringup.seen.counted import LATENCIES, Arrivals
from piper_bringup.seen.monitor import Record
from piper_bringup.seen.silence import Expected, Silence

MS = 1_000_000
STEP_NS = 100 * MS
JOINTS = Expected("/joint_states", "piper_driver", 500 * MS)


def test_rate_and_worst_gap():
    arrivals = Arrivals()
    for t_ms in (0, 10, 20, 70, 80, 90, 100):
        arrivals.add(t_ms * MS)
    assert arrivals.hz == pytest.approx(60.0)
    assert arrivals.worst_gap_ns == 50 * MS


def test_one_message_has_no_rate():
    arrivals = Arrivals()
    arrivals.add(5)
    assert arrivals.hz == 0.0 and arrivals.count == 1


def run(heard_until_step: int, steps: int, back_at_step: int | None = None) -> list:
    """Outages of a topic that is heard at every check until it is not."""
    silence, found = Silence((JOINTS,), 0), []
    for step in range(1, steps):
        now_ns = step * STEP_NS
        if step <= heard_until_step or (back_at_step is not None and step >= back_at_step):
            silence.heard(JOINTS.topic, now_ns)
        found += [(step, outage) for outage in silence.check(now_ns)]
    return found


@given(st.integers(1, 30), st.integers(7, 40))
def test_an_outage_and_its_end_are_each_told_once(last_step, silent_steps):
    back = last_step + silent_steps
    found = run(last_step, back + 20, back)
    assert [(step, outage.back) for step, outage in found] == [(last_step + 6, False), (back, True)]


def test_the_outage_names_topic_and_node():
    (_, outage), *rest = run(heard_until_step=3, steps=20)
    assert rest == []
    assert outage.text == "/joint_states is silent for more than 0.5 s: piper_driver should be publishing it"


def test_a_topic_that_is_due_is_missed_once_and_its_coming_is_told():
    due = Expected("/cam_head/image_raw", "its camera node", 1000 * MS, 5000 * MS)
    silence, found = Silence((due,), 0), []
    for step in range(1, 80):
        if step >= 70:
            silence.heard(due.topic, step * STEP_NS)
        found += [(step, outage) for outage in silence.check(step * STEP_NS)]
    assert [step for step, _ in found] == [51, 70]
    assert found[0][1].text == ("/cam_head/image_raw has not come once in 5 s: its camera node should be publishing it")
    assert found[1][1].text == "/cam_head/image_raw from its camera node is back"


def test_a_topic_that_comes_in_time_is_not_missed_before_it_falls_silent():
    due = Expected("/cam_head/image_raw", "its camera node", 1000 * MS, 5000 * MS)
    silence, found = Silence((due,), 0), []
    for step in range(1, 80):
        if 30 <= step < 60:
            silence.heard(due.topic, step * STEP_NS)
        found += [(step, outage.text) for outage in silence.check(step * STEP_NS)]
    ((step, text),) = found
    assert step == 70 and "is silent for more than 1 s" in text


def test_a_topic_that_was_never_heard_is_not_missed():
    silence = Silence((JOINTS,), 0)
    assert [silence.check(step * STEP_NS) for step in range(50)] == [[]] * 50


def test_a_topic_that_nobody_expects_is_not_missed():
    silence = Silence((JOINTS,), 0)
    silence.heard("/tf", STEP_NS)
    assert [silence.check(step * STEP_NS) for step in range(2, 50)] == [[]] * 48


def test_a_monitor_that_slept_blames_nobody():
    silence = Silence((JOINTS,), 0)
    silence.heard(JOINTS.topic, STEP_NS)
    silence.check(STEP_NS)
    assert silence.check(STEP_NS + 5_000 * MS) == []  # messages of those 5 s wait in its queue
    assert silence.check(STEP_NS + 5_100 * MS) == []


def test_sleeping_does_not_end_an_outage():
    silence = Silence((JOINTS,), 0)
    silence.heard(JOINTS.topic, 0)
    told = [outage for step in range(1, 10) for outage in silence.check(step * STEP_NS)]
    assert [outage.back for outage in told] == [False]
    assert silence.check(60_000 * MS) == []


def status(arm: str = "left", mode: Mode = Mode.FOLLOW, error: float = 0.0, **values: object) -> SimpleNamespace:
    zeros = dict.fromkeys(("clamped_position", "clamped_velocity", "clamped_acceleration", "rejected_chunks"), 0)
    late = dict.fromkeys(("lateness_p50_ms", "lateness_p99_ms", "lateness_max_ms"), 0.0)
    both = zeros | late | values
    return SimpleNamespace(arm=arm, mode=mode, mode_name=mode.name, tracking_error_rad=[0.0] * 5 + [error], **both)


def test_tracking_error_counts_only_under_power():
    record = Record(0)
    for one in (status(error=0.1), status(mode=Mode.DISABLED, error=3.0), status("right", error=-0.2)):
        record.arm_status(one)
    assert record.summary(0)["tracking_error_rad"] == {"left": 0.1, "right": 0.2}


def test_lateness_is_the_worst_told_and_nothing_before_power():
    record = Record(0)
    record.arm_status(status(mode=Mode.DISABLED, lateness_max_ms=99.0))
    assert record.summary(0)["lateness_ms"] is None
    record.arm_status(status(lateness_p50_ms=0.1, lateness_p99_ms=2.0, lateness_max_ms=7.0))
    record.arm_status(status("right", lateness_p50_ms=0.2, lateness_p99_ms=1.0, lateness_max_ms=8.0))
    assert record.summary(0)["lateness_ms"] == {"p50": 0.2, "p99": 2.0, "max": 8.0}


def test_counters_survive_a_restarted_driver():
    record = Record(0)
    record.arm_status(status(clamped_velocity=12, rejected_chunks=3))
    record.arm_status(status(clamped_velocity=1))
    summary = record.summary(0)
    assert summary["clamped"] == {"position": 0, "velocity": 12, "acceleration": 0}
    assert summary["rejected_chunks"] == 3


def header(t_ms: int) -> SimpleNamespace:
    return SimpleNamespace(stamp=SimpleNamespace(sec=t_ms // 1000, nanosec=t_ms % 1000 * MS))


def event(kind: int, seed: int = 1, duration_s: float = 0.0, t_ms: int = 0) -> SimpleNamespace:
    return SimpleNamespace(kind=kind, task="lift_bar", seed=seed, duration_s=duration_s, header=header(t_ms))


def test_the_first_outcome_of_an_episode_stands():
    record = Record(0)
    succeeded, failed = 2, 3
    for one in (event(RESET), event(STARTED), event(succeeded, duration_s=9.0), event(failed), event(STARTED, 2)):
        record.episode_event(one)
    first, second = record.summary(0)["episodes"]
    assert (first["outcome"], first["duration_s"]) == ("succeeded", 9.0)
    assert (second["outcome"], second["seed"]) == ("unfinished", 2)


def safety(reason: str, severity: int, count: int, text: str) -> SimpleNamespace:
    about = {"source": "piper_driver", "reason": reason, "arm": "", "text": text}
    return SimpleNamespace(severity=severity, count=count, header=header(0), **about)


def test_safety_events_are_gathered_by_reason_worst_first():
    record = Record(0)
    for one in (safety("NO_ROW", 2, 1, "a"), safety("BUS_LOST", 3, 1, "b"), safety("NO_ROW", 2, 2, "c")):
        record.safety_event(one)
    events = record.summary(0)["safety_events"]
    assert [(e["reason"], e["count"], e["text"]) for e in events] == [("BUS_LOST", 1, "b"), ("NO_ROW", 2, "c")]


def test_every_dead_process_and_silent_topic_has_its_own_entry():
    record = Record(0)
    for text in ("process cell died", "process monitor died", "process cell died"):
        record.safety_event(safety("PROCESS_DIED", 1, 1, text))
    events = record.summary(0)["safety_events"]
    assert [(e["text"], e["count"]) for e in events] == [("process cell died", 2), ("process monitor died", 1)]


def diagnostics(t_ms: int = 0, **values: str) -> SimpleNamespace:
    pairs = [SimpleNamespace(key=key, value=value) for key, value in values.items()]
    return SimpleNamespace(status=[SimpleNamespace(values=pairs)], header=header(t_ms))


def test_real_time_factor_is_taken_from_diagnostics():
    record = Record(0)
    assert record.summary(0)["real_time_factor"] is None
    for value in ("1.0", "0.5"):
        record.diagnostics(diagnostics(real_time_factor=value, other="x"))
    assert record.summary(0)["real_time_factor"] == {"mean": 0.75, "min": 0.5}


def test_rates_are_those_since_the_last_call():
    record = Record(0)
    for i in range(100):
        record.arrived(names.TOPIC_JOINT_STATES, i * 10 * MS)
    assert "/joint_states 100 Hz" in record.rates(1_000 * MS)
    assert "/joint_states 0 Hz" in record.rates(2_000 * MS)


def skill(ms: float, *active: int) -> SimpleNamespace:
    return SimpleNamespace(total_ms=ms, active_experts=list(active), gate=[0.2, 0.8], header=header(0))


def test_the_live_line_tells_what_happens_now():
    record = Record(0)
    assert record.doing(0) == ""
    record.skill_state(skill(3.0, 0))  # of an earlier episode
    record.episode_event(event(STARTED, t_ms=2_000))
    for arm, mode in (("left", Mode.FOLLOW), ("right", Mode.HOLD)):
        record.arm_status(status(arm, mode, clamped_velocity=4, clamped_position=1, rejected_chunks=2))
    for one in (safety("NO_ROW", 2, 3, ""), safety("ENABLED", 0, 1, "")):
        record.safety_event(one)
    record.skill_state(skill(6.44, 1, 3))
    assert record.doing(6_250 * MS) == (
        "lift_bar, episode 1: 4.2 s, 1 chunks; experts 1 3, chunk 6.4 ms; left FOLLOW, right HOLD; "
        "rejected 2, clamped 5; NO_ROW 3"
    )
    timed_out = 4
    record.episode_event(event(timed_out, duration_s=20.0))
    assert record.doing(60_000 * MS).startswith("lift_bar, episode 1: timed out after 20.0 s; ")


def test_goals_are_those_of_the_episode_that_runs():
    record = Record(0)
    record.diagnostics(diagnostics(500, goals_reached="grasped"))
    record.episode_event(event(STARTED, t_ms=1_000))
    record.diagnostics(diagnostics(900, goals_reached="grasped, lifted"))  # stamped before the episode began
    assert record.summary(0)["episodes"][0]["goals"] == []
    record.diagnostics(diagnostics(2_000, goals_reached="grasped"))
    record.diagnostics(diagnostics(3_000, goals_reached=""))
    assert record.summary(0)["episodes"][0]["goals"] == ["grasped"]


def test_chunks_are_timed_and_their_experts_counted():
    record = Record(0)
    assert record.summary(0)["policy"] is None  # a script has no experts
    for one in (skill(2.0, 1, 3), skill(4.0, 3)):
        record.skill_state(one)
    policy = record.summary(0)["policy"]
    assert policy["chunks"] == 2 and policy["experts"] == {"1": 0.5, "3": 1.0}
    assert policy["latency_ms"]["p50"] == pytest.approx(3.0) and policy["latency_ms"]["max"] == 4.0


def test_a_long_run_keeps_few_latencies_and_the_largest():
    record = Record(0)
    for i in range(3 * LATENCIES):
        record.skill_state(skill(900.0 if i == 2 * LATENCIES + 1 else i % 100, 1))
    policy = record.summary(0)["policy"]
    assert len(record.chunks.latency_ms.items) < LATENCIES and policy["chunks"] == 3 * LATENCIES
    assert policy["latency_ms"]["max"] == 900.0 and policy["latency_ms"]["p50"] == pytest.approx(50.0, abs=3.0)
