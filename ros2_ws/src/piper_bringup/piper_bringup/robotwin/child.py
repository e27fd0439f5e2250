"""The worker as a process: started so that it cannot outlive us, its last output kept, its whole group ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

TAIL_BYTES = 8192
TAIL_LINES = 12
POLL_S = 0.02
_SHELL_OF_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "AMENT_PREFIX_PATH", "COLCON_PREFIX_PATH")


class Child:
    """A running program in a process group of its own: Ctrl-C in the terminal reaches us only.

    The kernel kills it when the thread that started it ends (setpriv), so it is started by the thread that then
    reads its output until it is gone; the caller's thread may end. Raises OSError where it cannot be started.
    """

    def __init__(self, line: Sequence[str], folder: Path) -> None:
        self._tail, self._lock = bytearray(), threading.Lock()
        started: Future[subprocess.Popen[bytes]] = Future()
        arguments = (["setpriv", "--pdeathsig", "KILL", *line], folder, started)
        self._thread = threading.Thread(target=self._run, args=arguments, name="robotwin worker", daemon=True)
        self._thread.start()
        self._popen = started.result()

    def _run(self, line: list[str], folder: Path, started: Future[subprocess.Popen[bytes]]) -> None:
        try:
            popen = subprocess.Popen(
                line,
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(popen)
        with popen.stdout as pipe:
            while data := pipe.read1():
                with self._lock:
                    self._tail += data
                    del self._tail[:-TAIL_BYTES]
        with contextlib.suppress(ChildProcessError):  # it was reaped already
            os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT)  # the end of this thread would kill it

    def last_lines(self) -> list[str]:
        """The last TAIL_LINES lines it wrote, without blank ones; a progress line counts as it last stood."""
        with self._lock:
            text = self._tail.decode(errors="replace")
        lines = [line.rstrip("\r").rsplit("\r", 1)[-1].strip() for line in text.split("\n")]
        return [line for line in lines if line][-TAIL_LINES:]

    def ended(self) -> bool:
        """Whether it is gone. It is not reaped here: as long as it is not, its group's number is its own."""
        if self._popen.returncode is not None:
            return True
        with contextlib.suppress(ChildProcessError):
            return os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return True  # another thread reaped it meanwhile

    def wait(self, patience_s: float) -> bool:
        """Whether it ends by itself within `patience_s`."""
        end_s = time.monotonic() + patience_s
        while not self.ended():
            if time.monotonic() > end_s:
                return False
            time.sleep(POLL_S)
        return True

    def kill(self) -> int:
        """End the whole group; its exit code, or minus the number of the signal that ended it. Safe to repeat."""
        with self._lock:
            if self._popen.returncode is None:
                os.killpg(self._popen.pid, signal.SIGKILL)  # one that ended by itself keeps its code
                self._popen.wait()
        self._thread.join(timeout=1.0)
        return self._popen.returncode


def interpreter(python: str) -> str:
    """A Python that is named by its path, from wherever it is started; any other is looked for, as ever."""
    return str(Path(os.path.expanduser(python)).absolute()) if "/" in python else python


def environment() -> dict[str, str]:
    """Ours without what would lead another Python to our packages."""
    environment = {name: value for name, value in os.environ.items() if name not in _SHELL_OF_OURS}
    return environment | {"PYTHONUNBUFFERED": "1"}
