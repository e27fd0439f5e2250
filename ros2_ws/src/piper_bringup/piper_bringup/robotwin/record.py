"""The file of the episodes in mode realtime: what they are not comes first in it. No ROS."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from piper_bringup.robotwin import result_file
from piper_bringup.robotwin.evaluation import counted, described
from piper_bringup.robotwin.settings import Settings
from piper_bringup.robotwin.shadow import Ended

MODE = "realtime"
LABEL = "NOT RoboTwin's protocol"
PROTOCOL = (
    f"{LABEL}: no take_action and no step limit; the arms are moved in real time, through driver, CAN and limits. "
    "Not to be compared with published numbers."
)


class Record:
    """Episodes as they end, and their file, whole at any moment. `add` may be called from any thread."""

    def __init__(self, settings: Settings, about: dict[str, Any]) -> None:
        self._settings, self._about = settings, about
        self._lock, self._episodes = threading.Lock(), []
        self.path: Path | None = None  # there is one from the first episode on

    def open(self) -> None:
        """A file, where there is none. Raises OSError."""
        if self.path is None:
            self.path = result_file.place(Path(self._settings.out).expanduser())
            result_file.write(self.path, result(self._settings, self._about, []))

    def add(self, episode: Ended) -> None:
        """One more. Raises OSError."""
        with self._lock:
            self._episodes.append(episode)
            result_file.write(self.path, result(self._settings, self._about, self._episodes))

    @property
    def told(self) -> str:
        """What came of them so far, for people."""
        with self._lock:
            valid = [episode for episode in self._episodes if episode.valid]
            left_out = len(self._episodes) - len(valid)
        share = f"{sum(episode.success for episode in valid)} of {len(valid)} succeeded"
        return f"{share}, {left_out} left out; {LABEL}; {self.path}"


def result(settings: Settings, about: dict[str, Any], episodes: Sequence[Ended]) -> dict[str, Any]:
    """What goes into the file; only valid episodes are counted."""
    valid = [episode for episode in episodes if episode.valid]
    tasks = dict.fromkeys(episode.task for episode in episodes)
    return {
        "benchmark": "RoboTwin 2.0",
        "mode": MODE,
        "protocol": PROTOCOL,
        "policy": settings.realtime__policy,
        "servo_hz": settings.realtime__servo_hz,
        "camera_hz": settings.realtime__camera_hz,
        "min_real_time_factor": settings.realtime__min_factor,
        **described(settings, about),
        "total": counted(valid),
        "left_out": dict(Counter(str(episode.reason) for episode in episodes if not episode.valid)),
        "tasks": {task: counted([episode for episode in valid if episode.task == task]) for task in tasks},
        "episodes": [asdict(episode) for episode in episodes],
    }
