"""chronicle, thinned: what is kept of episodes is theirs, evenly spread, and bounded."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from piper_bringup.seen.chronicle import CHUNKS, EPISODES, MARKS, PICTURES, RESET, STARTED, SUCCEEDED, Chronicle, Scene
from piper_bringup.seen.thinned import Thinned

S = 1_000_000_000
FAILED = 3


def header(t_s: float) -> SimpleNamespace:
    return SimpleNamespace(stamp=SimpleNamespace(sec=int(t_s), nanosec=round(t_s % 1 * S)))


def event(kind: int, t_s: float) -> SimpleNamespace:
    return SimpleNamespace(kind=kind, header=header(t_s))


def skill(t_s: float, *gate: float) -> SimpleNamespace:
    return SimpleNamespace(header=header(t_s), gate=gate, active_experts=[0])


def safety(t_s: float, reason: str, severity: int = 1) -> SimpleNamespace:
    return SimpleNamespace(header=header(t_s), reason=reason, severity=severity)


def after(*events: SimpleNamespace) -> Chronicle:
    chronicle = Chronicle()
    for one in events:
        chronicle.episode_event(one)
    return chronicle


@given(st.integers(3, 50), st.integers(0, 2000))
def test_a_thinned_list_is_bounded_and_even(most, count):
    thinned = Thinned(most)
    for i in range(count):
        kept = thinned.wants_next
        thinned.add(i if kept else None)
    assert len(thinned.items) < most and (count == 0 or thinned.items[0] == 0)
    steps = {b - a for a, b in pairwise(thinned.items)}
    assert len(steps) <= 1  # one step everywhere
    assert len(thinned.items) < 2 or count - thinned.items[-1] <= 2 * max(steps)  # to the end


def test_gates_between_episodes_belong_to_none():
    chronicle = Chronicle()
    chronicle.skill_state(skill(0.5, 0.9))
    chronicle.episode_event(event(STARTED, 1.0))
    chronicle.skill_state(skill(1.5, 0.25, 0.75))
    chronicle.skill_state(skill(1.6, 1.0))  # of a model with other experts
    chronicle.episode_event(event(FAILED, 2.0))
    chronicle.skill_state(skill(2.5, 0.1, 0.9))
    (scene,) = chronicle.scenes
    assert [(scene.seconds(d.t_ns), d.gate) for d in scene.decisions.items] == [(0.5, (0.25, 0.75))]
    assert (scene.ended_ns, scene.succeeded) == (2 * S, False)


def test_the_last_goal_of_a_success_may_be_told_after_its_end_and_no_other():
    for end, told in ((SUCCEEDED, {"grasped": 2 * S, "lifted": 3 * S}), (FAILED, {"grasped": 2 * S})):
        chronicle = after(event(STARTED, 1.0))
        chronicle.goals("grasped", 2 * S)
        chronicle.episode_event(event(end, 3.0))
        chronicle.goals("grasped, lifted", 4 * S)
        assert chronicle.scenes[0].goals == told
        chronicle.episode_event(event(RESET, 5.0))
        chronicle.goals("of the next", 6 * S)
        assert chronicle.scenes[0].goals == told


def test_warnings_are_marked_and_mere_news_is_not():
    chronicle = after(event(STARTED, 0.0))
    for one in (safety(1.0, "ENABLED", 0), safety(2.0, "CHUNK_JUMP"), *(safety(3.0, "NO_ROW", 2) for _ in range(99))):
        chronicle.safety_event(one)
    events = chronicle.scenes[0].events
    assert events[:2] == [(2 * S, "CHUNK_JUMP"), (3 * S, "NO_ROW")] and len(events) == MARKS


def test_pictures_are_made_only_where_they_are_kept_and_the_last_is_kept():
    chronicle, made = after(event(STARTED, 0.0)), []

    def picture(i: int) -> None:
        chronicle.picture(i * S, lambda: made.append(i) or b"%d" % i)

    for i in range(100):
        picture(i)
    assert len(made) < 2 * PICTURES + 10
    chronicle.episode_event(event(SUCCEEDED, 99.5))
    picture(100)  # of nobody
    shown = chronicle.scenes[0].shown(5)
    assert len(shown) == 5 and shown[0] == (0, b"0") and shown[-1] == (99 * S, b"99")
    gaps = [b - a for (a, _), (b, _) in pairwise(shown)]
    assert max(gaps) - min(gaps) <= 8 * S  # evenly, as far as they were kept


def test_an_episode_that_a_run_breaks_off_has_its_last_picture():
    chronicle = after(event(STARTED, 0.0))
    for i in range(200):
        chronicle.picture(i * S, lambda i=i: b"%d" % i)
    chronicle.close()
    assert chronicle.scenes[0].shown(3)[-1] == (199 * S, b"199") and chronicle.scenes[0].ended_ns is None


def test_a_damaged_last_picture_is_left_out():
    chronicle = after(event(STARTED, 0.0))
    chronicle.picture(0, lambda: b"good")

    def damaged() -> bytes:
        raise ValueError

    for i in range(1, PICTURES + 1):
        chronicle.picture(i, lambda: b"good")
    assert not chronicle.scenes[0].pictures.wants_next
    chronicle.picture(PICTURES + 1, damaged)
    chronicle.close()
    assert chronicle.scenes[0].last_picture is None


def test_pictures_without_any_are_none():
    assert Scene(1, 0).shown(5) == []


def test_days_are_kept_in_little_memory():
    chronicle = Chronicle()
    for number in range(EPISODES + 20):
        chronicle.episode_event(event(STARTED, number * 1000.0))
        for i in range(2 * CHUNKS if number == EPISODES + 19 else 3):
            chronicle.skill_state(skill(number * 1000.0 + i * 0.2, 0.5))
    assert len(chronicle.scenes) == EPISODES and chronicle.scenes[-1].number == EPISODES + 20
    assert len(chronicle.scenes[-1].decisions.items) < CHUNKS
