"""RoboTwin's arms as the shadow of emulated ones: told where those stand, at a fixed rate, while time goes on.

Not RoboTwin's protocol: no `take_action`, no step limit, physics go on while the policy thinks; driver, CAN and limits
are in the loop instead. The emulated arms do not feel what RoboTwin's touch: their grippers close as if nothing were
between the fingers, which is what its own gripper commands say, too. Success is RoboTwin's `check_success`, as long as
its physics keep up with the arms: a simulator that falls behind sees them move faster than they do. No ROS.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piper_bringup.can.rest import Refused, refuse_away
from piper_bringup.data import names
from piper_bringup.robotwin.play import Phase
from piper_bringup.robotwin.settings import FIRST_SEED, Settings
from piper_bringup.robotwin.stage import Begun, Moment, Stage

SETTLE_STEPS = 500  # 2 s, from where RoboTwin's arms begin to where the emulated ones stand
JUDGE_NS = 5_000_000_000  # shorter, and a single picture decides how fast the simulator is
VALID = (Phase.SUCCESS, Phase.TIME_OVER, Phase.POLICY_ERROR)  # what says something of the policy


@dataclass(frozen=True)
class Ended:
    """An episode that ended."""

    task: str
    seed: int  # that was used
    reason: Phase
    detail: str
    success: bool  # as the environment set it, of an episode that is valid
    valid: bool
    real_time_factor: float  # since the motion began
    duration_s: float  # the same in real time
    physics_steps: int
    instruction: str
    instruction_type: str
    instruction_generated: bool
    skipped: tuple[dict[str, Any], ...]


class Shadow:
    """One episode after the other; `follow`, `reset` and the others may be on threads of their own.

    stands: (14,) rad and m, where the emulated arms are. Moments have the system's time of that, not the simulated.
    """

    def __init__(
        self,
        stage: Stage,
        settings: Settings,
        stands: Callable[[], NDArray[np.float64]],
        now_ns: Callable[[], int] = time.monotonic_ns,
        stamp_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._stage, self._settings, self._stands = stage, settings, stands
        self._now_ns, self._stamp_ns = now_ns, stamp_ns
        self._resetting, self._using, self._lock = threading.Lock(), threading.Lock(), threading.Lock()
        self._following = self._open = False
        self._servos = 0
        self._begun: Begun | None = None
        self._moment: Moment | None = None
        self._elapsed_ns = self._from_ns = self._from_elapsed_ns = 0  # simulated; and both where the count begins
        self._used: dict[str, int] = {}  # task -> seed of its last episode

    def reset(self, task: str, seed: int, admitted: Callable[[str], None] = lambda _: None) -> tuple[Begun, Moment]:
        """Begin an episode, RoboTwin's arms where the emulated ones are; with pictures.

        Task empty: the present one; seed negative: the one after the task's last. The seed used may be a later one.
        admitted: called with the task before the present episode is given up. Raises Refused, then it goes on; and as
        `Stage` does.
        """
        if not self._resetting.acquire(blocking=False):
            raise Refused("busy: another episode is being set up")
        try:
            with self._using:
                return self._reset(*self._chosen(task, seed), admitted)
        finally:
            self._resetting.release()

    def follow(self) -> Moment | None:
        """Tell RoboTwin's arms where the emulated ones stand, and let so much time go by; None without an episode.

        Raises as `Stage` does; then nothing is followed until the next reset.
        """
        if not self._using.acquire(blocking=False):
            return None
        try:
            if not self._following:
                return None
            pictures = self._servos % self._settings.servos_a_picture == 0
            self._servos += 1
            self._following = False
            moment = self._told(self._settings.servo_steps, pictures)
            self._following = True
            return moment
        finally:
            self._using.release()

    def started(self) -> None:
        """The motion begins: what was before does not count."""
        with self._lock:
            self._mark()

    def falls_behind(self) -> bool:
        """Whether the episode under way is too slow to be worth its end."""
        with self._lock:
            judged = self._open and self._now_ns() - self._from_ns >= JUDGE_NS
            return judged and self._factor() < self._settings.realtime__min_factor

    def end(self, reason: Phase, detail: str) -> Ended | None:
        """The episode under way has ended for `reason`, or says nothing: it was too slow. None where there is none."""
        with self._lock:
            if not self._open:
                return None
            self._open = False
            factor, least = self._factor(), self._settings.realtime__min_factor
            if reason == Phase.TOO_SLOW or (reason in VALID and factor < least):
                detail = f"{detail}; {factor:.2f} of real time, and below {least:g} an episode says nothing"
                reason = Phase.TOO_SLOW
            return self._ended(reason, detail, factor)

    @property
    def now(self) -> tuple[Begun | None, Moment | None, int]:
        """The present episode, its newest moment, and how long it has gone on in simulated ns."""
        with self._lock:
            return self._begun, self._moment, self._elapsed_ns

    def _chosen(self, task: str, seed: int) -> tuple[str, int]:
        task = task or (self._begun.task if self._begun else "")
        if task not in (known := self._stage.about["tasks"]):
            told = f"there is no task {task}" if task else "name a task"
            raise Refused(f"{told}; RoboTwin has {', '.join(known)}")
        return task, seed if seed >= 0 else self._used.get(task, FIRST_SEED - 1) + 1

    def _reset(self, task: str, seed: int, admitted: Callable[[str], None]) -> tuple[Begun, Moment]:
        q = self._stands()
        refuse_away({arm: q[i * names.ARM_DOF :][:6] for i, arm in enumerate(names.ARMS)})
        admitted(task)
        self._following = False
        with self._lock:
            self._begun = self._moment = None
        self._stage.reset(task, seed)
        begun = self._stage.begun
        self._used[task] = begun.seed
        moment = self._told(SETTLE_STEPS, pictures=True)
        with self._lock:
            self._begun, self._open = begun, True
            self._mark()
        self._servos, self._following = 1, True
        return begun, moment

    def _told(self, steps: int, pictures: bool) -> Moment:
        stamp_ns, q = self._stamp_ns(), self._stands()
        moment = replace(self._stage.servo(q, steps, pictures), stamp_ns=stamp_ns)
        with self._lock:
            self._moment, self._elapsed_ns = moment, self._stage.time.elapsed_ns
        return moment

    def _mark(self) -> None:
        self._from_ns, self._from_elapsed_ns = self._now_ns(), self._elapsed_ns

    def _factor(self) -> float:
        return (self._elapsed_ns - self._from_elapsed_ns) / max(1, self._now_ns() - self._from_ns)

    def _ended(self, reason: Phase, detail: str, factor: float) -> Ended:
        begun = self._begun
        return Ended(
            task=begun.task,
            seed=begun.seed,
            reason=reason,
            detail=detail,
            success=reason == Phase.SUCCESS,
            valid=reason in VALID,
            real_time_factor=factor,
            duration_s=(self._now_ns() - self._from_ns) * 1e-9,
            physics_steps=self._moment.physics_steps,
            instruction=begun.instruction,
            instruction_type=begun.instruction_type,
            instruction_generated=begun.instruction_generated,
            skipped=begun.skipped,
        )
