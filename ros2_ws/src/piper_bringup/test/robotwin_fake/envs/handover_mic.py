"""A task whose import and whose expert need CuRobo, as all of RoboTwin's do."""

from .handover_block import handover_block
from .robot.planner import CuroboPlanner  # noqa: F401

MIC = [0.3, -0.15, 0.9, 1.0, 0.0, 0.0, 0.0]  # in the world


class handover_mic(handover_block):
    """Plans before it moves. Solved where the left tower has turned to the mic."""

    def setup_demo(self, **kwargs):
        super().setup_demo(**kwargs)
        self.robot.set_planner(self.scene)

    def play_once(self):
        plan = self.robot.left_plan_path(MIC)
        self.plan_success = plan["status"] == "Success"
        self.follow(plan)
        for _ in range(200):
            self.scene.step()
        return self.info

    def check_success(self):
        return abs(float(self.robot.left_arm_joints[0].position) - 0.785) < 0.05
