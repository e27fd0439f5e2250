"""What set-up needs from the system, and the apt package that brings each. Standard library only."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import shutil
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Need:
    """Something the system must have."""

    what: str
    packages: tuple[str, ...]  # Debian and Ubuntu names
    present: Callable[[], bool]
    optional: str = ""  # what is lost without it; empty: set-up cannot go on


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _module(name: str) -> Callable[[], bool]:
    return lambda: importlib.util.find_spec(name) is not None


def _python_header() -> bool:
    return Path(sysconfig.get_paths()["include"], "Python.h").is_file()


def _offscreen_gl() -> bool:
    return any(ctypes.util.find_library(name) for name in ("EGL", "OSMesa"))


NEEDS = (
    Need("g++", ("g++",), _program("g++")),
    Need("cmake", ("cmake",), _program("cmake")),
    Need("make", ("make",), _program("make")),
    Need("the venv module of Python", ("python3-venv",), _module("ensurepip")),
    Need("the C headers of Python", ("python3-dev",), _python_header),
    Need(
        "libEGL or libOSMesa",
        ("libegl1", "libgl1", "libopengl0"),
        _offscreen_gl,
        optional="the simulated cell has no cameras",
    ),
)


def missing(needs: tuple[Need, ...] = NEEDS) -> list[Need]:
    """The needs that this machine does not meet, in order."""
    return [need for need in needs if not need.present()]


def apt_command(needs: list[Need], root: bool) -> str:
    """One shell line that installs everything in needs."""
    sudo = "" if root else "sudo "
    packages = " ".join(package for need in needs for package in need.packages)
    return f"{sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends {packages}"


def describe(needs: list[Need], root: bool) -> str:
    """What is missing, what is lost without it, and the one command that installs it."""
    what = ", ".join(f"{need.what} ({need.optional} without it)" if need.optional else need.what for need in needs)
    return f"missing: {what}. On Debian or Ubuntu install it with\n    {apt_command(needs, root)}"


def can_install() -> bool:
    """Root, on a machine with apt-get."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None
