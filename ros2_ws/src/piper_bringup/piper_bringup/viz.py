"""Whether a run can be shown in Rerun, and where: asked before anything is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from piper_bringup.look.entities import RECORDING, REQUIREMENT, has_display
from piper_bringup.options import OptionError, Options

PATIENCE_S = 60.0  # for Rerun to be imported on a busy machine


def admit(options: Options) -> str:
    """Where the run will be seen, in a sentence; empty where nobody asked. Raises OptionError where it cannot be."""
    if not options.viz:
        return ""
    if not has_display() and not options.out:
        raise OptionError(f"viz finds no display, and no folder for {RECORDING}: name one (out)")
    # In a process of its own: the starter does not need the 90 MB itself.
    try:
        line = [sys.executable, "-c", "import rerun"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        raise OptionError(f"Rerun was not loaded within {PATIENCE_S:.0f} s; is the machine busy?") from None
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["it does not load"])[-1]
        raise OptionError(f"viz needs Rerun ({why}): pip install {REQUIREMENT}")
    if has_display():
        return "a window of Rerun shows the run"
    return f"no display here: the run is written to {Path(options.out) / RECORDING}, to be seen with Rerun"
