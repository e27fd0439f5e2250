"""One episode after another in RoboTwin's environments, as its own evaluation runs them.

Success is what the environment says, never what we think: `eval_success`, which `take_action` sets, and
`check_success()` where no `take_action` runs (servo, expert). Simulated time is counted in physics steps.
Python 3.10 and numpy only: the worker imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from piper_bringup.robotwin.checkout import Checkout
from piper_bringup.robotwin.observed import joint_counts, observe
from piper_bringup.robotwin.phase import PhaseError, phase
from piper_bringup.robotwin.physics import count_steps, row
from piper_bringup.robotwin.program import Program
from piper_bringup.robotwin.seeds import NoEpisode, first
from piper_bringup.robotwin.substitutes import Substitutes

EE_ROW = 16  # of an arm: xyz, quaternion wxyz, gripper


@dataclass(frozen=True)
class Wanted:
    """Which episode: its task and settings, the first seed that is tried, whether the expert must solve it first."""

    task: str
    task_config: str
    embodiment: tuple[Any, ...] | None
    seed: int
    expert_check: bool
    instruction_type: str
    max_skipped: int


class Episodes:
    """The environment of this process, and the episode under way in it."""

    def __init__(self, checkout: Checkout, substitutes: Substitutes) -> None:
        self._checkout, self._substitutes = checkout, substitutes
        self._program: Program | None = None
        self._env: Any = None
        self._made_for: tuple[Any, ...] = ()
        self._arguments: dict[str, Any] = {}
        self._episodes = 0  # of this environment
        self._running = False
        self._solved = False  # by servo or the expert
        self.physics_steps = 0  # since the start of the episode

    @property
    def env(self) -> Any:
        """The environment of the episode under way. Raises NoEpisode."""
        if not self._running:
            raise NoEpisode("no episode is under way; reset first")
        return self._env

    def reset(self, wanted: Wanted) -> dict[str, Any]:
        """Begin an episode at the first seed that will do; see `commands` for the answer without its observation.

        Raises PhaseError.
        """
        with phase("arguments"):
            if wanted.instruction_type not in ("", "seen", "unseen") or wanted.max_skipped < 0:
                raise ValueError(f"found {wanted}; valid: instruction_type seen or unseen, max_skipped 0 and above")
        self._prepare(wanted)
        seed, info, skipped = first(wanted.seed, wanted.max_skipped, lambda s: self._try(s, wanted.expert_check))
        return self._begun(wanted, seed, skipped, info)

    def observation(self, cameras: Sequence[str]) -> dict[str, Any]:
        """`observed.observe` with the state of the episode. Raises PhaseError (observe)."""
        with phase("observe"):
            env = self.env
            return observe(env, cameras) | {
                "physics_steps": self.physics_steps,
                "action_count": int(env.take_action_cnt),
                "success": bool(env.eval_success) or self._solved,
            }

    def step(self, action: np.ndarray, kind: str) -> bool:
        """RoboTwin's own `take_action`, which runs as long as it likes; False at the step limit and after success.

        Raises PhaseError (step), also for an action of the wrong size or that is not finite.
        """
        with phase("step"):
            env = self.env
            if kind not in ("qpos", "ee"):
                raise ValueError(f"type is {kind!r}; valid: qpos, ee")
            action = row(action, sum(joint_counts(env)) + 2 if kind == "qpos" else EE_ROW)
            before = env.take_action_cnt
            env.take_action(action, action_type=kind)
            return env.take_action_cnt > before

    def servo(self, action: np.ndarray, physics_steps: int) -> None:
        """Drive targets to `action` over `physics_steps`, evenly; not RoboTwin's protocol: no step limit, no planner.

        Raises PhaseError (servo).
        """
        with phase("servo"):
            env, (left, right) = self.env, joint_counts(self.env)
            target = row(action, left + right + 2)
            if physics_steps < 1:
                raise ValueError(f"physics_steps is {physics_steps}; valid: 1 and above")
            start = np.asarray([*env.robot.get_left_arm_jointState(), *env.robot.get_right_arm_jointState()])
            velocity = (target - start) / (physics_steps * float(env.scene.get_timestep()))
            for i in range(1, physics_steps + 1):
                self._drive(start + (target - start) * i / physics_steps, velocity, left)
                env.scene.step()
            env._update_render()  # as take_action does: wrist cameras follow the hands
            self._solved = self._solved or bool(env.check_success())

    def expert(self) -> dict[str, Any]:
        """RoboTwin's scripted expert from here on. Raises PhaseError (expert)."""
        with phase("expert"):
            env = self.env
            env.play_once()
            planned = bool(env.plan_success)
            self._solved = self._solved or (planned and bool(env.check_success()))
            return {"plan_success": planned, "success": self._solved}

    def end(self) -> None:
        """Close the episode under way, if one is; now and then with RoboTwin's caches. Raises PhaseError (close)."""
        if not self._running:
            return
        self._running = False
        with phase("close"):
            self._env.close_env(clear_cache=(self._episodes + 1) % self._arguments["clear_cache_freq"] == 0)

    def _prepare(self, wanted: Wanted) -> None:
        """An environment for these settings: the one that is there, or a new one."""
        self.end()
        made_for = (wanted.task, wanted.task_config, wanted.embodiment)
        if self._made_for == made_for:
            return
        self._made_for = ()
        with phase("arguments"):
            self._arguments = self._checkout.arguments(*made_for)
        self._program = self._program or Program(self._checkout, self._substitutes)
        self._env, self._episodes = self._program.environment(wanted.task), 0
        self._made_for = made_for

    def _try(self, seed: int, expert_check: bool) -> tuple[tuple[str, str] | None, dict[str, Any]]:
        """Why a seed will not do, or None and what the expert said; then the episode is set up."""
        info: dict[str, Any] = {}
        if expert_check:
            try:
                self._set_up(seed, render_freq=0)
                info = self._env.play_once()["info"]
            except self._program.unstable as error:
                return ("unstable", str(error)), info
            except (Exception, SystemExit) as error:
                return ("expert_error", f"{type(error).__name__}: {error}"), info
            finally:
                self._env.close_env()
            if not (self._env.plan_success and self._env.check_success()):
                return ("expert_failed", "not planned" if not self._env.plan_success else "not solved"), info
        try:
            with phase("setup"):
                self._set_up(seed)
        except PhaseError as error:
            if not isinstance(error.cause, self._program.unstable):
                raise
            self._env.close_env()
            return ("unstable", str(error.cause)), info
        return None, info

    def _set_up(self, seed: int, **changed: Any) -> None:
        self._env.setup_demo(now_ep_num=self._episodes, seed=seed, is_test=True, **self._arguments | changed)

    def _begun(self, wanted: Wanted, seed: int, skipped: list[dict[str, Any]], info: dict[str, Any]) -> dict[str, Any]:
        kind = wanted.instruction_type or self._arguments.get("eval_instruction", "unseen")
        with phase("instruction"):
            sentence, generated = self._program.instruction(wanted.task, info, kind)
            self._env.set_instruction(instruction=sentence)
        count_steps(self._env.scene, self._count)
        self._running, self._solved, self.physics_steps = True, False, 0
        self._episodes += 1
        return {
            "task": wanted.task,
            "task_config": wanted.task_config,
            "embodiment": self._arguments["embodiment"],
            "branch": self._checkout.branch,
            "seed": seed,
            "skipped_seeds": skipped,
            "expert_check": wanted.expert_check,
            "instruction": sentence,
            "instruction_type": kind,
            "instruction_generated": generated,
            "step_limit": int(self._env.step_lim),
            "physics_dt_ns": round(float(self._env.scene.get_timestep()) * 1e9),
        }

    def _count(self) -> None:
        self.physics_steps += 1

    def _drive(self, target: np.ndarray, velocity: np.ndarray, left: int) -> None:
        robot = self._env.robot
        robot.set_arm_joints(target[:left], velocity[:left], "left")
        robot.set_gripper(target[left], "left")
        robot.set_arm_joints(target[left + 1 : -1], velocity[left + 1 : -1], "right")
        robot.set_gripper(target[-1], "right")
