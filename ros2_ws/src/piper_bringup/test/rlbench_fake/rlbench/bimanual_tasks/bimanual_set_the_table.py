"""Never placed."""

from rlbench.backend.exceptions import BoundaryError
from rlbench.backend.task import BimanualTask


class BimanualSetTheTable(BimanualTask):
    """Too large a table."""

    def init_episode(self, index):
        return ["set the table"]

    def place(self):
        raise BoundaryError()

    def variation_count(self):
        return 1
