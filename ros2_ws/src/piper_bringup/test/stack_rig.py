"""`python -m piper_bringup.run` as a process, all of whose processes are known and ended. For tests."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

PATIENCE_S = 40.0  # for one thing to happen, on a busy machine


class Stack:
    """`python -m piper_bringup.run`, alone in a vcan folder that also marks its processes."""

    def __init__(self, folder: Path, *args: str, terminal: bool = False) -> None:
        self.out = folder / "out"
        self._mark = f"SMP_VCAN_DIR={folder / 'vcan'}"
        (folder / "vcan").mkdir()
        self.lines: list[str] = []
        self._new = threading.Condition()
        ours, theirs = pty.openpty() if terminal else os.pipe()
        self.run = subprocess.Popen(
            [sys.executable, "-m", "piper_bringup.run", "--out", str(self.out), *args],
            env=os.environ | dict([self._mark.split("=")]) | {"TERM": "xterm"},
            stdout=theirs,
            stderr=subprocess.STDOUT,
        )
        os.close(theirs)
        self._said = os.fdopen(ours, errors="replace")  # every kind of line end is one, a live line's as well
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)
        self._reader.join()
        self.run.wait()
        self._said.close()

    def _read(self) -> None:
        with suppress(OSError):  # how a terminal says that nobody writes to it any more
            for line in self._said:
                with self._new:
                    self.lines.append(line)
                    self._new.notify_all()

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def wait_for(self, text: str) -> None:
        """Until the run has said `text`."""
        with self._new:
            assert self._new.wait_for(lambda: text in self.text, PATIENCE_S), self.text

    def end(self, seconds: float = PATIENCE_S) -> int:
        """Exit code of the run, once it has ended and nothing is left of it."""
        code = self.run.wait(seconds)
        self._reader.join(seconds)
        assert self.alive() == {}, self.text
        return code

    def alive(self) -> dict[int, str]:
        """Command line of every living process of this run, by process id."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                marked = self._mark in (process / "environ").read_text(errors="replace").split("\0")
                command = (process / "cmdline").read_text().replace("\0", " ")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if marked and command:
                found[int(process.name)] = command
        return found

    def pid(self, node: str) -> int:
        return next(pid for pid, command in self.alive().items() if f"__node:={node} " in command)

    def summary(self) -> dict:
        return json.loads((self.out / "summary.json").read_text())


def wait_until(condition) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
