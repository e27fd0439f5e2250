"""A task of an environment that is not installed whole."""

import no_such_planner  # noqa: F401
