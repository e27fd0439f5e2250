"""Episodes of one task over ROS, through the very program that `make sim` runs, and a listener beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import rclpy
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from bench.observer import Observer
from bench.private import private
from bench.recount import Heard, episodes, recount
from piper_bringup.options import Options
from piper_bringup.process import config_dir
from piper_bringup.seen.report import SUMMARY
from piper_bringup.system import environment_of

START_S, EPISODE_S = 120.0, 90.0  # at most, on a busy machine: 20 s of motion, 20 s of parking
END_S = 40.0  # for a run that was asked to end; the page is drawn meanwhile
POLL_S = 0.1


class RunFailed(RuntimeError):
    """The graph did not do its episodes."""


def over_ros(model: Path, task: str, first_seed: int, count: int, out: Path) -> dict[str, Any]:
    """`count` episodes of `task`: what was heard of each ("over_ros"), and the run's own summary ("run").

    Leaves summary.json, run.log, page and film in `out`. Raises RunFailed where an episode was not run to an end.
    """
    out.mkdir(parents=True, exist_ok=True)
    line = [sys.executable, "-m", "piper_bringup.run", "--model", str(model), "--task", task]
    line += ["--seed", str(first_seed), "--episodes", str(count), "--out", str(out)]
    with private(), _listening() as observer:
        with _process(line) as process:
            _follow(process, observer, task, count)
        observer.poll()
        heard = episodes(observer.events)
        wanted, got = list(range(first_seed, first_seed + count)), [one.seed for one in heard]
        if got != wanted:
            raise RunFailed(f"{task}: episodes {got} were heard instead of {wanted}; see {out / 'run.log'}")
        played = [_told(one, observer) for one in heard]
    return {"over_ros": played, "run": json.loads((out / SUMMARY).read_text())}


def _told(one: Heard, observer: Observer) -> dict[str, Any]:
    success, goals = recount(one, observer.objects, observer.joints)
    told = {"seed": one.seed, "success": one.success, "seconds": one.seconds}
    return told | {"recounted": success, "recounted_goals": list(goals)}


def _follow(process: subprocess.Popen, observer: Observer, task: str, count: int) -> None:
    """Listen until the run is over. Raises RunFailed when it takes too long."""
    deadline_s = time.monotonic() + START_S + count * EPISODE_S
    with tqdm(total=count, desc=f"{task} over ROS", unit="episode", disable=None) as bar:
        while process.poll() is None:
            observer.poll()
            heard = episodes(observer.events)
            bar.set_postfix_str(f"{sum(one.success for one in heard)} of {len(heard)} succeeded")
            bar.update(len(heard) - bar.n)
            if time.monotonic() > deadline_s:
                raise RunFailed(f"{task}: {len(heard)} of {count} episodes in {START_S + count * EPISODE_S:.0f} s")
            time.sleep(POLL_S)


@contextmanager
def _listening() -> Iterator[Observer]:
    """What the run is counted again from. The run's settings of DDS are those of this process too."""
    os.environ.update(environment_of(Options(backend="mujoco"), config_dir()))
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        with Observer() as observer:
            observer.hear_episodes()
            observer.hear_objects()
            observer.hear_joints()
            yield observer
    finally:
        rclpy.try_shutdown()


@contextmanager
def _process(line: list[str]) -> Iterator[subprocess.Popen]:
    """The run, in a process group of its own: Ctrl-C is ours, and ends it from here."""
    guarded = ["setpriv", "--pdeathsig", "INT", *line]
    process = subprocess.Popen(guarded, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
            process.kill()
            process.wait()
