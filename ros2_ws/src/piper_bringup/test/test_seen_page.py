"""page, page_figures: every number of a run is on its page, gates as they were told; it needs nothing beside it."""

from __future__ import annotations

import base64
import re
import subprocess
from html.parser import HTMLParser

import cv2
import numpy as np
from test_seen_report import SUMMARY

from piper_bringup.data.images import encode_jpeg
from piper_bringup.seen import page, page_figures
from piper_bringup.seen.chronicle import Decision, Scene
from piper_bringup.seen.monitor import Record

S = 1_000_000_000
ABOUT = page.About("2026-01-02 03:04:05 UTC", "models/state", "abc1234 with changes")
JPEG = encode_jpeg(np.full((48, 64, 3), (200, 30, 30), np.uint8))


def scene() -> Scene:
    """Three decisions of two experts, a goal, events, two pictures; it ended after 1 s."""
    made = Scene(1, 10 * S, ended_ns=11 * S, succeeded=True, goals={"grasped <it>": 10 * S + S // 2})
    for i, gate in enumerate(((0.9, 0.1), (0.4, 0.6), (0.2, 0.8))):
        made.decisions.add(Decision(10 * S + i * S // 5, gate, (0,) if i == 0 else (0, 1)))
    made.events += [(10 * S + S // 4, "CHUNK_JUMP"), (10 * S + S // 3, "CHUNK_JUMP")]
    made.pictures.add((10 * S, JPEG))
    made.last_picture = (11 * S, JPEG)
    return made


class Balanced(HTMLParser):
    """Fails where tags do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_number_is_on_the_page():
    text = page.render(SUMMARY, [scene()], ABOUT)
    for wanted in (
        "models/state",
        "abc1234 with changes",
        "2026-01-02 03:04:05 UTC",
        "lasted 21.5 s",
        "1 of 1 succeeded",
    ):
        assert wanted in text
    for wanted in ("3.1 / 9.4 / 12.0 ms", "0.1 / 2.9 / 6.6 ms", "2: 50%, 7: 100%", "velocity 41", "BUS_LOST", "gone"):
        assert wanted in text
    for wanted in ("<td>lift_bar</td><td>5</td>", "<td>9.5</td>", "<figcaption>1.0 s</figcaption>"):
        assert wanted in text
    assert "Mean gate of each expert: 0: 0.500, 1: 0.500" in text


def test_the_page_needs_nothing_beside_it_and_its_tags_match():
    text = page.render(SUMMARY, [scene()], ABOUT)
    assert re.findall(r'(?:src|href)="(?!data:image/(?:png|jpeg);base64,)', text) == [] and "http" not in text
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []


def test_the_pictures_on_the_page_are_those_that_were_kept():
    text = page.render(SUMMARY, [scene()], ABOUT)
    jpegs = re.findall(r"data:image/jpeg;base64,([^\"]+)", text)
    assert [base64.b64decode(one) for one in jpegs] == [JPEG, JPEG]
    (png,) = re.findall(r"data:image/png;base64,([^\"]+)", text)
    drawn = cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape[1] == 10 * page_figures.DPI and len(np.unique(drawn)) > 50


def test_gates_are_drawn_as_they_were_told_with_goals_and_events_at_their_time():
    upper, lower = page_figures.gates(scene()).axes
    first, second = upper.lines[:2]
    assert np.allclose(first.get_xdata(), [0.0, 0.2, 0.4, 1.0]) and np.allclose(first.get_ydata(), [0.9, 0.4, 0.2, 0.2])
    assert np.allclose(second.get_ydata(), [0.1, 0.6, 0.8, 0.8])
    marks = [(line.get_xdata()[0], line.get_color()) for line in upper.lines[2:]]
    assert np.allclose([x for x, _ in marks], [0.5, 0.25, 1 / 3]) and marks[0][1] == "tab:green"
    assert [text.get_text() for text in upper.texts] == ["grasped <it>", "CHUNK_JUMP", ""]
    acts = [[path.get_extents().bounds[:3:2] for path in bars.get_paths()] for bars in lower.collections]
    assert np.allclose(acts[0], [(0.0, 0.2), (0.2, 0.2), (0.4, 0.6)]) and np.allclose(acts[1], [(0.2, 0.2), (0.4, 0.6)])


def test_what_others_say_is_text_and_no_markup():
    event = SUMMARY["safety_events"][0] | {"text": "<script>alert(1)</script>"}
    episode = SUMMARY["episodes"][0] | {"task": "<b>", "goals": ["<i>"]}
    text = page.render(SUMMARY | {"safety_events": [event], "episodes": [episode]}, [scene()], ABOUT)
    assert not any(tag in text for tag in ("<script>", "<b>", "<i>")) and "&lt;script&gt;" in text


def test_an_empty_run_has_a_page_too(tmp_path):
    path = page.save(Record(0).summary(0), [], page.About("now"), tmp_path)
    text = path.read_text()
    assert "None began." in text and "none was given" in text and "no arm was under power" in text
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_an_episode_without_policy_or_camera_says_so():
    text = page.render(SUMMARY, [Scene(1, 0)], ABOUT)
    assert "No policy spoke." in text and "No picture of the head camera came." in text


def test_of_many_episodes_the_newest_are_listed():
    episodes = [SUMMARY["episodes"][0] | {"seed": 10_000 + i} for i in range(page.ROWS + 7)]
    text = page.render(SUMMARY | {"episodes": episodes}, [], ABOUT)
    assert "7 before these." in text and "<td>10007</td>" in text and "<td>10006</td>" not in text


def test_the_commit_is_that_of_the_repository_a_file_belongs_to(tmp_path):
    def git(*words: str) -> str:
        person = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        return subprocess.run(["git", *person, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    file, copy = tmp_path / "a.py", tmp_path / "copy.py"
    file.write_text("")
    assert page.commit(file) == ""
    git("init", "-q")
    git("add", "a.py")
    git("commit", "-q", "-m", "a")
    short = git("rev-parse", "--short", "HEAD").strip()
    assert page.commit(file) == short
    copy.write_text("")
    assert page.commit(file) == f"{short} with changes"
    assert page.commit(copy) == ""  # it came from elsewhere
