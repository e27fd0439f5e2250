"""run.py with a node that is not ours: found where it is installed, named when it ends, started again until the end."""

from __future__ import annotations

import io
import signal
import time
from pathlib import Path

import pytest

from piper_bringup.process import Process, program
from piper_bringup.run import Run, Screen
from piper_bringup.run_node import Starter
from piper_bringup.supervise import command

PATIENCE_S = 30.0
EYE = Process(
    name="cam_head",
    executable="eye_node",
    module="",
    package="eye",
    namespace="/cam_head",
    remaps={"~/color/image_raw": "/cam_head/image_raw"},
    parameters={"serial_no": "0123", "enable_depth": False},
    required=False,
    respawn=True,
)


@pytest.fixture
def eye(tmp_path, monkeypatch) -> Path:
    """A ROS package with a node that ends at once, as a camera's does while it is unplugged."""
    index, programs = tmp_path / "share" / "ament_index" / "resource_index" / "packages", tmp_path / "lib" / "eye"
    for folder in (index, programs, tmp_path / "share" / "eye"):
        folder.mkdir(parents=True)
    (index / "eye").touch()
    node = programs / "eye_node"
    node.write_text('#!/bin/sh\necho "looking: $*"\nexit 3\n')
    node.chmod(0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    return node


def test_a_node_that_is_not_ours_is_found_and_gets_its_names(eye, tmp_path):
    assert program("eye", "eye_node") == eye
    assert program("eye", "other_node") is None and program("nose", "eye_node") is None
    line = command(EYE, tmp_path)
    assert line[3] == str(eye) and "-m" not in line
    text = " ".join(line)
    assert "-r __node:=cam_head -r __ns:=/cam_head -r ~/color/image_raw:=/cam_head/image_raw" in text
    assert "-p serial_no:='0123'" in text and "-p enable_depth:=false" in text and "--params-file" not in text


class UntilSeen:
    """In place of Interrupts: Ctrl-C once the log has this often what it waits for."""

    def __init__(self, log: io.StringIO, text: str, times: int) -> None:
        self.newest, self._log, self._text, self._times = "SIGINT", log, text, times
        self._deadline_s = time.monotonic() + PATIENCE_S

    @property
    def count(self) -> int:
        assert time.monotonic() < self._deadline_s, self._log.getvalue()
        return int(self._log.getvalue().count(self._text) >= self._times)


@pytest.fixture
def signals():
    """Leaving DDS sets the signals to be ignored, and the children of later tests would inherit that."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.live
@pytest.mark.usefixtures("signals")
def test_it_is_started_again_and_again_named_once_and_the_run_goes_on(eye):
    log = io.StringIO()
    with Starter() as starter:
        run = Run((EYE,), Screen(log), UntilSeen(log, "looking: --ros-args", 3))
        run.start()
        run.watch(starter, endless=True)
        run.end()
    text = log.getvalue()
    assert text.count("process cam_head ended with exit code 3; started again, and again, until it stays") == 1
    assert text.count("looking:") == 3 and run.failed
    assert "when asked to end" not in text
