"""rlbench/backend/task.py:30-53, 69-87, 292-305, 458-463."""

import re

import numpy as np


class BimanualTask:
    """`success_conditions` and `fail_conditions` are called here, where RLBench registers objects."""

    success_conditions = fail_conditions = ()

    def __init__(self, pyrep, robot, name=None):
        self.pyrep, self.robot = pyrep, robot
        self.name = name or re.sub("(?<!^)(?=[A-Z])", "_", self.__class__.__name__).lower()

    def init_task(self):
        """Once, when it was loaded."""

    def get_name(self):
        return self.name

    def place(self):
        """scene.py:687-695: what is random comes from numpy's generator. May raise BoundaryError."""

    def step(self):
        """After each step of physics."""

    def success(self):
        """(success, terminate); as in RLBench, of numpy's type."""
        fails = np.all([condition() for condition in self.fail_conditions])
        if len(self.fail_conditions) > 0 and fails:
            return False, True
        met = np.all([condition() for condition in self.success_conditions])
        return met, met
