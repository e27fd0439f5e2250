"""One episode after another in RLBench's tasks for two arms.

Success is what the task says: a reward of 1 (rlbench/task_environment.py:110-111). An action is one physics step, after
which the drives are told to stay where they are (arm_action_modes.py:158-162). Simulated time is counted in steps.
Python 3.8 and numpy only: the worker imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from piper_bringup.rlbench import arms
from piper_bringup.rlbench.checkout import Checkout
from piper_bringup.rlbench.observed import CAMERAS, observe
from piper_bringup.rlbench.program import Program
from piper_bringup.robotwin.phase import PhaseError, phase
from piper_bringup.robotwin.physics import count_steps, row
from piper_bringup.robotwin.seeds import NoEpisode, first

SEEDS = 2**32  # numpy takes no larger ones


@dataclass(frozen=True)
class Wanted:
    """Which episode: its task, the first seed that is tried, whether the demonstration must solve it first."""

    task: str
    seed: int
    joints: tuple[str, ...]
    variation: int | None  # None: drawn by the seed
    expert_check: bool
    step_limit: int
    max_skipped: int


class Episodes:
    """The simulator of this process, and the episode under way in it."""

    def __init__(self, checkout: Checkout, image_px: int) -> None:
        self._checkout, self._image_px = checkout, image_px
        self._program: Program | None = None
        self._task: Any = None
        self._task_name = ""
        self._running = self._ended = False
        self._wanted: Wanted | None = None
        self._seed = 0  # of the episode
        self._targets: np.ndarray | None = None  # the last action
        self.physics_steps = self.action_count = 0  # since the start of the episode
        self.solved = False

    @property
    def task(self) -> Any:
        """The TaskEnvironment of the episode under way. Raises NoEpisode."""
        if not self._running:
            raise NoEpisode("no episode is under way; reset first")
        return self._task

    def reset(self, wanted: Wanted) -> dict[str, Any]:
        """Begin an episode at the first seed that will do; see `commands` for the answer without its observation.

        Raises PhaseError.
        """
        with phase("arguments"):
            self._checkout.admit(wanted.task)
            arms.admit(wanted.joints)
            _check(wanted)
        self._prepare(wanted)
        seed, outcome, skipped = first(wanted.seed, wanted.max_skipped, lambda s: self._try(s, wanted))
        variation, descriptions = outcome
        self._seed, self._targets, self._running, self._ended, self.solved = seed, None, True, False, False
        self.physics_steps = self.action_count = 0
        return {
            "task": wanted.task,
            "seed": seed,
            "variation": variation,
            "variations": int(self._task.variation_count()),
            "skipped_seeds": skipped,
            "expert_check": wanted.expert_check,
            "instruction": descriptions[0],  # as PerAct2: yarr/envs/rlbench_env.py:214
            "instructions": list(descriptions),
            "step_limit": wanted.step_limit,
            "physics_dt_ns": self._program.step_ns(),
        }

    def observation(self, cameras: Sequence[str]) -> dict[str, Any]:
        """`observed.observe` with the state of the episode. Raises PhaseError (observe)."""
        with phase("observe"):
            task = self.task
            if unknown := [name for name in cameras if name not in CAMERAS]:
                raise ValueError(f"no camera {', '.join(unknown)} here; there are {', '.join(CAMERAS)}")
            seen = observe(self._program.look(task, cameras), cameras)
            return {
                **seen,
                "targets": seen["measured"] if self._targets is None else self._targets,
                "physics_steps": self.physics_steps,
                "action_count": self.action_count,
                "success": self.solved,
            }

    def step(self, action: Any) -> bool:
        """RLBench's own step of (16,) ours; False at the step limit and once the episode has ended.

        Whatever it raises ends the episode, as in PerAct2's evaluation (helpers/custom_rlbench_env.py:233-235). Raises
        PhaseError (step), also for an action of the wrong size, that is not finite or opens a gripper further than it
        goes, which ends nothing.
        """
        with phase("step"):
            task, target = self.task, row(action, len(arms.JOINTS))
            told = arms.theirs(target)
            if self._ended or self.action_count >= self._wanted.step_limit:
                return False
            self._targets, self._ended = target, True
            self.action_count += 1
            _, reward, terminate = task.step(told)
            self.solved = reward >= 1
            self._ended = bool(terminate)
            return True

    def expert(self) -> bool:
        """The scripted demonstration of this episode, from its start; whether it succeeded. Then the episode has ended.

        Raises PhaseError (expert).
        """
        with phase("expert"):
            task = self.task
            self._ended = True
            np.random.seed(self._seed)
            self.solved = not self._program.demonstrate(task)
            return self.solved

    def close(self) -> None:
        """End the simulator. Raises PhaseError (close)."""
        self._running = False
        if self._program is not None:
            with phase("close"):
                self._program.close()

    def _prepare(self, wanted: Wanted) -> None:
        """A task environment of this task: the one that is there, or a new one."""
        self._running, self._wanted = False, wanted
        if self._program is None:
            self._program = Program(self._checkout, self._image_px)
            count_steps(self._program.simulator, self._count)
        if self._task_name != wanted.task:
            self._task_name = ""
            self._task = self._program.task(wanted.task)
            self._task_name = wanted.task

    def _try(self, seed: int, wanted: Wanted) -> tuple[tuple[str, str] | None, Any]:
        """Why a seed will not do, or None and variation and sentences of the episode that was reset to.

        Placing draws from numpy's generator: from the same state the demonstration and the episode are laid out alike,
        as RLBench's own reset_to_demo counts on (task_environment.py:185-191).
        """
        try:
            with phase("setup"):
                np.random.seed(seed)
                variation = self._vary(wanted.variation)
                if wanted.expert_check:
                    np.random.seed(seed)
                    if failed := self._program.demonstrate(self._task):
                        return ("expert_failed", failed), None
                np.random.seed(seed)
                descriptions, _ = self._task.reset()
                return None, (variation, descriptions)
        except PhaseError as error:
            if not isinstance(error.cause, self._program.not_placed):
                raise
            return ("not_placed", str(error.cause)), None

    def _vary(self, variation: int | None) -> int:
        if variation is None:
            return int(self._task.sample_variation())
        if variation >= self._task.variation_count():
            raise ValueError(f"variation is {variation}; valid: below {self._task.variation_count()}")
        self._task.set_variation(variation)
        return variation

    def _count(self) -> None:
        self.physics_steps += 1


def _check(wanted: Wanted) -> None:
    for name, least, value in (
        ("seed", 0, wanted.seed),
        ("variation", 0, wanted.variation or 0),
        ("step_limit", 1, wanted.step_limit),
        ("max_skipped", 0, wanted.max_skipped),
    ):
        if value < least:
            raise ValueError(f"{name} is {value}; valid: {least} and above")
    if wanted.seed + wanted.max_skipped >= SEEDS:
        raise ValueError(f"seed is {wanted.seed}; valid: below {SEEDS - wanted.max_skipped}")
