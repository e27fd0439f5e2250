"""Child processes: started with a guard, their output prefixed, ended in order and in bounded time."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from piper_bringup.process import Process, program

POLL_S = 0.02
Say = Callable[[str, str], None]  # process name, line


def command(process: Process, config: Path) -> list[str]:
    """Command line of a process.

    setpriv asks the kernel for a SIGKILL when the starter dies, however it dies, so that no node outlives it: a
    gentler signal is lost on a node that hangs. To the arms it is a crash of the driver (S19).
    """
    nice = ["nice", "-n", str(process.nice)] if process.nice else []
    line = ["setpriv", "--pdeathsig", "KILL", *nice, *_program(process)]
    line += ["--ros-args", "-r", f"__node:={process.name}"]
    line += ["-r", f"__ns:={process.namespace}"] if process.namespace else []
    for name, topic in process.remaps.items():
        line += ["-r", f"{name}:={topic}"]
    if process.params_file:
        line += ["--params-file", str(config / process.params_file)]
    for name, value in process.parameters.items():
        text = yaml.safe_dump(value, default_flow_style=True, width=math.inf).splitlines()[0]
        line += ["-p", f"{name}:={text}"]
    return line


def _program(process: Process) -> list[str]:
    if process.module:
        return [sys.executable, "-m", process.module]
    return [str(program(process.package, process.executable) or process.executable)]


@dataclass
class Child:
    """A running process and the thread that passes its output on."""

    process: Process
    popen: subprocess.Popen[str]
    pump: threading.Thread

    @classmethod
    def start(cls, process: Process, line: Sequence[str], say: Say) -> Child:
        """Start `line` in a process group of its own: Ctrl-C in the terminal then reaches the starter only.

        Not in a session of its own: Linux shares the processor between sessions first (autogroup), and niceness
        would mean nothing. Call from the main thread: the guard of `command` watches the thread that starts.
        """
        popen = subprocess.Popen(
            line,
            env=os.environ | process.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )
        pump = threading.Thread(target=_pump, args=(process.name, popen, say), daemon=True)
        pump.start()
        return cls(process, popen, pump)

    @property
    def returncode(self) -> int | None:
        """Exit code, negative signal number, or None while it runs."""
        return self.popen.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send to the process and whatever it started itself."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, number)

    def end(self, patience_s: Callable[[], float]) -> None:
        """SIGINT, after `patience_s()` SIGTERM, then SIGKILL; the process is reaped on return.

        patience_s is asked again and again: it may shrink while this waits.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            self.signal(number)
            if self._wait(patience_s):
                break
        self.signal(signal.SIGKILL)
        self.popen.wait()
        self.pump.join(timeout=1.0)

    def _wait(self, patience_s: Callable[[], float]) -> bool:
        began_s = time.monotonic()
        while self.popen.poll() is None:
            if time.monotonic() - began_s > patience_s():
                return False
            time.sleep(POLL_S)
        return True


def _pump(name: str, popen: subprocess.Popen[str], say: Say) -> None:
    for line in popen.stdout:
        say(name, line.rstrip("\n"))
