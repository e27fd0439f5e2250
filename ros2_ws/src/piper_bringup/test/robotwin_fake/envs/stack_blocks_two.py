"""Solved when the left arm has turned by 0.2 rad, with both grippers open by command."""

import numpy as np

from ._base_task import Base_Task


class stack_blocks_two(Base_Task):
    """A task that the expert solves, except where a seed says otherwise."""

    def setup_demo(self, **kwargs):
        super()._init_task_env_(**kwargs)

    def play_once(self):
        if self.seed % 10 == 4:
            raise ValueError("no grasp pose")
        self.plan_success = self.seed % 10 != 5
        if self.plan_success and self.seed % 10 != 6:
            self.robot.set_arm_joints([0.5] + [0.0] * 5, [0.0] * 6, "left")
        for _ in range(200):
            self.scene.step()
        self.info["info"] = {"{A}": "red block", "{a}": "left"}
        return self.info

    def check_success(self):
        turned = np.float64(self.robot.left_arm_joints[0].position) > 0.2
        return turned and self.robot.left_gripper_val > 0.8 and self.robot.right_gripper_val > 0.8
