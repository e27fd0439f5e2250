"""rlbench/backend/robot.py:76-146. Right comes first."""


class BimanualRobot:
    """Two arms and their grippers."""

    is_bimanual = True

    def __init__(self, right_arm, right_gripper, left_arm, left_gripper):
        self.right_arm, self.right_gripper = right_arm, right_gripper
        self.left_arm, self.left_gripper = left_arm, left_gripper

    def release_gripper(self, name="both"):
        for side in ("right", "left") if "both" in name else (name,):
            getattr(self, f"{side}_gripper").release()

    def zero_velocity(self):
        for part in (self.right_arm, self.right_gripper, self.left_arm, self.left_gripper):
            part.set_joint_target_velocities([0] * len(part.joints))

    def actutate_gripper(self, amount, velocity, name="both"):
        """So it is spelled."""
        sides = ("right", "left") if "both" in name else (name,)
        return all([getattr(self, f"{side}_gripper").actuate(amount, velocity) for side in sides])
