"""The walls between rooms: each imports only what lies below it, and only nodes and launch files know of rclpy."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "ros2_ws" / "src"
# From the ground up.
ROOMS = {
    "piper_bringup": ("data", "can", "arm", "cell", "look", "seen", "record", "robotwin", "rlbench"),
    "smp_policy": ("smp", "run", "learn", "adapters"),
}
FLOORS = [f"{package}.{room}" for package, rooms in ROOMS.items() for room in rooms]


def name_of(file: Path) -> str:
    """The module in `file`, dotted."""
    parts = file.relative_to(SOURCE).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# What adapters put into other programs is part of those.
THEIRS = SOURCE / "smp_policy" / "smp_policy" / "adapters" / "robotwin" / "files"
MODULES = {
    name_of(file): file
    for package in ROOMS
    for file in (SOURCE / package / package).rglob("*.py")
    if THEIRS not in file.parents
}


@cache
def imported(file: Path) -> frozenset[str]:
    """All that a file imports, dotted; of `from a import b` both a and a.b. What is imported for types alone counts."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{file} imports by a relative name"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def below(module: str) -> set[str]:
    """Every module of ours that comes with `module`, those outside of rooms included."""
    seen, new = set(), {module}
    while new:
        seen |= new
        new = {name for one in new for name in imported(MODULES[one]) & MODULES.keys()} - seen
    return seen


def floor_of(module: str) -> int:
    """Number of the room of `module`; -1 outside of all."""
    return next((i for i, room in enumerate(FLOORS) if f"{module}.".startswith(f"{room}.")), -1)


def test_every_folder_is_a_room():
    folders = {f"{p}.{f.name}" for p in ROOMS for f in (SOURCE / p / p).iterdir() if (f / "__init__.py").exists()}
    assert folders == set(FLOORS)


@pytest.mark.parametrize("room", FLOORS)
def test_a_room_imports_only_rooms_below_it(room):
    own = [module for module in MODULES if floor_of(module) == FLOORS.index(room)]
    assert own
    wrong = {one: [m for m in below(one) if floor_of(m) > FLOORS.index(room)] for one in own}
    assert {one: above for one, above in wrong.items() if above} == {}


def test_piper_bringup_knows_nothing_of_the_policy_and_the_method_nothing_of_arms():
    for module, file in MODULES.items():
        tops = {name.split(".")[0] for name in imported(file)}
        assert not (module.startswith("piper_bringup") and "smp_policy" in tops), module
        assert not (module.startswith("smp_policy.smp.") and tops & {"piper_bringup", "smp_msgs"}), module


def test_only_nodes_know_of_rclpy_and_none_of_launch():
    """Nodes are in files named so; for its types alone, and for the bytes of messages, others may name it."""
    typed = {"piper_bringup.parameters"}
    for module, file in MODULES.items():
        names = {name for name in imported(file) if not name.startswith("rclpy.serialization")}
        tops = {name.split(".")[0] for name in names}
        assert "rclpy" not in tops or module.endswith("_node") or module in typed, module
        assert not tops & {"launch", "launch_ros"}, module
