"""One small file a task."""

from __future__ import annotations

from piper_bringup.cell.task import Task
from piper_bringup.cell.tasks import lift_bar

TASKS = (lift_bar.TASK,)


def find(name: str) -> Task:
    """The task called `name`; raises ValueError naming the tasks there are."""
    for task in TASKS:
        if task.name == name:
            return task
    raise ValueError(f"no task '{name}'; there are: {', '.join(task.name for task in TASKS)}")
