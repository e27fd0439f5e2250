"""rlbench/backend/scene.py: placing, resetting, observing, demonstrating."""

import logging
import os

import numpy as np
from pyrep.parts import VisionSensor

from rlbench.backend.exceptions import BoundaryError, DemoError
from rlbench.backend.observation import BimanualObservation, UnimanualObservationData
from rlbench.demo import Demo

STEPS_BEFORE_EPISODE_START = 10  # scene.py:31


class Scene:
    """scene.py:41-105."""

    def __init__(self, pyrep, robot, obs_config, robot_setup="panda"):
        self.pyrep, self.robot, self.robot_setup, self.task = pyrep, robot, robot_setup, None
        self._obs_config = obs_config
        self._start = [part.get_joint_positions() for part in self._parts()]
        self.camera_sensors = {name: VisionSensor(f"cam_{name}") for name in obs_config.camera_configs}
        for name, conf in obs_config.camera_configs.items():  # scene.py:658-684
            if not (conf.rgb or conf.depth or conf.point_cloud):
                self.camera_sensors[name].remove()
            else:
                self.camera_sensors[name].set_resolution(conf.image_size)
        self._variation_index, self._has_init_task, self._has_init_episode = 0, False, False

    def load(self, task):
        self.task, self._has_init_task = task, False

    def unload(self):
        """scene.py:123-131."""
        if self.task is not None:
            self.robot.release_gripper()
        self.task = None

    def reset(self):
        """scene.py:175-212."""
        self.robot.release_gripper()
        for part, positions in zip(self._parts(), self._start):  # noqa: B905
            part.set_joint_positions(positions, disable_dynamics=True)
        self.robot.zero_velocity()

    def init_episode(self, index, randomly_place=True, max_attempts=5):
        """scene.py:139-173."""
        self._variation_index = index
        if not self._has_init_task:
            self.task.init_task()
            self._has_init_task = True
        for attempt in range(max_attempts):
            descriptions = self.task.init_episode(index)
            try:
                self.task.place()
                break
            except BoundaryError as error:
                logging.error("Error when checking waypoints. Exception is: %s", error)
                if attempt == max_attempts - 1:
                    raise
        for _ in range(STEPS_BEFORE_EPISODE_START):
            self.pyrep.step()
        self._has_init_episode = True
        return descriptions

    def step(self):
        """scene.py:374-378."""
        os.write(1, b"a step\r")
        self.pyrep.step()
        self.task.step()

    def get_observation(self):
        """scene.py:215-372. Every camera whose rgb is asked for is drawn, each time."""
        seen, misc = {}, {"variation_index": self._variation_index}
        for name, conf in self._obs_config.camera_configs.items():
            sensor, rgb = self.camera_sensors[name], None
            if conf.rgb:  # scene.py:225-231
                sensor.handle_explicitly()
                rgb = np.clip((sensor.capture_rgb() * 255.0).astype(np.uint8), 0, 255)
            seen[f"{name}_rgb"] = rgb
            if sensor.still_exists():  # scene.py:699-706
                misc[f"{name}_camera_extrinsics"] = sensor.get_matrix()
                misc[f"{name}_camera_intrinsics"] = sensor.get_intrinsic_matrix()
        return BimanualObservation(
            perception_data=seen,
            task_low_dim_state=(None,),  # scene.py:355-357: a comma too many
            misc=misc,
            right=self._proprioception(self.robot.right_arm, self.robot.right_gripper),
            left=self._proprioception(self.robot.left_arm, self.robot.left_gripper),
        )

    def get_demo(self, record=True, callable_each_step=None):
        """scene.py:547-590; `task.waypoints()` are pairs of targets of joint 1 and of fingers, right first."""
        demo = [self.get_observation()]
        for right, left, amount in self.task.waypoints():
            for arm, goal in ((self.robot.right_arm, right), (self.robot.left_arm, left)):
                arm.set_joint_target_positions([goal, *arm.get_joint_positions()[1:]])
            for _ in range(20):
                self.step()
                demo.append(self.get_observation())
            done = False
            while not done:  # scene.py:607-611
                done = self.robot.actutate_gripper(amount, 0.04, "both")
                self.pyrep.step()
                self.task.step()
        if not self.task.success()[0]:
            raise DemoError("Demo was completed, but was not successful.", self.task)
        return Demo(demo)

    def _parts(self):
        robot = self.robot
        return robot.right_arm, robot.right_gripper, robot.left_arm, robot.left_gripper

    def _proprioception(self, arm, gripper):
        """scene.py:272-346."""
        conf = self._obs_config
        return UnimanualObservationData(
            joint_velocities=np.zeros(7) if conf.joint_velocities else None,
            joint_positions=np.array(arm.get_joint_positions()) if conf.joint_positions else None,
            joint_forces=np.zeros(7) if conf.joint_forces else None,
            gripper_open=float(gripper.get_open_amount()[0] > 0.95) if conf.gripper_open else None,
            gripper_pose=arm.get_tip().get_pose() if conf.gripper_pose else None,
            gripper_matrix=None,
            gripper_joint_positions=np.array(gripper.get_joint_positions()) if conf.gripper_joint_positions else None,
            gripper_touch_forces=None,
            ignore_collisions=np.array(0.0),
        )
