"""Our end of RLBench's worker: that of RoboTwin's, with another program at the other end."""

from __future__ import annotations

from pathlib import Path

from piper_bringup.robotwin.link import Link

WORKER = Path(__file__).with_name("worker.py")


def link(python: str, root: Path | str, *worker_arguments: str) -> Link:
    """A worker for the checkout `root` of RLBench, run by `python` of the environment that it is installed in.

    `worker_arguments` go to worker.py as they are: --image-px 256. Nothing is started before `start`.
    """
    return Link(python, root, *worker_arguments, worker=WORKER)
