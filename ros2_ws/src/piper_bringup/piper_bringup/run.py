"""Start the node graph without launch: `python -m piper_bringup.run` (make sim) runs simulated episodes.

The shipped model does them, or the one of --model; without any, the script of the task. Ends after the episodes, or
with Ctrl-C; the arms are left holding and every process is ended. A second Ctrl-C shortens the waiting. Exit code 0
when no process died and every episode was run to its end: a script has to succeed, a model's successes are counted.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from piper_bringup import models, readiness, shm, viz
from piper_bringup.options import OptionError, Options
from piper_bringup.process import RESPAWN_S, Process, config_dir, death
from piper_bringup.run_node import Starter
from piper_bringup.screen import Screen
from piper_bringup.seen import report
from piper_bringup.supervise import Child, command
from piper_bringup.system import environment_of, graph

GRACE_S = 2.5  # after a death, for the monitor to notice what went silent and for people to read it
CLEAN = (0, -signal.SIGALRM)  # the alarm: its work was done, only leaving DDS hung (spin_node.leave)
IMPATIENT_S = 1.0  # for each process to end after a second Ctrl-C


@dataclass(frozen=True)
class RunOptions(Options):
    """Run the stack on this machine."""

    backend: Literal["real", "mujoco", "robotwin"] = "mujoco"
    """Whose arms move: the robot's, those of the MuJoCo cell, or those of RoboTwin 2.0."""
    out: str = "out"
    """Folder for report.html, summary.json, head.mp4 and run.log of the run."""
    hold: bool = False
    """Keep running after the episode, one new episode after the other, until Ctrl-C."""


class Interrupts:
    """Counts SIGINT, SIGTERM and SIGHUP instead of being ended by them."""

    def __init__(self) -> None:
        self.count, self.newest = 0, ""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, _: object) -> None:
        self.count += 1
        self.newest = signal.Signals(number).name


class Run:
    """One start of the graph: `watch` until it is over, then `end`."""

    def __init__(self, processes: tuple[Process, ...], screen: Screen, interrupts: Interrupts) -> None:
        self._processes, self._screen, self._interrupts = processes, screen, interrupts
        self._children: list[Child] = []
        self._mourned: set[str] = set()
        self._again_s: dict[str, float] = {}  # process that ended -> when it is started again
        self._over_at_s: float | None = None
        self.failed = False

    def start(self) -> None:
        """Start every process, in the order of the graph."""
        self._children = [self._begin(process) for process in self._processes]

    def watch(self, starter: Starter, *, endless: bool) -> None:
        """Bring lifecycle nodes up and return when the run is over: finished, interrupted or broken."""
        for process in self._processes:
            if process.lifecycle and not self._over(starter, endless):
                problem = starter.bring_up(process.name, lambda: self._over(starter, endless))
                if problem not in (None, "stopped"):
                    self.failed = True
                    self._screen.say("run", problem)
                    return
        while not self._over(starter, endless):
            starter.spin()

    def end(self) -> None:
        """Ask every process to end, last started first, and make sure that it did."""
        self._screen.live("")
        if self._interrupts.count:
            self._screen.say("run", f"{self._interrupts.newest}: ending, the arms stay where they are")
        for child in reversed(self._children):
            child.end(lambda child=child: self._patience_s(child))
            name = child.process.name
            if child.returncode not in CLEAN and name not in self._mourned and name not in self._again_s:
                self._screen.say("run", death(name, child.returncode) + " when asked to end")

    def _patience_s(self, child: Child) -> float:
        return IMPATIENT_S if self._interrupts.count > 1 else child.process.patience_s

    def _over(self, starter: Starter, endless: bool) -> bool:
        for i, child in enumerate(self._children):
            if child.returncode is not None and child.process.respawn:
                self._revive(i, starter)
            elif child.returncode is not None and child.process.name not in self._mourned:
                self._mourn(child, starter, endless)
        too_late = self._over_at_s is not None and time.monotonic() >= self._over_at_s
        return too_late or self._interrupts.count > 0

    def _begin(self, process: Process) -> Child:
        return Child.start(process, command(process, config_dir(process.package)), self._screen.say)

    def _revive(self, i: int, starter: Starter) -> None:
        """A process that is started again has ended: say so, and start it when its time has come."""
        child, now_s = self._children[i], time.monotonic()
        process = child.process
        if process.name not in self._again_s:
            self.failed = True
            self._again_s[process.name] = now_s + RESPAWN_S
            text = death(process.name, child.returncode)
            if starter.say_death(process.name, text):
                self._screen.say("run", f"{text}; started again, and again, until it stays")
        elif now_s >= self._again_s[process.name]:
            del self._again_s[process.name]
            self._children[i] = self._begin(process)

    def _mourn(self, child: Child, starter: Starter, endless: bool) -> None:
        """A process ended unasked."""
        process, code = child.process, child.returncode
        self._mourned.add(process.name)
        if code in CLEAN and process.finite:
            self._over_at_s = time.monotonic()
            return
        self.failed = True
        text = death(process.name, code)
        self._screen.say("run", text)
        starter.say_death(process.name, text)
        if process.required or (process.finite and not endless):
            self._over_at_s = time.monotonic() + GRACE_S


def run(options: RunOptions) -> int:
    """Exit code. Raises OptionError for options that nothing can be started with."""
    options = replace(options, episodes=0) if options.hold else options
    config = config_dir()
    options, told = models.chosen(options, config)
    processes = graph(options, config)
    for sentence in filter(None, (told, viz.admit(options), models.admit(processes, options))):
        print(sentence, flush=True)
    for sentence in readiness.at_start(options, config):
        print(sentence, flush=True)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    report.clear(out)
    os.environ.update(environment_of(options, config))
    interrupts = Interrupts()
    shm.sweep()  # of runs that were killed
    with (out / "run.log").open("w") as log, Starter() as starter:
        screen = Screen(log)
        this = Run(processes, screen, interrupts)
        starter.hear_live(screen.live)
        try:
            this.start()
            this.watch(starter, endless=options.episodes == 0)
        finally:
            this.end()
        if not options.lockstep:  # whose evaluation has a file of its own
            report.show(out)
    shm.sweep()
    return int(this.failed)


def main() -> None:
    try:
        sys.exit(run(tyro.cli(RunOptions, prog="python -m piper_bringup.run")))
    except OptionError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
