"""How fast a policy trains, and whether its optimiser ever waits for data.

    python -m bench.training [--steps 20] [--device cuda] [--save]

On made-up demonstrations of the right size: the network does not know the difference. "Waiting" is the share of a step
in which the device has nothing to do because its batch is still being put together; on a GPU the batch is gathered
there, from pictures that lie there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from bench.report import conclude
from piper_bringup.data.names import HORIZON, REPLAN_ROWS
from smp_policy.learn import train
from smp_policy.learn.data import Demonstrations
from smp_policy.learn.loop import Loop, step
from smp_policy.learn.memory import keep_memory
from smp_policy.learn.parallel import Ranks
from smp_policy.learn.segments import SegmentSampler
from smp_policy.smp.config import PRESETS

COLUMNS = ("preset", "batch", "M weights", "s a step", "chunks a second", "waiting", "14 000 steps take")
SEGMENTS = {"state": 128, "image": 16}
EPISODES, ROWS = 24, 200


@dataclass(frozen=True)
class Args:
    """Speed of training."""

    steps: int = 20
    """Optimiser steps timed, after three that are not."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    save: bool = False
    """Write results/training.md."""


def demonstrations(objects: bool) -> Demonstrations:
    """Random walks: EPISODES of ROWS rows."""
    rng, rows = np.random.default_rng(0), EPISODES * ROWS
    state = rng.normal(size=(rows, 14)).cumsum(0) * 0.01
    slots = np.ones((rows, 4, 14)) * rng.normal(size=(rows, 4, 14)) if objects else None
    return Demonstrations(
        tasks=("bench",),
        instructions=("bench",),
        trained_in="simulation",
        first=np.arange(EPISODES + 1) * ROWS,
        task=np.zeros(EPISODES, np.int64),
        state=state,
        target=state,
        action=state + 0.02,
        pushed=np.zeros_like(state),
        objects=slots,
        phase=np.full(rows, -1),
        phases=(),
        paths=(),
        picture=np.arange(rows),
    )


def measure(preset: str, args: Args) -> tuple[str, ...]:
    """One row of the table."""
    config, batch = PRESETS[preset](), SEGMENTS[preset]
    data = demonstrations(objects=config.encoder.slots > 0)
    asked = train.Args((), Path(), batch=batch, config=config, device=args.device)
    contract, ranks = train.contract_of(asked, data), Ranks(0, 1, args.device)
    training = train.begin(asked, contract, ranks, data)
    px, cameras = contract.image_px, len(contract.cameras)
    shape = (len(data.state), cameras, 3, px, px)
    seen = torch.zeros(shape, dtype=torch.uint8, device=args.device) if cameras else None
    sampler = SegmentSampler.of(
        data, contract.normaliser, asked.length, REPLAN_ROWS, HORIZON, args.device, pictures=seen
    )
    loop = Loop(Path(), 10**6, batch, asked.lr, asked.clip, 1, {})
    whole_s = timed(lambda: step(training, training.network, sampler, loop, ranks), args)
    draw = lambda: sampler.batch(torch.randint(len(sampler), (batch,), device=args.device))  # noqa: E731
    loading_s = timed(draw, args)
    weights = sum(p.numel() for p in training.network.parameters()) / 1e6
    return (
        preset,
        f"{batch} x {asked.length}",
        f"{weights:.1f}",
        f"{whole_s:.3f}",
        f"{batch * asked.length / whole_s:.0f}",
        f"{loading_s / whole_s:.1%}",
        f"{whole_s * 14_000 / 60:.0f} min",
    )


def timed(work: Callable[[], object], args: Args) -> float:
    """Seconds of one call, the first three left out."""
    for _ in range(3):
        work()
    _finish(args.device)
    began_s = time.perf_counter()
    for _ in range(args.steps):
        work()
    _finish(args.device)
    return (time.perf_counter() - began_s) / args.steps


def _finish(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def main(args: Args) -> None:
    """Every preset that is trained here."""
    keep_memory()
    rows = [measure(preset, args) for preset in SEGMENTS]
    where = torch.cuda.get_device_name() if args.device.startswith("cuda") else f"{torch.get_num_threads()} threads"
    notes = f"On {args.device} ({where}); batch: segments x policy steps, each with a chunk of {HORIZON} rows."
    conclude("Training speed", COLUMNS, rows, notes, args.save)


if __name__ == "__main__":
    main(tyro.cli(Args, prog="python -m bench.training"))
