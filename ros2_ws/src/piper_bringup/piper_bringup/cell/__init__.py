"""The MuJoCo cell: two PiPERs on a table, three cameras, tasks and their experts."""

from __future__ import annotations

import importlib
import os


def _import_mujoco() -> None:
    """Import mujoco even where MUJOCO_GL names a library that is missing, on which it would fail with a riddle.

    `graphics` opens a context of its own later, and says in one sentence what is missing.
    """
    wanted = os.environ.get("MUJOCO_GL")
    try:
        importlib.import_module("mujoco")
    except (AttributeError, ImportError, OSError, RuntimeError):
        os.environ["MUJOCO_GL"] = "disable"
        try:
            importlib.import_module("mujoco")
        finally:
            if wanted is None:
                del os.environ["MUJOCO_GL"]
            else:
                os.environ["MUJOCO_GL"] = wanted


if os.environ.get("MUJOCO_GL"):
    _import_mujoco()
