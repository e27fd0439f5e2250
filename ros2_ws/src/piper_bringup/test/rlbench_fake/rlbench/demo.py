"""rlbench/demo.py."""


class Demo:
    """Observations of a demonstration."""

    def __init__(self, observations, random_seed=None):
        self._observations, self.random_seed, self.variation_number = observations, random_seed, 0

    def __len__(self):
        return len(self._observations)
