"""The simulator fails in its second step of an action: pyrep/backend/sim.py, _check_return."""

from rlbench.backend.task import BimanualTask


class BimanualStraightenRope(BimanualTask):
    """A rope is much to simulate."""

    def init_episode(self, index):
        self.steps, self.success_conditions = 0, (lambda: False,)
        return ["straighten the rope"]

    def step(self):
        self.steps += 1
        if self.steps == 2:
            raise RuntimeError("The call failed on the V-REP side. Return value: -1")

    def variation_count(self):
        return 1
