"""Checkouts of RLBench for tests: the fake one, and the genuine one where RLBENCH_ROOT names it."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from piper_bringup.rlbench import checkout
from piper_bringup.rlbench.arms import JOINTS
from piper_bringup.rlbench.link import link
from piper_bringup.robotwin.link import Link

FAKE = Path(__file__).with_name("rlbench_fake")
TASK = "bimanual_push_box"
LEFT, RIGHT = 0, 8  # columns of the first joint of an arm
COLUMNS = {"left": LEFT, "right": RIGHT, "left_gripper": 7, "right_gripper": 15, "lift": RIGHT + 1}
PATIENCE_S = 100.0  # for one call of a test: less than its time limit, more than any call should take


@dataclass(frozen=True)
class Place:
    """A checkout and the Python that runs it."""

    root: Path
    python: str = sys.executable

    def link(self, *arguments: str) -> Link:
        """A worker for it, not started."""
        return link(self.python, self.root, *arguments)


def lay(folder: Path) -> Place:
    """The fake checkout in `folder`."""
    shutil.copytree(FAKE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return Place(folder)


@contextmanager
def simulated(folder: Path) -> Iterator[Place]:
    """The fake checkout, and what a shell for CoppeliaSim has."""
    with tempfile.TemporaryDirectory() as simulator, pytest.MonkeyPatch.context() as patch:
        patch.setenv(checkout.SIMULATOR, simulator)
        yield lay(folder)


def genuine() -> Place | None:
    """The checkout that RLBENCH_ROOT names, run by RLBENCH_PYTHON (python of the path), if there is one."""
    root = os.environ.get("RLBENCH_ROOT")
    return Place(Path(root), os.environ.get("RLBENCH_PYTHON", "python")) if root else None


def start(link: Link, seed: int = 0, **wanted: object) -> dict:
    """An episode; without the demonstration unless asked for."""
    wanted = {"task": TASK, "seed": seed, "joints": JOINTS, "expert_check": False} | wanted
    return link.call("reset", PATIENCE_S, **wanted)


def at(seed: int) -> float:
    """Where the fake puts things with a seed: they are demonstrated up to 0.9."""
    return np.random.RandomState(seed).uniform()


def go(link: Link, start_at: np.ndarray, steps: int, cameras: Sequence[str] = (), **columns: float) -> dict:
    """The last answer of so many equal actions, which differ from `start_at` in the named COLUMNS."""
    action = np.array(start_at)
    for name, value in columns.items():
        action[COLUMNS[name]] = value
    for _ in range(steps):
        answer = link.call("step", PATIENCE_S, action=action, cameras=list(cameras))
    return answer
