"""rlbench/action_modes/action_mode.py:13-31, 130-160."""

import numpy as np

from rlbench.action_modes.arm_action_modes import BimanualJointPosition
from rlbench.action_modes.gripper_action_modes import BimanualDiscrete


class ActionMode:
    """What an action is."""

    def __init__(self, arm_action_mode, gripper_action_mode):
        self.arm_action_mode, self.gripper_action_mode = arm_action_mode, gripper_action_mode


class BimanualJointPositionActionMode(ActionMode):
    """Right arm and gripper, then left ones."""

    def __init__(self, arm_action_mode=None, gripper_action_mode=None):
        super().__init__(arm_action_mode or BimanualJointPosition(), gripper_action_mode or BimanualDiscrete())

    def action(self, scene, action):
        """action_mode.py:138-156: `action` of a gripper's mode is never called."""
        assert action.shape == (16,)
        assert np.prod(self.arm_action_mode.action_shape(scene)) == 14
        arms, fingers = np.concatenate([action[0:7], action[8:15]]), np.array([action[7], action[15]])
        self.arm_action_mode.action_pre_step(scene, arms)
        self.gripper_action_mode.action_pre_step(scene, fingers)
        self.arm_action_mode.action_step(scene)
        self.arm_action_mode.action_post_step(scene, arms)
        self.gripper_action_mode.action_post_step(scene, fingers)
