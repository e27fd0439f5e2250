"""What lies in a checkout of RLBench for two arms, without importing it.

Python 3.8, standard library only: the worker imports it.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piper_bringup.robotwin.software import commit, version

PACKAGES = ("rlbench", "PyRep", "numpy")
SCENE = Path("rlbench") / "task_design_bimanual.ttt"  # rlbench/backend/const.py, BIMANUAL_TTT_FILE
SIMULATOR = "COPPELIASIM_ROOT"


class CheckoutError(ValueError):
    """A folder that is no checkout of RLBench for two arms, or a task that it has not."""


@dataclass(frozen=True)
class Checkout:
    """A checkout of markusgrotz/RLBench."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> Checkout:
        """Raises CheckoutError where none is, or one for one arm alone."""
        for path in (SCENE, Path("rlbench") / "bimanual_tasks"):
            if not (root / path).exists():
                raise CheckoutError(f"{root} is no checkout of RLBench for two arms: it has no {path}")
        return cls(root)

    def about(self) -> dict[str, Any]:
        """The part of the answer to hello that lies there."""
        return {
            "commit": commit(self.root),
            "python": platform.python_version(),
            "versions": {name: version(name) for name in PACKAGES},
            "tasks": self.tasks(),
            "coppeliasim": os.environ.get(SIMULATOR),
        }

    def tasks(self) -> list[str]:
        """Names of its tasks for two arms, sorted."""
        return sorted(path.stem for path in (self.root / "rlbench" / "bimanual_tasks").glob("[!_]*.py"))

    def admit(self, task: str) -> None:
        """Raises CheckoutError for a task that is not there."""
        if task not in self.tasks():
            raise CheckoutError(f"task is {task!r}; there are {', '.join(self.tasks())}")
