"""RoboTwin checkouts for tests: the fake one as either branch, and the genuine one where ROBOTWIN_ROOT names it."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from piper_bringup.robotwin.checkout import BRANCHES
from piper_bringup.robotwin.link import Link

FAKE = Path(__file__).with_name("robotwin_fake")
PIPERS = ["piper", "piper", 0.6]
TASK = "stack_blocks_two"
PATIENCE_S = 100.0  # for one call of a test: less than its time limit, more than any call should take


@dataclass(frozen=True)
class Place:
    """A checkout and the Python that runs it."""

    root: Path
    python: str = sys.executable
    genuine: bool = False

    @property
    def arguments(self) -> list[str]:
        """Of the worker: the genuine program is drawn and planned as ROBOTWIN_ARGUMENTS says."""
        return os.environ.get("ROBOTWIN_ARGUMENTS", "").split() if self.genuine else []

    @property
    def parameters(self) -> list[str]:
        """The same for a node that starts a worker."""
        words = iter(self.arguments)
        return [f"{name.removeprefix('--')}:={value}" for name, value in zip(words, words, strict=True)]

    def link(self, *arguments: str) -> Link:
        """A worker for it, not started."""
        return Link(self.python, self.root, *(self.arguments if self.genuine else arguments))


def lay(folder: Path, branch: str) -> Place:
    """The fake checkout in `folder`, laid out as `branch` is."""
    shutil.copytree(FAKE, folder, ignore=shutil.ignore_patterns("settings", "__pycache__"))
    shutil.copytree(FAKE / "settings", folder / BRANCHES[branch])
    settings = f"import os\n\nCONFIGS_PATH = os.path.join({str(folder)!r}, {BRANCHES[branch] + '/'!r})\n"
    (folder / "envs" / "_GLOBAL_CONFIGS.py").write_text(settings)
    return Place(folder)


def genuine() -> Place | None:
    """The checkout that ROBOTWIN_ROOT names, run by ROBOTWIN_PYTHON (python of the path), if there is one."""
    root = os.environ.get("ROBOTWIN_ROOT")
    return Place(Path(root), os.environ.get("ROBOTWIN_PYTHON", "python"), genuine=True) if root else None


def start(link: Link, seed: int = 100000, **wanted: object) -> dict:
    """An episode with two PiPERs; without the expert unless asked for."""
    wanted = {"task": TASK, "embodiment": PIPERS, "expert_check": False, "seed": seed} | wanted
    return link.call("reset", PATIENCE_S, **wanted)
