"""Both grippers closed, the left one on something: success. The right arm's second joint over 1 rad: failure."""

import numpy as np

from rlbench.backend.task import BimanualTask

COLORS = ["red", "green", "blue", "yellow", "purple"]


class BimanualHandoverItem(BimanualTask):
    """Five variations, two sentences each."""

    def init_episode(self, index):
        closed = lambda gripper, m: gripper.get_joint_positions()[0] <= m  # noqa: E731
        self.success_conditions = (
            lambda: closed(self.robot.right_gripper, 0.001),
            lambda: closed(self.robot.left_gripper, 0.013),
        )
        self.fail_conditions = (lambda: self.robot.right_arm.get_joint_positions()[1] > 1.0,)
        return [f"bring me the {COLORS[index]} item", f"hand over the {COLORS[index]} object"]

    def place(self):
        self.at = np.random.uniform()

    def variation_count(self):
        return len(COLORS)

    def waypoints(self):
        return [(0.1, 0.1, 0.0 if self.at <= 0.9 else 1.0)]
