"""rlbench/action_modes/arm_action_modes.py:29-33, 60-62, 75-81, 140-165."""

import numpy as np

from rlbench.backend.exceptions import InvalidActionError


def assert_action_shape(action, expected_shape):
    """arm_action_modes.py:29-33."""
    if np.shape(action) != expected_shape:
        raise InvalidActionError(
            f"Expected the action shape to be: {expected_shape}, but was shape: {np.shape(action)}"
        )


class BimanualJointPosition:
    """One step towards the targets, then hold."""

    def __init__(self, absolute_mode=True):
        self._absolute_mode = absolute_mode

    def set_control_mode(self, robot):
        robot.right_arm.set_control_loop_enabled(True)
        robot.left_arm.set_control_loop_enabled(True)

    def action_pre_step(self, scene, action):
        assert_action_shape(action, self.action_shape(scene))
        assert self._absolute_mode
        scene.robot.right_arm.set_joint_target_positions(action[:7])
        scene.robot.left_arm.set_joint_target_positions(action[7:])

    def action_step(self, scene):
        scene.step()

    def action_post_step(self, scene, action):
        for arm in (scene.robot.right_arm, scene.robot.left_arm):
            arm.set_joint_target_positions(arm.get_joint_positions())

    def action_shape(self, scene):
        return (14,)
