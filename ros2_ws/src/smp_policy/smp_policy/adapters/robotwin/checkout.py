"""A RoboTwin checkout: which branch it is, and what belongs into it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import piper_bringup
import smp_policy

FILES = Path(__file__).parent / "files"
EMBODIMENT = "embodiment: [piper, piper, 0.6]"
STABLE, MAIN = "stable_2.0", "main"
# What tells a branch, in order of what is looked for; then its task configurations and the folder of our policy.
_TOLD_BY = {
    STABLE: ("script/eval_policy.py", "policy/__init__.py", "task_config/demo_clean.yml"),
    MAIN: ("scripts/eval_policy_xpolicylab.py", "env_cfg/robot/_robot_info.json", "env_cfg/task_config/demo_clean.yml"),
}
_TASK_CONFIGS = {STABLE: "task_config", MAIN: "env_cfg/task_config"}
_POLICY = {STABLE: "policy/SMP", MAIN: "XPolicyLab/policy/SMP"}


class CheckoutError(RuntimeError):
    """A folder is no checkout of RoboTwin 2.0, or holds what is not ours where ours belongs: one sentence."""


def branch_of(root: Path) -> str:
    """STABLE or MAIN. Raises CheckoutError."""
    for branch, files in _TOLD_BY.items():
        if all((root / file).is_file() for file in files):
            if branch == MAIN and not (root / "XPolicyLab/setup_policy_server.py").is_file():
                raise CheckoutError(f"{root}: XPolicyLab is empty; git submodule update --init XPolicyLab brings it")
            return branch
    wanted = " nor ".join(f"{files[0]} ({branch})" for branch, files in _TOLD_BY.items())
    raise CheckoutError(f"{root} is no checkout of RoboTwin 2.0: neither {wanted}, with their task configurations")


def content(root: Path, branch: str) -> dict[str, bytes]:
    """Path below `root` -> what belongs there. Raises CheckoutError."""
    found = {str(path.relative_to(FILES / branch)): path.read_bytes() for path in _below(FILES / branch)}
    folder = _TASK_CONFIGS[branch]
    for kind in ("clean", "randomized"):
        found[f"{folder}/demo_piper_{kind}.yml"] = _two_pipers(root / folder / f"demo_{kind}.yml")
    packages = [str(Path(package.__file__).resolve().parents[1]) for package in (smp_policy, piper_bringup)]
    found[f"{_POLICY[branch]}/where.json"] = (json.dumps(packages, indent=1) + "\n").encode()
    return found


def _two_pipers(path: Path) -> bytes:
    """RoboTwin's own configuration at `path` with two PiPER arms."""
    if not path.is_file():
        raise CheckoutError(f"{path}: missing; the configuration of two PiPER arms is made from it")
    text, changed = re.subn(r"^embodiment:.*$", EMBODIMENT, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if changed != 1:
        raise CheckoutError(f"{path}: {changed} lines begin with embodiment:, expected one")
    return text.encode()


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
