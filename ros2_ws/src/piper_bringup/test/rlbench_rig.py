"""Checkouts of RLBench for tests: the fake one, and the genuine one where RLBENCH_ROOT names it."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from piper_bringup.rlbench.arms import JOINTS
from piper_bringup.rlbench.link import link
from piper_bringup.robotwin.link import Link

FAKE = Path(__file__).with_name("rlbench_fake")
TASK = "bimanual_push_box"
PATIENCE_S = 100.0  # for one call of a test: less than its time limit, more than any call should take


@dataclass(frozen=True)
class Place:
    """A checkout and the Python that runs it."""

    root: Path
    python: str = sys.executable
    genuine: bool = False

    def link(self, *arguments: str) -> Link:
        """A worker for it, not started."""
        return link(self.python, self.root, *arguments)


def lay(folder: Path) -> Place:
    """The fake checkout in `folder`."""
    shutil.copytree(FAKE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return Place(folder)


def genuine() -> Place | None:
    """The checkout that RLBENCH_ROOT names, run by RLBENCH_PYTHON (python of the path), if there is one."""
    root = os.environ.get("RLBENCH_ROOT")
    return Place(Path(root), os.environ.get("RLBENCH_PYTHON", "python"), genuine=True) if root else None


def start(link: Link, seed: int = 0, **wanted: object) -> dict:
    """An episode; without the demonstration unless asked for."""
    wanted = {"task": TASK, "seed": seed, "joints": JOINTS, "expert_check": False} | wanted
    return link.call("reset", PATIENCE_S, **wanted)
