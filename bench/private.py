"""A corner of the machine where nothing measured here can meet a robot: own ROS domain, own CAN segments."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from piper_bringup import shm


@contextmanager
def private() -> Iterator[None]:
    """Give this process and its children a ROS domain and a folder of CAN segments that nobody else uses.

    Whatever the shell exports is overridden on purpose: these scripts trip emergency stops.
    """
    with tempfile.TemporaryDirectory(prefix="smp_bench_") as folder:
        os.environ["SMP_VCAN_DIR"] = folder
        os.environ["ROS_DOMAIN_ID"] = str(50 + os.getpid() % 50)
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        try:
            yield
        finally:
            shm.sweep()


def wait_for(condition: Callable[[], bool], what: str, limit_s: float, step: Callable[[], None] | None = None) -> None:
    """Return once `condition()` holds, calling `step` meanwhile; RuntimeError naming `what` after `limit_s`."""
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"{what}: not within {limit_s:.0f} s")
        if step is None:
            time.sleep(0.02)
        else:
            step()
