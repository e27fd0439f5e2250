"""Scripted demonstrations of the cell's tasks as episode files, on all cores.

    python -m piper_bringup.cell.demonstrate --out data             100 of each of the six tasks, without images
    python -m piper_bringup.cell.demonstrate --out data --tasks lift_pot --episodes 20 --images

Seeds are tried in order until enough have succeeded; a failed one is counted and left out. Equal seeds give equal
files, byte for byte. Episodes that lie in the folder already are kept: run it again to go on, or to add to them.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import tyro
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from piper_bringup.cell import record, tasks
from piper_bringup.cell.expert import demonstrate
from piper_bringup.cell.graphics import NoGraphics
from piper_bringup.cell.motion import Unreachable
from piper_bringup.cell.pushes import PUSH_RAD
from piper_bringup.cell.render import Renderer
from piper_bringup.cell.task import Difficulty
from piper_bringup.cell.world import PhysicsError, World
from piper_bringup.data.episode import EpisodeError, write

T = TypeVar("T")

HOPELESS = 30  # failures beyond as many as there were successes: the task does not work at this difficulty


@dataclass(frozen=True)
class Args:
    """Scripted demonstrations as episode files."""

    out: Path
    """Folder of the data set; episodes go to <out>/<task>/<task>_<seed>.hdf5."""
    tasks: tuple[str, ...] = tasks.MULTI_TASK
    """Tasks to show."""
    episodes: int = 100
    """Successful episodes of each task."""
    first_seed: int = 0
    """Seeds are tried from here upwards."""
    images: bool = False
    """Also three cameras, 320x240, as JPEG."""
    processes: int = os.cpu_count() or 1
    """Episodes worked on at once."""
    difficulty: Difficulty = field(default_factory=lambda: Difficulty(push_rad=PUSH_RAD))
    """How far episodes differ from each other."""

    def __post_init__(self) -> None:
        for task in self.tasks:
            tasks.find(task)
        for name, low in (("episodes", 1), ("first_seed", 0), ("processes", 1)):
            if getattr(self, name) < low:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}, at least {low} is needed")


@dataclass
class Tally:
    """How the seeds of one task went."""

    kept: int = 0
    was_there: int = 0
    failed: list[str] = field(default_factory=list)


_worlds: dict[tuple, tuple[World, Renderer | None]] = {}  # of this worker process


def make(task: str, seed: int, args: Args) -> str:
    """One episode in a worker process: "" when it was written, "kept" when it was there, else why it failed."""
    path = record.path_of(args.out, task, seed)
    if record.is_done(path, args.difficulty, args.images):
        return "kept"
    kind = task, args.difficulty, args.images
    if kind not in _worlds:
        world = World(task, seed, args.difficulty)
        _worlds[kind] = world, Renderer(world.model) if args.images else None
    world, renderer = _worlds[kind]
    try:
        found = demonstrate(task, seed, world)
    except (Unreachable, PhysicsError) as error:
        return str(error)
    if not found.success:
        missing = [goal.name for goal in world.task.goals if goal.name not in found.goals]
        return f"not reached: {missing[0]}"
    write(path, record.episode_of(found, world, renderer))
    return ""


def run(args: Args) -> dict[str, Tally]:
    """Write every episode asked for. Raises EpisodeError, NoGraphics, or RuntimeError for a hopeless task."""
    tallies = {task: Tally() for task in args.tasks}
    total = args.episodes * len(args.tasks)
    with (
        ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as pool,
        tqdm(total=total, unit="episode", disable=None) as bar,
    ):
        try:
            for task in args.tasks:
                bar.set_description(task)
                for seed, why in _results(pool, task, args, tallies[task]):
                    _count(tallies[task], seed, why, bar)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return tallies


def _results(pool: ProcessPoolExecutor, task: str, args: Args, tally: Tally) -> Iterator[tuple[int, str]]:
    """(seed, result) in the order of seeds until enough are kept, whatever order the processes end in."""
    seed, waiting = args.first_seed, []
    while tally.kept < args.episodes:
        while len(waiting) < min(2 * args.processes, args.episodes - tally.kept):
            waiting.append((seed, _submit(pool, make, task, seed, args)))
            seed += 1
        first, future = waiting.pop(0)
        yield first, _result(future)
        if len(tally.failed) > tally.kept + HOPELESS:
            tried = len(tally.failed) + tally.kept
            raise RuntimeError(f"{task}: {len(tally.failed)} of {tried} seeds failed; the last one: {tally.failed[-1]}")


def _submit(pool: ProcessPoolExecutor, work: Callable[..., T], *given: object) -> Future[T]:
    """Ctrl-C in a terminal goes to every process: one started here inherits that it is blocked, and ends its episode.

    The interrupt itself is only put off until the process is started.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        return pool.submit(work, *given)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _result(future: Future[str]) -> str:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise RuntimeError("a worker process died (out of memory?); run again to go on") from error


def _count(tally: Tally, seed: int, why: str, bar: tqdm) -> None:
    if why in ("", "kept"):
        tally.kept += 1
        tally.was_there += why == "kept"
        bar.update()
    else:
        tally.failed.append(f"seed {seed}: {why}")


def _table(tallies: dict[str, Tally], seconds: float) -> Table:
    table = Table("task", "episodes", "there before", "seeds tried", "succeeded", "failed", title="Demonstrations")
    for task, tally in tallies.items():
        tried = tally.kept + len(tally.failed)
        share = f"{100 * tally.kept / tried:.1f} %"
        table.add_row(task, str(tally.kept), str(tally.was_there), str(tried), share, "\n".join(tally.failed[:5]))
    table.caption = f"{sum(t.kept - t.was_there for t in tallies.values())} written in {seconds:.0f} s"
    return table


def main() -> None:
    """Make them, tell what became of the seeds."""
    began_s = time.monotonic()
    try:
        args = tyro.cli(Args, prog="python -m piper_bringup.cell.demonstrate", description=__doc__)
        tallies = run(args)
    except (EpisodeError, NoGraphics, RuntimeError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; every episode written is whole, run again to go on")
    Console(width=120 if not sys.stdout.isatty() else None).print(_table(tallies, time.monotonic() - began_s))


if __name__ == "__main__":
    main()
