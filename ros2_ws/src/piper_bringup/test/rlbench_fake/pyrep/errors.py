"""pyrep/errors.py:1-2, 21-22, 29-30."""


class PyRepError(Exception):
    """Of the simulator's start."""


class ConfigurationPathError(Exception):
    """No path was found."""


class IKError(Exception):
    """A pose that is not reached."""
