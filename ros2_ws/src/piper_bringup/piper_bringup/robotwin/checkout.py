"""What lies in a RoboTwin checkout: its branch, its tasks, and the arguments of an episode, without importing it.

Both branches have the same environments and keep their settings in different folders. The arguments are built as
`script/eval_policy.py` (stable_2.0) and `scripts/eval_policy_xpolicylab.py` (main) build them.
Python 3.10, standard library and PyYAML only: the worker imports it.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from piper_bringup.robotwin.software import commit, version

BRANCHES = {"main": "env_cfg/task_config", "stable_2.0": "task_config"}  # branch: where its settings are
ASSETS = ("assets/objects/objaverse/list.json", "assets/objects/same.json")  # without these `import envs` fails
PACKAGES = ("sapien", "mplib", "torch", "numpy", "nvidia-curobo", "pytorch3d", "open3d")
DEFAULT_INSTRUCTION = "unseen"  # what RoboTwin's own policies ask for on stable_2.0


class CheckoutError(ValueError):
    """A folder that is no RoboTwin checkout, or a task, task configuration or embodiment that it has not."""


@dataclass(frozen=True)
class Checkout:
    """A RoboTwin checkout: its folder, its branch by the looks of it, and the folder of its settings."""

    root: Path
    branch: str
    settings: Path

    @classmethod
    def at(cls, root: Path) -> Checkout:
        """Raises CheckoutError where no checkout is."""
        if not (root / "envs" / "_base_task.py").is_file():
            raise CheckoutError(f"{root} is no RoboTwin checkout: it has no envs/_base_task.py")
        for branch, folder in BRANCHES.items():
            if (root / folder / "_embodiment_config.yml").is_file():
                return cls(root, branch, root / folder)
        wanted = " or ".join(f"{folder}/_embodiment_config.yml" for folder in BRANCHES.values())
        raise CheckoutError(f"{root} is of no RoboTwin branch that is known: it has no {wanted}")

    def about(self) -> dict[str, Any]:
        """The answer to hello."""
        folders = {name: self.root / entry["file_path"] for name, entry in self._yaml("_embodiment_config").items()}
        return {
            "branch": self.branch,
            "commit": commit(self.root),
            "python": platform.python_version(),
            "versions": {name: version(name) for name in PACKAGES},
            "tasks": self.tasks(),
            "step_limits": self._yaml("_eval_step_limit"),
            "task_configs": sorted(p.stem for p in self.settings.glob("*.yml") if not p.stem.startswith("_")),
            "embodiments": {name: (folder / "config.yml").is_file() for name, folder in folders.items()},
            "missing_assets": [path for path in ASSETS if not (self.root / path).is_file()],
        }

    def tasks(self) -> list[str]:
        """Names of its tasks, sorted."""
        return sorted(path.stem for path in (self.root / "envs").glob("[!_]*.py"))

    def arguments(self, task: str, task_config: str, embodiment: Sequence[Any] | None) -> dict[str, Any]:
        """Keyword arguments of `setup_demo` for evaluation.

        `embodiment` replaces the one of the task configuration: [dual] or [left, right, distance in m].
        Raises CheckoutError for a name that the checkout has not.
        """
        if task not in self.tasks():
            raise CheckoutError(f"task is {task!r}; {self.branch} has {', '.join(self.tasks())}")
        arguments = self._yaml(task_config)
        arguments |= {"task_name": task, "task_config": task_config, "ckpt_setting": "smp", "policy_name": "smp"}
        arguments["data_type"] = arguments.get("data_type", {}) | {"rgb": True, "qpos": True, "endpose": True}
        size = self._yaml("_camera_config")[arguments["camera"]["head_camera_type"]]
        arguments |= {"head_camera_h": size["h"], "head_camera_w": size["w"], "eval_mode": True}
        if embodiment is not None:
            arguments["embodiment"] = list(embodiment)
        return arguments | self._robots(arguments["embodiment"])

    def _robots(self, embodiment: list[Any]) -> dict[str, Any]:
        if len(embodiment) not in (1, 3):
            raise CheckoutError(f"embodiment is {embodiment}; valid: [dual arm], or [left, right, distance in m]")
        known, arguments = self._yaml("_embodiment_config"), {"dual_arm_embodied": len(embodiment) == 1}
        for side, name in zip(("left", "right"), (embodiment * 2)[:2], strict=True):
            if name not in known:
                raise CheckoutError(f"embodiment {name!r} is unknown here; valid: {', '.join(known)}")
            arguments[f"{side}_robot_file"] = known[name]["file_path"]
            path = self.root / known[name]["file_path"] / "config.yml"
            if not path.is_file():
                raise CheckoutError(f"embodiment {name!r} is not downloaded: {path} is missing")
            arguments[f"{side}_embodiment_config"] = _load(path)
        return arguments if len(embodiment) == 1 else arguments | {"embodiment_dis": embodiment[2]}

    def _yaml(self, name: str) -> dict[str, Any]:
        path = self.settings / f"{name}.yml"
        if not path.is_file():
            there = sorted(p.stem for p in self.settings.glob("*.yml") if not p.stem.startswith("_"))
            raise CheckoutError(f"{path} is missing; there are {', '.join(there)}")
        return _load(path)


def _load(path: Path) -> dict[str, Any]:
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise CheckoutError(f"{path} holds no settings")
    return data
