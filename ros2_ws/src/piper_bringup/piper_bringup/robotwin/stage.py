"""Episodes of RoboTwin in our joints, cameras and time: asks the worker, and starts another one where it was lost.

No ROS. Whoever asks waits; one thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piper_bringup.data import names
from piper_bringup.robotwin import units
from piper_bringup.robotwin.link import Link
from piper_bringup.robotwin.lost import WorkerLost
from piper_bringup.robotwin.settings import Settings
from piper_bringup.robotwin.sim_time import SimTime


@dataclass(frozen=True, eq=False)
class Seen:
    """What one camera shows."""

    rgb: NDArray[np.uint8]  # (h, w, 3)
    k: NDArray[np.float64]  # (3, 3) intrinsics in pixels


@dataclass(frozen=True, eq=False)
class Moment:
    """An episode at one moment. Joints are (14,), rad and m."""

    stamp_ns: int  # simulated time
    q: NDArray[np.float64]  # measured
    targets: NDArray[np.float64]  # of the drives
    ee_poses: NDArray[np.float64]  # (2, 7) xyz and quaternion wxyz in the world's frame, as RoboTwin has them
    cameras: Mapping[str, Seen]  # ours by name; empty where nothing was drawn
    action_count: int
    physics_steps: int  # of the episode
    solved: bool  # as the environment says


@dataclass(frozen=True)
class Begun:
    """An episode as it begins."""

    task: str
    seed: int  # that was used
    instruction: str
    instruction_type: str
    instruction_generated: bool  # False: it is the name of the task
    step_limit: int
    skipped: tuple[dict[str, Any], ...] = field(default=())  # seed, reason, detail of each


class Stage:
    """Every method that asks the worker raises as `Link.call` does (WorkerRaised, WorkerLost), and units.NotPiper."""

    def __init__(self, link: Link, settings: Settings) -> None:
        self._link, self._settings = link, settings
        self._cameras = [units.CAMERAS[camera] for camera in names.CAMERAS]
        self.time = SimTime()
        self.about: dict[str, Any] = {}  # the newest worker's answer to hello
        self.begun: Begun | None = None  # the episode under way
        self._closed = False

    def start(self) -> None:
        """A worker, in place of the one before; none, but WorkerLost, once the stage was closed."""
        self.begun = None
        if not self._closed:
            self.about = self._link.start(self._settings.timeouts__start_s)
        if self._closed:  # meanwhile, maybe
            self._link.close()
            raise WorkerLost("start: the simulation ends")

    def drop(self) -> None:
        """End the worker; from any thread. Who waits for an answer gets WorkerLost; the next reset starts another."""
        self._link.close()

    def close(self) -> None:
        """End the worker; from any thread. There will be no other."""
        self._closed = True
        self.drop()

    def reset(self, task: str, seed: int) -> Moment:
        """Begin an episode at the first seed from `seed` on that will do; with pictures."""
        if not self._link.alive:
            self.start()
        s, self.begun = self._settings, None
        answer = self._link.call(
            "reset",
            s.timeouts__reset_s,
            task=task,
            seed=seed,
            task_config=s.task_config,
            embodiment=s.embodiment,
            expert_check=s.expert_check,
            instruction_type=s.instruction_type,
            max_skipped=s.max_skipped,
            cameras=self._cameras,
        )
        self.time.begin(answer["physics_dt_ns"])
        moment = self._moment(answer["observation"])
        self.begun = _begun(answer)
        return moment

    def step(self, q: NDArray[np.float64], pictures: bool = False) -> tuple[Moment, bool, int]:
        """RoboTwin's own take_action of (14,) rad and m.

        The moment after; whether it was taken, which ends with step limit and success; its physics steps.
        """
        answer = self._link.call(
            "step",
            self._settings.timeouts__step_s,
            action=units.theirs(q),
            cameras=self._cameras if pictures else [],
        )
        return self._moment(answer["observation"]), bool(answer["taken"]), int(answer["steps"])

    def act(self, rows: Sequence[NDArray[np.float64]], told: Callable[[Moment], None]) -> Moment:
        """A whole chunk (n, 14), action by action, as long as there is one to take; pictures are of its end.

        told: called after each action.
        """
        if self.begun is None or not len(rows):
            raise ValueError("an episode and at least one row are needed")
        for i, row in enumerate(rows):
            moment, _, _ = self.step(row, pictures=i == len(rows) - 1)
            told(moment)
            if self.over(moment):
                break
        return moment

    def servo(self, q: NDArray[np.float64], physics_steps: int, pictures: bool = False) -> Moment:
        """Drive targets to (14,) rad and m over so many steps; not RoboTwin's protocol. The moment after."""
        answer = self._link.call(
            "servo",
            self._settings.timeouts__step_s,
            action=units.theirs(q),
            physics_steps=physics_steps,
            cameras=self._cameras if pictures else [],
        )
        return self._moment(answer["observation"])

    def over(self, moment: Moment) -> bool:
        """Whether RoboTwin takes no more actions."""
        return moment.solved or (self.begun is not None and moment.action_count >= self.begun.step_limit)

    def expert(self) -> tuple[Moment, bool]:
        """The scripted expert from here on; and whether it found its paths."""
        answer = self._link.call("expert", self._settings.timeouts__expert_s, cameras=self._cameras)
        return self._moment(answer["observation"]), bool(answer["plan_success"])

    def _moment(self, seen: dict[str, Any]) -> Moment:
        steps = int(seen["physics_steps"])
        cameras = {
            ours: Seen(seen["cameras"][theirs]["rgb"], seen["cameras"][theirs]["intrinsic"])
            for ours, theirs in units.CAMERAS.items()
            if theirs in seen["cameras"]
        }
        return Moment(
            stamp_ns=self.time.at(steps),
            q=units.ours(seen["measured"]),
            targets=units.ours(seen["targets"]),
            ee_poses=seen["ee_poses"],
            cameras=cameras,
            action_count=int(seen["action_count"]),
            physics_steps=steps,
            solved=bool(seen["success"]),
        )


def _begun(answer: dict[str, Any]) -> Begun:
    return Begun(
        task=answer["task"],
        seed=int(answer["seed"]),
        instruction=answer["instruction"],
        instruction_type=answer["instruction_type"],
        instruction_generated=bool(answer["instruction_generated"]),
        step_limit=int(answer["step_limit"]),
        skipped=tuple(dict(entry) for entry in answer["skipped_seeds"]),
    )
