"""Whether RoboTwin can be run from a checkout with a Python, as far as can be seen without starting it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from piper_bringup.robotwin.checkout import ASSETS, Checkout, CheckoutError
from piper_bringup.robotwin.child import environment, interpreter
from piper_bringup.robotwin.link import WORKER

PATIENCE_S = 60.0  # for that Python to import numpy on a busy disk


class PlaceError(ValueError):
    """A checkout, a Python or a task that will not do."""


def admit(root: str, python: str, tasks: Sequence[str]) -> str:
    """What was found, in a sentence. Raises PlaceError."""
    try:
        checkout = Checkout.at(Path(root).expanduser().absolute())
    except CheckoutError as error:
        raise PlaceError(str(error)) from error
    known = checkout.tasks()
    if unknown := [task for task in tasks if task not in known]:
        raise PlaceError(f"{root} has no task {', '.join(unknown)}; there are {', '.join(known)}")
    if missing := [path for path in ASSETS if not (checkout.root / path).is_file()]:
        raise PlaceError(f"{root} lacks {', '.join(missing)}, without which RoboTwin is not imported")
    python = interpreter(python)
    _check(python)
    return f"RoboTwin {checkout.branch} in {root}, {len(known)} tasks, run by {python}"


def _check(python: str) -> None:
    """That it can import what the worker does."""
    line = [python, str(WORKER), "--help"]
    try:
        done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        raise PlaceError(f"{python} did not answer within {PATIENCE_S:.0f} s; is it a Python?") from None
    except OSError as error:
        raise PlaceError(f"robotwin_python is {python}: {error.strerror}") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise PlaceError(f"robotwin_python is {python}: {lines[-1]}")
