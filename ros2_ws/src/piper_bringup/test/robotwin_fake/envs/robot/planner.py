"""Planning with CuRobo, which is imported with this and needs CUDA."""

from curobo.types.math import Pose
from curobo.wrap.reacher.motion_gen import MotionGen, MotionGenConfig, MotionGenPlanConfig


class CuroboPlanner:
    """Warms up when it is made, as RoboTwin's does."""

    def __init__(self, yml_path):
        self.motion_gen = MotionGen(MotionGenConfig.load_from_robot_config(yml_path, interpolation_dt=1 / 250))
        self.motion_gen.warmup()

    def plan_path(self, now, target, constraint_pose=None, arms_tag=None):
        return self.motion_gen.plan_single(Pose.from_list([*target.p, *target.q]), MotionGenPlanConfig(max_attempts=10))
