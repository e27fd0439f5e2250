"""The processes of the simulated graph, as a deployment starts them, and what they cost."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NoReturn

from piper_bringup.process import Process, config_dir
from piper_bringup.run_node import Starter
from piper_bringup.supervise import Child, command

TICKS_S = os.sysconf("SC_CLK_TCK")


class Graph:
    """The processes of one run; a context manager that ends them."""

    def __init__(self, starter: Starter, processes: tuple[Process, ...]) -> None:
        self._starter, self._processes = starter, processes
        self._children: list[Child] = []
        self._said: list[str] = []

    def __enter__(self) -> Graph:
        try:
            for process in self._processes:
                self._children.append(Child.start(process, command(process, config_dir(process.package)), self._note))
            for process in (process for process in self._processes if process.lifecycle):
                problem = self._starter.bring_up(process.name, lambda: bool(self._dead()))
                if problem is not None:
                    self.give_up(f"{process.name} did not start: {problem}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self._children):
            child.end(lambda child=child: child.process.patience_s)

    def run(self, seconds: float) -> None:
        """Let it run; SystemExit with what was said last when a process ends."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self._starter.spin()
            if dead := self._dead():
                self.give_up(f"{', '.join(dead)} ended")

    def give_up(self, why: str) -> NoReturn:
        """SystemExit with what the processes said last."""
        raise SystemExit("\n".join([*self._said[-40:], f"bench: {why}, see above"]))

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time so far of each node."""
        return {name: cpu_seconds(pid) for name, pid in self.pids().items()}

    def pids(self) -> dict[str, int]:
        """Process id of each node."""
        return {child.process.name: child.popen.pid for child in self._children}

    def _dead(self) -> list[str]:
        return [child.process.name for child in self._children if child.returncode is not None]

    def _note(self, name: str, line: str) -> None:
        self._said.append(f"{name:>12} | {line}")


def cpu_seconds(pid: int) -> float:
    """User and system time of a living process."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / TICKS_S
