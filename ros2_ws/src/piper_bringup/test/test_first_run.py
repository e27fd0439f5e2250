"""FIRST_RUN.md: every command and file of ours that it names is there, and takes the words that it gives."""

from __future__ import annotations

import importlib
import importlib.util
import re
from dataclasses import fields
from pathlib import Path

import pytest

from piper_bringup import arguments
from piper_bringup.arm.services_node import TRIGGERS
from piper_bringup.options import Options
from piper_bringup.readiness import Args

ROOT = Path(__file__).parents[4]
TEXT = (ROOT / "FIRST_RUN.md").read_text()


def found(pattern: str) -> set[str]:
    """What the page says there; never nothing, or a test of it would test nothing."""
    there = set(re.findall(pattern, TEXT))
    assert there
    return there


@pytest.mark.parametrize("module", sorted(found(r"python -m ([\w.]+)")))
def test_programs_are_there(module):
    assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("path", sorted(found(r"((?:docker|ros2_ws)/[\w/.-]+)")))
def test_files_are_there(path):
    assert (ROOT / path.rstrip(".")).exists()


def test_launch_arguments_are_options_with_texts_that_read():
    for name, text in re.findall(r"(\w+):=(\w[\w/%]*)?", TEXT):
        assert name in {field.name for field in fields(Options)}, name
        if text:
            arguments.parse({name: text})


def test_the_readiness_check_has_its_options():
    (line,) = [line for line in TEXT.splitlines() if "piper_bringup.readiness" in line]
    words = {word.replace("-", "_") for word in re.findall(r"--([\w-]+)", line)}
    assert words and words <= {field.name for field in fields(Args)}


def test_services_actions_and_their_types_are_there():
    services = found(r"/piper_driver/(\w+)")
    assert services <= {*TRIGGERS, "enable", "reset_estop", "set_speed"}
    for package, kind, name in found(r"(smp_msgs|std_srvs)/(srv|action)/(\w+)"):
        assert hasattr(importlib.import_module(f"{package}.{kind}"), name)


def test_it_says_plainly_what_it_was_verified_on():
    assert "**Verified on emulated arms only.**" in TEXT.split("\n\n")[1]
