"""What RLBench's worker can be asked, and what it answers: the commands of `robotwin.commands`, for two Pandas.

    hello     -> program ("RLBench"), commit, python, versions, tasks, coppeliasim (its folder, None: not set),
                 joints (of an action, in order), cameras, image_px
    reset     task, seed, joints (of the policy that is to act; refused where they are not those of hello),
              variation=None (drawn by the seed), expert_check=True, step_limit=400, max_skipped=50, cameras=[]
              -> task, seed (that was used), variation, variations, expert_check, instruction, instructions, step_limit,
                 physics_dt_ns, skipped_seeds [{seed, reason, detail}] with reason not_placed | expert_failed,
                 observation
    step      action (16,), cameras=[]     one step of RLBench's joint mode, which is one of physics
              -> observation, taken (false: at the step limit, or after success or failure), steps
    servo     refused: a step is one
    observe   cameras=[]  -> observation
    expert    cameras=[]  -> observation, plan_success, success, steps     the scripted demonstration of this episode,
              from its start, its settling included; RLBench does not tell a path that was not found from a failure
    close     -> {}, then the worker ends

An observation has measured, targets (the last action; drives are at rest between actions), ee_poses, cameras (only
those that were named: drawing takes long), and physics_steps, action_count and success of the episode. Left arm first,
rad, grippers 0 (closed) to 1 (open), quaternions wxyz, pictures RGB: see `arms` and `observed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from piper_bringup.rlbench import arms
from piper_bringup.rlbench.checkout import Checkout
from piper_bringup.rlbench.episode import Episodes, Wanted
from piper_bringup.rlbench.observed import CAMERAS
from piper_bringup.robotwin.phase import phase

STEP_LIMIT = 400  # of PerAct2's own policy of joints: peract_bimanual/conf/method/ACT_BC_LANG.yaml:49


class NotThere(RuntimeError):
    """RLBench has no such thing."""


class Commands:
    """The commands of a worker for the checkout at `root`, which is looked at when first asked.

    `known`: each by its name; what it raises is PhaseError.
    """

    def __init__(self, root: Path, image_px: int) -> None:
        self._root, self._image_px = root, image_px
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
            about = Checkout.at(self._root).about()
            ours = {"joints": list(arms.JOINTS), "cameras": list(CAMERAS), "image_px": self._image_px}
            return {"program": "RLBench", **about, **ours}

    def _reset(
        self,
        task: str,
        seed: int,
        joints: Sequence[str],
        variation: int | None = None,
        expert_check: bool = True,
        step_limit: int = STEP_LIMIT,
        max_skipped: int = 50,
        cameras: Sequence[str] = (),
    ) -> dict[str, Any]:
        wanted = Wanted(task, seed, tuple(joints), variation, expert_check, step_limit, max_skipped)
        return {**self._there().reset(wanted), **self._observe(cameras)}

    def _step(self, action: Any, cameras: Sequence[str] = ()) -> dict[str, Any]:
        episodes = self._there()
        before = episodes.physics_steps
        taken = episodes.step(action)
        return {"taken": taken, "steps": episodes.physics_steps - before, **self._observe(cameras)}

    def _servo(self, **_: Any) -> dict[str, Any]:
        with phase("servo"):
            raise NotThere("RLBench has no servo: in its joint mode an action is one physics step; ask for step")

    def _observe(self, cameras: Sequence[str] = ()) -> dict[str, Any]:
        return {"observation": self._there().observation(cameras)}

    def _expert(self, cameras: Sequence[str] = ()) -> dict[str, Any]:
        episodes = self._there()
        before = episodes.physics_steps
        solved = episodes.expert()
        steps = episodes.physics_steps - before
        return {"plan_success": solved, "success": solved, "steps": steps, **self._observe(cameras)}

    def _close(self) -> dict[str, Any]:
        if self._episodes is not None:
            self._episodes.close()
        return {}

    def _there(self) -> Episodes:
        if self._episodes is None:
            with phase("hello"):
                self._episodes = Episodes(Checkout.at(self._root), self._image_px)
        return self._episodes
