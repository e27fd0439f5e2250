"""rlbench/utils.py:23-46."""

import importlib


class InvalidTaskName(Exception):
    """No such file, or no such class in it."""


def name_to_task_class(task_file, bimanual=False):
    """The class in `task_file`: its name in camel case."""
    name = task_file.replace(".py", "")
    try:
        module = importlib.import_module(f"rlbench.{'bimanual_tasks' if bimanual else 'tasks'}.{name}")
    except ModuleNotFoundError as error:
        raise InvalidTaskName(f"The task file '{name}' does not exist or cannot be compiled.") from error
    return getattr(importlib.reload(module), "".join(word[0].upper() + word[1:] for word in name.split("_")))
