"""Never solved, and over after three actions."""

from ._base_task import Base_Task


class handover_block(Base_Task):
    """Nothing that the arms do is enough."""

    def setup_demo(self, **kwargs):
        super()._init_task_env_(**kwargs)

    def play_once(self):
        self.plan_success = False
        return self.info

    def check_success(self):
        return False
