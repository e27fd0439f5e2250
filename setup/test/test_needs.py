"""What set-up needs from the system, and the one command that brings what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

import bootstrap
import needs
from checkout import Checkout
from steps import SetupError

REPOSITORY = Path(__file__).resolve().parents[2]


def nothing(what: str, package: str, optional: str = "") -> needs.Need:
    return needs.Need(what, (package,), lambda: False, optional)


def test_programs_are_looked_for_on_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert {"g++", "cmake", "make"} <= {need.what for need in needs.missing()}
    (tmp_path / "cmake").write_text("#!/bin/sh\n")
    (tmp_path / "cmake").chmod(0o755)
    absent = {need.what for need in needs.missing()}
    assert "cmake" not in absent
    assert "g++" in absent


def test_one_command_installs_everything_missing():
    absent = [nothing("g++", "g++"), nothing("cmake", "cmake")]
    assert needs.apt_command(absent, root=False) == (
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends g++ cmake"
    )
    assert "sudo" not in needs.apt_command(absent, root=True)


def test_something_missing_stops_set_up_and_is_named_with_its_command(tmp_path, monkeypatch):
    absent = [nothing("g++", "g++"), nothing("libEGL", "libegl1", "no cameras")]
    monkeypatch.setattr(needs, "missing", lambda: absent)
    monkeypatch.setattr(needs, "can_install", lambda: False)
    with pytest.raises(SetupError, match=r"g\+\+, libEGL \(no cameras without it\)") as caught:
        bootstrap.check_system(Checkout(tmp_path, "wheels", {}, 0))
    assert str(caught.value).endswith("g++ libegl1")


def test_without_opengl_set_up_goes_on_and_says_what_is_lost(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(needs, "missing", lambda: [nothing("libEGL", "libegl1", "no cameras")])
    monkeypatch.setattr(needs, "can_install", lambda: False)
    bootstrap.check_system(Checkout(tmp_path, "wheels", {}, 0))
    assert "no cameras without it" in capsys.readouterr().out


def test_root_installs_what_is_missing(tmp_path, monkeypatch):
    ran: list[tuple[str, ...]] = []
    answers = [[nothing("cmake", "cmake")], []]
    monkeypatch.setattr(needs, "missing", lambda: answers.pop(0))
    monkeypatch.setattr(needs, "can_install", lambda: True)
    monkeypatch.setattr(Checkout, "run", lambda _, *words: ran.append(words))
    bootstrap.check_system(Checkout(tmp_path, "wheels", {}, 0))
    assert [words[-1] for words in ran] == [needs.apt_command([nothing("cmake", "cmake")], root=True)]


def test_what_only_the_cameras_need_may_fail_to_install(tmp_path, monkeypatch, capsys):
    def offline(*_: object) -> None:
        raise SetupError("check the network")

    monkeypatch.setattr(needs, "missing", lambda: [nothing("libEGL", "libegl1", "no cameras")])
    monkeypatch.setattr(needs, "can_install", lambda: True)
    monkeypatch.setattr(Checkout, "run", offline)
    bootstrap.check_system(Checkout(tmp_path, "wheels", {}, 0))
    said = capsys.readouterr().out
    assert "check the network" in said
    assert "no cameras without it" in said


@pytest.mark.parametrize(("system", "machine"), [("Linux", "aarch64"), ("Darwin", "x86_64")])
def test_machines_without_wheels_are_told_to_install_ros(monkeypatch, system, machine):
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(SetupError, match=f"{machine} {system}.*install ROS 2 Jazzy"):
        bootstrap.check_machine("wheels")
    bootstrap.check_machine("apt")


@pytest.mark.parametrize("image", ["robot", "sim"])
def test_the_images_install_everything_that_set_up_needs(image):
    words = (REPOSITORY / "docker" / f"Dockerfile.{image}").read_text().split()
    assert {package for need in needs.NEEDS for package in need.packages} <= set(words)
