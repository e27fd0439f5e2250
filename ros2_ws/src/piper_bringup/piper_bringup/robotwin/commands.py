"""What a worker can be asked, and what it answers. Joints are in RoboTwin's order and units: see `observed`.

    hello     -> branch ("main" or "stable_2.0", by the looks of the folder), commit, python, versions, tasks,
                 step_limits {task: actions}, task_configs, embodiments {name: downloaded}, missing_assets,
                 shader, planner (see `substitutes`)
    reset     task, seed, task_config="demo_clean", embodiment=None (the configuration's) | [dual] | [left, right, m],
              expert_check=True, instruction_type="" (eval_instruction of the configuration, or unseen) | seen | unseen,
              max_skipped=50, cameras=[]
              -> task, task_config, embodiment, branch, seed (that was used), expert_check, instruction,
                 instruction_type, instruction_generated (false: it is the task's name), step_limit, physics_dt_ns,
                 skipped_seeds [{seed, reason, detail}] with reason unstable | expert_error | expert_failed, observation
    step      action (14,) qpos or (16,) ee, type="qpos", cameras=[]     RoboTwin's own take_action
              -> observation, taken (false: at the step limit, or after success), steps (physics, of this action)
    servo     action (14,), physics_steps, cameras=[]                    not RoboTwin's protocol
              -> observation, steps
    observe   cameras=[]  -> observation
    expert    cameras=[]  -> observation, plan_success, success, steps   the scripted expert, from here on
    close     -> {}, then the worker ends

An observation has measured, targets, ee_poses, cameras (only those that were named: drawing takes long), and
physics_steps, action_count and success of the episode. Grippers are 0 (closed) to 1 (open) in both directions;
metres are the business of the other side. Pictures are RGB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from piper_bringup.robotwin.checkout import Checkout
from piper_bringup.robotwin.episode import Episodes, Wanted
from piper_bringup.robotwin.phase import phase
from piper_bringup.robotwin.substitutes import Substitutes


class Commands:
    """The commands of a worker for the checkout at `root`, which is looked at when first asked.

    `known`: each by its name; what it raises is PhaseError.
    """

    def __init__(self, root: Path, substitutes: Substitutes) -> None:
        self._root, self._substitutes = root, substitutes
        self._episodes: Episodes | None = None
        self.known: dict[str, Callable[..., dict[str, Any]]] = {
            "hello": self._hello,
            "reset": self._reset,
            "step": self._step,
            "servo": self._servo,
            "observe": self._observe,
            "expert": self._expert,
            "close": self._close,
        }

    def _hello(self) -> dict[str, Any]:
        with phase("hello"):
            return Checkout.at(self._root).about() | asdict(self._substitutes)

    def _reset(
        self,
        task: str,
        seed: int,
        task_config: str = "demo_clean",
        embodiment: Sequence[Any] | None = None,
        expert_check: bool = True,
        instruction_type: str = "",
        max_skipped: int = 50,
        cameras: Sequence[str] = (),
    ) -> dict[str, Any]:
        settled = None if embodiment is None else tuple(embodiment)
        wanted = Wanted(task, task_config, settled, seed, expert_check, instruction_type, max_skipped)
        return self._there().reset(wanted) | self._observe(cameras)

    def _step(self, action: Any, type: str = "qpos", cameras: Sequence[str] = ()) -> dict[str, Any]:
        episodes = self._there()
        before = episodes.physics_steps
        taken = episodes.step(action, type)
        return {"taken": taken, "steps": episodes.physics_steps - before} | self._observe(cameras)

    def _servo(self, action: Any, physics_steps: int, cameras: Sequence[str] = ()) -> dict[str, Any]:
        episodes = self._there()
        before = episodes.physics_steps
        episodes.servo(action, physics_steps)
        return {"steps": episodes.physics_steps - before} | self._observe(cameras)

    def _observe(self, cameras: Sequence[str] = ()) -> dict[str, Any]:
        return {"observation": self._there().observation(cameras)}

    def _expert(self, cameras: Sequence[str] = ()) -> dict[str, Any]:
        episodes = self._there()
        before = episodes.physics_steps
        outcome = episodes.expert()
        return outcome | {"steps": episodes.physics_steps - before} | self._observe(cameras)

    def _close(self) -> dict[str, Any]:
        if self._episodes is not None:
            self._episodes.end()
        return {}

    def _there(self) -> Episodes:
        if self._episodes is None:
            with phase("hello"):
                self._episodes = Episodes(Checkout.at(self._root), self._substitutes)
        return self._episodes
