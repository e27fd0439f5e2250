"""supervise: children are started with a guard, heard, ended in bounded time, and never outlive their starter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from piper_bringup.process import Process
from piper_bringup.supervise import Child, command

pytestmark = pytest.mark.live

WAIT_S = 20.0  # generous: the machine may be busy
SLEEPER = "import time; print('ready', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)];" + SLEEPER


class Heard:
    """Lines that a child wrote."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._new = threading.Condition()

    def say(self, name: str, line: str) -> None:
        with self._new:
            self.lines.append((name, line))
            self._new.notify_all()

    def wait_for(self, line: str) -> None:
        with self._new:
            assert self._new.wait_for(lambda: line in [text for _, text in self.lines], WAIT_S), self.lines


def start(code: str, heard: Heard, **process: object) -> Child:
    described = Process(name="child", executable="", module="", **process)
    return Child.start(described, [sys.executable, "-c", code], heard.say)


def gone(pid: int) -> bool:
    """No such process, or only its entry that nobody has read yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def wait_until(condition) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_a_child_writes_is_passed_on_with_its_name():
    heard = Heard()
    child = start("import sys; print('one'); print('two', file=sys.stderr)", heard)
    wait_until(lambda: child.returncode is not None)
    child.end(lambda: 0.0)
    assert sorted(heard.lines) == [("child", "one"), ("child", "two")]


def test_a_child_sees_the_environment_of_its_process():
    heard = Heard()
    child = start("import os; print(os.environ['SMP_PROBE'])", heard, environment={"SMP_PROBE": "yes"})
    heard.wait_for("yes")
    child.end(lambda: WAIT_S)


def test_a_child_that_was_killed_has_its_signal_as_return_code():
    heard = Heard()
    child = start(SLEEPER, heard)
    heard.wait_for("ready")
    os.kill(child.popen.pid, signal.SIGKILL)
    wait_until(lambda: child.returncode is not None)
    assert child.returncode == -signal.SIGKILL


def test_a_child_is_asked_by_sigint_first():
    heard = Heard()
    child = start(SLEEPER, heard)
    heard.wait_for("ready")
    child.end(lambda: WAIT_S)
    assert child.returncode == -signal.SIGINT  # Python's own handling of Ctrl-C
    assert gone(child.popen.pid)


def test_a_stubborn_child_is_ended_all_the_same_and_reaped():
    heard = Heard()
    child = start(STUBBORN, heard)
    heard.wait_for("ready")
    child.end(lambda: 0.2)
    assert child.returncode == -signal.SIGKILL
    assert gone(child.popen.pid)


def test_patience_that_runs_out_meanwhile_shortens_the_wait():
    heard = Heard()
    child = start(STUBBORN, heard)
    heard.wait_for("ready")
    asked = iter(range(1_000_000))
    child.end(lambda: 600.0 if next(asked) < 5 else 0.0)
    assert child.returncode == -signal.SIGKILL


def test_what_a_child_started_is_ended_with_it():
    heard = Heard()
    spawn = f"subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])"
    grandchild = f"import subprocess, sys; p = {spawn}; print(p.pid, flush=True); p.wait()"
    child = start(grandchild, heard)
    heard.wait_for("ready")
    pid = next(int(line) for _, line in heard.lines if line.isdigit())
    os.kill(child.popen.pid, signal.SIGSTOP)  # so that only SIGKILL acts, on all of them
    child.end(lambda: 0.2)
    wait_until(lambda: gone(pid))


STARTER = """
import os, signal, sys
from pathlib import Path
from piper_bringup.supervise import command
from piper_bringup.process import Process
line = command(Process(name="child", executable="", module="nobody"), Path("/"))
sleep = "import time; print('up', flush=True); time.sleep(600)"
line = [*line[:line.index(sys.executable)], sys.executable, "-c", sleep]
import subprocess
child = subprocess.Popen(line, stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
signal.pause()
"""


def test_no_child_outlives_a_starter_that_was_killed():
    starter = subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True)
    pid = int(starter.stdout.readline())
    assert not gone(pid)
    starter.kill()
    starter.wait()
    wait_until(lambda: gone(pid))


@pytest.mark.parametrize("value", ["can_left", "", "0123", "true", "a b: c", True, 100.0, 30, "x" * 200, ["a b"] * 40])
def test_parameters_arrive_in_their_type(value):
    line = command(Process(name="n", executable="", module="m", parameters={"p": value}), Path("/config"))
    argument = line[line.index("-p") + 1]
    read = yaml.safe_load(argument.removeprefix("p:="))
    assert read == value and type(read) is type(value)


def test_the_command_names_node_file_and_niceness():
    process = Process(name="n", executable="", module="m", params_file="n.yaml", nice=5)
    text = " ".join(command(process, Path("/config")))
    assert "nice -n 5" in text and "-m m --ros-args -r __node:=n --params-file /config/n.yaml" in text
    assert "--pdeathsig" in text
