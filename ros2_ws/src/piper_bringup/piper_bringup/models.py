"""The model of a deployment: which one is shipped, and whether the one that is given can be run.

What a model is, is the policy package's business: it is asked in a process of its own, as its nodes are started.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from piper_bringup.options import ROBOTWIN, OptionError, Options
from piper_bringup.process import POLICY_PACKAGE, Process

FOLDER, CHOICE, USUAL = "models", "default", "state"
ADMISSION = f"{POLICY_PACKAGE}.run.admit"
PATIENCE_S = 120.0  # for a model to be loaded and tried on a busy machine
NO_MODEL = f"no model is shipped in {FOLDER}/: the arms follow the scripted motion of the task instead"


def chosen(options: Options, below: Path) -> tuple[Options, str]:
    """The options with the shipped model where simulation may use it, and a sentence for people, which may be empty.

    below: a folder inside the repository. Raises OptionError where models/default names what is not there.
    """
    if options.model is not None or options.teleop or not (options.simulated and options.commander):
        return options, ""
    if options.backend == ROBOTWIN:  # the shipped ones know the cell's tasks
        return options, ""
    folder = shipped(below)
    if folder is None:
        return options, NO_MODEL
    return replace(options, model=str(folder)), f"running the shipped model {folder}; model script is without"


def shipped(below: Path) -> Path | None:
    """The model folder that the repository around `below` brings: the one named in models/default, or models/state."""
    for parent in (below, *below.parents):
        models = parent / FOLDER
        if (models / CHOICE).is_file():
            name = (models / CHOICE).read_text().strip()
            if not name or not (models / name).is_dir():
                found = ", ".join(sorted(p.name for p in models.iterdir() if p.is_dir())) or "none"
                raise OptionError(f"{models / CHOICE} names model {name!r}, which is not there; valid: {found}")
            return models / name
        if (models / USUAL).is_dir():
            return models / USUAL
    return None


def admit(processes: Iterable[Process], options: Options) -> str:
    """What the policy package says of the model in the graph; empty without one. Its refusal raises OptionError."""
    if options.policy is None:
        return ""
    policy = next(process for process in processes if process.package == POLICY_PACKAGE)
    line = [sys.executable, "-m", ADMISSION, str(policy.parameters["model"])]
    line += [f"--{name.replace('_', '-')}={policy.parameters[name]}" for name in ("world", "backend", "device")]
    line += ["--allow-sim-model"] if policy.parameters["allow_sim_model"] else []
    line += ["--tasks", *options.tasks] if options.tasks else []
    return _ask(line)


def _ask(line: Sequence[str]) -> str:
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        raise OptionError(f"the model was not loaded within {PATIENCE_S:.0f} s; is the machine busy?") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"{ADMISSION} ended with exit code {done.returncode}"]
        raise OptionError(lines[-1])
    return done.stdout.strip()
