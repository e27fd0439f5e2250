"""rlbench/environment.py:36-83, 102-161, 163-180."""

from os.path import abspath, dirname, join

from pyrep.parts import Arm, Gripper
from pyrep.pyrep import PyRep

from rlbench.backend.robot import BimanualRobot
from rlbench.backend.scene import Scene
from rlbench.observation_config import ObservationConfig
from rlbench.task_environment import TaskEnvironment

RIGHT_START = [0.0, 0.2, 0.0, -1.8, 0.0, 2.0, 0.8]
LEFT_START = [0.0, 0.3, 0.0, -1.7, 0.0, 2.1, 0.7]
LEFT_STOP_M = 0.012  # the left gripper holds something


class Environment:
    """A simulator and a scene with two Pandas; one task at a time."""

    def __init__(
        self,
        action_mode,
        dataset_root="",
        obs_config=None,
        headless=False,
        static_positions=False,
        robot_setup="panda",
    ):
        if robot_setup != "dual_panda":
            raise ValueError("robot_configuration must be one of dict_keys(['dual_panda'])")
        self._action_mode, self._dataset_root, self._headless = action_mode, dataset_root, headless
        self._obs_config = obs_config or ObservationConfig()
        self._static_positions, self._robot_setup = static_positions, robot_setup
        self._pyrep = self._robot = self._scene = None

    def launch(self):
        if self._pyrep is not None:
            raise RuntimeError("Already called launch!")
        self._pyrep = PyRep()
        scene_file = join(dirname(abspath(__file__)), "task_design_bimanual.ttt")
        self._pyrep.launch(scene_file, headless=self._headless)
        self._robot = BimanualRobot(
            Arm(self._pyrep, RIGHT_START, -0.3),
            Gripper(self._pyrep, 0.0),
            Arm(self._pyrep, LEFT_START, 0.3),
            Gripper(self._pyrep, LEFT_STOP_M),
        )
        self._scene = Scene(self._pyrep, self._robot, self._obs_config, self._robot_setup)
        self._action_mode.arm_action_mode.set_control_mode(self._robot)

    def shutdown(self):
        if self._pyrep is not None:
            self._pyrep.shutdown()
        self._pyrep = None

    def get_task(self, task_class):
        if self._pyrep is None:
            self.launch()
        self._scene.unload()
        task = task_class(self._pyrep, self._robot)
        return TaskEnvironment(
            self._pyrep,
            self._robot,
            self._scene,
            task,
            self._action_mode,
            self._dataset_root,
            self._obs_config,
            self._static_positions,
        )
