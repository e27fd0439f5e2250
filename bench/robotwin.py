"""What the process wall around RoboTwin costs: a step over the socket against the same environment called directly.

    python -m bench.robotwin [--steps 300] [--save]

The environment is the fake of the tests, whose physics take next to no time: what is left is the wall itself, which
RoboTwin's own time is added to. Both run in a process of their own, one after the other.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import tyro

from bench.report import ROOT, conclude
from piper_bringup.robotwin.checkout import Checkout
from piper_bringup.robotwin.link import Link
from piper_bringup.robotwin.program import Program
from piper_bringup.robotwin.substitutes import Substitutes

CAMERAS = ["head_camera", "left_camera", "right_camera"]  # 320x240
TASK, CONFIG, PIPERS, SEED = "stack_blocks_two", "demo_clean", ["piper", "piper", 0.6], 100000
WARM_UP, EPISODE = 10, 300  # calls; the task ends after 400 actions
REACH_RAD = 0.03
LIMIT_S = 60.0
COLUMNS = ("what", "directly p50 ms", "over the socket p50 / p99 ms", "wall p50 ms", "a second")
WHATS = ("action, joints only", "action, three pictures", "three pictures")


@dataclass(frozen=True)
class Args:
    """Cost of the process wall around RoboTwin."""

    steps: int = 300
    """Measured calls of each kind."""
    save: bool = False
    """Write results/robotwin.md."""


def action(i: int) -> np.ndarray:
    """(14,): the left arm to and fro."""
    row = np.zeros(14)
    row[0], row[[6, 13]] = REACH_RAD * (i % 2), 1.0
    return row


def durations_ms(begin: Callable[[], object], call: Callable[[int], object], steps: int) -> np.ndarray:
    """Durations of `call`, in episodes that `begin` begins, without the first few."""
    samples = []
    for i in range(-WARM_UP, steps):
        if (i + WARM_UP) % EPISODE == 0:
            begin()
        start_s = time.perf_counter()
        call(i + WARM_UP + 1)
        samples.append((time.perf_counter() - start_s) * 1e3)
    return np.array(samples[WARM_UP:])


def directly(root: Path, steps: int, report: Connection) -> None:
    """In a process of its own: take_action and get_obs as RoboTwin's own evaluation calls them."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # it prints
    os.chdir(root)
    checkout = Checkout.at(root)
    env, arguments = Program(checkout, Substitutes()).environment(TASK), checkout.arguments(TASK, CONFIG, PIPERS)
    calls = (
        lambda i: env.take_action(action(i)),
        lambda i: (env.take_action(action(i)), env.get_obs()),
        lambda _: env.get_obs(),
    )
    for call in calls:
        report.send(
            durations_ms(lambda: env.setup_demo(now_ep_num=0, seed=SEED, is_test=True, **arguments), call, steps)
        )


def over_the_socket(root: Path, steps: int) -> list[np.ndarray]:
    """The same through a link."""
    with Link(sys.executable, root) as link:
        link.start()
        wanted = {"task": TASK, "task_config": CONFIG, "embodiment": PIPERS, "seed": SEED, "expert_check": False}
        calls = (
            lambda i: link.call("step", LIMIT_S, action=action(i)),
            lambda i: link.call("step", LIMIT_S, action=action(i), cameras=CAMERAS),
            lambda _: link.call("observe", LIMIT_S, cameras=CAMERAS),
        )
        return [durations_ms(lambda: link.call("reset", LIMIT_S, **wanted), call, steps) for call in calls]


def without_a_wall(root: Path, steps: int) -> list[np.ndarray]:
    """What `directly` measures. Raises SystemExit where it takes too long."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=directly, args=(root, steps, theirs))
    process.start()
    try:
        measured = []
        for what in WHATS:
            if not ours.poll(LIMIT_S):
                raise SystemExit(f"robotwin: no time of {what} within {LIMIT_S:.0f} s")
            measured.append(ours.recv())
        return measured
    finally:
        process.kill()
        process.join()


def row(what: str, direct: np.ndarray, socket: np.ndarray) -> tuple[str, ...]:
    """One line of the table."""
    wall = np.median(socket) - np.median(direct)
    p50, p99 = np.percentile(socket, (50, 99))
    rate = f"{1e3 / socket.mean():.0f}" + (
        f", {len(CAMERAS) * 1e3 / socket.mean():.0f} images" if "pic" in what else ""
    )
    return what, f"{np.median(direct):.2f}", f"{p50:.2f} / {p99:.2f}", f"{wall:.2f}", rate


def main(args: Args) -> None:
    """Both ways, one after the other."""
    sys.path.append(str(ROOT / "ros2_ws/src/piper_bringup/test"))
    from robotwin_rig import lay

    with tempfile.TemporaryDirectory() as folder:
        place = lay(Path(folder) / "robotwin", "main")
        direct = without_a_wall(place.root, args.steps)
        socket = over_the_socket(place.root, args.steps)
    rows = [row(*measured) for measured in zip(WHATS, direct, socket, strict=True)]
    notes = f"Fake environment of the tests, {args.steps} calls each, pictures 320x240 uncompressed."
    conclude("RoboTwin behind its wall", COLUMNS, rows, notes, args.save)


if __name__ == "__main__":
    main(tyro.cli(Args, prog="python -m bench.robotwin"))
