"""rlbench/action_modes/gripper_action_modes.py:19-41, 104-182, 264-348."""

from rlbench.action_modes.arm_action_modes import assert_action_shape


class GripperActionMode:
    """gripper_action_modes.py:29-33: nothing, before a step and after it."""

    def action_pre_step(self, scene, action):
        pass

    def action_post_step(self, scene, action):
        pass


class BimanualDiscrete(GripperActionMode):
    """Acts in `action` alone, which the joint mode does not call: its grippers stay as they are."""

    def __init__(self, attach_grasped_objects=True, detach_before_open=True):
        self._attach_grasped_objects, self._detach_before_open = attach_grasped_objects, detach_before_open


class BimanualGripperJointPosition(GripperActionMode):
    """Positions of fingers in m, right first; both fingers of a gripper alike."""

    def __init__(self, attach_grasped_objects=True, detach_before_open=True, absolute_mode=True):
        self._absolute_mode, self._control_mode_set = absolute_mode, False

    def action_pre_step(self, scene, action):
        """gripper_action_modes.py:155-172."""
        grippers = scene.robot.right_gripper, scene.robot.left_gripper
        if not self._control_mode_set:
            for gripper in grippers:
                gripper.set_control_loop_enabled(True)
            self._control_mode_set = True
        assert_action_shape(action, self.action_shape(scene.robot))
        assert self._absolute_mode
        grippers[0].set_joint_target_positions(action[:1].repeat(2))
        grippers[1].set_joint_target_positions(action[1:].repeat(2))

    def action_post_step(self, scene, action):
        for gripper in (scene.robot.right_gripper, scene.robot.left_gripper):
            gripper.set_joint_target_positions(gripper.get_joint_positions())

    def action_shape(self, scene):
        return (2,)
