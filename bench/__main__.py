"""Runs every benchmark, one after the other: `python -m bench [--save]` (make bench)."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import tyro

SCRIPTS = (
    "cell_speed",
    "camera_transport",
    "estop",
    "participants",
    "command_latency",
    "command_loop",
    "recorder",
    "convert",
    "demonstrations",
    "experts",
    "chunk_latency",
    "stitching",
    "robotwin",
    "whole_graph",
    "closed_loop",
)
LIMIT_S = 3600


@dataclass(frozen=True)
class Args:
    """Run every benchmark with its defaults, about an hour and a half in all."""

    save: bool = False
    """Write bench/results/*.md."""


def main(args: Args) -> None:
    """Each script in a process of its own; exit code 1 when one of them failed."""
    failed = []
    for name in SCRIPTS:
        line = [sys.executable, "-m", f"bench.{name}", *(["--save"] if args.save else [])]
        try:
            code = subprocess.run(line, timeout=LIMIT_S, check=False).returncode
        except subprocess.TimeoutExpired:
            code = None
        if code != 0:
            failed.append(f"{name} {'took too long' if code is None else f'ended with {code}'}")
    if failed:
        sys.exit(f"bench: {'; '.join(failed)}")


if __name__ == "__main__":
    main(tyro.cli(Args, prog="python -m bench"))
