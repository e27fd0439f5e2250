"""The simulator fails in its second step, and where it places a far rope: pyrep/backend/sim.py, _check_return."""

import numpy as np

from rlbench.backend.task import BimanualTask


class BimanualStraightenRope(BimanualTask):
    """A rope is much to simulate."""

    def init_episode(self, index):
        self.steps, self.success_conditions = 0, (lambda: False,)
        return ["straighten the rope"]

    def place(self):
        if np.random.uniform() > 0.9:
            self._fail()

    def step(self):
        self.steps += 1
        if self.steps == 2:
            self._fail()

    def variation_count(self):
        return 1

    def _fail(self):
        raise RuntimeError("The call failed on the V-REP side. Return value: -1")
