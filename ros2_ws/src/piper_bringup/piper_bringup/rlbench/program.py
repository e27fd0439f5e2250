"""RLBench's own modules, imported from a checkout into this process, and the simulator that they start.

Its joint mode for two arms with grippers as joints: BimanualDiscrete, which that mode takes when none is named, never
moves a gripper there. It is asked for pre and post steps alone (rlbench/action_modes/action_mode.py:150-156), of which
it has none (gripper_action_modes.py:29-33, 264-342). PerAct2's own policy of joints commands fingers in metres too
(peract_bimanual/agents/act_bc_lang/act_bc_lang_agent.py:334-350). Nothing is attached to a gripper in this mode, as it
is to a discrete one: it holds by friction alone.

Python 3.8 and numpy only: the worker imports it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

from piper_bringup.rlbench.checkout import Checkout
from piper_bringup.rlbench.observed import CAMERAS
from piper_bringup.robotwin.phase import phase

_NO_DEMO = "Could not collect demos"  # task_environment.py:181-182; what went wrong is only logged


class Program:
    """RLBench in this process, with `image_px` x `image_px` pictures. Raises PhaseError (import, launch)."""

    def __init__(self, checkout: Checkout, image_px: int) -> None:
        sys.path.insert(0, str(checkout.root))
        with phase("import"):
            self._rlbench = importlib.import_module("rlbench")
            self._utils = importlib.import_module("rlbench.utils")
            self._grippers = importlib.import_module("rlbench.action_modes.gripper_action_modes")
            exceptions = importlib.import_module("rlbench.backend.exceptions")
            self.not_placed: type[Exception] = exceptions.TaskEnvironmentError
            self._cameras = {name: self._camera(image_px) for name in CAMERAS}
        with phase("launch"):
            self._mode = self._joint_mode()
            self._environment = self._rlbench.Environment(
                action_mode=self._mode, obs_config=self._observed(), headless=True, robot_setup="dual_panda"
            )
            self._environment.launch()
        self.simulator = self._environment._pyrep
        self._draw(())

    def task(self, name: str) -> Any:
        """The TaskEnvironment of a task, in place of the one before. Raises PhaseError (import, load)."""
        with phase("import"):
            kind = self._utils.name_to_task_class(name, bimanual=True)
        with phase("load"):
            return self._environment.get_task(kind)

    def step_ns(self) -> int:
        """Of physics; to the microsecond, because the simulator has it in single precision."""
        return round(float(self.simulator.get_simulation_timestep()) * 1e6) * 1000

    def look(self, task: Any, cameras: Sequence[str]) -> Any:
        """Its BimanualObservation now; only the named cameras are drawn: rlbench/backend/scene.py:225-231."""
        self._draw(cameras)
        try:
            return task.get_observation()
        finally:
            self._draw(())

    def demonstrate(self, task: Any) -> str:
        """Reset the task and run its scripted demonstration; why it failed, or empty.

        That moves grippers by velocity (pyrep/robots/end_effectors/gripper.py:121-125), which does nothing once an
        action of ours has switched them to positions (gripper_action_modes.py:157-160): they are switched back, and the
        next action switches again.
        """
        for gripper in (self._environment._robot.right_gripper, self._environment._robot.left_gripper):
            gripper.set_control_loop_enabled(False)
        self._mode.gripper_action_mode = self._grippers.BimanualGripperJointPosition()
        try:
            task.get_demos(1, live_demos=True, max_attempts=1)
        except RuntimeError as error:
            if not str(error).startswith(_NO_DEMO):  # the simulator's, from the reset before
                raise
            return str(error)
        return ""

    def close(self) -> None:
        """End the simulator."""
        self._environment.shutdown()

    def _joint_mode(self) -> Any:
        modes = importlib.import_module("rlbench.action_modes.action_mode")
        arms = importlib.import_module("rlbench.action_modes.arm_action_modes")
        return modes.BimanualJointPositionActionMode(
            arms.BimanualJointPosition(), self._grippers.BimanualGripperJointPosition()
        )

    def _camera(self, image_px: int) -> Any:
        """One that is there: those that draw nothing at launch are removed (rlbench/backend/scene.py:659-662)."""
        render = importlib.import_module(
            "pyrep.const"
        ).RenderMode.OPENGL  # as PerAct2: helpers/observation_utils.py:229-236
        size = (image_px, image_px)
        return self._rlbench.CameraConfig(
            rgb=True, depth=False, point_cloud=False, mask=False, image_size=size, render_mode=render
        )

    def _observed(self) -> Any:
        return self._rlbench.ObservationConfig(
            camera_configs=self._cameras,
            joint_velocities=False,
            joint_forces=False,
            gripper_joint_positions=True,
            task_low_dim_state=False,
            robot_name="bimanual",
        )

    def _draw(self, cameras: Sequence[str]) -> None:
        for name, config in self._cameras.items():
            config.rgb = name in cameras
