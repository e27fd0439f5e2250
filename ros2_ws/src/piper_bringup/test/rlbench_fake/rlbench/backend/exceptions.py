"""rlbench/backend/exceptions.py:1-3, 18-29."""


class BoundaryError(Exception):
    """No place was found."""


class DemoError(Exception):
    """A demonstration came to nothing."""

    def __init__(self, message, task):
        super().__init__(f"Error in task {task.get_name()}. {message}")


class InvalidActionError(Exception):
    """An action of a wrong shape."""


class TaskEnvironmentError(Exception):
    """A task that cannot be placed, a variation that is not there."""
