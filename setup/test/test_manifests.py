"""package.xml and the requirements say everything that the code imports."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

SETUP = Path(__file__).resolve().parents[1]
SOURCE = SETUP.parent / "ros2_ws" / "src"
PACKAGES = ("piper_bringup", "smp_policy")

# rosdep keys that differ from the name that is imported; packages of ROS 2 have the same.
ROSDEP = {
    "can": "python3-can",
    "cv2": "python3-opencv",
    "h5py": "python3-h5py",
    "matplotlib": "python3-matplotlib",
    "msgpack": "python3-msgpack",
    "mujoco": "python3-mujoco-pip",
    "numpy": "python3-numpy",
    "rich": "python3-rich",
    "tqdm": "python3-tqdm",
    "yaml": "python3-yaml",
}
# Of setup/requirements*.txt alone.
NO_ROSDEP_KEY = {"lz4", "mcap", "onnx", "onnxruntime", "piper_sdk", "rosbags"}
NO_ROSDEP_KEY |= {"safetensors", "torch", "tyro", "zstandard"}
OPTIONAL = {"rerun"}  # half a gigabyte; the one program that needs it says how to install it
OPTIONAL |= {"mplib"}  # RoboTwin's, in whose own Python the file that imports it runs


def imported(package: str) -> set[str]:
    """Top-level names that the modules and launch files of a package import, the standard library left out."""
    names: set[str] = set()
    for part in (package, "launch"):
        for file in (SOURCE / package / part).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    names |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {package}


def requirements() -> list[str]:
    """Every requirement line of every file."""
    lines = [line for file in sorted(SETUP.glob("*.txt")) for line in file.read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("package", PACKAGES)
def test_package_xml_declares_every_import(package):
    root = ElementTree.parse(SOURCE / package / "package.xml").getroot()
    declared = {element.text for tag in ("depend", "exec_depend") for element in root.iter(tag)}
    needed = {ROSDEP.get(name, name) for name in imported(package) - NO_ROSDEP_KEY - OPTIONAL}
    assert needed <= declared, f"{package}/package.xml lacks {sorted(needed - declared)}"


def test_what_has_no_rosdep_key_is_a_requirement():
    pinned = {re.split(r"[=\[]", line)[0].replace("-", "_") for line in requirements()}
    assert pinned >= NO_ROSDEP_KEY


def test_every_requirement_is_pinned_to_one_version():
    loose = [line for line in requirements() if not re.fullmatch(r"[\w.-]+(\[\w+\])?==[\w.]+", line)]
    assert loose == []
