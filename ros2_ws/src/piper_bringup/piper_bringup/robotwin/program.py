"""RoboTwin's own modules, imported from a checkout into this process, and what is taken from them.

Python 3.10, standard library and numpy only: the worker imports it.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np

from piper_bringup.robotwin.checkout import Checkout
from piper_bringup.robotwin.phase import phase
from piper_bringup.robotwin.substitutes import Substitutes

DESCRIPTIONS = 100  # of an episode, of which one is drawn: as many as episodes of an evaluation


class Program:
    """RoboTwin in this process. Raises PhaseError (import) where it cannot be imported."""

    def __init__(self, checkout: Checkout, substitutes: Substitutes) -> None:
        self._substitutes = substitutes
        sys.path[:0] = [str(checkout.root), str(checkout.root / "description" / "utils")]
        with phase("import"):
            substitutes.before_import()
            self.unstable: type[Exception] = importlib.import_module("envs.utils.create_actor").UnStableError
            self._describe = importlib.import_module("generate_episode_instructions").generate_episode_descriptions

    def environment(self, task: str) -> Any:
        """A new environment of `task`. Raises PhaseError (import)."""
        with phase("import"):
            module = importlib.import_module(f"envs.{task}")
            self._substitutes.after_import()
            return getattr(module, task)()

    def instruction(self, task: str, info: dict[str, Any], kind: str) -> tuple[str, bool]:
        """A sentence for the episode that `info` of the expert describes, and whether it is one of RoboTwin's.

        Where RoboTwin has none, as without the expert's `info`, it is the name of the task: so does its evaluation.
        """
        try:
            sentences = self._describe(task, [info], DESCRIPTIONS)[0][kind]
            return str(np.random.choice(sentences)), True
        except (Exception, SystemExit):
            return task, False
