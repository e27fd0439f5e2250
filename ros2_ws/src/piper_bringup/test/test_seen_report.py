"""report, video: the table holds every number of the summary; files appear whole."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from rich.console import Console

from piper_bringup.seen import report
from piper_bringup.seen.monitor import Record
from piper_bringup.video import Video

SUMMARY = {
    "duration_s": 21.5,
    "real_time_factor": {"mean": 0.998, "min": 0.951},
    "topics": {"/joint_states": {"count": 2000, "hz": 99.7, "worst_gap_ms": 31.0}},
    "lateness_ms": {"p50": 0.11, "p99": 2.9, "max": 6.6},
    "clamped": {"position": 0, "velocity": 41, "acceleration": 7},
    "policy": {"chunks": 75, "latency_ms": {"p50": 3.1, "p99": 9.4, "max": 12.0}, "experts": {"2": 0.5, "7": 1.0}},
    "rejected_chunks": 3,
    "tracking_error_rad": {"left": 0.041, "right": 0.052},
    "modes": {"left": "HOLD", "right": "HOLD"},
    "safety_events": [
        {"source": "piper_driver", "reason": "BUS_LOST", "arm": "left", "severity": 3, "count": 2, "text": "gone"}
    ],
    "episodes": [{"task": "lift_bar", "seed": 5, "outcome": "succeeded", "duration_s": 9.5, "goals": []}],
}


def printed(show) -> str:
    console = Console(file=io.StringIO(), width=140)
    show(console)
    return console.file.getvalue()


def test_every_number_is_in_the_table():
    text = printed(lambda console: console.print(report.render(SUMMARY)))
    for wanted in ("/joint_states", "2000", "99.7", "31", "0.998", "0.951", "0.11 / 2.90 / 6.60", "velocity 41"):
        assert wanted in text
    for wanted in ("left 0.041 rad", "right 0.052 rad", "BUS_LOST", "gone", "seed 5", "succeeded after 9.5 s"):
        assert wanted in text
    for wanted in ("p50 3.1, p99 9.4, max 12.0 ms", "75; 2: 50%, 7: 100%"):
        assert wanted in text


def test_an_empty_run_has_a_table_too():
    text = printed(lambda console: console.print(report.render(Record(0).summary(0))))
    assert "no safety events" in text and "no arm was under power" in text


def test_what_is_saved_is_shown(tmp_path):
    report.save(SUMMARY, tmp_path)
    text = printed(lambda console: report.show(tmp_path, console))
    assert "99.7" in text and "summary.json" in text
    assert [path.name for path in tmp_path.iterdir()] == [report.SUMMARY]


def test_what_an_earlier_run_left_goes(tmp_path):
    for name in (*report.KEPT, "mine.txt"):
        (tmp_path / name).write_text("")
    report.clear(tmp_path)
    report.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_every_file_of_a_run_is_named_at_its_end(tmp_path):
    report.save(SUMMARY, tmp_path)
    (tmp_path / report.PAGE).write_text("")
    assert f"kept: {tmp_path / 'summary.json'}, {tmp_path / 'report.html'}" in printed(
        lambda console: report.show(tmp_path, console)
    )


def test_a_missing_summary_is_said(tmp_path):
    assert "did not live to write it" in printed(lambda console: report.show(tmp_path, console))


def test_a_video_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "head.mp4"
    video = Video(path, 20.0)
    for level in range(10):
        video.add(np.full((48, 64, 3), (level * 20, 0, 0), np.uint8))
        assert not path.exists()
    video.close()
    reader = cv2.VideoCapture(str(path))
    frames = []
    while (read := reader.read())[0]:
        frames.append(read[1])
    assert len(frames) == 10 and frames[0].shape == (48, 64, 3)
    blue, _, red = frames[-1].reshape(-1, 3).mean(axis=0)
    assert red > 150 > 50 > blue  # RGB came in, OpenCV reads BGR
    assert [p.name for p in tmp_path.iterdir()] == ["head.mp4"]


def test_a_video_without_frames_is_no_file(tmp_path):
    Video(tmp_path / "head.mp4", 20.0).close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(RuntimeError, match="cannot write"):
        Video(tmp_path / "missing" / "head.mp4", 20.0).add(np.zeros((48, 64, 3), np.uint8))
