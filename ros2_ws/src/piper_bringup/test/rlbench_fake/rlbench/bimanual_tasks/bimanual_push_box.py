"""Right arm to +, left arm to -, as far as the box is; grippers may be open. Demonstrated where the box is near."""

import numpy as np

from rlbench.backend.task import BimanualTask


class BimanualPushBox(BimanualTask):
    """The farther the box, the higher its place, which is from 0 to 1."""

    def init_episode(self, index):
        self.success_conditions = (
            lambda: self.robot.right_arm.get_joint_positions()[0] >= 0.3 + 0.1 * self.at,
            lambda: self.robot.left_arm.get_joint_positions()[0] <= -0.3 - 0.1 * self.at,
        )
        return ["push the box to the red area"]

    def place(self):
        self.at = np.random.uniform()
        arm = self.robot.right_arm
        arm.set_joint_positions([*arm.get_joint_positions()[:6], self.at], disable_dynamics=True)  # to be seen

    def variation_count(self):
        return 1

    def waypoints(self):
        return [(0.39, -0.39, 1.0)]
