"""rlbench/task_environment.py:23-191."""

import logging

import numpy as np

from rlbench.backend.exceptions import BoundaryError, TaskEnvironmentError

_MAX_RESET_ATTEMPTS = 40
_MAX_DEMO_ATTEMPTS = 10


class TaskEnvironment:
    """An episode after another of one task."""

    def __init__(self, pyrep, robot, scene, task, action_mode, dataset_root, obs_config, static_positions=False):
        self._pyrep, self._robot, self._scene, self._task = pyrep, robot, scene, task
        self._action_mode, self._dataset_root, self._variation_number = action_mode, dataset_root, 0
        self._static_positions, self._reset_called = static_positions, False
        self._scene.load(self._task)
        self._pyrep.start()

    def get_name(self):
        return self._task.get_name()

    def sample_variation(self):
        self._variation_number = np.random.randint(0, self._task.variation_count())
        return self._variation_number

    def set_variation(self, v):
        """task_environment.py:71-76: one below 0 is taken."""
        if v >= self.variation_count():
            raise TaskEnvironmentError(
                f"Requested variation {v}, but there are only {self.variation_count()} variations."
            )
        self._variation_number = v

    def variation_count(self):
        return self._task.variation_count()

    def reset(self):
        """task_environment.py:81-96."""
        self._scene.reset()
        try:
            descriptions = self._scene.init_episode(
                self._variation_number, max_attempts=_MAX_RESET_ATTEMPTS, randomly_place=not self._static_positions
            )
        except BoundaryError as error:
            raise TaskEnvironmentError(
                f"Could not place the task {self._task.get_name()} in the scene. This should not happen, please raise "
                "an issues on this task."
            ) from error
        self._reset_called = True
        return descriptions, self._scene.get_observation()

    def get_observation(self):
        return self._scene.get_observation()

    def step(self, action):
        """task_environment.py:104-118: observation, reward, terminate. It goes on after an end."""
        if not self._reset_called:
            raise RuntimeError("Call 'reset' before calling 'step' on a task.")
        self._action_mode.action(self._scene, action)
        success, terminate = self._task.success()
        return self._scene.get_observation(), float(success), terminate

    def get_demos(self, amount, live_demos=False, image_paths=False, callable_each_step=None, max_attempts=10):
        """task_environment.py:120-183: each begins with a reset; arms' drives are put right, grippers' are not."""
        if not live_demos:
            raise RuntimeError("Can't ask for a stored demo when no dataset root provided.")
        self._action_mode.arm_action_mode.set_control_mode(self._robot)
        demos = []
        for _ in range(amount):
            attempts = max_attempts
            while attempts > 0:
                self.reset()
                try:
                    demos.append(self._scene.get_demo(callable_each_step=callable_each_step))
                    break
                except Exception as error:
                    attempts -= 1
                    logging.warning("Bad demo. %s Attempts left: %d", error, attempts)
            if attempts <= 0:
                raise RuntimeError("Could not collect demos. Maybe a problem with the task?")
        return demos
