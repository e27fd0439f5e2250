"""Where RoboTwin keeps the error of a scene that does not come to rest."""


class UnStableError(Exception):
    """An object turned while it should lie still."""
