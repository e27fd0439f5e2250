"""One set-up: where it is, where ROS 2 comes from, how its commands run. Standard library only."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from stamps import Stamp
from steps import SetupError, run

ROS_VARIABLES = ("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "COLCON_PREFIX_PATH", "PYTHONPATH")


@dataclass(frozen=True)
class Checkout:
    """A checkout at root, set up with ROS 2 from ros ("apt" or "wheels")."""

    root: Path
    ros: str
    environ: dict[str, str]  # of every command
    lock: int  # descriptor

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def workspace(self) -> Path:
        return self.root / "ros2_ws"

    @property
    def identity(self) -> Stamp:
        """What neither a virtual environment nor a build can change without being made anew."""
        python = f"{platform.python_version()} {base_python()}"
        return {"ros": self.ros, "python": python, "root": str(self.root)}

    def run(self, log: str, *command: str | Path) -> None:
        """Run command, its output in out/setup/<log>.log. Raises SetupError when it fails."""
        run(
            [str(word) for word in command],
            self.root / "out" / "setup" / f"{log}.log",
            self.environ,
            self.lock,
        )


def base_python() -> str:
    """The Python behind this one, should this one be of a virtual environment."""
    return os.path.realpath(sys.executable)


def ros_source(environ: dict[str, str]) -> str:
    """Where ROS 2 comes from: "apt" where an installed Jazzy is sourced, "wheels" where none is.

    Raises SetupError for another distribution, and for one that is named but not sourced.
    """
    distro = environ.get("ROS_DISTRO", "")
    if not distro:
        return "wheels"
    if distro != "jazzy":
        raise SetupError(
            f"ROS 2 {distro} is sourced and this needs jazzy: "
            "source /opt/ros/jazzy/setup.bash in a new shell, or nothing at all."
        )
    if not environ.get("AMENT_PREFIX_PATH"):
        raise SetupError("ROS_DISTRO is jazzy but no ROS 2 is sourced: run `. /opt/ros/jazzy/setup.bash` first.")
    return "apt"


def step_environment(environ: dict[str, str], venv: Path, ros: str) -> dict[str, str]:
    """The environment of pip and colcon: the virtual environment first, and no ROS 2 but the one in use."""
    env = dict(environ)
    env.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)  # says that LD_LIBRARY_PATH is set, but for another Python
    env.pop("PYTHONHOME", None)
    if ros == "wheels":
        for name in ROS_VARIABLES:
            env.pop(name, None)
        env["AMENT_PREFIX_PATH"] = env["CMAKE_PREFIX_PATH"] = str(venv)
    # Not those of a make that started us: they name its job server. And no load limit, which colcon would set.
    env["MAKEFLAGS"] = f"-j{len(os.sched_getaffinity(0))}"
    env["VIRTUAL_ENV"] = str(venv)
    env["PATH"] = os.pathsep.join([str(venv / "bin"), env.get("PATH", os.defpath)])
    return env
