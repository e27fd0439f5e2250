"""A task whose import and whose expert need CuRobo, as all of RoboTwin's do."""

from .handover_block import handover_block
from .robot.planner import CuroboPlanner


class handover_mic(handover_block):
    """Plans before it moves."""

    def setup_demo(self, **kwargs):
        super().setup_demo(**kwargs)
        self.planner = CuroboPlanner("curobo.yml")

    def play_once(self):
        return self.planner.plan_path([0.0, 0.0, 0.9, 1.0, 0.0, 0.0, 0.0])
